// A collision mesh made soft to look at: Loop subdivision with semi-sharp creases (DeRose, Kass, Truong 1998).
// Loop's scheme stays within the convex hull of its mesh, so that a rounded body never shows more than what collides.
// Pure; meshes of any size are returned as they are when they are fine already.

export interface Mesh {
  readonly positions: Float32Array;
  readonly indices: Uint32Array;
}

/** Triangles above which nothing is subdivided any more. */
const BUDGET = 7000;
const MAX_LEVELS = 4;
/** Width of a rounded edge [m]. */
const BEVEL = 0.085;
/** Edges that bend more are creases [rad]; a mesh that nowhere bends more than ROUND has none. */
const CREASE = (50 * Math.PI) / 180;
const ROUND = (85 * Math.PI) / 180;
/** Angles around a vertex that sum to less make it a tip [rad]. */
const TIP = 1.25 * Math.PI;
/** How much of its shrinking a mesh without creases gets back. */
const REGAIN = 0.6;

interface Edge {
  a: number;
  b: number;
  left: number;
  right: number;
  sharp: number;
  middle: number;
}

export function soften(mesh: Mesh): Mesh {
  let levels = 0;
  while (levels < MAX_LEVELS && (mesh.indices.length / 3) * 4 ** (levels + 1) <= BUDGET) levels++;
  if (!levels) return mesh;
  const sharp = creases(mesh, levels);
  const tips = tipsOf(mesh, levels);
  const once = refine(mesh, sharp, tips, levels);
  if (sharp.size) return once;
  const fuller = mesh.positions.slice();
  for (let i = 0; i < fuller.length; i++) fuller[i] = fuller[i]! + REGAIN * (mesh.positions[i]! - once.positions[i]!);
  return refine({ positions: fuller, indices: mesh.indices }, sharp, tips, levels);
}

/** Area-weighted normals, one per vertex. */
export function normalsOf(mesh: Mesh): Float32Array {
  const { positions: p, indices } = mesh;
  const normals = new Float32Array(p.length);
  for (let f = 0; f < indices.length; f += 3) {
    const [i, j, k] = [3 * indices[f]!, 3 * indices[f + 1]!, 3 * indices[f + 2]!];
    const n = cross(p, i, j, k);
    for (const v of [i, j, k]) for (let c = 0; c < 3; c++) normals[v + c] = normals[v + c]! + n[c]!;
  }
  for (let i = 0; i < normals.length; i += 3) {
    const length = Math.hypot(normals[i]!, normals[i + 1]!, normals[i + 2]!) || 1;
    for (let c = 0; c < 3; c++) normals[i + c] = normals[i + c]! / length;
  }
  return normals;
}

function cross(p: Float32Array, i: number, j: number, k: number): [number, number, number] {
  const [ax, ay, az] = [p[j]! - p[i]!, p[j + 1]! - p[i + 1]!, p[j + 2]! - p[i + 2]!];
  const [bx, by, bz] = [p[k]! - p[i]!, p[k + 1]! - p[i + 1]!, p[k + 2]! - p[i + 2]!];
  return [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
}

const key = (a: number, b: number): number => (a < b ? a * 4194304 + b : b * 4194304 + a);

/** Sharpness of the edges that bend, by their key: how many levels they stay sharp. */
function creases(mesh: Mesh, levels: number): Map<number, number> {
  const { positions: p, indices } = mesh;
  const seen = new Map<number, [number, number, number]>();
  const angles = new Map<number, number>();
  let most = 0;
  for (let f = 0; f < indices.length; f += 3) {
    const corner = [indices[f]!, indices[f + 1]!, indices[f + 2]!] as const;
    const n = cross(p, 3 * corner[0], 3 * corner[1], 3 * corner[2]);
    const length = Math.hypot(...n) || 1;
    for (let e = 0; e < 3; e++) {
      const id = key(corner[e]!, corner[(e + 1) % 3]!);
      const other = seen.get(id);
      if (!other) {
        seen.set(id, [n[0] / length, n[1] / length, n[2] / length]);
        continue;
      }
      const dot = (other[0] * n[0] + other[1] * n[1] + other[2] * n[2]) / length;
      const angle = Math.acos(Math.max(-1, Math.min(1, dot)));
      angles.set(id, angle);
      most = Math.max(most, angle);
    }
  }
  const sharp = new Map<number, number>();
  if (most < ROUND) return sharp;
  for (const [id, angle] of angles) {
    if (angle < CREASE) continue;
    const [a, b] = [3 * Math.floor(id / 4194304), 3 * (id % 4194304)];
    const length = Math.hypot(p[a]! - p[b]!, p[a + 1]! - p[b + 1]!, p[a + 2]! - p[b + 2]!);
    sharp.set(id, Math.max(1, Math.min(levels - 1, Math.round(Math.log2(length / BEVEL)))));
  }
  return sharp;
}

/** Vertices that are the tip of a cone, though none of its edges is a crease: how many levels they stay. */
function tipsOf(mesh: Mesh, levels: number): Map<number, number> {
  const { positions: p, indices } = mesh;
  const around = new Float32Array(p.length / 3);
  for (let f = 0; f < indices.length; f += 3) {
    for (let e = 0; e < 3; e++) {
      const [a, b, c] = [indices[f + e]!, indices[f + ((e + 1) % 3)]!, indices[f + ((e + 2) % 3)]!];
      const u = [0, 1, 2].map((k) => p[3 * b + k]! - p[3 * a + k]!);
      const v = [0, 1, 2].map((k) => p[3 * c + k]! - p[3 * a + k]!);
      const dot = u[0]! * v[0]! + u[1]! * v[1]! + u[2]! * v[2]!;
      around[a] = around[a]! + Math.acos(Math.max(-1, Math.min(1, dot / ((Math.hypot(...u) || 1) * (Math.hypot(...v) || 1)))));
    }
  }
  const tips = new Map<number, number>();
  around.forEach((angle, vertex) => {
    if (angle < TIP) tips.set(vertex, levels - 1);
  });
  return tips;
}

function refine(mesh: Mesh, sharp: Map<number, number>, tips: Map<number, number>, levels: number): Mesh {
  let current = mesh;
  let creased = sharp;
  for (let level = 0; level < levels; level++) [current, creased] = step(current, creased, tips, level);
  return current;
}

function step(mesh: Mesh, sharp: Map<number, number>, tips: Map<number, number>, level: number): [Mesh, Map<number, number>] {
  const { positions: p, indices } = mesh;
  const count = p.length / 3;
  const edges = new Map<number, Edge>();
  const list: Edge[] = [];
  for (let f = 0; f < indices.length; f += 3) {
    for (let e = 0; e < 3; e++) {
      const [a, b, c] = [indices[f + e]!, indices[f + ((e + 1) % 3)]!, indices[f + ((e + 2) % 3)]!];
      const id = key(a, b);
      const edge = edges.get(id);
      if (edge) edge.right = c;
      else {
        const made: Edge = { a, b, left: c, right: -1, sharp: sharp.get(id) ?? 0, middle: count + list.length };
        edges.set(id, made);
        list.push(made);
      }
    }
  }
  const out = new Float32Array(3 * (count + list.length));
  const following = new Map<number, number>();
  // per vertex: valence, sum of neighbours, count and sum of crease neighbours
  const valence = new Uint16Array(count);
  const sum = new Float32Array(3 * count);
  const crease = new Uint16Array(count);
  const creaseSum = new Float32Array(3 * count);
  for (const edge of list) {
    const fixed = edge.sharp > 0 || edge.right < 0;
    for (const [v, w] of [[edge.a, edge.b], [edge.b, edge.a]] as const) {
      valence[v] = valence[v]! + 1;
      if (fixed) crease[v] = crease[v]! + 1;
      for (let c = 0; c < 3; c++) {
        sum[3 * v + c] = sum[3 * v + c]! + p[3 * w + c]!;
        if (fixed) creaseSum[3 * v + c] = creaseSum[3 * v + c]! + p[3 * w + c]!;
      }
    }
    for (let c = 0; c < 3; c++) {
      const ends = p[3 * edge.a + c]! + p[3 * edge.b + c]!;
      out[3 * edge.middle + c] = fixed ? ends / 2 : (3 * ends + p[3 * edge.left + c]! + p[3 * edge.right + c]!) / 8;
    }
    if (edge.sharp > 1) {
      following.set(key(edge.a, edge.middle), edge.sharp - 1);
      following.set(key(edge.middle, edge.b), edge.sharp - 1);
    }
  }
  for (let v = 0; v < count; v++) {
    const n = valence[v]!;
    const beta = n === 3 ? 3 / 16 : 3 / (8 * Math.max(1, n));
    for (let c = 0; c < 3; c++) {
      const here = p[3 * v + c]!;
      if (crease[v]! > 2 || (tips.get(v) ?? 0) > level) out[3 * v + c] = here;
      else if (crease[v] === 2) out[3 * v + c] = 0.75 * here + creaseSum[3 * v + c]! / 8;
      else out[3 * v + c] = (1 - n * beta) * here + beta * sum[3 * v + c]!;
    }
  }
  const finer = new Uint32Array(4 * indices.length);
  let at = 0;
  for (let f = 0; f < indices.length; f += 3) {
    const [a, b, c] = [indices[f]!, indices[f + 1]!, indices[f + 2]!];
    const [ab, bc, ca] = [edges.get(key(a, b))!.middle, edges.get(key(b, c))!.middle, edges.get(key(c, a))!.middle];
    for (const index of [a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca]) finer[at++] = index;
  }
  return [{ positions: out, indices: finer }, following];
}
