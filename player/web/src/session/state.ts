// The state of a session that screens show: types, the empty state and plain reads. session/reducer.ts builds it.

import type { HeldSeat, ObserversData, Series } from "../wire/messages";
import { EMPTY_CURLING } from "./curling";
import type { Curling } from "./curling";
import type { Blow, Brief, Data, Result } from "./events";
import { EMPTY_BOX } from "./sandbox";
import type { Sandbox } from "./sandbox";
import { EMPTY_SPRING } from "./spring";
import type { Spring } from "./spring";

export interface Seat {
  readonly seat: number;
  readonly player: string;
  readonly name: string;
  readonly kind: "person" | "bot";
  readonly body: string;
  readonly ready: boolean;
  readonly connected: boolean;
  readonly health: number | null;
  readonly full: number | null;
  readonly score: number;
  readonly out: boolean;
  readonly cause: string;
  readonly place: number | null;
  readonly lost: number;
  readonly braced: boolean;
  /** A bot that gives its seat to a person who comes before the start. */
  readonly fills: boolean;
}

/** The hardest blow of a match: the damage that one seat did to another in one touch. */
export interface BestHit {
  readonly by: number;
  readonly to: number;
  readonly damage: number;
  /** [N s] */
  readonly impulse: number;
  readonly tick: number;
}

/** What a seat has before its mode reports anything about it. */
export const UNTOUCHED = { health: null, full: null, score: 0, out: false, cause: "", place: null, lost: 0, braced: false, fills: false } as const;

/** One line of the log, in parts. `strong` marks measured values. `turn` makes it a heading. */
export interface LogRow {
  readonly v: number;
  readonly tick: number;
  readonly turn: boolean;
  readonly seat: number | null;
  readonly parts: readonly { readonly text: string; readonly strong: boolean }[];
}

export interface ChatRow {
  readonly v: number;
  readonly seat: number | null;
  readonly name: string;
  readonly text: string;
}

/** settling: before the first turn. moving: the action of a turn runs. */
export type Phase = "lobby" | "settling" | "acting" | "moving" | "over";

export interface SessionState {
  readonly session: string;
  readonly status: string;
  readonly mode: string;
  readonly size: number;
  readonly host: string;
  readonly seats: readonly Seat[];
  readonly openedAt: number;
  /** When a waiting lobby closes by itself [ms]; 0: unknown. */
  readonly closesAt: number;
  /** The parameters that the host chose for the mode. */
  readonly params: Data;
  /** Whether its world begins with a state of another session, so that there is no scene to build. */
  readonly forked: boolean;
  readonly startedAt: number;
  readonly v: number;
  readonly tick: number;
  readonly round: number;
  readonly turn: number;
  readonly turnSeat: number | null;
  readonly turnEndsAt: number;
  readonly turnTotalS: number;
  /** When an operator paused it [ms]; 0: not paused. */
  readonly pausedAt: number;
  readonly brief: Brief | null;
  readonly phase: Phase;
  readonly result: Result | null;
  readonly reason: string;
  readonly box: Sandbox;
  readonly spring: Spring;
  readonly curling: Curling;
  readonly log: readonly LogRow[];
  readonly chat: readonly ChatRow[];
  /** The observers. */
  readonly observers: ObserversData;
  /** The score of the rematches before this one; null: the first match. */
  readonly series: Series | null;
  /** The free seats of a rematch that wait for the people of the match before. */
  readonly held: readonly HeldSeat[];
  readonly best: BestHit | null;
  /** The last blow of this turn that did damage. At the end of the match: the one that ended it, if one did. */
  readonly ending: Blow | null;
  /** The bouts that each seat has won, in a match of several; [] in others. And the number of the bout. */
  readonly bouts: readonly number[];
  readonly bout: number;
  /** The bouts that a seat must win. */
  readonly toWin: number;
}

export const EMPTY: SessionState = {
  session: "",
  status: "open",
  mode: "",
  size: 0,
  host: "",
  seats: [],
  openedAt: 0,
  closesAt: 0,
  params: {},
  forked: false,
  startedAt: 0,
  v: 0,
  tick: 0,
  round: 0,
  turn: 0,
  turnSeat: null,
  turnEndsAt: 0,
  turnTotalS: 0,
  pausedAt: 0,
  brief: null,
  phase: "lobby",
  result: null,
  reason: "",
  box: EMPTY_BOX,
  spring: EMPTY_SPRING,
  curling: EMPTY_CURLING,
  log: [],
  chat: [],
  observers: { count: 0, names: [], bots: [] },
  series: null,
  held: [],
  best: null,
  ending: null,
  bouts: [],
  bout: 1,
  toWin: 1,
};

/** Why a session is paused, in the server's words; "": for a cause that nobody needs to read, or that is not known, because
 * the pause is older than the connection. Null where it is not paused. One that nobody was connected to goes on at once. */
export const pausedBecause = (said: string | null, status: string): string | null => (said === null ? (status === "paused" ? "" : null) : said === "unattended" ? "" : said);

/** Whether a clock runs in its turns. */
export const hasTurns = (state: SessionState): boolean => state.brief !== null && state.turnTotalS > 0;

/** The seats that are not out, in turn order, from the seat whose turn it is. */
export function order(state: SessionState): Seat[] {
  const living = state.seats.filter((seat) => !seat.out);
  const first = living.findIndex((seat) => seat.seat === state.turnSeat);
  if (first < 0) {
    const after = living.findIndex((seat) => seat.seat > (state.turnSeat ?? -1));
    return after < 0 ? living : [...living.slice(after), ...living.slice(0, after)];
  }
  return [...living.slice(first), ...living.slice(0, first)];
}
