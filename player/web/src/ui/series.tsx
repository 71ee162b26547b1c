// The score of a series of rematches: a number for each person, and one for all bots. Nothing in the first match.

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
      {score.sides.map(({ seats, won }) => (
        <span class="row" key={seats[0]!.seat}>
          {seats.map((seat) => (
            <Mark key={seat.seat} mark={markOfSeat(seat.seat)} name={seat.name} size={20} />
          ))}
          <span class="vh">{seats.length > 1 ? t("series.have-won", { names: seats.map((seat) => shortName(seat.name)).join(", ") }) : t("series.has-won", { name: shortName(seats[0]!.name) })}</span>
          <b class="data">{won}</b>
        </span>
      ))}
      {score.drawn > 0 && <span class="small mute">{t("series.drawn", { drawn: score.drawn })}</span>}
    </p>
  );
}
