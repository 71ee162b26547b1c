// Reads the fields of events (server/modes/duel/report.py) from `unknown` with defaults. A missing field is never an
// exception.

import type { ActionKind } from "../generated/eventdata";

export type Data = Record<string, unknown>;

export const num = (d: Data, key: string, fallback = 0): number => {
  const value = d[key];
  return typeof value === "number" && Number.isFinite(value) ? value : fallback;
};
export const maybe = (d: Data, key: string): number | null => {
  const value = d[key];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
};
export const str = (d: Data, key: string): string => {
  const value = d[key];
  return typeof value === "string" ? value : "";
};
export const flag = (d: Data, key: string): boolean => d[key] === true;
export const list = (d: Data, key: string): unknown[] => {
  const value = d[key];
  return Array.isArray(value) ? value : [];
};
export const numbers = (d: Data, key: string): number[] => list(d, key).map((value) => (typeof value === "number" ? value : 0));
export const part = (d: Data, key: string): Data => {
  const value = d[key];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Data) : {};
};

export interface Brief {
  readonly seat: number;
  readonly deadlineS: number | null;
  readonly endsAt: number;
  readonly kinds: readonly ActionKind[];
  readonly positions: readonly (readonly number[])[];
  readonly health: readonly number[];
  readonly healthFull: readonly number[];
  readonly alive: readonly boolean[];
  readonly braced: readonly boolean[];
  readonly speeds: readonly number[];
  readonly masses: readonly number[];
  readonly rules: Data;
  /** The distance of each side of the mat from the centre [m], and the sides that fall before the next round. */
  readonly sides: readonly number[];
  readonly cracked: readonly number[];
}

/** A `turn_started`, as the seat to move needs it. */
export function readBrief(d: Data): Brief {
  const kinds = list(part(d, "actions"), "kinds") as ActionKind[];
  return {
    seat: num(d, "seat", -1),
    deadlineS: maybe(d, "deadline_s"),
    endsAt: num(d, "ends_at"),
    kinds,
    positions: list(d, "positions").map((row) => (Array.isArray(row) ? row.map(Number) : [])),
    health: numbers(d, "health"),
    healthFull: numbers(d, "health_full"),
    alive: list(d, "alive").map((value) => value === true),
    braced: list(d, "braced").map((value) => value === true),
    speeds: numbers(d, "speeds"),
    masses: numbers(d, "masses"),
    rules: part(d, "rules"),
    sides: numbers(d, "sides"),
    cracked: numbers(d, "cracked"),
  };
}

export interface Blow {
  readonly a: number;
  readonly b: number;
  readonly tick: number;
  readonly impulse: number;
  readonly point: readonly [number, number, number];
  readonly normal: readonly [number, number, number];
  readonly damageA: number;
  readonly damageB: number;
}

const triple = (values: number[]): [number, number, number] => [values[0] ?? 0, values[1] ?? 0, values[2] ?? 0];

export function readBlow(d: Data, tick: number): Blow {
  return {
    a: num(d, "a", -1),
    b: num(d, "b", -1),
    tick: num(d, "first_tick", tick),
    impulse: num(d, "impulse_credited_Ns", num(d, "impulse_Ns")),
    point: triple(numbers(d, "point")),
    normal: triple(numbers(d, "normal")),
    damageA: num(d, "damage_a"),
    damageB: num(d, "damage_b"),
  };
}

/** A body is out: broken or fallen, at its last tick. */
export interface Out {
  readonly seat: number;
  readonly cause: string;
  readonly tick: number;
}

export interface Result {
  readonly winner: number | null;
  readonly places: readonly number[];
  readonly cause: string;
  readonly rounds: number;
  readonly turns: number;
  readonly points: readonly number[];
  readonly xp: readonly number[];
  /** damage[by][to] */
  readonly damage: readonly (readonly number[])[];
}

export function readResult(d: Data): Result {
  const raw = d["places"];
  // The event lists places by seat; the view's result may map seat to place.
  const places = Array.isArray(raw) ? raw.map(Number) : Object.entries(part(d, "places")).sort((a, b) => Number(a[0]) - Number(b[0])).map(([, place]) => Number(place));
  return {
    winner: maybe(d, "winner"),
    places,
    cause: str(d, "cause"),
    rounds: num(d, "rounds"),
    turns: num(d, "turns"),
    points: numbers(d, "points"),
    xp: numbers(d, "xp"),
    damage: list(d, "damage_matrix").map((row) => (Array.isArray(row) ? row.map(Number) : [])),
  };
}
