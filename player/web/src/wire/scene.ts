// The document of a scene (lobby/rules/scenes.py, docs/scenes.md) and what the server says about it. Everything is SI,
// y up, rotations are quaternions (w, x, y, z). A document leaves out what has its default; `readBody` fills it in.

export type Vec3 = readonly [number, number, number];
export type Quat = readonly [number, number, number, number];
export type Kind = "affine" | "elastic" | "static" | "rail";

export interface Material {
  readonly density: number;
  readonly stiffness: number;
  readonly poisson: number;
  readonly friction: number;
  readonly damping: number;
  /** Absent: 0. */
  readonly restitution?: number;
  /** Of a soft body; absent: linear. */
  readonly element?: Element;
}

export type Element = "linear" | "averaged";

export interface Recipe {
  readonly kind: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface Pin {
  readonly vertices: readonly number[];
  /** How the vertices move, as the document has it: absent if they are held. */
  readonly motion?: Motion;
}

export interface Keyframe {
  readonly time: number;
  readonly offset?: Vec3;
  readonly angle?: number;
}

/** A motion of a pin: a velocity and a spin until a time, or keyframes. What is absent has its default. */
export interface Motion {
  readonly velocity?: Vec3;
  readonly spin?: number;
  readonly until?: number;
  readonly axis?: Vec3;
  readonly keys?: readonly Keyframe[];
  readonly repeat?: boolean;
}

export interface Handle {
  readonly id: string;
  readonly vertices: readonly number[];
}

export interface Rail {
  readonly amplitude: Vec3;
  readonly frequency: number;
  readonly phase: number;
  readonly axis: Vec3;
  readonly spin: number;
}

export interface Body {
  readonly id: string;
  readonly shape: Recipe;
  readonly material: Material;
  readonly kind: Kind;
  readonly position: Vec3;
  readonly rotation: Quat;
  readonly velocity: Vec3;
  readonly spin: Vec3;
  readonly pins: readonly Pin[];
  readonly handles: readonly Handle[];
  readonly rail: Rail | null;
}

/** Contact of two bodies instead of what follows from their materials; null: that of the materials. */
export interface Pair {
  readonly a: string;
  readonly b: string;
  readonly collide?: boolean;
  readonly friction?: number | null;
  readonly restitution?: number | null;
}

export type Integrator = "implicit_euler" | "bdf2";

/** A scene without its bodies: the document with the id "world". */
export interface World {
  readonly name: string;
  readonly gravity: Vec3;
  readonly dt: number;
  readonly dhat: number;
  readonly friction_speed: number;
  readonly contact_mass: number;
  readonly tolerance: number;
  readonly max_iterations: number;
  readonly integrator: Integrator;
  readonly pairs: readonly Pair[];
  /** The editor keeps joints as the document has them. */
  readonly joints: readonly Raw[];
}

/** A document as it travels: an object of JSON, checked by the server. */
export type Raw = Readonly<Record<string, unknown>>;

export const WORLD_ID = "world";

export const DEFAULT_WORLD: World = { name: "", gravity: [0, -9.81, 0], dt: 1 / 60, dhat: 0.01, friction_speed: 0, contact_mass: 0, tolerance: 0, max_iterations: 25, integrator: "implicit_euler", pairs: [], joints: [] };
const MATERIAL: Material = { density: 1000, stiffness: 1e6, poisson: 0.4, friction: 0.4, damping: 0 };
export const DEFAULT_RAIL: Rail = { amplitude: [0, 0, 0], frequency: 0, phase: 0, axis: [0, 1, 0], spin: 0 };
const BODY = { kind: "affine", position: [0, 0, 0], rotation: [1, 0, 0, 0], velocity: [0, 0, 0], spin: [0, 0, 0], pins: [], handles: [], rail: null } as const;

export function readBody(raw: Raw): Body {
  const body = { ...BODY, ...raw } as unknown as Body;
  return { ...body, material: { ...MATERIAL, ...body.material }, rail: body.rail ? { ...DEFAULT_RAIL, ...body.rail } : null, pins: body.pins.map((pin) => ({ ...pin, vertices: pin.vertices ?? [] })) };
}

/** `bodies` and `schema` of a whole scene are no part of it. */
export function readWorld(raw: Raw): World {
  const world: Record<string, unknown> = { ...DEFAULT_WORLD };
  for (const key of Object.keys(DEFAULT_WORLD)) if (raw[key] !== undefined) world[key] = raw[key];
  return world as unknown as World;
}

/** Whether two documents say the same: the order of names does not count. */
export function same(a: unknown, b: unknown): boolean {
  return ordered(a) === ordered(b);
}

function ordered(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => (typeof one === "object" && one !== null && !Array.isArray(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one)) ?? "";
}

function trimmed(value: object, defaults: object): Record<string, unknown> {
  const known = defaults as Record<string, unknown>;
  return Object.fromEntries(Object.entries(value).filter(([key, one]) => !(key in known && same(one, known[key]))));
}

/** The document of a body, without what has its default. */
export function writeBody(body: Body): Raw {
  const { density, ...rest } = body.material;
  return {
    ...trimmed(body, BODY),
    material: { density, ...trimmed(rest, { ...MATERIAL, restitution: 0, element: "linear" }) },
    ...(body.rail ? { rail: trimmed(body.rail, DEFAULT_RAIL) } : {}),
  };
}

export function writeWorld(world: World): Raw {
  return trimmed(world, DEFAULT_WORLD);
}

/** The top-level fields of a document that differ, with their new values; null: the default. */
export function deltaOf(before: Raw, after: Raw): Raw {
  const changed = Object.entries(after).filter(([key, value]) => !same(value, before[key]));
  const gone = Object.keys(before).filter((key) => !(key in after));
  return Object.fromEntries([...changed, ...gone.map((key) => [key, null] as const)]);
}

// -- what the server says

export interface SceneRow {
  readonly body: string;
  readonly version: number;
  readonly sha256: string;
  /** The seat that holds the body's lock. */
  readonly lock: number | null;
}

/** How much a scene may have, and has: bodies, vertices, bytes. A number that the server does not say is absent. */
export interface Amounts {
  readonly bodies?: number;
  readonly vertices?: number;
  readonly bytes?: number;
}

/** One body at one version; `document` is null when it was removed. */
export interface SceneBody {
  readonly body: string;
  readonly version: number;
  readonly sha256: string;
  readonly document: Raw | null;
}
