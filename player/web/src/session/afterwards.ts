// What the end of a match is about: the score of the series, the hardest hit, who hurt whom. Pure.

import { t } from "../text/words";
import type { RatingChange, Series } from "../wire/messages";
import type { BestHit, Seat } from "./state";

/** Matches won in a row of rematches: of each side, and those that nobody won. */
export interface Score {
  /** The number of the match that is played, or that was played last. */
  readonly match: number;
  /** A person, or all bots: they are others in each match, and share one score. */
  readonly sides: readonly { readonly seats: readonly Seat[]; readonly won: number }[];
  readonly drawn: number;
}

/** The score of the series, with this match if it has a result. */
export function seriesScore(series: Series | null, seats: readonly Seat[], result: { readonly winner: number | null } | null): Score {
  const winner = result === null ? null : seats.find((seat) => seat.seat === result.winner);
  const bots = seats.filter((seat) => seat.kind === "bot");
  const sides = seats.flatMap((seat) => (seat.kind !== "bot" ? [[seat]] : seat === bots[0] ? [bots] : []));
  const before = (seat: Seat): number => (seat.kind === "bot" ? series?.bots : series?.wins.find((one) => one.player === seat.player)?.won) ?? 0;
  return {
    match: series?.match ?? 1,
    sides: sides.map((side) => ({ seats: side, won: before(side[0]!) + (winner && side.includes(winner) ? 1 : 0) })),
    drawn: (series?.drawn ?? 0) + (result !== null && !winner ? 1 : 0),
  };
}

/** The bouts of a match in words, those of the winner first, as in "2 to 1"; "" where it had only one. */
export function boutScore(bouts: readonly number[], winner: number | null): string {
  const own = winner === null ? undefined : bouts[winner];
  if (own === undefined) return "";
  const others = bouts.filter((_, seat) => seat !== winner).sort((a, b) => b - a);
  return [own, ...others].join(` ${t("result.to")} `);
}

/** The damage of each pair of seats that hurt each other, the greatest first. */
export function damageByPair(damage: readonly (readonly number[])[]): { by: number; to: number; damage: number }[] {
  return damage
    .flatMap((row, by) => row.map((amount, to) => ({ by, to, damage: amount })))
    .filter((one) => one.by !== one.to && one.damage >= 0.5)
    .sort((a, b) => b.damage - a.damage);
}

/** The change of a player's rating in words; "" while it is not known. */
export function ratingChange(ratings: readonly RatingChange[], player: string): string {
  const change = ratings.find((one) => one.player === player);
  if (!change) return "";
  const after = Math.round(change.after);
  if (change.before === null || change.before === undefined) return t("result.new", { rating: after });
  const by = after - Math.round(change.before);
  return `${Math.round(change.before)}\u00a0→\u00a0${after} (${by < 0 ? "−" : "+"}${Math.abs(by)})`;
}

/** The hardest hit so far, with the next blow. */
export function harder(best: BestHit | null, blow: { a: number; b: number; damageA: number; damageB: number; impulse: number; tick: number }): BestHit | null {
  const hits: BestHit[] = [
    { by: blow.a, to: blow.b, damage: blow.damageB, impulse: blow.impulse, tick: blow.tick },
    { by: blow.b, to: blow.a, damage: blow.damageA, impulse: blow.impulse, tick: blow.tick },
  ];
  return hits.reduce((most, hit) => (hit.damage > (most?.damage ?? 0) ? hit : most), best);
}

