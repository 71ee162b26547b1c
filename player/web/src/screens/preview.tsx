// The live preview in the lobby: one running duel, watched by a connection of its own.

import { useEffect, useState } from "preact/hooks";
import { api, me, watch } from "../app/store";
import { SessionClient } from "../session/client";
import { shortName } from "../text/format";
import { Icon } from "../ui/parts";
import { StageView } from "../ui/stageview";
import type { SessionView } from "../wire/messages";
import { sessionTitle } from "./modes";

/** How long after a failed attempt the next session is tried [ms]. */
const RETRY_MS = 3000;

/** The newest running duel, live. Nothing in a narrow window, before the first login, or while no duel runs. */
export function Preview({ running }: { running: readonly SessionView[] }) {
  const [watched, setWatched] = useState<string | null>(null);
  const [shown, setShown] = useState<SessionClient | null>(null);
  const wide = matchMedia("(min-width: 761px)").matches;
  const candidate = running.find((one) => one.status === "running" && one.mode === "duel")?.session ?? null;
  const over = !running.some((one) => one.session === watched);
  const loggedIn = me.value !== null;
  useEffect(() => {
    if (wide && loggedIn && candidate && over) setWatched(candidate);
  }, [wide, loggedIn, candidate, over, watched]);
  useEffect(() => {
    if (watched === null) return;
    let stopped = false;
    let timer = 0;
    api.observe(watched).then(
      (ticket) => {
        if (!stopped) setShown(new SessionClient(ticket));
      },
      () => {
        timer = window.setTimeout(() => setWatched(null), RETRY_MS);
      },
    );
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [watched]);
  useEffect(() => () => shown?.dispose(), [shown]);
  if (!shown || !wide) return null;
  const state = shown.state.value;
  const names = state.seats.map((seat) => shortName(seat.name));
  const leader = state.result ? state.seats.find((seat) => seat.seat === state.result?.winner) : null;
  return (
    <section class="tile" aria-label="Live" style={{ flex: "none" }}>
      <div class="feat">
        <StageView client={shown} still label={`The mat of ${sessionTitle(state)}`} />
      </div>
      <div class="row lab">
        <span class={state.phase === "over" ? "tag end" : "tag run"}>{state.phase === "over" ? "Just ended" : "Live"}</span>
        <b>{sessionTitle(state)}</b>
        <span class="small mute">
          {leader ? `${shortName(leader.name)} is the last one standing` : `${names.join(names.length > 2 ? ", " : " and ")}${state.round ? `, round ${state.round}` : ""}`}
        </span>
        <span class="sp" />
        <button class="btn s" onClick={() => void watch(shown.token)}>
          <Icon name="eye" />
          Watch
        </button>
      </div>
    </section>
  );
}
