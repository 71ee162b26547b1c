// What the editor does to bodies: each function takes bodies and returns new ones. Geometry comes in as the vertices of
// the shape in its own frame [m]. Pure.

import { t } from "../text/words";
import type { Body, Quat, Recipe, Vec3, World } from "../wire/scene";
import { DEFAULT_RAIL } from "../wire/scene";
import { likeness } from "./materials";
import type { Preset } from "./materials";
import { mirroredMotion } from "./pins";
import { SHAPES } from "./shapes";

export type Axis = "x" | "y" | "z";
export const AXES: readonly Axis[] = ["x", "y", "z"];
export type Side = "top" | "bottom" | "left" | "right" | "front" | "back";
export const SIDES: readonly Side[] = ["top", "bottom", "left", "right", "front", "back"];

/** A box around something, along the axes of the world [m]. */
export interface Extent {
  readonly low: Vec3;
  readonly high: Vec3;
}

/** Bodies rest this many dhat apart: contact begins at one, so nothing pushes at the start. */
const APART = 1.5;
const NAME = /^[a-z0-9][a-z0-9_-]{0,47}$/;

export function gapOf(world: World): number {
  return APART * world.dhat;
}

// -- numbers

/** A number as documents keep it: a micrometre and a microradian are fine enough. */
export function neat(value: number): number {
  const rounded = Math.round(value * 1e6) / 1e6;
  return rounded === 0 ? 0 : rounded;
}

export function neat3(v: Vec3): Vec3 {
  return [neat(v[0]), neat(v[1]), neat(v[2])];
}

/** The numbers in a text such as "1,5", or null. */
export function parseNumber(text: string): number | null {
  const clean = text.trim().replace("−", "-").replace(",", ".").replace(/[\s\u2009]/g, "");
  if (clean === "") return null;
  const value = Number(clean);
  return Number.isFinite(value) ? value : null;
}

// -- rotations

export function times(a: Quat, b: Quat): Quat {
  const [aw, ax, ay, az] = a;
  const [bw, bx, by, bz] = b;
  return [aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by, aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw];
}

/** Unit length, and w >= 0: one rotation has one document. */
export function unit(q: Quat): Quat {
  const length = Math.hypot(...q);
  if (!(length > 1e-9) || !Number.isFinite(length)) return [1, 0, 0, 0];
  const k = (q[0] < 0 ? -1 : 1) / length;
  const r = (value: number) => {
    const rounded = Math.round(value * k * 1e9) / 1e9;
    return rounded === 0 ? 0 : rounded;
  };
  return [r(q[0]), r(q[1]), r(q[2]), r(q[3])];
}

/** Columns of the rotation matrix: where the own x, y and z axis point. */
export function columns(q: Quat): readonly [Vec3, Vec3, Vec3] {
  const [w, x, y, z] = unit(q);
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
    [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  ];
}

export function turned(q: Quat, v: Vec3): Vec3 {
  const [a, b, c] = columns(q);
  return [a[0] * v[0] + b[0] * v[1] + c[0] * v[2], a[1] * v[0] + b[1] * v[1] + c[1] * v[2], a[2] * v[0] + b[2] * v[1] + c[2] * v[2]];
}

const DEG = Math.PI / 180;

/** The rotation about x, then y, then z of the world, in degrees. */
export function fromAngles(angles: Vec3): Quat {
  const half = angles.map((angle) => (angle * DEG) / 2) as unknown as Vec3;
  const about = (i: number): Quat => [Math.cos(half[i]!), i === 0 ? Math.sin(half[i]!) : 0, i === 1 ? Math.sin(half[i]!) : 0, i === 2 ? Math.sin(half[i]!) : 0];
  return unit(times(about(2), times(about(1), about(0))));
}

/** The angles of `fromAngles`, each in (-180, 180]. */
export function toAngles(q: Quat): Vec3 {
  const [a, b, c] = columns(q);
  const level = Math.hypot(a[0], a[1]);
  const round = (value: number) => {
    const degrees = Math.round((value / DEG) * 1e4) / 1e4;
    return degrees === 0 ? 0 : degrees;
  };
  const pitch = round(Math.atan2(-a[2], level));
  if (level < 1e-6) return [0, pitch, round(Math.atan2(-b[0], b[1]))];
  return [round(Math.atan2(b[2], c[2])), pitch, round(Math.atan2(a[1], a[0]))];
}

// -- extents

export function extentOf(body: Pick<Body, "position" | "rotation">, vertices: ArrayLike<number>): Extent {
  const [a, b, c] = columns(body.rotation);
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i + 2 < vertices.length; i += 3) {
    const [x, y, z] = [vertices[i]!, vertices[i + 1]!, vertices[i + 2]!];
    for (let k = 0; k < 3; k++) {
      const at = body.position[k]! + a[k]! * x + b[k]! * y + c[k]! * z;
      if (at < low[k]!) low[k] = at;
      if (at > high[k]!) high[k] = at;
    }
  }
  if (!vertices.length) return { low: body.position, high: body.position };
  return { low: low as unknown as Vec3, high: high as unknown as Vec3 };
}

export function extentOfAll(extents: readonly Extent[]): Extent | null {
  if (!extents.length) return null;
  const pick = (of: "low" | "high", best: (...values: number[]) => number): Vec3 => [0, 1, 2].map((k) => best(...extents.map((one) => one[of][k]!))) as unknown as Vec3;
  return { low: pick("low", Math.min), high: pick("high", Math.max) };
}

// -- names

/** A name that is not taken: "box", "box-2", "box-3" ... */
export function freshId(taken: ReadonlySet<string>, wanted: string): string {
  const clean = wanted.toLowerCase().replace(/[^a-z0-9_-]+/g, "-").replace(/^[^a-z0-9]+/, "").slice(0, 40) || "body";
  const stem = clean.replace(/-\d+$/, "") || clean;
  if (!taken.has(clean) && clean !== "world" && NAME.test(clean)) return clean;
  for (let i = 2; ; i++) if (!taken.has(`${stem}-${i}`)) return `${stem}-${i}`;
}

/** Why a body cannot be called this, or "". */
export function wrongName(taken: ReadonlySet<string>, name: string): string {
  if (!NAME.test(name) || name === "world") return t("edit.a-name-has-at-most");
  return taken.has(name) ? t("edit.another-body-has-this-name") : "";
}

// -- making

export function madeBody(id: string, shape: Recipe, kind: Body["kind"], preset: Preset, position: Vec3): Body {
  return { id, shape, kind, material: preset.material, position: neat3(position), rotation: [1, 0, 0, 0], velocity: [0, 0, 0], spin: [0, 0, 0], pins: [], handles: [], rail: kind === "rail" ? DEFAULT_RAIL : null };
}

export function madeShape(kind: string): Recipe {
  return { kind, params: SHAPES.value[kind]!.params };
}

/** The kind changes what goes with it: a rail has a motion, an obstacle no speed, an elastic body elements and no
 * restitution. */
export function withKind(body: Body, kind: Body["kind"]): Body {
  const still = kind === "static" || kind === "rail";
  const { restitution, element, ...material } = body.material;
  // An elastic body bounces by its elasticity; the server refuses a number for it.
  return { ...body, kind, material: { ...material, ...(kind === "elastic" ? (element ? { element } : {}) : restitution === undefined ? {} : { restitution }) }, rail: kind === "rail" ? (body.rail ?? { ...DEFAULT_RAIL, amplitude: [0.5, 0, 0], frequency: 0.25 }) : null, ...(still ? { velocity: [0, 0, 0], spin: [0, 0, 0], pins: [] } : {}) };
}

/** Only filled shapes can be elastic. */
export function kindsOf(shape: Recipe): readonly Body["kind"][] {
  if (shape.kind === "block" || shape.kind === "ball") return ["elastic", "affine", "static", "rail"];
  if (shape.kind === "mesh") return ["affine", "elastic", "static", "rail"];
  if (shape.kind === "slab" || shape.kind === "platform" || shape.kind === "bowl") return ["static", "rail"];
  return ["affine", "static", "rail"];
}

export function copyOf(body: Body, id: string, by: Vec3): Body {
  return { ...body, id, position: neat3([body.position[0] + by[0], body.position[1] + by[1], body.position[2] + by[2]]) };
}

/** Copies of a group in a row: `count` in all, the first is the group itself. Beside one another with a gap. */
export function arrayOf(group: readonly Body[], count: number, axis: Axis, step: number, taken: ReadonlySet<string>): Body[] {
  const used = new Set(taken);
  const made: Body[] = [];
  for (let i = 1; i < count; i++) {
    const by = AXES.map((one) => (one === axis ? i * step : 0)) as unknown as Vec3;
    for (const body of group) {
      const id = freshId(used, body.id);
      used.add(id);
      made.push(copyOf(body, id, by));
    }
  }
  return made;
}

/** The step at which copies of something stand beside one another without touching. */
export function stepAlong(extent: Extent, axis: Axis, gap: number): number {
  const k = AXES.indexOf(axis);
  return Math.ceil((extent.high[k]! - extent.low[k]! + gap) * 1e4) / 1e4;
}

/** The mirror image across the plane `axis` = `at`. Position, rotation and motion are mirrored; the shape itself is not,
 * which shows only where it has a left and a right. */
export function mirrored(body: Body, id: string, axis: Axis, at = 0): Body {
  const k = AXES.indexOf(axis);
  const flip = (v: Vec3): Vec3 => neat3(v.map((value, i) => (i === k ? -value : value)) as unknown as Vec3);
  // A turn about the mirror's axis keeps its sense, turns about the other two are reversed; so are axial vectors.
  const reversed = (v: Vec3): Vec3 => v.map((value, i) => (i === k ? value : -value)) as unknown as Vec3;
  const axial = (v: Vec3): Vec3 => neat3(reversed(v));
  const position = body.position.map((value, i) => (i === k ? 2 * at - value : value)) as unknown as Vec3;
  const [w, ...vector] = body.rotation;
  return {
    ...body,
    id,
    position: neat3(position),
    rotation: unit([w, ...reversed(vector as unknown as Vec3)]),
    velocity: flip(body.velocity),
    spin: axial(body.spin),
    rail: body.rail ? { ...body.rail, amplitude: flip(body.rail.amplitude), axis: axial(body.rail.axis) } : null,
    pins: body.pins.map((pin) => (pin.motion ? { ...pin, motion: mirroredMotion(pin.motion, flip, axial) } : pin)),
  };
}

/** Rounded up, so that a gap below is never smaller. */
function raised(body: Body, by: number): Body {
  return { ...body, position: neat3([body.position[0], Math.ceil((body.position[1] + by) * 1e6) / 1e6, body.position[2]]) };
}

/** The group lowered or raised until its lowest point is a gap above `ground`. */
export function groundedAt(group: readonly Body[], extents: readonly Extent[], ground: number, gap: number): Body[] {
  const all = extentOfAll(extents);
  return all ? group.map((body) => raised(body, ground + gap - all.low[1])) : [];
}

/** How high the things below a place are: the highest top among `others` whose boxes lie over the same ground. */
export function topBelow(extent: Extent, others: readonly Extent[], otherwise: number): number {
  const over = others.filter((one) => one.low[0] < extent.high[0] && one.high[0] > extent.low[0] && one.low[2] < extent.high[2] && one.high[2] > extent.low[2]);
  return over.length ? Math.max(...over.map((one) => one.high[1])) : otherwise;
}

/** The bodies one on top of another over the first one, with gaps: the lowest stays where it is. */
export function stacked(group: readonly Body[], extents: readonly Extent[], gap: number): Body[] {
  const order = group.map((body, i) => ({ body, extent: extents[i]! })).sort((a, b) => a.extent.low[1] - b.extent.low[1]);
  const first = order[0];
  if (!first) return [];
  let top = first.extent.high[1];
  const made = [first.body];
  const middle = (extent: Extent, k: number) => (extent.low[k]! + extent.high[k]!) / 2;
  for (const { body, extent } of order.slice(1)) {
    // Rounded up, so that the gap is never smaller; the next gap is above where this body comes to be.
    const height = Math.ceil((body.position[1] + top + gap - extent.low[1]) * 1e6) / 1e6;
    made.push({ ...body, position: neat3([body.position[0] + middle(first.extent, 0) - middle(extent, 0), height, body.position[2] + middle(first.extent, 2) - middle(extent, 2)]) });
    top = extent.high[1] + height - body.position[1];
  }
  return made;
}

const THICK = 0.1;

/** Four walls around a floor, a gap above it and from one another. */
export function walls(floor: Extent, height: number, gap: number, material: Body["material"], taken: ReadonlySet<string>): Body[] {
  const base = floor.high[1] + gap;
  const [x0, x1, z0, z1] = [floor.low[0], floor.high[0], floor.low[2], floor.high[2]];
  const spots: readonly (readonly [string, Vec3, Vec3])[] = [
    ["wall-left", [THICK, height, z1 - z0], [x0 + THICK / 2, base, (z0 + z1) / 2]],
    ["wall-right", [THICK, height, z1 - z0], [x1 - THICK / 2, base, (z0 + z1) / 2]],
    ["wall-back", [x1 - x0 - 2 * (THICK + gap), height, THICK], [(x0 + x1) / 2, base, z0 + THICK / 2]],
    ["wall-front", [x1 - x0 - 2 * (THICK + gap), height, THICK], [(x0 + x1) / 2, base, z1 - THICK / 2]],
  ];
  // A slab has its top at y = 0.
  return spots
    .filter(([id]) => !taken.has(id))
    .map(([id, size, at]) => ({ ...madeBody(id, { kind: "slab", params: { size: size.map(neat) } }, "static", likeness(material), [at[0], at[1] + height, at[2]]), material }));
}

/** The vertices on one side of a shape, in its own frame: those within a hundredth of its size of the outermost one. */
export function sideOf(vertices: ArrayLike<number>, side: Side): number[] {
  const k = side === "left" || side === "right" ? 0 : side === "top" || side === "bottom" ? 1 : 2;
  const sign = side === "top" || side === "right" || side === "front" ? 1 : -1;
  let [least, most] = [Infinity, -Infinity];
  for (let i = k; i < vertices.length; i += 3) {
    least = Math.min(least, sign * vertices[i]!);
    most = Math.max(most, sign * vertices[i]!);
  }
  const found: number[] = [];
  for (let i = 0; 3 * i + 2 < vertices.length; i++) if (sign * vertices[3 * i + k]! >= most - 0.01 * (most - least) - 1e-9) found.push(i);
  return found;
}
