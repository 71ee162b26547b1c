import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BadFrame, decodeFrame, decodeTopology } from "../src/wire/frames";

interface FrameCase {
  name: string;
  data: string;
  tick: number;
  epoch: number;
  version: number;
  min_distance: number | null;
  contacts: number;
  acks: number[];
  active: boolean[];
  row_counts: number[] | null;
  sent: number[];
}
interface TopologyCase {
  name: string;
  data: string;
  version: number;
  bodies: { id: string; kind: string; seat: number | null; body: string; vertices: number[]; faces: number[] }[];
}
interface Vectors {
  frames: FrameCase[];
  topologies: TopologyCase[];
  broken: { name: string; data: string }[];
}

const vectors = JSON.parse(readFileSync(new URL("../../../lobby/wire/vectors/frames.json", import.meta.url), "utf8")) as Vectors;

const bytes = (text: string): ArrayBuffer => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

describe("the vectors that Python wrote", () => {
  it.each(vectors.frames.map((one) => [one.name, one] as const))("frame: %s", (_, one) => {
    const frame = decodeFrame(bytes(one.data));
    expect(frame.tick).toBe(one.tick);
    expect(frame.epoch).toBe(one.epoch);
    expect(frame.version).toBe(one.version);
    expect(frame.minDistance).toBe(one.min_distance ?? Infinity);
    expect(frame.contacts).toBe(one.contacts);
    expect(frame.acks).toEqual(one.acks);
    expect(frame.active).toEqual(one.active);
    expect(frame.rowCounts).toEqual(one.row_counts);
    expect([...frame.rows].filter((value) => !Number.isNaN(value))).toEqual(one.sent);
  });

  it.each(vectors.topologies.map((one) => [one.name, one] as const))("topology: %s", (_, one) => {
    const topology = decodeTopology(bytes(one.data));
    expect(topology.version).toBe(one.version);
    expect(topology.bodies.map((body) => ({ ...body, vertices: [...body.vertices], faces: [...body.faces] }))).toEqual(one.bodies);
  });

  it.each(vectors.broken.map((one) => [one.name, one] as const))("refuses: %s", (_, one) => {
    expect(() => decodeFrame(bytes(one.data))).toThrow(BadFrame);
  });
});
