// The state of a curling session: the sheet, the stones thrown, the ends scored. A pure reducer, called by reducer.ts.

import type { Event } from "../wire/messages";
import { maybe, num, numbers, part, readBlow } from "./events";
import type { Blow, Data } from "./events";

export interface House {
  readonly x: number;
  /** Radii, from the button outwards [m]. */
  readonly rings: readonly number[];
}

export interface End {
  /** Who scored; null: no stone counted. */
  readonly seat: number | null;
  readonly points: number;
}

export interface Curling {
  readonly house: House | null;
  /** Of one seat in one end. */
  readonly stones: number;
  readonly ends: number;
  /** From 1. */
  readonly end: number;
  /** The number of the stone whose turn it is. */
  readonly stone: number | null;
  /** Whether this throw must not drive another player's stone off. */
  readonly guarded: boolean;
  /** Stones that each seat has thrown in this end. */
  readonly thrown: readonly number[];
  readonly scored: readonly End[];
  /** The hardest touch of two stones so far. */
  readonly hardest: Touch | null;
}

/** Two stones touched: the seat of the one that came, and of the one that it met. */
export interface Touch {
  readonly by: number;
  readonly to: number;
  readonly impulse: number;
}

export const EMPTY_CURLING: Curling = { house: null, stones: 4, ends: 3, end: 1, stone: null, guarded: false, thrown: [], scored: [], hardest: null };

const house = (d: Data): House | null => {
  const data = part(d, "house");
  return "x" in data ? { x: num(data, "x"), rings: numbers(data, "rings") } : null;
};

/** The seat that a stone belongs to. */
export function ownerOf(curling: Curling, stone: number): number {
  return Math.floor(stone / curling.stones);
}

/** A blow of two stones, by their owners: the stone of this turn first. */
export function touchOf(curling: Curling, { a, b, impulse }: Pick<Blow, "a" | "b" | "impulse">): Touch {
  const [hit, other] = b === curling.stone ? [b, a] : [a, b];
  return { by: ownerOf(curling, hit), to: ownerOf(curling, other), impulse };
}

export function withCurlingEvent(curling: Curling, event: Event): Curling {
  const d = event.d;
  switch (event.t) {
    case "set_up":
      return { ...EMPTY_CURLING, house: house(d), stones: num(part(d, "params"), "stones", 4), ends: num(part(d, "params"), "ends", 3) };
    case "turn_started":
      return "stone" in d ? withTurn(curling, d) : curling;
    case "action":
      return "stone" in d ? withThrown(curling, num(d, "stone"), 1) : curling;
    case "blow": {
      const touch = touchOf(curling, readBlow(d, event.tick));
      return touch.impulse > (curling.hardest?.impulse ?? 0) ? { ...curling, hardest: touch } : curling;
    }
    case "end_scored":
      return { ...curling, thrown: [], scored: [...curling.scored.slice(0, num(d, "end") - 1), { seat: maybe(d, "seat"), points: num(d, "points") }] };
    default:
      return curling;
  }
}

/** The state at the start of a turn. The brief is complete, so that a client that joins late needs no earlier event. */
export function withTurn(curling: Curling, d: Data): Curling {
  const stone = num(d, "stone");
  const next = { ...curling, house: curling.house ?? house(d), end: num(d, "end", 1), stone, guarded: part(d, "rules")["guarded"] === true };
  return withThrown(next, stone, 0);
}

function withThrown(curling: Curling, stone: number, more: number): Curling {
  const thrown = [...curling.thrown];
  thrown[ownerOf(curling, stone)] = (stone % curling.stones) + more;
  return { ...curling, thrown };
}

/** The end in which a seat scored most: the first of several. Null where no stone counted. */
export function bestEnd(curling: Curling): { end: number; seat: number; points: number } | null {
  return curling.scored.reduce<ReturnType<typeof bestEnd>>((best, { seat, points }, i) => (seat !== null && points > (best?.points ?? 0) ? { end: i + 1, seat, points } : best), null);
}

/** The points of each seat in each end: a row per seat, null for none. */
export function table(curling: Curling, seats: readonly number[]): (number | null)[][] {
  return seats.map((seat) => curling.scored.map((end) => (end.seat === seat ? end.points : null)));
}
