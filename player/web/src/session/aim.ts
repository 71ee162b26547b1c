// The aim of one's own turn: pure arithmetic between pulls, keys and the action that is sent. Degrees, metres.

import type { ActionKind } from "../wire/messages";
import type { Brief } from "./events";
import { num } from "./events";

export interface Aim {
  readonly kind: string;
  readonly azimuth: number;
  readonly elevation: number;
  readonly power: number;
}

/** A pull of one metre on the mat [m/s]. */
export const PULL = 3.5;
/** One tick of the aim's ruler [m/s]. */
export const TICK = 0.4;

/** Speed at full power of that kind in this turn [m/s]. */
export function fullSpeed(brief: Brief | null, seat: number, kind: string): number {
  const speed = brief?.speeds[seat] ?? 4.7;
  const rules = brief?.rules ?? {};
  if (kind === "spin") return speed * num(rules, "spin_speed", 0.8);
  if (kind === "hop") return speed * num(rules, "hop_speed", 0.55);
  return kind === "brace" ? 0 : speed;
}

export function takes(kind: ActionKind | undefined, field: string): boolean {
  return kind?.fields !== undefined && field in kind.fields;
}

/** A first aim: at the nearest living foe, at two thirds of the power. */
export function firstAim(brief: Brief, seat: number, kind = "launch"): Aim {
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
  return { kind, azimuth: wrap(azimuth), elevation: 0, power: 0.66 };
}

/** The aim after pulling from the body to (dx, dz) on the mat. */
export function pulled(aim: Aim, dx: number, dz: number, full: number): Aim {
  const azimuth = wrap((Math.atan2(-dz, -dx) * 180) / Math.PI);
  return { ...aim, azimuth, power: full > 0 ? Math.min(1, (PULL * Math.hypot(dx, dz)) / full) : aim.power };
}

/** The aim after a key, or null if the key is none of its. shift: fine. */
export function nudged(aim: Aim, key: string, shift: boolean, full: number): Aim | null {
  const turn = shift ? 0.2 : 2;
  const push = full > 0 ? 0.1 / full : 0;
  const clamp = (value: number) => Math.max(0, Math.min(1, value));
  switch (key) {
    case "ArrowLeft":
      return { ...aim, azimuth: wrap(aim.azimuth - turn) };
    case "ArrowRight":
      return { ...aim, azimuth: wrap(aim.azimuth + turn) };
    case "ArrowUp":
      return { ...aim, power: clamp(aim.power + push) };
    case "ArrowDown":
      return { ...aim, power: clamp(aim.power - push) };
    case "PageUp":
      return { ...aim, elevation: Math.min(60, aim.elevation + (shift ? 1 : 5)) };
    case "PageDown":
      return { ...aim, elevation: Math.max(0, aim.elevation - (shift ? 1 : 5)) };
    default:
      return null;
  }
}

/** What is sent: the fields that the kind takes, within its bounds. */
export function toAction(aim: Aim, kinds: readonly ActionKind[]): { kind: string; d: Record<string, number> } {
  const kind = kinds.find((one) => one.kind === aim.kind);
  const values: Record<string, number> = { azimuth: aim.azimuth, elevation: aim.elevation, power: aim.power };
  const d: Record<string, number> = {};
  for (const [name, field] of Object.entries(kind?.fields ?? {})) {
    const value = values[name];
    if (value === undefined) continue;
    d[name] = Math.max(field.low ?? -Infinity, Math.min(field.high ?? Infinity, value));
  }
  return { kind: aim.kind, d };
}

/** 0 to 360, rounded to a tenth. */
export function wrap(degrees: number): number {
  return (((Math.round(degrees * 10) % 3600) + 3600) % 3600) / 10;
}
