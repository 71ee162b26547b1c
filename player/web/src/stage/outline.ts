// The mat over ground: its corners from the topology, and plain geometry on them. Pure.

import type { TopologyBody } from "../wire/frames";

export type Point = readonly [number, number];

/** Corners of the top of a static body over ground (x, z), in order; its convex hull. */
export function outlineOf(body: TopologyBody): { corners: Point[]; top: number; bottom: number } {
  let top = -Infinity;
  let bottom = Infinity;
  for (let i = 1; i < body.vertices.length; i += 3) {
    top = Math.max(top, body.vertices[i]!);
    bottom = Math.min(bottom, body.vertices[i]!);
  }
  const points: Point[] = [];
  for (let i = 0; i < body.vertices.length; i += 3) {
    if (body.vertices[i + 1]! > top - 1e-3) points.push([body.vertices[i]!, body.vertices[i + 2]!]);
  }
  return { corners: hull(points), top, bottom };
}

/** The static body that is drawn as the mat: the one with the largest flat top. Null if there is none. */
export function arenaOf(bodies: readonly TopologyBody[]): TopologyBody | null {
  let best: TopologyBody | null = null;
  let most = 0;
  for (const body of bodies) {
    if (body.kind !== "static") continue;
    const area = flatTop(body);
    if (area > most) [best, most] = [body, area];
  }
  return best;
}

/** The area of the top of a body [m²], if its top is flat and all there is over ground; else 0. */
function flatTop(body: TopologyBody): number {
  const { corners, top } = outlineOf(body);
  let outline = 0;
  corners.forEach(([x, z], i) => {
    const [a, b] = corners[(i + 1) % corners.length]!;
    outline += (x * b - a * z) / 2;
  });
  let area = 0;
  const v = body.vertices;
  for (let i = 0; i < body.faces.length; i += 3) {
    const [a, b, c] = [3 * body.faces[i]!, 3 * body.faces[i + 1]!, 3 * body.faces[i + 2]!];
    if (Math.min(v[a + 1]!, v[b + 1]!, v[c + 1]!) < top - 1e-3) continue;
    area += Math.abs((v[b]! - v[a]!) * (v[c + 2]! - v[a + 2]!) - (v[c]! - v[a]!) * (v[b + 2]! - v[a + 2]!)) / 2;
  }
  return area >= 0.9 * Math.abs(outline) ? area : 0;
}

/** The convex hull of points. */
export function hull(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const turn = (o: Point, a: Point, b: Point) => (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
  const half = (list: Point[]): Point[] => {
    const chain: Point[] = [];
    for (const point of list) {
      while (chain.length > 1 && turn(chain.at(-2)!, chain.at(-1)!, point) <= 1e-9) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

/** Signed distance over ground to the nearest edge [m], positive inside. */
export function insideBy(corners: readonly Point[], x: number, z: number): number {
  let nearest = Infinity;
  for (let i = 0; i < corners.length; i++) {
    const [ax, az] = corners[i]!;
    const [bx, bz] = corners[(i + 1) % corners.length]!;
    const length = Math.hypot(bx - ax, bz - az) || 1;
    nearest = Math.min(nearest, ((bx - ax) * (z - az) - (bz - az) * (x - ax)) / length);
  }
  return nearest;
}

/** The middle of what the corners span. */
export function middleOf(corners: readonly Point[]): { x: number; z: number } {
  const span = (values: number[]) => (Math.min(...values) + Math.max(...values)) / 2;
  return { x: span(corners.map((corner) => corner[0])), z: span(corners.map((corner) => corner[1])) };
}
