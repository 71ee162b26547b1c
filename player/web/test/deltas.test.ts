import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DeltaDecoder } from "../src/wire/deltas";
import { BadFrame, decodeTopology } from "../src/wire/frames";
import { LossyDecoder } from "../src/wire/lossydeltas";

interface Case {
  data: string;
  tick: number;
  epoch: number;
  version: number;
  keyframe: boolean;
  level: number | null;
  contacts: number;
  acks: number[];
  active: boolean[];
  rows: (number | null)[];
}
interface Vectors {
  topology: string;
  frames: Case[];
  broken: { name: string; after: number; data: string }[];
  channel: (Omit<Case, "tick"> & { tick: number | null; kept: number })[];
}

const vectors = JSON.parse(readFileSync(new URL("../../../lobby/wire/vectors/deltas.json", import.meta.url), "utf8")) as Vectors;
const bytes = (text: string): ArrayBuffer => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

function fresh(): DeltaDecoder {
  const decoder = new DeltaDecoder();
  decoder.setTopology(decodeTopology(bytes(vectors.topology)));
  return decoder;
}

describe("the chain that Python wrote", () => {
  it("shows what Python shows", () => {
    const decoder = fresh();
    for (const one of vectors.frames) {
      const frame = decoder.decode(bytes(one.data))!;
      expect([frame.tick, frame.epoch, frame.version, frame.keyframe]).toEqual([one.tick, one.epoch, one.version, one.keyframe]);
      expect(Number.isFinite(frame.minDistance) ? frame.minDistance : null).toEqual(one.level === null ? null : expect.closeTo(one.level, 8));
      expect([frame.contacts, frame.acks, frame.active, frame.rowCounts]).toEqual([one.contacts, one.acks, one.active, [4, 4, 8]]);
      expect(frame.rows.length).toBe(one.rows.length);
      one.rows.forEach((value, i) => {
        if (value === null) expect(frame.rows[i]).toBeNaN();
        else expect(Math.abs(frame.rows[i]! - value)).toBeLessThan(1e-6);
      });
    }
  });

  it.each(vectors.broken.map((one) => [one.name, one] as const))("refuses: %s", (_, one) => {
    const decoder = fresh();
    for (const good of vectors.frames.slice(0, one.after)) decoder.decode(bytes(good.data));
    expect(() => decoder.decode(bytes(one.data))).toThrow(BadFrame);
    expect(decoder.decode(bytes(vectors.frames[0]!.data))).not.toBeNull();
  });

  it("waits for a keyframe after a gap", () => {
    const decoder = fresh();
    decoder.decode(bytes(vectors.frames[0]!.data));
    expect(decoder.decode(bytes(vectors.frames[2]!.data))).toBeNull();
    expect(decoder.waiting).toBe(true);
    const key = vectors.frames.findIndex((one, i) => i > 0 && one.keyframe);
    expect(decoder.decode(bytes(vectors.frames[key]!.data))!.tick).toBe(vectors.frames[key]!.tick);
  });

  it("shows, ignores or refuses any bytes", () => {
    let seed = 5;
    const random = (below: number): number => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) % below;
    const decoder = fresh();
    let shown = 0;
    let next = 1;
    for (let i = 0; i < 5000; i++) {
      if (decoder.waiting) {
        decoder.decode(bytes(vectors.frames[0]!.data));
        next = 1;
      }
      const data = new Uint8Array(bytes(vectors.frames[random(vectors.frames.length)]!.data));
      data[1] = new Uint8Array(bytes(vectors.frames[0]!.data))[1]!;
      if (data[0] === 3) data[1] += next;
      for (let k = random(4); k > 0; k--) data[2 + random(data.length - 2)] = random(256);
      const cut = random(5) ? data : data.slice(0, random(data.length));
      try {
        const frame = decoder.decode(cut.buffer);
        if (frame) {
          shown++;
          next = frame.keyframe ? 1 : (next + 1) % 32;
          expect(frame.rows.every((value) => Number.isFinite(value) || Number.isNaN(value))).toBe(true);
        }
      } catch (error) {
        expect(error).toBeInstanceOf(BadFrame);
      }
    }
    expect(shown).toBeGreaterThan(100);
  });
});

describe("the frames of a data channel that Python wrote", () => {
  const decoder = (): LossyDecoder => {
    const made = new LossyDecoder();
    made.setTopology(decodeTopology(bytes(vectors.topology)));
    return made;
  };

  it("show what Python shows, with losses and late ones", () => {
    const lossy = decoder();
    for (const one of vectors.channel) {
      const frame = lossy.decode(bytes(one.data));
      expect([frame?.tick ?? null, lossy.kept]).toEqual([one.tick, one.kept]);
      if (!frame) continue;
      expect([frame.epoch, frame.keyframe, frame.contacts, frame.acks, frame.active]).toEqual([one.epoch, one.keyframe, one.contacts, one.acks, one.active]);
      one.rows.forEach((value, i) => {
        if (value === null) expect(frame.rows[i]).toBeNaN();
        else expect(Math.abs(frame.rows[i]! - value)).toBeLessThan(1e-6);
      });
    }
  });

  it("change nothing where they are damaged", () => {
    const lossy = decoder();
    const [key, next] = [bytes(vectors.channel[0]!.data), bytes(vectors.channel[1]!.data)];
    lossy.decode(key);
    const shown = lossy.decode(next)!.rows;
    for (const bad of [[5], [5, 0, 0, 1, 0], [7, 1, 0], [6, 0, ...new Uint8Array(key).slice(2)], [...new Uint8Array(next), ...Array<number>(9).fill(1)]]) {
      expect(() => lossy.decode(Uint8Array.from(bad).buffer)).toThrow(BadFrame);
    }
    expect(lossy.decode(next)!.rows).toEqual(shown);
  });
});
