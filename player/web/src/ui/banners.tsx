// Banners below the bar: the state of the connection, and notices. Screen readers announce them at once.

import type { SessionClient } from "../session/client";
import { client, notice, now, online } from "../app/store";
import { minutes, plural } from "../text/format";
import { Icon } from "./parts";

/** How long a server keeps a seat of a waiting lobby by default [s]. */
const SEAT_KEPT_S = 15;

export function Banners() {
  const current = client.value;
  const shown = notice.value;
  return (
    <div class="notes" role="status" aria-live="assertive">
      {!current && !online.value && (
        <div class="note signal" data-test="offline">
          <span>
            <b>The server does not answer.</b> Trying again every second.
          </span>
        </div>
      )}
      {current && <LinkBanner client={current} />}
      {current?.announced.value && (
        <div class="note wash" data-test="announcement">
          <Icon name="warn" />
          <span class="sp">
            <b>From the operator.</b> {current.announced.value}
          </span>
          <button class="btn ghost s sq" aria-label="Close this notice" onClick={() => (current.announced.value = null)}>
            <Icon name="cross" />
          </button>
        </div>
      )}
      {shown && (
        <div class={`note ${shown.kind}`}>
          <Icon name={shown.kind === "ok" ? "check" : "warn"} />
          <span class="sp">
            <b>{shown.title}</b> {shown.text}
          </span>
          <button class="btn ghost s sq" aria-label="Close this line" onClick={() => (notice.value = null)}>
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
    const kept = SEAT_KEPT_S - (now.value - link.since) / 1000;
    return (
      <div class="note signal" data-test="lost">
        <span class="sp">
          <b>{session.offline.value ? "This device has no network." : "Connection lost."}</b> {wait > 0 ? <>Trying again in <span class="data">{wait} s</span>.</> : "Trying again now."}{" "}
          {session.role === "player" && (state.phase === "lobby" ? kept > 0 && <>Your seat is kept for <span class="data">{minutes(kept)}</span>.</> : "Your seat is kept. The turn clock is stopped while the server is unreachable.")}
        </span>
        <button class="btn s" onClick={() => session.retryNow()}>
          Try now
        </button>
      </div>
    );
  }
  if (session.quietSince.value !== null) {
    return (
      <div class="note signal" data-test="quiet">
        <span>
          <b>{session.offline.value ? "This device has no network." : "The server does not answer."}</b> The picture is old, and what you do waits. Your connection is still open.
        </span>
      </div>
    );
  }
  const back = session.back.value;
  if (back && now.value - back.at < 4500) {
    return (
      <div class="note ok" data-test="back">
        <Icon name="check" />
        <span>
          <b>{session.role === "player" ? "You are back in your seat." : "You are back."}</b> {back.events ? `${plural(back.events, "event")} caught up.` : "Nothing was missed."}
        </span>
      </div>
    );
  }
  const paused = session.paused.value ?? (state.status === "paused" ? "an operator has paused it" : null);
  if (paused) {
    return (
      <div class="note wash" data-test="paused">
        <Icon name="warn" />
        <span>
          <b>The session is paused.</b> {paused[0]?.toUpperCase()}
          {paused.slice(1)}. The turn clock is stopped.
        </span>
      </div>
    );
  }
  const way = session.way.value;
  if (way.kind === "socket" && way.reason && now.value - way.since < 6000 && link.kind === "live") {
    return (
      <div class="note wash" data-test="channel-lost">
        <Icon name="warn" />
        <span>
          <b>Frames come over the WebSocket now.</b> WebRTC was given up: {way.reason}.
        </span>
      </div>
    );
  }
  const dilation = session.dilation.value;
  if (dilation > 1) {
    return (
      <div class="note wash" data-test="dilated">
        <Icon name="warn" />
        <span>
          <b>Slow motion.</b> This world needs more computing than it gets: it runs <span class="data">{dilation.toFixed(1)}</span> times slower than real time.
        </span>
      </div>
    );
  }
  const rtt = session.rtt.value;
  if (link.kind === "live" && rtt !== null && session.slow.value && state.phase !== "lobby") {
    return (
      <div class="note wash">
        <Icon name="warn" />
        <span>
          <b>Slow connection, {rtt} ms.</b> The picture runs a little behind; your turn clock does not.
        </span>
      </div>
    );
  }
  return null;
}
