// The score of a series of rematches: a mark and a number for each seat. Nothing in the first match.

import { seriesScore } from "../session/afterwards";
import type { SessionState } from "../session/state";
import { markOfSeat } from "../stage/palette";
import { shortName } from "../text/format";
import { Mark } from "./marks";

/** again: show it in the first match too, because a rematch was asked for. */
export function SeriesScore({ state, again = false }: { state: SessionState; again?: boolean }) {
  const score = seriesScore(state.series, state.seats, state.result);
  if (score.match === 1 && !again) return null;
  return (
    <p class="series" data-test="series">
      <span class="small mute">{`Match ${score.match}`}</span>
      {state.seats.map((seat, index) => (
        <span class="row" key={seat.seat}>
          <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={20} />
          <span class="vh">{`${shortName(seat.name)} has won`}</span>
          <b class="data">{score.won[index]}</b>
        </span>
      ))}
      {score.drawn > 0 && <span class="small mute">{`${score.drawn} drawn`}</span>}
    </p>
  );
}
