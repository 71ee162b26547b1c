// The shapes that the editor makes (docs/scenes.md, "Shapes"): their parameters, how a parameter is called and bounded,
// and how a shape is scaled: a body has no scale of its own, so its parameters change. Pure.

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

export const SHAPES: Readonly<Record<string, ShapeCard>> = {
  box: { name: "Box", body: "affine", params: { size: [0.3, 0.3, 0.3] }, fields: [lengths("size", "Size")] },
  sphere: { name: "Ball", body: "affine", params: { radius: 0.2, level: 1 }, fields: [length("radius", "Radius"), count("level", "Fineness", 0, 3)] },
  capsule: { name: "Capsule", body: "affine", params: { radius: 0.12, length: 0.3 }, fields: [length("radius", "Radius"), length("length", "Length"), count("n", "Sides", 3, 48), count("rings", "Rings", 1, 16)] },
  lathe: { name: "Cylinder", body: "affine", params: { profile: [[0.16, -0.2], [0.16, 0.2]], n: 14 }, fields: [count("n", "Sides", 3, 64)] },
  torus: { name: "Ring", body: "affine", params: { n: 14, m: 6, R: 0.2, r: 0.07 }, fields: [length("R", "Radius"), length("r", "Thickness"), count("n", "Sides", 3, 48), count("m", "Facets", 3, 24)] },
  pebble: { name: "Pebble", body: "affine", params: { radii: [0.26, 0.16, 0.2], bump: 0.12 }, fields: [lengths("radii", "Radii"), number("bump", "Bump", 0, 0.3)] },
  tetra: { name: "Tetrahedron", body: "affine", params: { R: 0.3 }, fields: [length("R", "Radius")] },
  gear: { name: "Gear", body: "affine", params: { n: 8, R: 0.25, r: 0.19, h: 0.16 }, fields: [length("R", "Radius"), length("r", "Root"), length("h", "Height"), count("n", "Teeth", 3, 24)] },
  star: { name: "Star", body: "affine", params: { n: 5, R: 0.28, r: 0.13, h: 0.18 }, fields: [length("R", "Radius"), length("r", "Inner radius"), length("h", "Height"), count("n", "Points", 3, 24)] },
  nut: { name: "Nut", body: "affine", params: { n: 6, R: 0.26, r: 0.14, h: 0.2 }, fields: [length("R", "Radius"), length("r", "Hole"), length("h", "Height"), count("n", "Sides", 3, 48)] },
  ell: { name: "Corner", body: "affine", params: { arm: 0.38, width: 0.17, h: 0.24 }, fields: [length("arm", "Arm"), length("width", "Width"), length("h", "Height")] },
  cross: { name: "Cross", body: "affine", params: { R: 0.26, w: 0.18, h: 0.18 }, fields: [length("R", "Reach"), length("w", "Width"), length("h", "Height")] },
  crescent: { name: "Crescent", body: "affine", params: { n: 7, R: 0.27, r: 0.14, arc: 4, h: 0.16 }, fields: [length("R", "Radius"), length("r", "Inner radius"), length("h", "Height"), number("arc", "Arc [rad]", 0.2, 6), count("n", "Points", 3, 48)] },
  blob: { name: "Duck", body: "affine", params: { radius: 0.2, level: 2 }, fields: [length("radius", "Radius"), count("level", "Fineness", 1, 3)] },
  block: { name: "Soft block", body: "elastic", params: { size: [0.4, 0.4, 0.4], cells: [3, 3, 3] }, fields: [lengths("size", "Size"), counts("cells", "Cells", 1, 10)] },
  ball: { name: "Soft ball", body: "elastic", params: { radius: 0.22, cells: 4 }, fields: [length("radius", "Radius"), count("cells", "Cells", 2, 8)] },
  slab: { name: "Slab", body: "static", params: { size: [1, 0.1, 1] }, fields: [lengths("size", "Size")] },
  platform: { name: "Platform", body: "static", params: { sides: 8, radius: 0.8, depth: 0.2 }, fields: [length("radius", "Radius"), length("depth", "Depth"), count("sides", "Sides", 3, 48), number("bottom_scale", "Bottom", 0.2, 2)] },
  bowl: { name: "Bowl", body: "static", params: { radius: 1 }, fields: [length("radius", "Radius"), number("reach", "Reach", 0.2, 0.99), count("n", "Sides", 6, 32), count("rings", "Rings", 2, 12)] },
};

export function shapeName(recipe: Recipe): string {
  return SHAPES[recipe.kind]?.name ?? (recipe.kind === "mesh" ? "Mesh" : recipe.kind);
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
