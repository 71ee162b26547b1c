// The live preview in the lobby: one running duel, watched by a connection of its own.

import { useEffect, useRef, useState } from "preact/hooks";
import { api, hidden, me, now, sessions, watch } from "../app/store";
import { SessionClient } from "../session/client";
import { shortName } from "../text/format";
import { t } from "../text/words";
import { Icon, useMatch } from "../ui/parts";
import { exposePreview } from "../ui/probe";
import { StageView } from "../ui/stageview";
import type { SessionView } from "../wire/messages";
import { sessionTitle } from "./modes";

/** How long after a failed attempt the next session is tried [ms]. */
const RETRY_MS = 3000;

/** How long the end of a watched session stays in the picture before the next one [ms], and how long after the last sign
 * of a person the preview watches no other [ms]. */
const END_MS = 12_000;
const AWAY_MS = 60_000;
/** What the preview needs of a session. It shows nothing of the turns, whose events are more than half of the text: the
 * list has the round, and blows have the damage. The pulse of the page notices a server that falls silent. */
const NEEDED = { without: ["turn_started", "turn_ended", "action"], pingMs: 3000 };
/** How long a session may take to show its bodies before the next one is tried [ms]. */
const SHOW_MS = 8000;

/** A watched session, once it has bodies and a frame: until then the one before stays in the picture. */
function useWatched(watched: string | null, giveUp: () => void): SessionClient | null {
  const [shown, setShown] = useState<SessionClient | null>(null);
  useEffect(() => {
    if (watched === null) {
      setShown(null);
      return;
    }
    let stopped = false;
    let timer = window.setTimeout(giveUp, SHOW_MS);
    let made: SessionClient | null = null;
    let taken = false;
    const look = (): void => {
      const timeline = made!.timeline.peek();
      if (made!.topology.peek() && timeline?.newest) {
        clearTimeout(timer);
        taken = true;
        setShown(made);
      } else frame = requestAnimationFrame(look);
    };
    let frame = 0;
    api.observe(watched).then(
      (ticket) => {
        if (stopped) return;
        made = new SessionClient(ticket, false, false, null, NEEDED);
        look();
      },
      () => {
        clearTimeout(timer);
        if (!stopped) timer = window.setTimeout(giveUp, RETRY_MS);
      },
    );
    return () => {
      stopped = true;
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      if (!taken) made?.dispose();
    };
  }, [watched]);
  useEffect(() => () => shown?.dispose(), [shown]);
  return shown;
}

/** Whether a pointer or a key moved within that time, or the page was just opened. */
function useSomebody(within: number): boolean {
  const [seen, setSeen] = useState(Date.now);
  useEffect(() => {
    const look = (): void => setSeen((last) => (Date.now() - last > 1000 ? Date.now() : last));
    const stop = new AbortController();
    for (const name of ["pointermove", "pointerdown", "keydown", "wheel", "focus"]) addEventListener(name, look, { signal: stop.signal, passive: true });
    return () => stop.abort();
  }, []);
  return now.value - seen < within;
}

/** The place of the picture while there is none, so that the list below it stays where it is. quiet: no duel runs; one that
 * does is about to be shown. */
function Nobody({ quiet }: { quiet: boolean }) {
  return (
    <section class="tile" aria-label={t("preview.live")} style={{ flex: "none" }} data-test="no-preview">
      <div class="feat">
        <svg viewBox="-2 -1 4 2" width="100%" height="100%" fill="none" stroke="var(--line-strong)" stroke-width="0.012" stroke-dasharray="0.05 0.05" aria-hidden="true">
          <polygon points="0.83,0.34 0.34,0.83 -0.34,0.83 -0.83,0.34 -0.83,-0.34 -0.34,-0.83 0.34,-0.83 0.83,-0.34" />
        </svg>
      </div>
      <div class="row lab">
        {quiet && <span class="tag end">{t("preview.no-duel-now")}</span>}
        <span class="small mute">{t("preview.duels-that-run-are-shown")}</span>
      </div>
    </section>
  );
}

/** The newest running duel, live. Nobody in it while the page is hidden, before the first login, or while no duel runs;
 * nothing at all in a narrow window. */
export function Preview({ running }: { running: readonly SessionView[] }) {
  const [watched, setWatched] = useState<string | null>(null);
  const wide = useMatch("(min-width: 761px)");
  const asleep = hidden.value;
  const candidate = running.find((one) => one.status === "running" && one.mode === "duel")?.session ?? null;
  const over = !running.some((one) => one.session === watched);
  const loggedIn = me.value !== null;
  const here = useSomebody(AWAY_MS);
  const endedAt = useRef(0);
  if (over !== (endedAt.current > 0)) endedAt.current = over ? Date.now() : 0;
  const rested = watched === null || now.value - endedAt.current > END_MS;
  useEffect(() => {
    if (!wide || asleep) setWatched(null);
    else if (loggedIn && here && candidate && over && rested) setWatched(candidate);
  }, [wide, asleep, loggedIn, here, candidate, over, rested, watched]);
  const shown = useWatched(watched, () => setWatched(null));
  if (!wide) return null;
  if (!shown) return <Nobody quiet={sessions.value !== null && candidate === null} />;
  const state = shown.state.value;
  const round = running.find((one) => one.session === shown.token)?.round ?? state.round;
  const names = state.seats.map((seat) => shortName(seat.name));
  const leader = state.result ? state.seats.find((seat) => seat.seat === state.result?.winner) : null;
  return (
    <section class="tile" aria-label={t("preview.live")} style={{ flex: "none" }}>
      <div class="feat">
        <StageView client={shown} still onStage={exposePreview} label={t("preview.the-mat-of", { state: sessionTitle(state) })} />
      </div>
      <div class="row lab">
        <span class={state.phase === "over" ? "tag end" : "tag run"}>{state.phase === "over" ? t("preview.just-ended") : t("preview.live")}</span>
        <b>{sessionTitle(state)}</b>
        <span class="small mute">
          {leader ? t("result.wins", { name: shortName(leader.name) }) : `${names.join(names.length > 2 ? ", " : " and ")}${round ? t("preview.round", { round }) : ""}`}
        </span>
        <span class="sp" />
        <button class="btn s" onClick={() => void watch(shown.token)}>
          <Icon name="eye" />
          {t("preview.watch")}
        </button>
      </div>
    </section>
  );
}
