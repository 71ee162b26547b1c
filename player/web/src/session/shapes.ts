// The shapes that the editor makes (docs/scenes.md, "Shapes"): their parameters, how a parameter is called and bounded,
// and how a shape is scaled: a body has no scale of its own, so its parameters change. Pure.

import { computed } from "@preact/signals";
import { t } from "../text/words";
import type { Kind, Recipe, Vec3 } from "../wire/scene";

/** How a parameter is edited: a length [m], three of them, a count or three counts, or a plain number. */
export type FieldKind = "length" | "lengths" | "count" | "counts" | "number";

export interface ShapeField {
  readonly name: string;
  readonly label: string;
  readonly kind: FieldKind;
  readonly low: number;
  readonly high: number;
}

interface ShapeCard {
  readonly name: string;
  readonly body: Kind;
  readonly params: Readonly<Record<string, unknown>>;
  readonly fields: readonly ShapeField[];
}

const LOW = 0.02;
const HIGH = 20;
const length = (name: string, label: string): ShapeField => ({ name, label, kind: "length", low: LOW, high: HIGH });
const lengths = (name: string, label: string): ShapeField => ({ name, label, kind: "lengths", low: LOW, high: HIGH });
const count = (name: string, label: string, low: number, high: number): ShapeField => ({ name, label, kind: "count", low, high });
const counts = (name: string, label: string, low: number, high: number): ShapeField => ({ name, label, kind: "counts", low, high });
const number = (name: string, label: string, low: number, high: number): ShapeField => ({ name, label, kind: "number", low, high });

export const SHAPES = computed((): Readonly<Record<string, ShapeCard>> => ({
  box: { name: t("shapes.box"), body: "affine", params: { size: [0.3, 0.3, 0.3] }, fields: [lengths("size", t("shapes.size"))] as const },
  sphere: { name: t("shapes.ball"), body: "affine", params: { radius: 0.2, level: 1 }, fields: [length("radius", t("shapes.radius")), count("level", t("shapes.fineness"), 0, 3)] as const },
  capsule: { name: t("shapes.capsule"), body: "affine", params: { radius: 0.12, length: 0.3 }, fields: [length("radius", t("shapes.radius")), length("length", t("shapes.length")), count("n", t("shapes.sides"), 3, 48), count("rings", t("shapes.rings"), 1, 16)] as const },
  lathe: { name: t("shapes.cylinder"), body: "affine", params: { profile: [[0.16, -0.2], [0.16, 0.2]], n: 14 }, fields: [count("n", t("shapes.sides"), 3, 64)] as const },
  torus: { name: t("shapes.ring"), body: "affine", params: { n: 14, m: 6, R: 0.2, r: 0.07 }, fields: [length("R", t("shapes.radius")), length("r", t("shapes.thickness")), count("n", t("shapes.sides"), 3, 48), count("m", t("shapes.facets"), 3, 24)] as const },
  pebble: { name: t("shapes.pebble"), body: "affine", params: { radii: [0.26, 0.16, 0.2], bump: 0.12 }, fields: [lengths("radii", t("shapes.radii")), number("bump", t("shapes.bump"), 0, 0.3)] as const },
  tetra: { name: t("shapes.tetrahedron"), body: "affine", params: { R: 0.3 }, fields: [length("R", t("shapes.radius"))] as const },
  gear: { name: t("shapes.gear"), body: "affine", params: { n: 8, R: 0.25, r: 0.19, h: 0.16 }, fields: [length("R", t("shapes.radius")), length("r", t("shapes.root")), length("h", t("shapes.height")), count("n", t("shapes.teeth"), 3, 24)] as const },
  star: { name: t("shapes.star"), body: "affine", params: { n: 5, R: 0.28, r: 0.13, h: 0.18 }, fields: [length("R", t("shapes.radius")), length("r", t("shapes.inner-radius")), length("h", t("shapes.height")), count("n", t("shapes.points"), 3, 24)] as const },
  nut: { name: t("shapes.nut"), body: "affine", params: { n: 6, R: 0.26, r: 0.14, h: 0.2 }, fields: [length("R", t("shapes.radius")), length("r", t("shapes.hole")), length("h", t("shapes.height")), count("n", t("shapes.sides"), 3, 48)] as const },
  ell: { name: t("shapes.corner"), body: "affine", params: { arm: 0.38, width: 0.17, h: 0.24 }, fields: [length("arm", t("shapes.arm")), length("width", t("shapes.width")), length("h", t("shapes.height"))] as const },
  cross: { name: t("shapes.cross"), body: "affine", params: { R: 0.26, w: 0.18, h: 0.18 }, fields: [length("R", t("shapes.reach")), length("w", t("shapes.width")), length("h", t("shapes.height"))] as const },
  crescent: { name: t("shapes.crescent"), body: "affine", params: { n: 7, R: 0.27, r: 0.14, arc: 4, h: 0.16 }, fields: [length("R", t("shapes.radius")), length("r", t("shapes.inner-radius")), length("h", t("shapes.height")), number("arc", "Arc [rad]", 0.2, 6), count("n", t("shapes.points"), 3, 48)] as const },
  blob: { name: t("shapes.duck"), body: "affine", params: { radius: 0.2, level: 2 }, fields: [length("radius", t("shapes.radius")), count("level", t("shapes.fineness"), 1, 3)] as const },
  block: { name: t("shapes.soft-block"), body: "elastic", params: { size: [0.4, 0.4, 0.4], cells: [3, 3, 3] }, fields: [lengths("size", t("shapes.size")), counts("cells", t("shapes.cells"), 1, 10)] as const },
  ball: { name: t("shapes.soft-ball"), body: "elastic", params: { radius: 0.22, cells: 4 }, fields: [length("radius", t("shapes.radius")), count("cells", t("shapes.cells"), 2, 8)] as const },
  slab: { name: t("shapes.slab"), body: "static", params: { size: [1, 0.1, 1] }, fields: [lengths("size", t("shapes.size"))] as const },
  platform: { name: t("shapes.platform"), body: "static", params: { sides: 8, radius: 0.8, depth: 0.2 }, fields: [length("radius", t("shapes.radius")), length("depth", t("shapes.depth")), count("sides", t("shapes.sides"), 3, 48), number("bottom_scale", t("shapes.bottom"), 0.2, 2)] as const },
  bowl: { name: t("shapes.bowl"), body: "static", params: { radius: 1 }, fields: [length("radius", t("shapes.radius")), number("reach", t("shapes.reach"), 0.2, 0.99), count("n", t("shapes.sides"), 6, 32), count("rings", t("shapes.rings"), 2, 12)] as const },
}));

export function shapeName(recipe: Recipe): string {
  return SHAPES.value[recipe.kind]?.name ?? (recipe.kind === "mesh" ? t("shapes.mesh") : recipe.kind);
}

/** Parameters that are lengths: along x, y, z where they have a direction, else in all. */
const ALONG: Readonly<Record<string, Readonly<Record<string, "xyz" | "x" | "y" | "z" | "all" | "flat" | "profile">>>> = {
  box: { size: "xyz" },
  block: { size: "xyz" },
  slab: { size: "xyz" },
  pebble: { radii: "xyz" },
  sphere: { radius: "all" },
  ball: { radius: "all" },
  blob: { radius: "all" },
  tetra: { R: "all" },
  bowl: { radius: "all" },
  capsule: { radius: "flat", length: "y" },
  lathe: { profile: "profile" },
  torus: { R: "flat", r: "all" },
  gear: { R: "flat", r: "flat", h: "y" },
  star: { R: "flat", r: "flat", h: "y" },
  nut: { R: "flat", r: "flat", h: "y" },
  crescent: { R: "flat", r: "flat", h: "y" },
  cross: { R: "flat", w: "flat", h: "y" },
  ell: { arm: "flat", width: "flat", h: "y" },
  platform: { radius: "flat", depth: "y" },
};

/** Whether a shape can be made larger. */
export function canScale(recipe: Recipe): boolean {
  return recipe.kind === "mesh" || recipe.kind in ALONG;
}

/** The largest factor of the size of a mesh from a file; its inverse is the smallest. */
export const MESH_SCALE = 1e4;

/** The factor of a mesh's size: many files are in millimetres. */
export const meshScale = (recipe: Recipe): number => (typeof recipe.params["scale"] === "number" ? recipe.params["scale"] : 1);

/** A mesh from a file at another size: `scale` times that of the file. */
export function meshOfScale(recipe: Recipe, scale: number): Recipe {
  const { scale: _, ...params } = recipe.params;
  const factor = Number(Math.min(MESH_SCALE, Math.max(1 / MESH_SCALE, scale)).toPrecision(6));
  return { kind: recipe.kind, params: factor === 1 ? params : { ...params, scale: factor } };
}

const neat = (value: number): number => Number(Math.min(HIGH, Math.max(LOW, value)).toPrecision(6));

/** The shape that is `by` times as large along x, y and z of its own frame, as far as its parameters allow. */
export function scaled(recipe: Recipe, by: Vec3): Recipe {
  const [x, y, z] = by;
  const all = Math.cbrt(x * y * z);
  if (recipe.kind === "mesh") return meshOfScale(recipe, meshScale(recipe) * all);
  const table = ALONG[recipe.kind];
  if (!table) return recipe;
  const flat = Math.sqrt(x * z);
  const params: Record<string, unknown> = { ...recipe.params };
  for (const [name, along] of Object.entries(table)) {
    const value = params[name];
    if (along === "xyz" && Array.isArray(value)) params[name] = value.map((one, i) => neat(Number(one) * by[i]!));
    else if (along === "profile" && Array.isArray(value)) params[name] = value.map((row) => [Number((Number((row as number[])[0]) * flat).toPrecision(6)), Number((Number((row as number[])[1]) * y).toPrecision(6))]);
    else if (typeof value === "number") params[name] = neat(value * (along === "all" ? all : along === "flat" ? flat : along === "x" ? x : along === "z" ? z : y));
  }
  return { kind: recipe.kind, params };
}
