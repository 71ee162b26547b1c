// Damaged bytes for the decoders of binary messages: 10,000 inputs, or FUZZ_INPUTS. bench/wire/fuzz.py does the same to the
// decoders in Python.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { DeltaDecoder } from "../src/wire/deltas";
import { BadFrame, decodeFrame, decodeTopology } from "../src/wire/frames";
import type { Frame, Topology } from "../src/wire/frames";
import { LossyDecoder } from "../src/wire/lossydeltas";

interface Vectors {
  topology: string;
  frames: { data: string }[];
  channel: { data: string; kept: number }[];
}

const INPUTS = Number(process.env.FUZZ_INPUTS ?? 10_000);
const vectors = JSON.parse(readFileSync(new URL("../../../lobby/wire/vectors/deltas.json", import.meta.url), "utf8")) as Vectors;
const whole = JSON.parse(readFileSync(new URL("../../../lobby/wire/vectors/frames.json", import.meta.url), "utf8")) as { frames: { data: string }[] };
const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const topology = bytes(vectors.topology);

let seed = 7;
const random = (below: number): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % below;
const noise = (length: number): number[] => Array.from({ length }, () => random(65536) >> 8);

/** Bytes like `data`, with one to four changes. */
function damaged(data: Uint8Array, other: Uint8Array): number[] {
  let changed = [...data];
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(changed.length + 1);
    const kind = random(8);
    if (kind < 3 && at < changed.length) changed[at] = kind === 2 ? changed[at]! ^ (1 << random(8)) : random(65536) >> 8;
    else if (kind === 3) changed = changed.slice(0, at);
    else if (kind === 4) changed = [...changed.slice(0, at), ...noise(1 + random(8)), ...changed.slice(at)];
    else if (kind === 5) changed.push(...noise(1 + random(63)));
    else if (kind === 6) changed = [...changed.slice(0, at), ...other.slice(at)];
    else if (kind === 7) changed = [...changed.slice(0, Math.min(at, 24)), ...noise(random(80))];
  }
  return changed;
}

function check(shown: Frame | Topology): void {
  const numbers = "rows" in shown ? [...shown.rows] : shown.bodies.flatMap((body) => [...body.vertices]);
  if (!numbers.every((value) => Number.isFinite(value) || ("rows" in shown && Number.isNaN(value)))) throw new Error("a number is infinite");
}

function run(good: Uint8Array[], decode: (data: ArrayBuffer) => Frame | Topology | null, prepare: (data: number[]) => void = () => {}): Record<string, number> {
  const counts = { shown: 0, ignored: 0, refused: 0 };
  for (let n = 0; n < INPUTS / 4; n++) {
    const data = damaged(good[random(good.length)]!, good[random(good.length)]!);
    prepare(data);
    try {
      const shown = decode(Uint8Array.from(data).buffer);
      counts[shown ? "shown" : "ignored"]++;
      if (shown) check(shown);
    } catch (error) {
      if (!(error instanceof BadFrame)) throw new Error(`${data.join(" ")}: ${String(error)}`);
      counts.refused++;
    }
  }
  return counts;
}

function expectAll(counts: Record<string, number>): void {
  if (process.env.FUZZ_INPUTS) console.log(JSON.stringify(counts));
  expect(counts.shown).toBeGreaterThan(10);
  expect(counts.refused).toBeGreaterThan(100);
}

it("whole frames", () => {
  expectAll(run(whole.frames.map((one) => bytes(one.data)), decodeFrame));
}, 600_000);

it("topologies", () => {
  expectAll(run([topology], decodeTopology));
}, 600_000);

it("chains", () => {
  const decoder = new DeltaDecoder();
  decoder.setTopology(decodeTopology(topology.buffer));
  const good = vectors.frames.map((one) => bytes(one.data));
  const decode = (data: ArrayBuffer): Frame | null => {
    const frame = decoder.decode(data);
    if (frame) next = frame.keyframe ? 1 : (next + 1) % 32;
    return frame;
  };
  let next = 0;
  const counts = run(good, decode, (data) => {
    if (decoder.waiting) decode(good[0]!.slice().buffer);
    if (data.length > 1 && random(10)) data[1] = (good[0]![1]! & 224) | (data[0] === 3 ? next : 0);
  });
  expectAll(counts);
}, 600_000);

it("data channels", () => {
  const decoder = new LossyDecoder();
  decoder.setTopology(decodeTopology(topology.buffer));
  const good = vectors.channel.map((one) => bytes(one.data));
  let reference = 0;
  const decode = (data: ArrayBuffer): Frame | null => {
    const frame = decoder.decode(data);
    if (decoder.kept) reference = decoder.kept;
    return frame;
  };
  const counts = run(good, decode, (data) => {
    if (!reference || !random(50)) decode(good[0]!.slice().buffer);
    if (data.length > 1 && data[0] === 5 && random(10)) data[1] = reference;
  });
  expectAll(counts);
}, 600_000);
