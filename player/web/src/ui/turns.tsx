// Shared by the modes that are played in turns: the turn's clock, the next turns.

import { useEffect, useState } from "preact/hooks";
import { soundTick } from "../app/sound";
import { UNTIMED_S } from "../app/turn";
import type { SessionClient } from "../session/client";
import { order } from "../session/state";
import type { SessionState } from "../session/state";
import { markOfSeat } from "../stage/palette";
import { t } from "../text/words";
import { secondsLeft } from "./countdown";
import { shortName } from "../text/format";
import { Mark } from "./marks";
import { Ruler } from "./parts";

export function Clock({ client, state }: { client: SessionClient; state: SessionState }) {
  const mine = state.turnSeat !== null && state.turnSeat === client.mySeat;
  const actor = state.seats.find((seat) => seat.seat === state.turnSeat);
  const left = !state.turnEndsAt || client.paused.value !== null ? null : state.pausedAt ? (state.turnEndsAt - state.pausedAt) / 1000 : Math.max(0, secondsLeft(client, state.turnEndsAt));
  const total = state.turnTotalS || 20;
  const acting = state.phase === "acting" && left !== null;
  // A practice mat has turns of an hour.
  const timed = acting && total < UNTIMED_S;
  const who = state.phase === "settling" ? t("turns.settling") : acting ? (mine ? t("turns.your-turn") : t("turns.s-turn", { shortName: shortName(actor?.name ?? "") })) : t("turns.in-motion");
  const [last, setLast] = useState(false);
  useEffect(() => setLast(acting && mine && left !== null && left <= 5), [acting, mine, left !== null && left <= 5]);
  const tick = last && left !== null ? Math.ceil(left) : 0;
  useEffect(() => {
    if (tick > 0) soundTick();
  }, [tick]);
  return (
    <section class={last ? "tile clock cl last" : "tile clock cl"} aria-label={t("turns.turn-clock")}>
      <h1 class="who" data-test="turn">
        {who}
      </h1>
      <Ruler ticks={Math.max(10, Math.min(60, Math.round(total) * 3))} at={timed ? 1 - left / total : null} needle={timed ? (mine ? "now" : "other") : null} />
      <span class="t" role="timer" aria-label={left === null || !timed ? t("turns.no-turn-clock") : t("turns.seconds-left", { left: Math.ceil(left) })}>
        {timed ? (
          <>
            {left.toFixed(1)}
            <small>s</small>
          </>
        ) : (
          "–"
        )}
      </span>
      <span class="vh" aria-live="assertive">
        {acting && mine ? t("turns.your-turn") : ""}
        {last ? t("turns.five-seconds-left") : ""}
      </span>
    </section>
  );
}

export function NextTurns({ state }: { state: SessionState }) {
  if (state.phase === "over") return null;
  return (
    <section class="tile wide" aria-label={t("turns.next-turns")}>
      <header>
        <h2>{t("turns.next-turns")}</h2>
      </header>
      <ol class="in row" style={{ flexDirection: "row", flexWrap: "wrap" }}>
        {order(state).map((one, index) => (
          <li class="row" key={one.seat} title={shortName(one.name)}>
            {index > 0 && <span class="mute" aria-hidden="true">›</span>}
            <Mark mark={markOfSeat(one.seat)} name={one.name} size={28} />
            <span class="vh">{shortName(one.name)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
