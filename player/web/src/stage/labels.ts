// Where labels go so that they cover neither a body nor one another. Pixels of the stage. Pure.

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Disc {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** Between a label and what it keeps clear of [px]. */
const AIR = 3;
const TRIES = 12;

function overDisc(box: Box, disc: Disc): boolean {
  const [dx, dy] = [Math.max(0, Math.abs(disc.x - box.x) - box.width / 2), Math.max(0, Math.abs(disc.y - box.y) - box.height / 2)];
  return Math.hypot(dx, dy) < disc.radius + AIR;
}

function overBox(a: Box, b: Box): boolean {
  return Math.abs(a.x - b.x) < (a.width + b.width) / 2 + AIR && Math.abs(a.y - b.y) < (a.height + b.height) / 2 + AIR;
}

function isClear(box: Box, discs: readonly Disc[], boxes: readonly Box[]): boolean {
  return !discs.some((one) => overDisc(box, one)) && !boxes.some((one) => overBox(box, one));
}

/** The box moved so far that none of it is beyond the sides of the stage; one that is too large begins at the left and the
 * top. */
export function inside(box: Box, stage: { readonly width: number; readonly height: number }): Box {
  const kept = (at: number, half: number, length: number): number => Math.max(AIR + half, Math.min(length - AIR - half, at));
  const [x, y] = [kept(box.x, box.width / 2, stage.width), kept(box.y, box.height / 2, stage.height)];
  return x === box.x && y === box.y ? box : { ...box, x, y };
}

/** The box, by its centre, moved up (-1) or down (1) until it is clear; where it was if it never is. */
export function clearOf(box: Box, way: -1 | 1, discs: readonly Disc[], boxes: readonly Box[]): Box {
  let moved = box;
  for (let i = 0; i < TRIES; i++) {
    const disc = discs.find((one) => overDisc(moved, one));
    const other = disc ? null : boxes.find((one) => overBox(moved, one));
    if (!disc && !other) return moved;
    // To the edge of what is in the way, as if it were as high over its whole width.
    const edge = disc ? disc.y + way * (disc.radius + AIR) : other!.y + way * (other!.height / 2 + AIR);
    const y = edge + way * (box.height / 2 + 0.5);
    moved = { ...moved, y: way > 0 ? Math.max(moved.y + 1, y) : Math.min(moved.y - 1, y) };
  }
  return box;
}

export type Side = "above" | "below" | "beside";

/** Where a label of a size goes that names what is at `at`: above it, unless the free place there is more than the height
 * of a label further away than one below or beside it. A label that is far away seems to name another body. */
export function nextTo(at: Disc, { width, height }: { readonly width: number; readonly height: number }, discs: readonly Disc[], boxes: readonly Box[], stage: { readonly width: number; readonly height: number }): { readonly box: Box; readonly side: Side } {
  const start = (dx: number, dy: number): Box => ({ x: at.x + dx * (at.radius + width / 2), y: at.y + dy * (at.radius + height / 2), width, height });
  const above = inside(clearOf(start(0, -1), -1, discs, boxes), stage);
  const found: { box: Box; side: Side }[] = [
    { box: above, side: "above" },
    { box: inside(clearOf(start(0, 1), 1, discs, boxes), stage), side: "below" },
    { box: inside(start(1, 0), stage), side: "beside" },
    { box: inside(start(-1, 0), stage), side: "beside" },
  ];
  const own = { ...at, radius: at.radius - AIR - 1 }; // a label that touches its body by rounding does not cover it
  const distance = (box: Box): number => Math.hypot(Math.max(0, Math.abs(at.x - box.x) - width / 2), Math.max(0, Math.abs(at.y - box.y) - height / 2)) - at.radius;
  let best: { box: Box; side: Side } | null = null;
  for (const one of found) {
    if (!isClear(one.box, [...discs, own], boxes)) continue;
    if (!best || distance(one.box) < distance(best.box) - (best.side === "above" ? height : 0)) best = one;
  }
  return best ?? { box: above, side: "above" };
}
