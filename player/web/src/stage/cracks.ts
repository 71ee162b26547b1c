// How damage looks: the cracks of a body, and the line along which a part of the mat breaks off. Pure.

import type { Point } from "./outline";

/** The line of a part of the mat that falls soon. */
export const CRACK = "#FF8168";

/** How dark a body without any health is: the share of ink over its colour. */
export const DARKEST = 0.5;

const MOST = 7;
const GOLDEN = 2.399963;

/** A line from the edge of a body inwards, in its own coordinates (x, z) [m]. */
export type Crack = readonly Point[];

/** The cracks of a body whose reach along x and z is that far, in the order in which they appear. */
export function cracksOf(x: number, z: number): Crack[] {
  return Array.from({ length: MOST }, (_, i) => {
    const angle = GOLDEN * (i + 0.6);
    return [1.05, 0.78, 0.55, 0.3].map((share, k) => {
      const turn = angle + (k % 2 ? 0.2 : -0.16) * (k ? 1 : 0);
      return [share * x * Math.cos(turn), share * z * Math.sin(turn)] as const;
    });
  });
}

/** How many of them are seen after that share of its health is lost. */
export function cracksShown(damage: number): number {
  return damage < 0.08 ? 0 : Math.min(MOST, 1 + Math.floor(damage * MOST));
}

/** A jagged line between two points. */
export function jagged([ax, az]: Point, [bx, bz]: Point): Point[] {
  const [dx, dz] = [bx - ax, bz - az];
  const length = Math.hypot(dx, dz) || 1;
  const steps = Math.max(2, Math.round(length / 0.12));
  return Array.from({ length: steps + 1 }, (_, i) => {
    const off = i === 0 || i === steps ? 0 : 0.025 * (i % 2 ? 1 : -1) * (0.5 + ((i * 7) % 5) / 5);
    const share = i / steps;
    return [ax + dx * share - (dz / length) * off, az + dz * share + (dx / length) * off] as const;
  });
}
