// The aim in a turn: pure arithmetic from pulls and keys to the action that is sent. Degrees, metres.

import type { ActionKind } from "../generated/eventdata";
import type { Brief } from "./events";
import { num } from "./events";

export interface Aim {
  readonly kind: string;
  readonly azimuth: number;
  readonly elevation: number;
  readonly power: number;
  /** About the vertical [rad/s], where the kind takes it. */
  readonly spin: number;
}

/** A pull of one metre on the mat [m/s]. */
export const PULL = 3.5;
/** One tick of the aim's ruler [m/s]. */
export const TICK = 0.4;

/** Speed at full power of that kind in this turn [m/s]. */
export function fullSpeed(brief: Brief | null, seat: number, kind: string): number {
  const rules = brief?.rules ?? {};
  const speed = brief?.speeds[seat] ?? num(rules, "speed", 4.7);
  if (kind === "spin") return speed * num(rules, "spin_speed", 0.8);
  if (kind === "hop") return speed * num(rules, "hop_speed", 0.55);
  return kind === "brace" ? 0 : speed;
}

export function takes(kind: ActionKind | undefined, field: string): boolean {
  return kind?.fields !== undefined && field in kind.fields;
}

/** What a body does at first in the modes that have it; a mode of one's own has kinds of its own. */
export const LAUNCH = "launch";

/** A first aim: at the nearest living foe, at two thirds of the power, of the kind "launch" or else the first that the mode has. */
export function firstAim(brief: Brief, seat: number): Aim {
  const kind = brief.kinds.some((one) => one.kind === LAUNCH) ? LAUNCH : (brief.kinds[0]?.kind ?? LAUNCH);
  const here = brief.positions[seat] ?? [0, 0, 0];
  let nearest = Infinity;
  let azimuth = 0;
  brief.positions.forEach((there, other) => {
    if (other === seat || !brief.alive[other]) return;
    const [dx, dz] = [there[0]! - here[0]!, there[2]! - here[2]!];
    const distance = Math.hypot(dx, dz);
    if (distance < nearest) {
      nearest = distance;
      azimuth = (Math.atan2(dz, dx) * 180) / Math.PI;
    }
  });
  return { kind, azimuth: wrap(azimuth), elevation: 0, power: 0.66, spin: 0 };
}

/** The aim after pulling from the body to (dx, dz) on the mat. */
export function pulled(aim: Aim, dx: number, dz: number, full: number, kind?: ActionKind): Aim {
  const azimuth = within((Math.atan2(-dz, -dx) * 180) / Math.PI, kind);
  return { ...aim, azimuth, power: full > 0 ? Math.min(1, (PULL * Math.hypot(dx, dz)) / full) : aim.power };
}

/** What changes the aim by a step. */
export const NUDGES = ["left", "right", "stronger", "weaker", "rise", "sink"] as const;
export type Nudge = (typeof NUDGES)[number];

/** The aim after a step. shift: a fine one. */
export function nudged(aim: Aim, to: Nudge, shift: boolean, full: number, kind?: ActionKind): Aim {
  // In a narrow fan of bearings a key turns by a fortieth of it.
  const turn = isFan(kind) ? (shift ? 0.1 : 0.5) : shift ? 0.2 : 2;
  const rise = takes(kind, "spin") ? 0 : shift ? 1 : 5;
  const spin = takes(kind, "spin") ? (shift ? 0.1 : 0.5) : 0;
  const push = full > 0 ? 0.1 / full : 0;
  const clamp = (value: number) => Math.max(0, Math.min(1, value));
  switch (to) {
    case "left":
      return { ...aim, azimuth: within(aim.azimuth - turn, kind) };
    case "right":
      return { ...aim, azimuth: within(aim.azimuth + turn, kind) };
    case "stronger":
      return { ...aim, power: clamp(aim.power + push) };
    case "weaker":
      return { ...aim, power: clamp(aim.power - push) };
    case "rise":
      return { ...aim, elevation: Math.min(60, aim.elevation + rise), spin: bounded(aim.spin + spin, kind, "spin") };
    case "sink":
      return { ...aim, elevation: Math.max(0, aim.elevation - rise), spin: bounded(aim.spin - spin, kind, "spin") };
  }
}

/** The action to send: the fields that the kind takes, within their bounds. */
export function toAction(aim: Aim, kinds: readonly ActionKind[]): { kind: string; d: Record<string, number> } {
  const kind = kinds.find((one) => one.kind === aim.kind);
  const values: Record<string, number> = { azimuth: bearing(aim.azimuth, kind), elevation: aim.elevation, power: aim.power, spin: aim.spin };
  const d: Record<string, number> = {};
  for (const name of Object.keys(kind?.fields ?? {})) {
    const value = values[name];
    if (value === undefined) continue;
    d[name] = bounded(value, kind, name);
  }
  return { kind: aim.kind, d };
}

/** Whether the kind takes only the bearings of a fan around one direction. */
function isFan(kind: ActionKind | undefined): boolean {
  const field = kind?.fields?.["azimuth"];
  return typeof field?.low === "number" && typeof field.high === "number" && field.high - field.low < 360;
}

/** A bearing as it is shown and sent: -180 to 180 in a fan, else 0 to 360. */
export function bearing(degrees: number, kind: ActionKind | undefined): number {
  const round = wrap(degrees);
  return isFan(kind) && round > 180 ? round - 360 : round;
}

function within(degrees: number, kind: ActionKind | undefined): number {
  return wrap(bounded(bearing(degrees, kind), kind, "azimuth"));
}

function bounded(value: number, kind: ActionKind | undefined, name: string): number {
  const field = kind?.fields?.[name];
  return Math.max(field?.low ?? -Infinity, Math.min(field?.high ?? Infinity, value));
}

/** 0 to 360, rounded to a tenth. */
export function wrap(degrees: number): number {
  return (((Math.round(degrees * 10) % 3600) + 3600) % 3600) / 10;
}
