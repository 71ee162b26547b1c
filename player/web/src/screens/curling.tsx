// Curling: the score of every end, whose stone it is, the sheet with its house, the aim, what happened.

import { useEffect, useState } from "preact/hooks";
import type { SessionClient } from "../session/client";
import { table } from "../session/curling";
import type { SessionState } from "../session/state";
import { markOfSeat } from "../stage/palette";
import type { Stage } from "../stage/stage";
import { AimTile, StageButtons, useAim } from "../ui/aiming";
import { inWords, ordinal, shortName } from "../text/format";
import { t } from "../text/words";
import { Hints } from "../ui/hints";
import { aimKeys } from "../ui/keyboard";
import { Mark } from "../ui/marks";
import { Measures } from "../ui/measures";
import { BotMark } from "../ui/playername";
import { StageView } from "../ui/stageview";
import { Chat, Log } from "../ui/talk";
import { Result, useResultDue } from "../ui/result";
import { SeriesScore } from "../ui/series";
import { Clock } from "../ui/turns";
import { Watching } from "../ui/watching";

export function CurlingScreen({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const state = client.state.value;
  const { curling } = state;
  const seat = client.mySeat;
  const ended = useResultDue(client, state);
  const act = useAim(client, state, seat, () => curling.stone);
  const [stage, setStage] = useState<Stage | null>(null);
  useEffect(() => stage?.setHouse(curling.house), [stage, curling.house]);
  return (
    <main class={drawer ? "desk duel curling drawer" : "desk duel curling"} id="main" tabIndex={-1}>
      <div class="stack players">
        <Players client={client} state={state} />
        <Ends state={state} />
        <Watching client={client} />
        <Measures client={client} />
      </div>
      <div class="stack mid">
        {ended ? <Result client={client} state={state} won={(name) => (name === null ? t("result.you-win") : t("result.wins", { name }))} /> : <Clock client={client} state={state} />}
        <StageView
          client={client}
          label={label(state, seat)}
          class={act.yours ? "aiming" : ""}
          onStage={(made) => {
            act.onStage(made);
            setStage(made);
          }}
        >
          <StageButtons act={act} />
        </StageView>
        {seat !== null && !ended && <Hints state={state} act={act} />}
        {seat !== null && !ended && <AimTile client={client} state={state} act={act} labels={{ launch: t("curling.slide") }} pull={t("curling.pull-back-from-your-stone")} />}
      </div>
      <div class="stack side">
        <Log client={client} />
        <Chat client={client} class="split" />
      </div>
    </main>
  );
}

function label(state: SessionState, seat: number | null): string {
  const turn = state.turnSeat === seat && seat !== null && state.phase === "acting" ? `${t("stage.turn.curling", aimKeys())} ` : "";
  return t("curling.the-sheet-end", { turn, end: state.curling.end, seats: state.seats.map((one) => `${shortName(one.name)} ${one.score}`).join(", ") });
}

function Players({ client, state }: { client: SessionClient; state: SessionState }) {
  const { curling } = state;
  return (
    <section class="tile pl" aria-label={t("curling.players")}>
      <header>
        <h2>{t("curling.players")}</h2>
        <span class="sp" />
        <span class="data mute">{state.phase === "settling" ? "" : curling.end > curling.ends ? t("curling.extra-end") : t("curling.end-of", { end: curling.end, ends: curling.ends })}</span>
      </header>
      {state.phase !== "over" && <SeriesScore state={state} />}
      <ul data-test="players">
        {state.seats.map((seat) => {
          const mine = seat.seat === client.mySeat;
          const turn = state.turnSeat === seat.seat && state.phase !== "over";
          const left = Math.max(0, curling.stones - (curling.thrown[seat.seat] ?? 0));
          const classes = ["pc", turn ? "turn" : "", turn && mine && state.phase === "acting" ? "now" : "", seat.out ? "out" : "", seat.connected || seat.kind === "bot" ? "" : "away"].join(" ");
          return (
            <li class={classes} key={seat.seat} data-seat={seat.seat} aria-current={turn ? "true" : undefined}>
              <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={34} />
              <div class="pb">
                <div class="row">
                  <h3>{shortName(seat.name)}</h3>
                  {seat.kind === "bot" && <BotMark />}
                  <span class="small mute">{seat.out ? (seat.place ? t("curling.place", { place: ordinal(seat.place) }) : t("curling.out")) : !seat.connected ? t("curling.away") : mine ? t("curling.you") : ""}</span>
                  <span class="sp" />
                  <span class="pts" data-test="points">{seat.score}</span>
                </div>
                <div class="row stones" role="img" aria-label={t("curling.left-in-this-end", { left: inWords(left), what: left === 1 ? t("curling.stone") : t("curling.stones") })}>
                  {Array.from({ length: curling.stones }, (_, i) => (
                    <i key={i} class={i < left ? "" : "gone"} style={{ background: i < left ? `var(--p${markOfSeat(seat.seat) + 1})` : "none" }} />
                  ))}
                </div>
              </div>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** The board: a row per seat, a column per end. */
function Ends({ state }: { state: SessionState }) {
  const { curling } = state;
  const count = Math.max(curling.ends, curling.scored.length, curling.end);
  const rows = table(curling, state.seats.map((seat) => seat.seat));
  return (
    <section class="tile wide" aria-label={t("curling.ends")}>
      <header>
        <h2>{t("curling.ends")}</h2>
        <span class="sp" />
        {curling.guarded && state.phase !== "over" && <span class="small mute">{t("curling.guards-are-safe")}</span>}
      </header>
      <div class="in">
        <table class="ends" data-test="ends">
          <thead>
            <tr>
              <th scope="col">
                <span class="vh">{t("curling.player")}</span>
              </th>
              {Array.from({ length: count }, (_, i) => (
                <th key={i} scope="col" class={i + 1 === curling.end && state.phase !== "over" ? "at" : ""}>
                  {i + 1}
                </th>
              ))}
              <th scope="col" aria-label={t("curling.total")}>
                Σ
              </th>
            </tr>
          </thead>
          <tbody>
            {state.seats.map((seat, row) => (
              <tr key={seat.seat}>
                <th scope="row">
                  <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={20} />
                  <span class="vh">{shortName(seat.name)}</span>
                </th>
                {Array.from({ length: count }, (_, i) => (
                  <td key={i}>{i < curling.scored.length ? (rows[row]?.[i] ?? "·") : ""}</td>
                ))}
                <td class="sum">{seat.score}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
