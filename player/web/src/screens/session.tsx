// One session: chooses the screen by its state: the door, the waiting lobby, the screen of the mode, or why it is over.

import { batch, computed } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { go } from "../app/route";
import { api, client as current, hasSeat, join, leave, me, now, online, rematch, replay, wantedName, watch, watchAgain } from "../app/store";
import { entitle } from "../app/turn";
import type { SessionClient } from "../session/client";
import { code, shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "../ui/marks";
import { Bar } from "../ui/bar";
import { Line } from "../ui/line";
import { Icon } from "../ui/parts";
import { Sound } from "../ui/sound";
import { Confirm } from "../ui/confirm";
import { hasTurns } from "../session/state";
import { distinguish } from "../stage/marks";
import { markOfSeat } from "../stage/palette";
import { Refused } from "../wire/calls";
import type { SessionView } from "../wire/messages";
import { CurlingScreen } from "./curling";
import { Duel } from "./duel";
import { SandboxScreen } from "./sandbox";
import { SpringScreen } from "./spring";
import { sessionTitle } from "./modes";
import { Waiting } from "./waiting";

export function Session({ token }: { token: string }) {
  const client = current.value;
  return client && client.token === token ? <Live client={client} /> : <Door token={token} />;
}

function Live({ client }: { client: SessionClient }) {
  const [drawer, setDrawer] = useState(false);
  const state = client.state.value;
  const link = client.link.value;
  distinguish(state.seats.map((seat) => seat.name));
  const title = state.seats.length ? sessionTitle(state) : t("session.session");
  const stopped = link.kind === "closed" && link.reason !== "ended" ? link.reason : null;
  useEffect(() => entitle(`${title} · Tussle`), [title]);
  const hz = Math.round(1 / client.step.value);
  // To leave is to lose there.
  const plays = state.seats.some((seat) => seat.seat === client.mySeat && !seat.out) && hasTurns(state) && state.phase !== "lobby" && state.phase !== "over";
  return (
    <>
      <Bar
        crumb={
          <div class="crumb">
            <b>{title}</b>
            <span class="data">{code(client.token)}</span>
          </div>
        }
      >
        {state.phase !== "lobby" && (
          <span class="data mute wide">
            {client.role === "observer" ? t("session.watching") : ""}
            <span class="hz">{`${hz} Hz`}</span>
          </span>
        )}
        {state.phase !== "lobby" && state.phase !== "over" && (
          <button class="btn ghost s" onClick={() => replay(client.token)} title={t("session.watch-what-happened-so-far")} data-test="rewind">
            <Icon name="rewind" />
            <span class="wide">{t("session.rewind")}</span>
            <span class="vh narrow">{t("session.rewind")}</span>
          </button>
        )}
        <Sound />
        <Line client={client} />
        <button class="btn ghost s sq mid-only" aria-label={t("session.log-and-chat")} aria-pressed={drawer} onClick={() => setDrawer(!drawer)}>
          <Icon name="list" />
        </button>
        {stopped ? null : plays ? (
          <Confirm class="btn ghost s" text={t("session.leave")} question={t("session.give-up")} label={t("session.the-match")} onConfirm={leave} test="leave" />
        ) : (
          <button class="btn ghost s" onClick={leave} data-test="leave">
            {t("session.leave")}
          </button>
        )}
      </Bar>
      {stopped ? (
        <Stopped reason={stopped} token={client.token} />
      ) : !client.welcome.value || !state.session ? (
        <main class="desk" id="main" tabIndex={-1}>
          <div class="tile blank">
            <h1>{t("session.taking-your-seat")}</h1>
            <p>{t("session.waiting-for-the-server")}</p>
          </div>
        </main>
      ) : state.phase === "lobby" && ["timed_out", "ended", "failed"].includes(state.status) ? (
        <Closed state={state.status} seats={state.seats.length} size={state.size} />
      ) : state.phase === "lobby" ? (
        <Waiting client={client} drawer={drawer} />
      ) : state.mode === "sandbox" ? (
        <SandboxScreen client={client} drawer={drawer} />
      ) : state.mode === "curling" ? (
        <CurlingScreen client={client} drawer={drawer} />
      ) : state.mode === "spring-damper" ? (
        <SpringScreen client={client} drawer={drawer} />
      ) : (
        <Duel client={client} drawer={drawer} />
      )}
    </>
  );
}

function Closed({ state, seats, size }: { state: string; seats: number; size: number }) {
  return (
    <main class="desk" id="main" tabIndex={-1}>
      <div class="tile blank">
        <Icon name="cross" />
        <h1>{state === "timed_out" ? t("session.the-lobby-timed-out") : state === "failed" ? t("session.the-session-could-not-start") : t("session.the-lobby-is-empty")}</h1>
        <p>{state === "timed_out" ? t("session.of-were-taken-and-not", { seats, size: t("session.seat", { n: size }) }) : t("session.the-players-can-join-other")}</p>
        <button class="btn main" onClick={leave}>
          {t("session.back-to-lobbies")}
        </button>
      </div>
    </main>
  );
}

const REASONS = computed((): Readonly<Record<string, readonly [string, string]>> => ({
  left: [t("session.you-left"), t("session.your-seat-is-free")] as const,
  replaced: [t("session.playing-in-another-window"), t("session.another-window-or-device-uses")] as const,
  refused: [t("session.the-seat-is-gone"), t("session.you-did-not-reconnect-in")] as const,
  version: [t("session.this-page-is-older-than"), t("session.reload-it-to-continue")] as const,
  error: [t("session.the-connection-was-closed"), t("session.the-server-refused-a-message")] as const,
}));

function Stopped({ reason, token }: { reason: string; token: string }) {
  const [heading, text] = REASONS.value[reason] ?? REASONS.value["error"]!;
  return (
    <main class="desk" id="main" tabIndex={-1}>
      <div class="tile blank" data-test="stopped">
        <Icon name="warn" />
        <h1>{heading}</h1>
        <p>{text}</p>
        <div class="row">
          {reason === "version" ? (
            <button class="btn main" onClick={() => location.reload()}>
              {t("session.reload")}
            </button>
          ) : (
            <button class="btn main" onClick={() => void join(token)}>
              {reason === "replaced" ? t("session.play-here") : t("session.join-again")}
            </button>
          )}
          <button class="btn" onClick={toLobbies} data-test="to-lobbies">
            {t("session.back-to-lobbies")}
          </button>
        </div>
      </div>
    </main>
  );
}

/** From a session without a connection to the lobbies. A seat is kept: another window may play it. */
function toLobbies(): void {
  const closed = current.value;
  batch(() => {
    current.value = null;
    go({ screen: "lobby" });
  });
  closed?.dispose();
}

/** The page behind a link: who is in the session, and how to join or watch. */
function Door({ token }: { token: string }) {
  const [view, setView] = useState<SessionView | "missing" | null>(null);
  useEffect(() => {
    let stopped = false;
    const look = async () => {
      try {
        const found = await api.session(token);
        if (!stopped) setView(found);
        online.value = true;
      } catch (error) {
        if (stopped) return;
        if (error instanceof Refused && error.status === 404) {
          setView("missing");
          clearInterval(timer); // no session gets a code that was asked for
        } else online.value = false;
      }
    };
    const timer = setInterval(() => void look(), 1500);
    void look();
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  }, [token]);
  void now.value;
  const found = view !== null && view !== "missing" ? view : null;
  const over = found !== null && ["ended", "timed_out", "failed"].includes(found.status);
  const title = found ? sessionTitle(found) : t("session.session");
  useEffect(() => entitle(`${title} · Tussle`), [title]);
  return (
    <>
      <Bar crumb={<div class="crumb"><b>{title}</b><span class="data">{code(token)}</span></div>} />
      <main class="desk" id="main" tabIndex={-1}>
        <div class="tile blank" data-test="door">
          {view === null && <h1>{t("session.looking-for", { token: code(token) })}</h1>}
          {view === "missing" && (
            <>
              <Icon name="search" />
              <h1>{t("session.no-session", { token: code(token) })}</h1>
              <p>{t("session.codes-have-eight-letters-and")}</p>
            </>
          )}
          {found && (
            <>
              <div class="row">
                {found.seats.map((seat) => (
                  <Mark key={seat.seat} mark={markOfSeat(seat.seat)} name={seat.name} size={30} />
                ))}
              </div>
              <h1>{title}</h1>
              <p>
                {over
                  ? t("session.this-session-has-ended")
                  : found.status === "open"
                    ? t("session.for", { seats: found.seats.map((seat) => shortName(seat.name)).join(", "), what: found.seats.length === 1 ? t("session.waits") : t("session.wait"), plural: t("session.more-player", { n: found.size - found.seats.length }) })
                    : hasSeat(found)
                      ? t("session.all-seats-are-taken-but")
                      : t("session.all-seats-are-taken-you")}
              </p>
              {!over && found.seats.some((seat) => seat.player === me.value?.player) && (
                <button class="btn now" onClick={() => void join(token)} data-test="return-here">
                  {t("session.return-to-your-seat")}
                </button>
              )}
              {hasSeat(found) && !found.seats.some((seat) => seat.player === me.value?.player) && (
                <form class="row" onSubmit={(event) => { event.preventDefault(); void join(token); }}>
                  <div class="field">
                    <input aria-label={t("session.your-name-here")} placeholder={t("session.your-name")} maxLength={24} value={wantedName.value} onInput={(event) => (wantedName.value = event.currentTarget.value)} />
                  </div>
                  <button class="btn now" data-test="join">
                    {t("session.join")}
                  </button>
                </form>
              )}
              {over && found.started_at > 0 && found.seats.some((seat) => seat.player === me.value?.player) && (
                <button class="btn now" onClick={() => void rematch(token, null)} data-test="rematch">
                  {found.rematch ? t("session.join-the-rematch") : t("session.rematch")}
                </button>
              )}
              {over && found.started_at > 0 && (
                <button class="btn main" onClick={() => watchAgain(token)} data-test="watch-again">
                  {t("session.watch-again")}
                </button>
              )}
              {!over && (
                <button class="btn" onClick={() => void watch(token)}>
                  <Icon name="eye" />
                  {t("session.watch")}
                </button>
              )}
            </>
          )}
          <button class="btn ghost" onClick={() => go({ screen: "lobby" })}>
            {t("session.back-to-lobbies")}
          </button>
        </div>
      </main>
    </>
  );
}
