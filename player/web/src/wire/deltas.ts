// Decodes delta frames; docs/protocol.md has the layout and every step, lobby/wire/delta_kernel.py the same program in
// Python. Both decode lobby/wire/vectors/deltas.json. All numbers are exact: integers below 2^53, and floats with + - * /.
// It must never import a mode or a renderer.

import { BY_GAP, BY_NEIGHBOUR, BY_SIZE, BY_SIZES, BY_SPEED, BY_SUM, Coder, NUMBERS, SLOTS, outOfRange } from "./deltacoder";
import { BadFrame } from "./frames";
import type { Frame, Topology } from "./frames";

export const DELTA = 3;
export const KEYFRAME = 4;

const HEAD = 2;
export const KEY_HEAD = 24;
/** Frames of a chain are numbered modulo this. */
const NUMBERED = 32;

const FLOATS = 45;
const INTS = 17;
const KEPT = 0.8;
const FURTHEST = 1e6;
const LONGEST_GAP = 2 ** 24;
const LAST_TICK = 2 ** 32 - 1;
/** The first level of a distance [m], and levels in an octave. */
const NEAR = 1e-7;
const LEVELS = 8;

/** Whether a delta frame begins a chain. */
export function isKeyframe(data: ArrayBuffer): boolean {
  return data.byteLength > 0 && new DataView(data).getUint8(0) === KEYFRAME;
}

/** The state of a chain: what the next frame is the difference from. */
export class Chain {
  readonly coder: Coder;
  /** First vertex and number of vertices of each body; 0 of an affine one. */
  readonly spans: readonly (readonly [number, number])[];
  readonly floats: Float64Array;
  readonly ints: Int32Array;
  /** Of each coordinate of a vertex: displacement in steps, its last change, mean size of the residuals. */
  readonly shape: Int32Array;
  readonly rest: Float64Array;
  acks: number[] = [];
  level = 0;
  contacts = 0;
  still: 0 | 1 = 0;
  private gap = 1;
  /** Of the pose that is decoded: its predictions, four of each coordinate or axis; its rotation and place; spare. */
  private readonly guesses = new Float64Array(12);
  private readonly turned = new Float64Array(4);
  private readonly reached = new Float64Array(3);
  private readonly spin = new Float64Array(3);
  private readonly spare = new Float64Array(3);
  private size = 0;
  private total = 0;

  readonly epoch: number;
  readonly topology: Topology;
  tick = 0;
  private readonly step: number;
  private readonly turn: number;

  constructor(from: Chain | null, topology: Topology, epoch: number, step: number, turn: number, learns = true) {
    this.epoch = epoch;
    this.step = step;
    this.turn = turn;
    this.topology = topology;
    if (from) {
      this.coder = from.coder.copy(learns);
      this.spans = from.spans;
      this.rest = from.rest;
      this.floats = from.floats.slice();
      this.ints = from.ints.slice();
      this.shape = from.shape.slice();
      this.acks = [...from.acks];
      Object.assign(this, { level: from.level, contacts: from.contacts, still: from.still, gap: from.gap, tick: from.tick });
      return;
    }
    this.coder = new Coder();
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
  }

  /** The chain that a keyframe begins; null if its topology is not there. Throws BadFrame. */
  static begin(view: DataView, topology: Topology | null): Chain | null {
    if (view.byteLength < KEY_HEAD) throw new BadFrame("a keyframe is shorter than its header");
    const step = view.getFloat32(16, true);
    const turn = view.getFloat32(20, true);
    if (view.getUint8(15) || !(step > 1e-9 && step < 1e3 && turn > 1e-9 && turn < 1)) throw new BadFrame("not a keyframe");
    if (!topology || topology.version !== view.getUint16(2, true)) return null;
    if (topology.bodies.filter((body) => body.kind !== "static").length !== view.getUint16(12, true)) {
      throw new BadFrame("a keyframe of other bodies than its topology");
    }
    const chain = new Chain(null, topology, view.getUint32(4, true), step, turn);
    chain.tick = view.getUint32(8, true) - 1;
    chain.acks = new Array<number>(view.getUint8(14)).fill(0);
    return chain;
  }

  /** A chain that goes on from here; without `learns` it shares the model, and does not change it. */
  copy(learns: boolean): Chain {
    return new Chain(this, this.topology, this.epoch, this.step, this.turn, learns);
  }

  /** Take the state to the frame of a payload. Throws BadFrame; the chain must not be used after that. */
  read(payload: Uint8Array<ArrayBuffer>): void {
    this.coder.begin(payload);
    this.next();
    this.coder.end();
  }

  /** The same, of a payload that may have the frame before it too. */
  readKept(payload: Uint8Array<ArrayBuffer>): void {
    this.coder.begin(payload);
    if (this.coder.bit(24)) this.next();
    this.next();
    this.coder.end();
  }

  /** What the chain shows. */
  frame(keyframe: boolean): Frame {
    const counts = this.spans.map(([, count]) => count);
    return {
      tick: this.tick,
      epoch: this.epoch,
      version: this.topology.version,
      minDistance: this.level ? NEAR * 2 ** ((this.level - 1) / LEVELS) : Infinity,
      contacts: this.contacts,
      acks: [...this.acks],
      active: this.spans.map((_, body) => this.ints[INTS * body] === 1),
      rowCounts: counts.some((count) => count > 0) ? counts.map((count) => count || 4) : null,
      rows: this.rows(),
      keyframe,
      still: this.still === 1,
    };
  }

  private next(): void {
    const { coder, ints, spans } = this;
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
      const moves = !this.still && ints[at] === 1 && (came || coder.bit(8 + 3 * this.pace(o, at) + Math.min(busy, 2)));
      if (!moves) {
        this.rests(o, at);
        this.hold(first, count);
        continue;
      }
      busy += this.pose(o, at);
      if (came) this.forget(o, at, 64);
      ints[at + 1] = 1;
      if (count > 0) {
        ints[at + 16] = coder.bit(20 + ints[at + 16]!);
        if (ints[at + 16]) this.vertices(at, first, count);
        else this.hold(first, count);
      }
    }
  }

  /** How fast a body moved: 0 not, 1 less than 2 steps a frame, 2 less than 6, 3 more. */
  private pace(o: number, at: number): number {
    if (!this.ints[at + 1]) return 0;
    const { floats: F, gap, step, turn } = this;
    const place = Math.abs(F[o + 3]!) + Math.abs(F[o + 4]!) + Math.abs(F[o + 5]!);
    const spin = Math.abs(F[o + 13]!) + Math.abs(F[o + 14]!) + Math.abs(F[o + 15]!);
    const speed = (place * gap) / step + (spin * gap) / turn;
    return speed < 2 ? 1 : speed < 6 ? 2 : 3;
  }

  /** A residual in steps. speed: in steps a frame; apart: the second best prediction less the one that is used. */
  private residual(at: number, k: number, speed: number, apart: number): number {
    const ints = this.ints;
    const family = k > 2 ? 2 : k === 1 ? 1 : 0;
    const length = lengthOf(ints[at + 2 + k]!, 12);
    const group = k < 3 ? at + 2 : at + 5;
    const mean = lengthOf(ints[group]! + ints[group + 1]! + ints[group + 2]!, 11);
    const whole = mean < 4 ? 0 : mean < 6 ? 1 : mean - 4;
    const gap = Math.abs(apart);
    const near = gap < 0.25 ? 0 : gap < 0.75 ? 1 : gap < 1.5 ? 2 : gap < 4 ? 3 : 4;
    const rough = length < 4 ? 0 : length < 6 ? 1 : length < 8 ? 2 : 3;
    const value = this.coder.numberInFour(
      BY_SIZE + ((family * 13 + length) * 3 + this.size) * SLOTS,
      BY_SPEED + ((k * 3 + ints[at + 8 + k]!) * 8 + halvings(Math.abs(speed), 7)) * SLOTS,
      BY_GAP + ((family * 9 + (apart < 0 ? 4 - near : 4 + near)) * 4 + rough) * SLOTS,
      BY_SUM + ((family * 8 + whole) * 8 + lengthOf(this.total, 7)) * SLOTS,
      length,
    );
    const found = Math.min(Math.abs(value), 4095);
    ints[at + 2 + k] = (ints[at + 2 + k]! + 16 * found) >> 1;
    ints[at + 8 + k] = value === 0 ? 0 : value > 0 ? 1 : 2;
    if (found > 0 && this.size === 0) this.size = 1;
    if (found >= 4) this.size = 2;
    this.total += found;
    return value;
  }

  /** The pose of a body that moves. Returns 1 if a residual was large. */
  private pose(o: number, at: number): 0 | 1 {
    const { floats: F, gap, step, turned, reached, spin } = this;
    const mean = (F[o + 19]! + gap) * 0.5;
    this.size = this.total = 0;
    this.rotation(o, at);
    this.guessPlace(o, mean);
    this.place(o, at);
    this.slowDown(o, mean);
    this.score(reached, o + 20, step);
    for (let k = 0; k < 3; k++) {
      const velocity = (reached[k]! - F[o + k]!) / gap;
      F[o + 6 + k] = (velocity - F[o + 3 + k]!) / mean;
      F[o + 3 + k] = velocity;
      F[o + k] = reached[k]!;
      const now = spin[k]! / gap;
      F[o + 16 + k] = now - F[o + 13 + k]!;
      F[o + 13 + k] = now;
    }
    for (let k = 0; k < 4; k++) F[o + 9 + k] = turned[k]!;
    F[o + 19] = gap;
    return this.size === 2 ? 1 : 0;
  }

  /** What is left of the spin after a pose, if it goes on fading as it did before: 0 to 1. */
  private fading(o: number): number {
    const F = this.floats;
    let now = 0;
    let before = 0;
    for (let k = 0; k < 3; k++) {
      const last = F[o + 13 + k]! - F[o + 16 + k]!;
      now += F[o + 13 + k]! * last;
      before += last * last;
    }
    if (now >= before) return 1;
    return now <= 0 ? 0 : now / before;
  }

  /** The best of the four predictions of coordinate `k` and the second best, as 4 best + second. Scores of x and z are added. */
  private twoBest(k: number, scores: number): number {
    const F = this.floats;
    let best = 0;
    let second = 0;
    let low = 0;
    let next = 0;
    for (let j = 0; j < 4; j++) {
      const score = k === 1 ? F[scores + 4 + j]! : F[scores + j]! + F[scores + 8 + j]!;
      if (j === 0 || score < low) {
        second = best;
        next = low;
        best = j;
        low = score;
      } else if (j === 1 || score < next) {
        second = j;
        next = score;
      }
    }
    return 4 * best + second;
  }

  /** Add the errors of the predictions to their scores. */
  private score(reached: Float64Array, scores: number, step: number): void {
    const { floats: F, guesses: guess } = this;
    for (let k = 0; k < 3; k++) {
      for (let j = 0; j < 4; j++) {
        const at = scores + 4 * k + j;
        F[at] = F[at]! * KEPT + penalty(Math.abs(reached[k]! - guess[4 * k + j]!) / step);
      }
    }
  }

  /** The new rotation, in `turned`, and how far it turned, in `spin`. Four predictions for each axis: the spin, with its
   * change, fading, no turn. */
  private rotation(o: number, at: number): void {
    const { floats: F, gap, turn, guesses: guess, turned, spin, spare } = this;
    const left = this.fading(o);
    for (let k = 0; k < 3; k++) {
      const now = F[o + 13 + k]!;
      guess[4 * k] = now * gap;
      guess[4 * k + 1] = (now + F[o + 16 + k]!) * gap;
      guess[4 * k + 2] = now * left * gap;
      guess[4 * k + 3] = 0;
      const chosen = this.twoBest(k, o + 32);
      spin[k] = guess[4 * k + (chosen >> 2)]!;
      spare[k] = guess[4 * k + (chosen & 3)]! - spin[k]!;
    }
    for (let k = 0; k < 4; k++) turned[k] = F[o + 9 + k]!;
    turnBy(turned, 0, spin[0]!, spin[1]!, spin[2]!);
    const r0 = this.residual(at, 3, (F[o + 13]! * gap) / turn, spare[0]! / turn) * turn;
    const r1 = this.residual(at, 4, (F[o + 14]! * gap) / turn, spare[1]! / turn) * turn;
    const r2 = this.residual(at, 5, (F[o + 15]! * gap) / turn, spare[2]! / turn) * turn;
    turnBy(turned, 0, r0, r1, r2);
    difference(turned, 0, F, o + 9, spin);
    this.score(spin, o + 32, turn);
  }

  /** Four predictions of each coordinate: straight on, with the acceleration, sliding to a stop, rolling. */
  private guessPlace(o: number, mean: number): void {
    const { floats: F, gap, guesses: guess, spin } = this;
    const way = distanceOf(F[o + 3]!, F[o + 5]!) * gap;
    const slower = F[o + 44]! * gap * mean;
    const left = way > slower ? 1 - slower / way : 0;
    const height = F[o + 1]!;
    for (let k = 0; k < 3; k++) {
      guess[4 * k] = F[o + k]! + F[o + 3 + k]! * gap;
      guess[4 * k + 1] = F[o + k]! + (F[o + 3 + k]! + F[o + 6 + k]! * mean) * gap;
      guess[4 * k + 2] = F[o + k]!;
      guess[4 * k + 3] = guess[4 * k]!;
    }
    guess[2] = F[o]! + F[o + 3]! * gap * left;
    guess[10] = F[o + 2]! + F[o + 5]! * gap * left;
    guess[3] = guess[0]! - 4 * (spin[2]! - F[o + 15]! * gap) * height;
    guess[11] = guess[8]! + 4 * (spin[0]! - F[o + 13]! * gap) * height;
  }

  /** The new place, in `reached`: first the faster one of x and z, then the other one, then y. */
  private place(o: number, at: number): void {
    const { floats: F, gap, step, guesses: guess, reached } = this;
    const first = Math.abs(F[o + 5]!) > Math.abs(F[o + 3]!) ? 2 : 0;
    let jump = 0;
    for (let n = 0; n < 3; n++) {
      const k = n === 0 ? first : n === 1 ? 2 - first : 1;
      const chosen = this.twoBest(k, o + 20);
      let predicted = guess[4 * k + (chosen >> 2)]!;
      if (n === 1 && Math.abs(F[o + 3 + first]!) * gap > 3 * step && Math.abs(jump) > 1.5 * step) {
        predicted += (jump * F[o + 3 + k]!) / F[o + 3 + first]!;
      }
      const value = this.residual(at, k, (F[o + 3 + k]! * gap) / step, (guess[4 * k + (chosen & 3)]! - predicted) / step);
      reached[k] = predicted + value * step;
      if (!(reached[k]! > -FURTHEST && reached[k]! < FURTHEST)) throw outOfRange();
      jump = reached[k]! - predicted;
    }
  }

  /** Learn how fast the body slows down, from a pose in which it slid on in the same direction. */
  private slowDown(o: number, mean: number): void {
    const { floats: F, gap, step, reached } = this;
    const x = (reached[0]! - F[o]!) / gap;
    const z = (reached[2]! - F[o + 2]!) / gap;
    const before = distanceOf(F[o + 3]!, F[o + 5]!);
    const after = distanceOf(x, z);
    if (!(before * gap > 10 * step && after * gap > 3 * step)) return;
    const slower = (before - after) / mean;
    const across = Math.abs(F[o + 3]! * z - F[o + 5]! * x);
    const change = slower * gap * gap;
    if (across < 0.1 * (before * after) && change > 3 * step && change < 60 * step) {
      F[o + 44] = F[o + 44] === 0 ? slower : F[o + 44]! * 0.7 + slower * 0.3;
    }
  }

  /** The body keeps its pose. */
  private rests(o: number, at: number): void {
    const { floats: F, ints } = this;
    F.fill(0, o + 3, o + 9);
    F.fill(0, o + 13, o + 19);
    for (let k = 20; k < 44; k++) F[o + k]! *= 0.5;
    for (let k = 0; k < 6; k++) ints[at + 2 + k]! >>= 1;
    ints[at + 1] = 0;
  }

  /** Forget how the body moved: its place is new. */
  private forget(o: number, at: number, size: number): void {
    const { floats: F, ints } = this;
    this.rests(o, at);
    F[o + 19] = 1;
    F.fill(0, o + 20, o + 44);
    for (let k = 0; k < 6; k++) {
      ints[at + 2 + k] = size;
      ints[at + 8 + k] = 0;
    }
  }

  private vertices(at: number, first: number, count: number): void {
    const { shape: U, ints, coder } = this;
    const second = ints[at + 15]! < ints[at + 14]! ? 1 : 0;
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
    ints[at + 14] = (ints[at + 14]! >> 1) + held;
    ints[at + 15] = (ints[at + 15]! >> 1) + carried;
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
    const kind = view.getUint8(0);
    const at = kind === KEYFRAME ? KEY_HEAD : HEAD;
    if ((kind !== DELTA && kind !== KEYFRAME) || (data.byteLength > at && !view.getUint8(data.byteLength - 1))) {
      throw new BadFrame("not a delta frame");
    }
    let chain = this.chain;
    const id = view.getUint8(1) >> 5;
    const number = view.getUint8(1) % NUMBERED;
    this.chain = null;
    if (kind === KEYFRAME) {
      chain = Chain.begin(view, this.topology);
      if (number) throw new BadFrame("not a keyframe");
      if (!chain) return null;
      this.id = id;
    } else if (!chain || id !== this.id || number !== (this.number + 1) % NUMBERED) {
      // A frame of an older chain, or of one whose keyframe was lost, changes nothing.
      if (chain && id !== this.id) this.chain = chain;
      return null;
    }
    this.number = number;
    chain.read(new Uint8Array(data, at));
    this.chain = chain;
    return chain.frame(kind === KEYFRAME);
  }
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

/** What an error of that many steps adds to a score: about 1 + log2(1 + error). */
function penalty(error: number): number {
  error += 1;
  let count = 0;
  for (; error >= 2 && count < 24; count++) error *= 0.5;
  return count + error;
}

/** The length of (x, z) within a millionth. */
function distanceOf(x: number, z: number): number {
  const [a, b] = [Math.abs(x), Math.abs(z)];
  const [most, least] = a > b ? [a, b] : [b, a];
  if (most === 0) return 0;
  const square = x * x + z * z;
  let length = most + 0.4 * least;
  length = (length + square / length) * 0.5;
  return (length + square / length) * 0.5;
}

/** Turn the rotation at q[i] by modified Rodrigues parameters: the axis times the tangent of a quarter of the angle. */
function turnBy(q: Float64Array, i: number, rx: number, ry: number, rz: number): void {
  const k = 1 / (1 + (rx * rx + ry * ry + rz * rz));
  const w = (1 - (rx * rx + ry * ry + rz * rz)) * k;
  const [x, y, z] = [2 * rx * k, 2 * ry * k, 2 * rz * k];
  const [a, b, c, d] = [q[i]!, q[i + 1]!, q[i + 2]!, q[i + 3]!];
  q[i] = w * a - x * b - y * c - z * d;
  q[i + 1] = w * b + x * a + y * d - z * c;
  q[i + 2] = w * c - x * d + y * a + z * b;
  q[i + 3] = w * d + x * c - y * b + z * a;
}

/** The modified Rodrigues parameters of the turn from the rotation at F[o] to that at T[i]. */
function difference(T: Float64Array, i: number, F: Float64Array, o: number, out: Float64Array): void {
  const [a, b, c, d] = [F[o]!, F[o + 1]!, F[o + 2]!, F[o + 3]!];
  const [e, f, g, h] = [T[i]!, T[i + 1]!, T[i + 2]!, T[i + 3]!];
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
