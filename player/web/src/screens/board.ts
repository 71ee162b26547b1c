// Which rows of a leaderboard are shown. Pure.

import type { LeaderboardRow } from "../wire/answers";

const SHOWN = 8;

export interface BoardRow {
  readonly row: LeaderboardRow;
  /** 1 for the greatest value. */
  readonly place: number;
  readonly mine: boolean;
}

/** The first eight rows, and the own one with its place if it comes later. `player`: the own identity, or null. */
export function boardRows(rows: readonly LeaderboardRow[], player: string | null): BoardRow[] {
  return rows.map((row, i) => ({ row, place: i + 1, mine: row.player === player })).filter((one) => one.place <= SHOWN || one.mine);
}
