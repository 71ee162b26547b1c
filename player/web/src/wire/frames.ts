// Decodes the binary messages; lobby/wire/frames.py draws their layout. Both decode the vectors beside it. It must
// never import a mode or a renderer.

import { SCHEMA_HASH } from "./messages";

export const FRAME = 1;
export const TOPOLOGY = 2;

const HALF = 1;
const KEYFRAME = 2;
const TABLE = 4;
const HEAD = 24;
const AFFINE_ROWS = 4;

/** One tick. rows: 3 numbers per row of every moving body, NaN where the body is not active. */
export interface Frame {
  readonly tick: number;
  readonly epoch: number;
  readonly version: number;
  readonly minDistance: number;
  readonly contacts: number;
  readonly acks: readonly number[];
  readonly active: readonly boolean[];
  readonly rowCounts: readonly number[] | null;
  readonly rows: Float32Array;
  readonly keyframe: boolean;
  /** Of a delta frame: nothing moves, so that the next one may come as late as it moves again. */
  readonly still?: boolean;
}

export type BodyKind = "affine" | "elastic" | "static" | "rail";

/** vertices: rest positions [m] (world positions if static), 3 numbers each. faces: 3 indices each. */
export interface TopologyBody {
  readonly id: string;
  readonly kind: BodyKind;
  readonly seat: number | null;
  readonly body: string;
  readonly vertices: Float32Array;
  readonly faces: Uint32Array;
}

export interface Topology {
  readonly version: number;
  readonly bodies: readonly TopologyBody[];
}

export class BadFrame extends Error {}

export function kindOf(data: ArrayBuffer): number {
  return data.byteLength ? new DataView(data).getUint8(0) : 0;
}

/** The version of the topology that a frame belongs to. */
export function versionOf(data: ArrayBuffer): number {
  return data.byteLength < HEAD ? -1 : new DataView(data).getUint16(20, true);
}

/** Throws BadFrame for bytes that are not a frame. */
export function decodeFrame(data: ArrayBuffer): Frame {
  if (data.byteLength < HEAD) throw new BadFrame("a frame is shorter than its head");
  const view = new DataView(data);
  const flags = view.getUint8(1);
  if (view.getUint8(0) !== FRAME || flags & ~(HALF | KEYFRAME | TABLE) || view.getUint8(19) || view.getUint16(22, true)) {
    throw new BadFrame("not a frame of this schema");
  }
  const count = view.getUint16(2, true);
  const seats = view.getUint8(18);
  const minDistance = view.getFloat32(12, true);
  const bitsAt = HEAD + 4 * seats;
  const tableAt = bitsAt + 4 * Math.ceil(count / 32);
  const rowsAt = tableAt + (flags & TABLE ? ceil4(2 * count) : 0);
  if (data.byteLength < rowsAt) throw new BadFrame("a frame ends within its tables");

  const acks: number[] = [];
  for (let i = 0; i < seats; i++) acks.push(view.getUint32(HEAD + 4 * i, true));
  const active: boolean[] = [];
  for (let i = 0; i < count; i++) active.push(((view.getUint8(bitsAt + (i >> 3)) >> (i & 7)) & 1) === 1);
  for (let i = count; i < 8 * (tableAt - bitsAt); i++) {
    if ((view.getUint8(bitsAt + (i >> 3)) >> (i & 7)) & 1) throw new BadFrame("a frame marks bodies that it does not have");
  }
  let rowCounts: number[] | null = null;
  if (flags & TABLE) {
    rowCounts = [];
    for (let i = 0; i < count; i++) rowCounts.push(view.getUint16(tableAt + 2 * i, true));
  }
  let all = 0;
  let sent = 0;
  for (let i = 0; i < count; i++) {
    const rows = rowCounts?.[i] ?? AFFINE_ROWS;
    all += rows;
    if (active[i]) sent += rows;
  }
  const size = flags & HALF ? 2 : 4;
  if (data.byteLength !== rowsAt + ceil4(3 * size * sent)) throw new BadFrame("a frame's length does not fit its head");
  if (!(minDistance >= 0)) throw new BadFrame("a frame holds numbers that are not positions");

  const rows = new Float32Array(3 * all);
  let from = rowsAt;
  let to = 0;
  for (let i = 0; i < count; i++) {
    const numbers = 3 * (rowCounts?.[i] ?? AFFINE_ROWS);
    if (!active[i]) {
      rows.fill(NaN, to, to + numbers);
      to += numbers;
      continue;
    }
    for (let k = 0; k < numbers; k++, from += size) {
      const value = size === 4 ? view.getFloat32(from, true) : halfAt(view, from);
      if (!Number.isFinite(value)) throw new BadFrame("a frame holds numbers that are not positions");
      rows[to++] = value;
    }
  }
  return {
    tick: view.getUint32(8, true),
    epoch: view.getUint32(4, true),
    version: view.getUint16(20, true),
    minDistance,
    contacts: view.getUint16(16, true),
    acks,
    active,
    rowCounts,
    rows,
    keyframe: (flags & KEYFRAME) !== 0,
  };
}

const KINDS: readonly BodyKind[] = ["affine", "elastic", "static", "rail"];
/** The most vertices, or faces, of a body. */
const LARGEST_MESH = 2 ** 24;

interface BodyHead {
  id: string;
  kind: BodyKind;
  vertices: number;
  faces: number;
  seat?: number | null;
  wide?: boolean;
  body?: string;
}

/** Throws BadFrame for bytes that are not a topology of this schema. */
export function decodeTopology(data: ArrayBuffer): Topology {
  if (data.byteLength < 8) throw new BadFrame("a topology is shorter than its head");
  const view = new DataView(data);
  const length = view.getUint32(4, true);
  let at = 8 + ceil4(length);
  if (view.getUint8(0) !== TOPOLOGY || view.getUint8(1) || data.byteLength < at) throw new BadFrame("not a topology");
  const bodies: TopologyBody[] = [];
  for (const body of bodyHeads(new Uint8Array(data, 8, length))) {
    const width = body.wide ? 4 : 2;
    const facesAt = at + 12 * body.vertices;
    const end = facesAt + ceil4(3 * width * body.faces);
    if (end > data.byteLength) throw new BadFrame("a topology ends within a body");
    const vertices = new Float32Array(3 * body.vertices);
    for (let i = 0; i < vertices.length; i++) {
      vertices[i] = view.getFloat32(at + 4 * i, true);
      if (!Number.isFinite(vertices[i])) throw new BadFrame("a topology has numbers that are not finite");
    }
    const faces = new Uint32Array(3 * body.faces);
    for (let i = 0; i < faces.length; i++) {
      const index = body.wide ? view.getUint32(facesAt + 4 * i, true) : view.getUint16(facesAt + 2 * i, true);
      if (index >= body.vertices) throw new BadFrame("a face names a vertex that is not there");
      faces[i] = index;
    }
    bodies.push({ id: body.id, kind: body.kind, seat: body.seat ?? null, body: body.body ?? "", vertices, faces });
    at = end;
  }
  if (at !== data.byteLength) throw new BadFrame("a topology is longer than its bodies");
  return { version: view.getUint16(2, true), bodies };
}

/** The bodies that the head of a topology names. Throws BadFrame. */
function bodyHeads(bytes: Uint8Array): BodyHead[] {
  let head: { schema?: unknown; bodies?: unknown } | null;
  try {
    head = JSON.parse(new TextDecoder().decode(bytes)) as typeof head;
  } catch {
    throw new BadFrame("a topology's head is not JSON");
  }
  if (head?.schema !== SCHEMA_HASH) throw new BadFrame("a topology of another schema");
  if (!Array.isArray(head.bodies) || !head.bodies.every(isBodyHead)) throw new BadFrame("a topology's head is not valid");
  return head.bodies;
}

function isBodyHead(body: Partial<BodyHead> | null): body is BodyHead {
  const isCount = (count: unknown): boolean => Number.isInteger(count) && (count as number) >= 0 && (count as number) <= LARGEST_MESH;
  return typeof body?.id === "string" && KINDS.includes(body.kind!) && isCount(body.vertices) && isCount(body.faces);
}

function ceil4(size: number): number {
  return 4 * Math.ceil(size / 4);
}

/** IEEE 754 binary16. */
function halfAt(view: DataView, at: number): number {
  const bits = view.getUint16(at, true);
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
