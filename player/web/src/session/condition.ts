// The visible condition of a match: the damage of each body, and the parts of the mat that fall soon. Pure.

import { num } from "./events";
import { crackedParts } from "./rim";
import type { Seat, SessionState } from "./state";

/** What a stage draws of a state besides where the bodies are. */
export interface Condition {
  readonly seats: readonly { readonly seat: number; readonly name: string; readonly out: boolean; /** Lost share of its health, 0 to 1. */ readonly damage: number }[];
  /** The corners of each cracked part over ground [m]. */
  readonly cracked: ReturnType<typeof crackedParts>;
}

/** The condition in a state. Damage is in steps of a twentieth, so that few states differ. */
export function conditionOf({ seats, brief }: Pick<SessionState, "seats" | "brief">): Condition {
  return {
    seats: seats.map((seat) => ({ seat: seat.seat, name: seat.name, out: seat.out, damage: damageOf(seat) })),
    cracked: brief ? crackedParts(brief.sides, brief.cracked, num(brief.rules, "rim_apothem")) : [],
  };
}

function damageOf(seat: Seat): number {
  return seat.full && seat.health !== null ? Math.round(20 * Math.max(0, 1 - seat.health / seat.full)) / 20 : 0;
}

/** The condition from a tick on. */
export interface Since {
  readonly tick: number;
  readonly condition: Condition;
}

/** The condition at a tick: the last one that has begun; before the first the first. changes: one or more, by increasing
 * tick. */
export function conditionAt(changes: readonly Since[], tick: number): Condition {
  let [low, high] = [0, changes.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (changes[middle]!.tick <= tick) low = middle;
    else high = middle - 1;
  }
  return changes[low]!.condition;
}
