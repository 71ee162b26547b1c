// The score of a series of rematches: a mark and a number for each seat. Nothing in the first match.

import { seriesScore } from "../session/afterwards";
import type { SessionState } from "../session/state";
import { markOfSeat } from "../stage/palette";
import { shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "./marks";

/** again: show it in the first match too, because a rematch was asked for. */
export function SeriesScore({ state, again = false }: { state: SessionState; again?: boolean }) {
  const score = seriesScore(state.series, state.seats, state.result);
  if (score.match === 1 && !again) return null;
  return (
    <p class="series" data-test="series">
      <span class="small mute">{t("series.match", { match: score.match })}</span>
      {state.seats.map((seat, index) => (
        <span class="row" key={seat.seat}>
          <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={20} />
          <span class="vh">{t("series.has-won", { name: shortName(seat.name) })}</span>
          <b class="data">{score.won[index]}</b>
        </span>
      ))}
      {score.drawn > 0 && <span class="small mute">{t("series.drawn", { drawn: score.drawn })}</span>}
    </p>
  );
}
