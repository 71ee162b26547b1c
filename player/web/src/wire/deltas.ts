// Decodes delta frames; docs/protocol.md has the layout and every step, lobby/wire/delta_kernel.py the same program in
// Python. Both decode tests/vectors/deltas.json. All numbers are exact: integers below 2^53, and floats with + - * /.
// It must never import a mode or a renderer.

import { BadFrame } from "./frames";
import type { Frame, Topology } from "./frames";

export const DELTA = 3;

const KEYFRAME = 1;
const HEAD = 4;
const KEY_HEAD = 28;

const SLOTS = 66;
const BY_SIZE = 64;
const BY_LAST = BY_SIZE + 99 * SLOTS;
const BY_SPEED = BY_LAST + 144 * SLOTS;
const BY_SIZES = BY_SPEED + 144 * SLOTS;
const BY_NEIGHBOUR = BY_SIZES + 64 * SLOTS;
const NUMBERS = BY_NEIGHBOUR + 24 * SLOTS;
const CONTEXTS = NUMBERS + 6 * SLOTS;
const LIMIT = 60;
const RATES = Int32Array.from({ length: LIMIT + 1 }, (_, n) => Math.floor((65536 * 5) / (5 * n + 8)));

const FLOATS = 28;
const INTS = 23;
const FURTHEST = 1e6;
const LONGEST_GAP = 2 ** 24;
const LAST_TICK = 2 ** 32 - 1;
/** The first level of a distance [m], and levels in an octave. */
const NEAR = 1e-7;
const LEVELS = 8;

/** Whether a delta frame begins a chain. */
export function isKeyframe(data: ArrayBuffer): boolean {
  return data.byteLength > 1 && (new DataView(data).getUint8(1) & KEYFRAME) !== 0;
}

/** The range decoder with its adaptive probabilities. */
class Coder {
  private readonly p = new Uint32Array(CONTEXTS).fill(32768);
  private readonly n = new Uint8Array(CONTEXTS);
  private data = new Uint8Array(0);
  private at = 0;
  private code = 0;
  private range = 0;

  begin(data: Uint8Array<ArrayBuffer>): void {
    this.data = data;
    this.code = 0;
    this.range = 0xffffffff;
    for (this.at = 0; this.at < 4; this.at++) this.code = this.code * 256 + (data[this.at] ?? 0);
    if (this.code === 0xffffffff) throw outOfRange();
  }

  end(): void {
    if (this.at < this.data.length) throw new BadFrame("a delta frame is longer than its content");
  }

  /** A bit with one context, or with the mean of three. */
  bit(a: number, b = -1, c = -1): 0 | 1 {
    const p = this.p;
    const mean = b < 0 ? p[a]! : (2 * p[a]! + p[b]! + p[c]!) >>> 2;
    const bit = this.divide((this.range >>> 16) * mean);
    this.learn(a, bit);
    if (b >= 0) {
      this.learn(b, bit);
      this.learn(c, bit);
    }
    return bit;
  }

  private divide(bound: number): 0 | 1 {
    const bit = this.code < bound ? 0 : 1;
    if (bit) {
      this.code -= bound;
      this.range -= bound;
    } else this.range = bound;
    while (this.range < 0x1000000) {
      this.code = this.code * 256 + (this.at < this.data.length ? this.data[this.at]! : 0);
      this.at++;
      this.range *= 256;
    }
    return bit;
  }

  private learn(context: number, bit: 0 | 1): void {
    const n = this.n[context]!;
    const rate = RATES[n]!;
    let p = this.p[context]!;
    if (bit) p = Math.max(48, p - Math.floor((p * rate) / 65536));
    else p = Math.min(65488, p + Math.floor(((65536 - p) * rate) / 65536));
    this.p[context] = p;
    if (n < LIMIT) this.n[context] = n + 1;
  }

  /** A signed integer: zero or not, sign, length, then the bits after the leading one. */
  number(a: number, b = -1, c = -1): number {
    const two = b >= 0;
    if (!this.bit(a, b, c)) return 0;
    const negative = this.bit(a + 1, two ? b + 1 : -1, c + 1);
    let length = 0;
    for (;;) {
      const slot = 2 + Math.min(length, 15);
      if (!this.bit(a + slot, two ? b + slot : -1, c + slot)) break;
      if (++length > 30) throw outOfRange();
    }
    const top = Math.min(length, 15);
    let found = 1;
    for (let place = length - 1; place >= 0; place--) {
      let bit: 0 | 1;
      if (place === length - 1) bit = this.bit(a + 18 + top, two ? b + 18 + top : -1, c + 18 + top);
      else if (place === length - 2) {
        const slot = 34 + 2 * top + (found & 1);
        bit = this.bit(a + slot, two ? b + slot : -1, c + slot);
      } else bit = this.divide(this.range >>> 1);
      found = 2 * found + bit;
    }
    return negative ? -found : found;
  }
}

/** The state of a chain: what the next frame is the difference from. */
class Chain {
  readonly coder = new Coder();
  /** First vertex and number of vertices of each body; 0 of an affine one. */
  readonly spans: readonly (readonly [number, number])[];
  readonly floats: Float64Array;
  readonly ints: Int32Array;
  /** Of each coordinate of a vertex: displacement in steps, its last change, mean size of the residuals. */
  readonly shape: Int32Array;
  readonly rest: Float64Array;
  readonly acks: number[];
  level = 0;
  contacts = 0;
  still: 0 | 1 = 0;
  private gap = 1;
  private readonly spin = new Float64Array(3);
  private readonly turned = new Float64Array(4);

  readonly epoch: number;
  tick: number;
  private readonly step: number;
  private readonly turn: number;

  constructor(topology: Topology, seats: number, epoch: number, tick: number, step: number, turn: number) {
    this.epoch = epoch;
    this.tick = tick;
    this.step = step;
    this.turn = turn;
    const moving = topology.bodies.filter((body) => body.kind !== "static");
    let first = 0;
    this.spans = moving.map((body) => {
      const count = body.kind === "elastic" ? body.vertices.length / 3 : 0;
      first += count;
      return [first - count, count] as const;
    });
    this.rest = new Float64Array(3 * first);
    moving.forEach((body, i) => {
      if (body.kind === "elastic") this.rest.set(body.vertices, 3 * this.spans[i]![0]);
    });
    this.floats = new Float64Array(FLOATS * moving.length);
    this.ints = new Int32Array(INTS * moving.length);
    for (let i = 0; i < moving.length; i++) this.floats[FLOATS * i + 9] = this.floats[FLOATS * i + 19] = 1;
    this.shape = new Int32Array(9 * first);
    for (let i = 2; i < this.shape.length; i += 3) this.shape[i] = 256;
    this.acks = new Array<number>(seats).fill(0);
  }

  /** Take the state to the next frame. Throws BadFrame; the chain must not be used after that. */
  decode(payload: Uint8Array<ArrayBuffer>): void {
    const { coder, ints, spans } = this;
    coder.begin(payload);
    this.gap += coder.number(NUMBERS);
    if (this.gap < 1 || this.gap > LONGEST_GAP || this.tick + this.gap > LAST_TICK) throw outOfRange();
    this.tick += this.gap;
    if (coder.bit(0)) {
      for (let seat = 0; seat < this.acks.length; seat++) {
        this.acks[seat]! += coder.number(NUMBERS + SLOTS);
        if (!(this.acks[seat]! >= 0 && this.acks[seat]! <= LAST_TICK)) throw outOfRange();
      }
    }
    if (coder.bit(1)) {
      this.level += coder.number(NUMBERS + 2 * SLOTS);
      this.contacts += coder.number(NUMBERS + 3 * SLOTS);
      if (this.level < 0 || this.level > 255 || this.contacts < 0 || this.contacts > 65535) throw outOfRange();
    }
    this.still = coder.bit(2 + this.still);
    let busy = 0;
    for (let body = 0; body < spans.length; body++) {
      const o = FLOATS * body;
      const at = INTS * body;
      const [first, count] = spans[body]!;
      const came = this.still ? 0 : coder.bit(4 + ints[at]!);
      if (came) {
        ints[at] = 1 - ints[at]!;
        this.forget(o, at, 65520);
      }
      const moves = !this.still && ints[at] === 1 && (came || coder.bit(8 + 3 * ints[at + 1]! + Math.min(busy, 2)));
      if (!moves) {
        this.rests(o, at);
        this.hold(first, count);
        continue;
      }
      busy += this.pose(o, at, Math.min(busy, 2));
      if (came) this.forget(o, at, 64);
      ints[at + 1] = 1;
      if (count > 0) {
        ints[at + 22] = coder.bit(16 + ints[at + 22]!);
        if (ints[at + 22]) this.vertices(at, first, count);
        else this.hold(first, count);
      }
    }
    coder.end();
  }

  private coordinate(at: number, k: number, sets: number, kind: number): number {
    const ints = this.ints;
    const family = k > 2 ? 2 : k === 1 ? 1 : 0;
    const size = sets % 3;
    const busy = Math.floor(sets / 3) % 3;
    const second = Math.floor(sets / 9);
    const a = BY_SIZE + ((family * 11 + lengthOf(ints[at + 2 + k]!, 10)) * 3 + size) * SLOTS;
    const b = BY_LAST + (((family * 8 + ints[at + 8 + k]!) * 3 + busy) * 2 + second) * SLOTS;
    const value = this.coder.number(a, b, kind);
    const found = Math.min(Math.abs(value), 4095);
    ints[at + 2 + k] = (ints[at + 2 + k]! + 16 * found) >> 1;
    ints[at + 8 + k] = lengthOf(found, 7);
    ints[at + 14 + k] = value === 0 ? 0 : value > 0 ? 1 : 2;
    return value;
  }

  /** The pose of a body that moves. Returns 1 if a residual was large. */
  private pose(o: number, at: number, busy: number): 0 | 1 {
    const { floats: F, ints, gap, step, turn, spin, turned } = this;
    const mean = (F[o + 19]! + gap) * 0.5;
    let size = 0;
    let large: 0 | 1 = 0;
    const note = (value: number): void => {
      const found = Math.abs(value);
      if (found > 0 && size === 0) size = 1;
      if (found >= 4) {
        size = 2;
        large = 1;
      }
    };
    for (let k = 0; k < 3; k++) {
      const straight = F[o + k]! + F[o + 3 + k]! * gap;
      const curved = F[o + k]! + (F[o + 3 + k]! + F[o + 6 + k]! * mean) * gap;
      const second = F[o + 21 + 2 * k]! < F[o + 20 + 2 * k]! ? 1 : 0;
      const predicted = second ? curved : straight;
      const speed = Math.abs((F[o + 3 + k]! * gap) / step);
      const kind = BY_SPEED + ((k * 3 + ints[at + 14 + k]!) * 8 + halvings(speed, 7)) * SLOTS;
      const value = this.coordinate(at, k, size + 3 * busy + 9 * second, kind);
      note(value);
      const reached = predicted + value * step;
      if (!(reached > -FURTHEST && reached < FURTHEST)) throw outOfRange();
      F[o + 20 + 2 * k] = F[o + 20 + 2 * k]! * 0.7 + Math.abs(reached - straight);
      F[o + 21 + 2 * k] = F[o + 21 + 2 * k]! * 0.7 + Math.abs(reached - curved);
      const velocity = (reached - F[o + k]!) / gap;
      F[o + 6 + k] = (velocity - F[o + 3 + k]!) / mean;
      F[o + 3 + k] = velocity;
      F[o + k] = reached;
    }
    const second = F[o + 27]! < F[o + 26]! ? 1 : 0;
    for (let k = 0; k < 4; k++) turned[k] = F[o + 9 + k]!;
    let [x, y, z] = [F[o + 13]!, F[o + 14]!, F[o + 15]!];
    if (second) [x, y, z] = [x + F[o + 16]!, y + F[o + 17]!, z + F[o + 18]!];
    turnBy(turned, x * gap, y * gap, z * gap);
    for (let k = 0; k < 3; k++) {
      const speed = Math.abs((F[o + 13 + k]! * gap) / turn);
      const kind = BY_SPEED + (((3 + k) * 3 + ints[at + 17 + k]!) * 8 + halvings(speed, 7)) * SLOTS;
      const value = this.coordinate(at, 3 + k, size + 3 * busy + 9 * second, kind);
      note(value);
      spin[k] = value * turn;
    }
    turnBy(turned, spin[0]!, spin[1]!, spin[2]!);
    difference(turned, F, o + 9, spin);
    let held = 0;
    let changed = 0;
    for (let k = 0; k < 3; k++) {
      const now = spin[k]! / gap;
      const off = now - F[o + 13 + k]!;
      held += Math.abs(off);
      changed += Math.abs(off - F[o + 16 + k]!);
      F[o + 16 + k] = off;
      F[o + 13 + k] = now;
    }
    F[o + 26] = F[o + 26]! * 0.7 + held;
    F[o + 27] = F[o + 27]! * 0.7 + changed;
    for (let k = 0; k < 4; k++) F[o + 9 + k] = turned[k]!;
    F[o + 19] = gap;
    return large;
  }

  /** The body keeps its pose. */
  private rests(o: number, at: number): void {
    const { floats: F, ints } = this;
    F.fill(0, o + 3, o + 9);
    F.fill(0, o + 13, o + 19);
    for (let k = 20; k < 28; k++) F[o + k]! *= 0.5;
    for (let k = 0; k < 6; k++) {
      ints[at + 2 + k]! >>= 1;
      ints[at + 8 + k] = 0;
    }
    ints[at + 1] = 0;
  }

  /** Forget how the body moved: its place is new. */
  private forget(o: number, at: number, size: number): void {
    const { floats: F, ints } = this;
    this.rests(o, at);
    F[o + 19] = 1;
    F.fill(0, o + 20, o + 28);
    for (let k = 0; k < 6; k++) {
      ints[at + 2 + k] = size;
      ints[at + 14 + k] = 0;
    }
  }

  private vertices(at: number, first: number, count: number): void {
    const { shape: U, ints, coder } = this;
    const second = ints[at + 21]! < ints[at + 20]! ? 1 : 0;
    const near = [0, 0, 0];
    let lately = 32;
    let held = 0;
    let carried = 0;
    for (let vertex = first; vertex < first + count; vertex++) {
      for (let k = 0; k < 3; k++) {
        const u = 3 * (3 * vertex + k);
        const predicted = U[u]! + (second ? U[u + 1]! : 0);
        const a = BY_SIZES + (8 * lengthOf(U[u + 2]!, 7) + lengthOf(lately, 7)) * SLOTS;
        const b = BY_NEIGHBOUR + ((k * 4 + near[k]!) * 2 + second) * SLOTS;
        const value = coder.number(a, b, a);
        const found = Math.min(Math.abs(value), 4095);
        near[k] = Math.min(found, 3);
        lately = (3 * lately + 16 * found) >> 2;
        U[u + 2] = (U[u + 2]! + 16 * found) >> 1;
        const reached = predicted + value;
        if (Math.abs(reached) > 1e9) throw outOfRange();
        const change = reached - U[u]!;
        held += Math.min(4095, Math.abs(change));
        carried += Math.min(4095, Math.abs(change - U[u + 1]!));
        U[u + 1] = change;
        U[u] = reached;
      }
    }
    ints[at + 20] = (ints[at + 20]! >> 1) + held;
    ints[at + 21] = (ints[at + 21]! >> 1) + carried;
  }

  /** The vertices keep their places in the axes of the body. */
  private hold(first: number, count: number): void {
    for (let u = 9 * first; u < 9 * (first + count); u += 3) {
      this.shape[u + 1] = 0;
      this.shape[u + 2]! >>= 1;
    }
  }

  /** The rows of all bodies, as a frame has them. */
  rows(): Float32Array {
    const { floats: F, spans, shape, rest, step } = this;
    const rows = new Float32Array(spans.reduce((all, [, count]) => all + 3 * (count || 4), 0));
    let to = 0;
    spans.forEach(([first, count], body) => {
      const numbers = 3 * (count || 4);
      if (!this.ints[INTS * body]) {
        rows.fill(NaN, to, to + numbers);
        to += numbers;
        return;
      }
      const o = FLOATS * body;
      const [cx, cy, cz] = [F[o]!, F[o + 1]!, F[o + 2]!];
      const [w, x, y, z] = [F[o + 9]!, F[o + 10]!, F[o + 11]!, F[o + 12]!];
      const [m00, m01, m02] = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)];
      const [m10, m11, m12] = [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)];
      const [m20, m21, m22] = [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)];
      if (!count) {
        rows.set([cx, cy, cz, m00, m10, m20, m01, m11, m21, m02, m12, m22], to);
        to += 12;
        return;
      }
      for (let i = 3 * first; i < 3 * (first + count); i += 3) {
        const a = rest[i]! + shape[3 * i]! * step;
        const b = rest[i + 1]! + shape[3 * i + 3]! * step;
        const c = rest[i + 2]! + shape[3 * i + 6]! * step;
        rows[to++] = cx + m00 * a + m01 * b + m02 * c;
        rows[to++] = cy + m10 * a + m11 * b + m12 * c;
        rows[to++] = cz + m20 * a + m21 * b + m22 * c;
      }
    });
    return rows;
  }
}

/** Decodes the delta frames of one session. After a BadFrame, and after a gap, it waits for a keyframe. */
export class DeltaDecoder {
  private topology: Topology | null = null;
  private chain: Chain | null = null;
  private id = 0;
  private number = 0;

  /** Whether no frame but a keyframe can be decoded. */
  get waiting(): boolean {
    return this.chain === null;
  }

  /** The meshes of the following frames. */
  setTopology(topology: Topology): void {
    this.topology = topology;
    this.chain = null;
  }

  /** The frame; null if it is of a chain of which frames are missing. Throws BadFrame for bytes that no encoder sends. */
  decode(data: ArrayBuffer): Frame | null {
    if (data.byteLength < HEAD) throw new BadFrame("a delta frame is shorter than its header");
    const view = new DataView(data);
    const flags = view.getUint8(1);
    const at = flags & KEYFRAME ? KEY_HEAD : HEAD;
    if (view.getUint8(0) !== DELTA || flags & ~KEYFRAME || (data.byteLength > at && !view.getUint8(data.byteLength - 1))) {
      throw new BadFrame("not a delta frame");
    }
    let chain = this.chain;
    const id = view.getUint8(2);
    const number = view.getUint8(3);
    this.chain = null;
    if (flags & KEYFRAME) {
      chain = this.begin(view, number);
      if (!chain) return null;
      this.id = id;
    } else if (!chain || id !== this.id || number !== ((this.number + 1) & 255)) {
      // A frame of an older chain, or of one whose keyframe was lost, changes nothing.
      if (chain && id !== this.id) this.chain = chain;
      return null;
    }
    this.number = number;
    chain.decode(new Uint8Array(data, at));
    this.chain = chain;
    const counts = chain.spans.map(([, count]) => count);
    return {
      tick: chain.tick,
      epoch: chain.epoch,
      version: this.topology!.version,
      minDistance: chain.level ? NEAR * 2 ** ((chain.level - 1) / LEVELS) : Infinity,
      contacts: chain.contacts,
      acks: [...chain.acks],
      active: chain.spans.map((_, body) => chain.ints[INTS * body] === 1),
      rowCounts: counts.some((count) => count > 0) ? counts.map((count) => count || 4) : null,
      rows: chain.rows(),
      keyframe: (flags & KEYFRAME) !== 0,
      still: chain.still === 1,
    };
  }

  private begin(view: DataView, number: number): Chain | null {
    if (view.byteLength < KEY_HEAD) throw new BadFrame("a keyframe is shorter than its header");
    const step = view.getFloat32(20, true);
    const turn = view.getFloat32(24, true);
    const zeros = view.getUint8(17) || view.getUint16(18, true);
    if (number || zeros || !(step > 1e-9 && step < 1e3 && turn > 1e-9 && turn < 1)) throw new BadFrame("not a keyframe");
    const topology = this.topology;
    if (!topology || topology.version !== view.getUint16(12, true)) return null;
    if (topology.bodies.filter((body) => body.kind !== "static").length !== view.getUint16(14, true)) {
      throw new BadFrame("a keyframe of other bodies than its topology");
    }
    return new Chain(topology, view.getUint8(16), view.getUint32(4, true), view.getUint32(8, true) - 1, step, turn);
  }
}

function outOfRange(): BadFrame {
  return new BadFrame("a delta frame has a number that is out of range");
}

/** The length of a number in bits, at most `most`. */
function lengthOf(number: number, most: number): number {
  return Math.min(32 - Math.clz32(number), most);
}

/** How often a number must be halved to be below 1, at most `most`. */
function halvings(size: number, most: number): number {
  let count = 0;
  for (; size >= 1 && count < most; count++) size *= 0.5;
  return count;
}

/** Turn a rotation by modified Rodrigues parameters: the axis times the tangent of a quarter of the angle. */
function turnBy(q: Float64Array, rx: number, ry: number, rz: number): void {
  const k = 1 / (1 + (rx * rx + ry * ry + rz * rz));
  const w = (1 - (rx * rx + ry * ry + rz * rz)) * k;
  const [x, y, z] = [2 * rx * k, 2 * ry * k, 2 * rz * k];
  const [a, b, c, d] = [q[0]!, q[1]!, q[2]!, q[3]!];
  q[0] = w * a - x * b - y * c - z * d;
  q[1] = w * b + x * a + y * d - z * c;
  q[2] = w * c - x * d + y * a + z * b;
  q[3] = w * d + x * c - y * b + z * a;
}

/** The modified Rodrigues parameters of the turn from the rotation at F[o] to `to`. */
function difference(to: Float64Array, F: Float64Array, o: number, out: Float64Array): void {
  const [a, b, c, d] = [F[o]!, F[o + 1]!, F[o + 2]!, F[o + 3]!];
  const [e, f, g, h] = [to[0]!, to[1]!, to[2]!, to[3]!];
  let w = e * a + f * b + g * c + h * d;
  let x = f * a - e * b - g * d + h * c;
  let y = g * a - e * c - h * b + f * d;
  let z = h * a - e * d - f * c + g * b;
  if (w < 0) [w, x, y, z] = [-w, -x, -y, -z];
  const k = 1 / (1 + w);
  out[0] = x * k;
  out[1] = y * k;
  out[2] = z * k;
}
