// The duel: players and their health, the turn's clock, the mat, the aim, what happened.

import type { SessionClient } from "../session/client";
import type { Seat, SessionState } from "../session/state";
import { title } from "../session/wording";
import { markOfSeat } from "../stage/palette";
import { AimTile, StageButtons, useAim } from "../ui/aiming";
import { ordinal, shortName } from "../text/format";
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
import { Clock, NextTurns } from "../ui/turns";
import { Watching } from "../ui/watching";

export function Duel({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const state = client.state.value;
  const seat = client.mySeat;
  const ended = useResultDue(client, state);
  const act = useAim(client, state, seat, (stage) => (seat === null ? null : stage.bodyOf(seat)));
  return (
    <main class={drawer ? "desk duel drawer" : "desk duel"} id="main" tabIndex={-1}>
      <div class="stack players">
        <Players client={client} state={state} />
        <NextTurns state={state} />
        <Watching client={client} />
        <Measures client={client} />
      </div>
      <div class="stack mid">
        {ended ? <Result client={client} state={state} won={won} /> : <Clock client={client} state={state} />}
        <StageView client={client} label={stageLabel(state, seat)} class={act.yours ? "aiming" : ""} onStage={act.onStage}>
          <StageButtons act={act} />
          <RimWarning state={state} />
        </StageView>
        {seat !== null && !ended && <Hints state={state} act={act} />}
        {seat !== null && !ended && <AimTile client={client} state={state} act={act} />}
      </div>
      <div class="stack side">
        <Log client={client} />
        <Chat client={client} class="split" />
      </div>
    </main>
  );
}

/** Says that a part of the mat falls before the next round. */
function RimWarning({ state }: { state: SessionState }) {
  const shown = state.phase !== "over" && (state.brief?.cracked.length ?? 0) > 0;
  return (
    <p class="rimwarn" role="status" data-test="rim-warning" hidden={!shown}>
      {shown && t("duel.the-dark-sides-fall-before", { round: state.round + 1 })}
    </p>
  );
}

function won(name: string | null, cause: string): string {
  if (cause === "bouts") return name === null ? t("duel.you-win-the-match") : t("duel.wins-the-match", { name });
  if (cause === "rounds") return name === null ? t("duel.you-win-on-health") : t("duel.wins-on-health", { name });
  if (cause === "last_standing") return name === null ? t("duel.you-are-the-last-one") : t("duel.is-the-last-one-standing", { name });
  return name === null ? t("result.you-win") : t("result.wins", { name });
}

function stageLabel(state: SessionState, seat: number | null): string {
  const where = state.seats.filter((one) => !one.out).map((one) => `${shortName(one.name)} ${one.health === null ? "" : Math.round(one.health)}`);
  const turn = state.turnSeat === seat && seat !== null && state.phase === "acting" ? `${t("stage.turn.duel", aimKeys())} ` : "";
  return t("duel.the-mat", { turn, where: where.join(", ") });
}

// -- players

function Players({ client, state }: { client: SessionClient; state: SessionState }) {
  return (
    <section class="tile pl" aria-label={t("duel.players")}>
      <header>
        <h2>{t("duel.players")}</h2>
        <span class="sp" />
        <span class="data mute">{[state.toWin > 1 ? t("duel.bout-of", { bout: state.bout, toWin: 2 * state.toWin - 1 }) : "", state.round ? t("duel.round", { round: state.round }) : ""].filter(Boolean).join(" · ")}</span>
      </header>
      {state.phase !== "over" && <SeriesScore state={state} />}
      <ul data-test="players">
        {state.seats.map((seat) => (
          <PlayerCard key={seat.seat} seat={seat} mine={seat.seat === client.mySeat} turn={state.turnSeat === seat.seat && state.phase !== "over"} acting={state.phase === "acting"} wins={state.toWin > 1 ? (state.bouts[seat.seat] ?? 0) : null} toWin={state.toWin} />
        ))}
      </ul>
    </section>
  );
}

/** A box for each round that must be won, filled for those that are. */
function Wins({ won, of, name }: { won: number; of: number; name: string }) {
  return (
    <span class="wins" role="img" aria-label={t("duel.has-won-of-bouts", { name, won, of })} data-test="wins">
      {Array.from({ length: of }, (_, index) => (
        <i key={index} class={index < won ? "full" : ""} />
      ))}
    </span>
  );
}

/** wins: rounds won in a match of several; null: it has only one. */
function PlayerCard({ seat, mine, turn, acting, wins, toWin }: { seat: Seat; mine: boolean; turn: boolean; acting: boolean; wins: number | null; toWin: number }) {
  const full = seat.full ?? seat.health ?? 0;
  const health = seat.health ?? full;
  const share = full > 0 ? Math.max(0, Math.min(1, health / full)) : 0;
  const lost = full > 0 ? Math.min(1 - share, seat.lost / full) : 0;
  const classes = ["pc", turn ? "turn" : "", turn && mine && acting ? "now" : "", seat.out ? "out" : "", seat.connected || seat.kind === "bot" ? "" : "away"].join(" ");
  return (
    <li class={classes} data-seat={seat.seat} aria-current={turn ? "true" : undefined}>
      <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={34} />
      <div class="pb">
        <div class="row">
          <h3>{shortName(seat.name)}</h3>
          {seat.kind === "bot" && <BotMark />}
          <span class="sp" />
          {wins !== null && <Wins won={wins} of={toWin} name={shortName(seat.name)} />}
          <span class="data">{full > 0 ? Math.ceil(health) : ""}</span>
        </div>
        <p class="small mute clip">{seat.out ? (seat.place ? t("duel.place", { place: ordinal(seat.place) }) : t("duel.out")) : !seat.connected ? t("duel.away") : `${title(seat.body)}${mine ? t("duel.you") : ""}${seat.braced ? t("duel.braced") : ""}`}</p>
        {full > 0 && (
          <div class="hp" role="meter" aria-valuemin={0} aria-valuemax={Math.round(full)} aria-valuenow={Math.ceil(health)} aria-label={t("duel.health-of", { name: shortName(seat.name) })}>
            <i style={{ width: `${100 * share}%`, background: `var(--p${markOfSeat(seat.seat) + 1})`, boxShadow: "inset 0 0 0 1px var(--mark-line)" }} />
            {lost > 0.004 && <b style={{ left: `${100 * share}%`, width: `${100 * lost}%` }} />}
          </div>
        )}
      </div>
    </li>
  );
}
