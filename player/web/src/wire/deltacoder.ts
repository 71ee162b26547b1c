// The range decoder of delta frames with its adaptive probabilities; docs/protocol.md has every step,
// lobby/wire/delta_coder.py the same program in Python. It must never know what the numbers mean.

import { BadFrame } from "./frames";

export const SLOTS = 66;
export const BY_SIZE = 64;
export const BY_SPEED = BY_SIZE + 117 * SLOTS;
export const BY_GAP = BY_SPEED + 144 * SLOTS;
export const BY_SUM = BY_GAP + 108 * SLOTS;
export const BY_SIZES = BY_SUM + 192 * SLOTS;
export const BY_NEIGHBOUR = BY_SIZES + 64 * SLOTS;
export const NUMBERS = BY_NEIGHBOUR + 24 * SLOTS;
const CONTEXTS = NUMBERS + 6 * SLOTS;
const LIMIT = 60;
const RATES = Int32Array.from({ length: LIMIT + 1 }, (_, n) => Math.floor((65536 * 5) / (5 * n + 8)));
const EVEN = 32768;
/** First probabilities of a residual's first bits, ten for each length of the mean residual. */
const FIRST_CHANCES = Int32Array.of(
  184, 136, 90, 80, 75, 85, 90, 110, 150, 170,
  176, 186, 120, 70, 75, 85, 110, 130, 150, 170,
  150, 182, 130, 90, 75, 90, 110, 130, 150, 170,
  129, 182, 170, 85, 80, 95, 110, 130, 150, 170,
  93, 161, 166, 109, 105, 125, 130, 140, 150, 170,
  67, 118, 171, 147, 120, 120, 140, 150, 150, 170,
  49, 83, 134, 150, 135, 150, 160, 150, 150, 170,
  37, 56, 86, 134, 155, 155, 163, 165, 160, 170,
  21, 34, 60, 92, 146, 165, 165, 180, 180, 180,
  15, 24, 41, 69, 99, 139, 175, 189, 190, 190,
  14, 25, 29, 40, 65, 109, 160, 175, 200, 190,
  12, 17, 18, 41, 45, 77, 102, 166, 210, 192,
  40, 7, 12, 12, 14, 26, 38, 46, 62, 64,
).map((chance) => 256 * chance);

/** The range decoder with its adaptive probabilities. */
export class Coder {
  private readonly p: Uint32Array<ArrayBuffer>;
  private readonly n: Uint8Array<ArrayBuffer>;
  private readonly learns: boolean;
  private data = new Uint8Array(0);
  private at = 0;
  private code = 0;
  private range = 0;

  /** learns: whether the model changes. */
  constructor(p = new Uint32Array(CONTEXTS).fill(32768), n = new Uint8Array(CONTEXTS), learns = true) {
    this.p = p;
    this.n = n;
    this.learns = learns;
  }

  /** A decoder that goes on from this model; without `learns` it shares the model, and does not change it. */
  copy(learns: boolean): Coder {
    return learns ? new Coder(this.p.slice(), this.n.slice()) : new Coder(this.p, this.n, false);
  }

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

  /** A bit with the mean of four contexts. `first`: the probability of one that has learnt nothing. */
  private bitInFour(a: number, b: number, c: number, d: number, first: number): 0 | 1 {
    const { p, n } = this;
    const mean = ((n[a] ? p[a]! : first) + (n[b] ? p[b]! : first) + (n[c] ? p[c]! : first) + (n[d] ? p[d]! : first)) >>> 2;
    const bit = this.divide((this.range >>> 16) * mean);
    this.learnFrom(a, first, bit);
    this.learnFrom(b, first, bit);
    this.learnFrom(c, first, bit);
    this.learnFrom(d, first, bit);
    return bit;
  }

  private learnFrom(context: number, first: number, bit: 0 | 1): void {
    if (this.learns && !this.n[context]) {
      this.p[context] = first;
      this.n[context] = 1;
    }
    this.learn(context, bit);
  }

  /** `number` with four sets, and the first probabilities of a row. */
  numberInFour(a: number, b: number, c: number, d: number, row: number): number {
    const first = 10 * row;
    if (!this.bitInFour(a, b, c, d, FIRST_CHANCES[first]!)) return 0;
    const negative = this.bitInFour(a + 1, b + 1, c + 1, d + 1, EVEN);
    let length = 0;
    for (;;) {
      const slot = 2 + Math.min(length, 15);
      if (!this.bitInFour(a + slot, b + slot, c + slot, d + slot, FIRST_CHANCES[first + 1 + Math.min(length, 8)]!)) break;
      if (++length > 30) throw outOfRange();
    }
    const top = Math.min(length, 15);
    let found = 1;
    for (let place = length - 1; place >= 0; place--) {
      let bit: 0 | 1;
      if (place >= length - 2) {
        const slot = place === length - 1 ? 18 + top : 34 + 2 * top + (found & 1);
        bit = this.bitInFour(a + slot, b + slot, c + slot, d + slot, EVEN);
      } else bit = this.divide(this.range >>> 1);
      found = 2 * found + bit;
    }
    return negative ? -found : found;
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
    if (!this.learns) return;
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

export function outOfRange(): BadFrame {
  return new BadFrame("a delta frame has a number that is out of range");
}
