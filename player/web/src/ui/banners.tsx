// Banners below the bar: the state of the connection, and notices. Screen readers announce the words that do not change
// at once; a countdown beside them is not part of what is announced.

import type { SessionClient } from "../session/client";
import { route } from "../app/route";
import { client, notice, now, online, silent } from "../app/store";
import { watchedRoom } from "../app/watched";
import { hasTurns, pausedBecause } from "../session/state";
import type { SessionState } from "../session/state";
import { minutes } from "../text/format";
import { t } from "../text/words";
import { Icon } from "./parts";
import { SeatNote } from "./seatnote";

export function Banners() {
  const current = client.value;
  const shown = notice.value;
  const room = watchedRoom.value;
  return (
    <div class="notes" role="region" aria-label={t("banners.notices")}>
      {!current && (!online.value || silent.value) && (
        <div class="note signal" data-test="offline">
          <span role="alert">
            <b>{t("banners.the-server-does-not-answer")}</b>{" "}{t("banners.the-list-is-old-this")}
          </span>
        </div>
      )}
      {room && (room.link.value === "lost" || room.quiet.value) && (
        <div class="note signal" data-test="room-lost">
          <span role="alert">
            <b>{room.link.value === "lost" ? t("banners.connection-lost") : t("banners.the-server-does-not-answer")}</b>{" "}{t("banners.what-is-loaded-can-be")}
          </span>
        </div>
      )}
      <SeatNote />
      {current && route.value.screen === "session" && route.value.token === current.token && <LinkBanner client={current} />}
      {current?.announced.value && (
        <div class="note wash" data-test="announcement">
          <Icon name="warn" />
          <span class="sp" role="alert">
            <b>{t("banners.from-the-operator")}</b> {current.announced.value}
          </span>
          <button class="btn ghost s sq" aria-label={t("banners.close-this-notice")} onClick={() => (current.announced.value = null)}>
            <Icon name="cross" />
          </button>
        </div>
      )}
      {shown && (
        <div class={`note ${shown.kind}`}>
          <Icon name={shown.kind === "ok" ? "check" : "warn"} />
          <span class="sp" role={shown.kind === "bad" ? "alert" : "status"}>
            <b>{shown.title}</b> {shown.text}
          </span>
          <button class="btn ghost s sq" aria-label={t("banners.close-this-line")} onClick={() => (notice.value = null)}>
            <Icon name="cross" />
          </button>
        </div>
      )}
    </div>
  );
}

function LinkBanner({ client: session }: { client: SessionClient }) {
  const link = session.link.value;
  const state = session.state.value;
  if (link.kind === "lost") {
    const wait = Math.max(0, Math.ceil((link.retryAt - now.value) / 1000));
    const kept = (session.welcome.value?.seat_kept_s ?? 0) - (now.value - link.since) / 1000;
    return (
      <div class="note signal" data-test="lost">
        <span class="sp">
          <span role="alert">
            <b>{session.offline.value ? t("banners.this-device-has-no-network") : t("banners.connection-lost")}</b>
            {session.role === "player" && ` ${whileAway(state)}`}
          </span>{" "}
          {wait > 0 ? <>{t("banners.trying-again-in")}{" "}<span class="data">{wait} s</span>.</> : t("banners.trying-again-now")}
          {session.role === "player" && state.phase === "lobby" && kept > 0 && <>{" "}{t("banners.your-seat-is-kept-for")}{" "}<span class="data">{minutes(kept)}</span>.</>}
        </span>
        <button class="btn s" onClick={() => session.retryNow()}>
          {t("banners.try-now")}
        </button>
      </div>
    );
  }
  if (session.quietSince.value !== null) {
    return (
      <div class="note signal" data-test="quiet">
        <span role="alert">
          <b>{session.offline.value ? t("banners.this-device-has-no-network") : t("banners.the-server-does-not-answer")}</b>{" "}{t("banners.the-picture-is-old-and")}
        </span>
      </div>
    );
  }
  const back = session.back.value;
  if (back && now.value - back.at < 4500) {
    return (
      <div class="note ok" data-test="back">
        <Icon name="check" />
        <span role="status">
          <b>{session.role === "player" ? t("banners.you-are-back-in-your") : t("banners.you-are-back")}</b> {back.events ? t("banners.caught-up", { events: t("banners.event", { n: back.events }) }) : t("banners.nothing-was-missed")}
        </span>
      </div>
    );
  }
  const paused = pausedBecause(session.paused.value, state.status);
  if (paused !== null) {
    return (
      <div class="note wash" data-test="paused">
        <Icon name="warn" />
        <span role="status">
          <b>{t("banners.the-session-is-paused")}</b>
          {paused && ` ${paused[0]?.toUpperCase()}${paused.slice(1)}.`}
          {hasTurns(state) && t("banners.the-turn-clock-is-stopped")}
        </span>
      </div>
    );
  }
  const way = session.way.value;
  if (way.kind === "socket" && way.reason && now.value - way.since < 6000 && link.kind === "live") {
    return (
      <div class="note wash" data-test="channel-lost">
        <Icon name="warn" />
        <span role="status">
          <b>{t("banners.frames-come-over-the-websocket")}</b>{" "}{t("banners.webrtc-was-given-up")}{" "}{way.reason}.
        </span>
      </div>
    );
  }
  const dilation = session.dilation.value;
  if (dilation > 1 && state.phase !== "over") {
    return (
      <div class="note wash" data-test="dilated">
        <Icon name="warn" />
        <span>
          <b>{t("banners.slow-motion")}</b>{" "}{t("banners.this-world-needs-more-computing", { times: dilation.toFixed(1) })}
        </span>
      </div>
    );
  }
  const rtt = session.rtt.value;
  if (link.kind === "live" && rtt !== null && session.slow.value && state.phase !== "lobby" && state.phase !== "over") {
    return (
      <div class="note wash" data-test="slow">
        <Icon name="warn" />
        <span>
          <b>
            <span role="status">{t("banners.slow-connection")}</span>, {rtt} ms.
          </b>{" "}
          {whenSlow(state, session.role === "player")}
        </span>
      </div>
    );
  }
  return null;
}

/** Whether somebody else has a seat. */
function isShared(state: SessionState): boolean {
  return state.seats.length > 1;
}

/** What a lost connection means for a seat, in its mode. */
function whileAway(state: SessionState): string {
  if (state.phase === "lobby" || state.phase === "over") return "";
  if (hasTurns(state)) return t("banners.your-seat-is-kept-your");
  if (state.mode !== "sandbox") return t("banners.your-seat-is-kept");
  return t("banners.your-seat-is-kept-what") + (isShared(state) ? ` ${t("banners.the-others-play-on")}` : "");
}

/** What a slow connection does, in a mode. */
function whenSlow(state: SessionState, plays: boolean): string {
  if (hasTurns(state)) return plays ? t("banners.the-picture-runs-a-little-2") : t("banners.the-picture-runs-a-little");
  if (state.mode === "sandbox") return plays ? t(isShared(state) ? "banners.what-you-hold-follows-your" : "banners.what-you-hold-follows") : t("banners.the-picture-runs-a-little");
  return state.mode === "spring-damper" ? t("banners.the-curves-are-drawn-a") : t("banners.the-picture-runs-a-little");
}
