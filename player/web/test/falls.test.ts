import { describe, expect, it } from "vitest";
import { FALL_S, Falls, reaching, sunk } from "../src/stage/falls";

const pose = (x: number, y: number): Float32Array => Float32Array.from([x, y, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]);

describe("a body that goes over the rim", () => {
  it("falls on with the speed that it had, and is gone after that", () => {
    const falls = new Falls();
    falls.track(pose(1.8, 0), [true], 0);
    falls.track(pose(1.9, -0.1), [true], 0.05);
    expect(falls.out(0, true, 0.06)).toEqual([expect.closeTo(1.9, 5), 0, 0]);
    const rows = new Float32Array(12);
    const active = [false];
    expect(falls.fall(rows, active, 0.06 + 0.5)).toBe(true);
    expect(active).toEqual([true]);
    expect(rows[0]).toBeCloseTo(1.9 + 2 * 0.5, 4);
    expect(rows[1]).toBeCloseTo(-0.1 - 2 * 0.5 - 0.5 * 9.81 * 0.25, 4);
    expect(falls.fall(rows, active, 0.06 + FALL_S)).toBe(false);
    expect(active).toEqual([false]);
    expect(falls.placeOf(0)![0]).toBeCloseTo(1.9, 5);
  });

  it("is seen to tip once, where it is below the mat and not yet out", () => {
    const falls = new Falls();
    const seen = [0.2, 0.05, -0.1, -0.4].map((y, i) => {
      falls.track(pose(1.5 + 0.1 * i, y), [true], i / 60);
      return falls.tips(0);
    });
    expect(seen).toEqual([null, null, [expect.closeTo(1.7, 5), expect.closeTo(-0.1, 5), 0], null]);
    falls.track(pose(0, 0.2), [true], 1);
    expect(falls.tips(0)).toBeNull();
    falls.track(pose(0, -0.2), [true], 1.1);
    expect(falls.tips(0)).not.toBeNull();
    expect(falls.tips(1)).toBeNull();
  });

  it("falls on in the very frame that no longer has it, before its event comes", () => {
    const falls = new Falls();
    falls.track(pose(1.9, -0.4), [true], 0);
    falls.track(pose(2, -0.6), [true], 0.05);
    falls.track(pose(0, 0), [false], 0.07);
    const rows = new Float32Array(12);
    const active = [false];
    expect(falls.fall(rows, active, 0.07)).toBe(true);
    expect(active).toEqual([true]);
    expect(rows[0]).toBeCloseTo(2 + 2 * 0.02, 4);
    expect(falls.out(0, true, 0.2)![0]).toBeCloseTo(2, 5);
    falls.fall(rows, active, 0.2);
    expect(rows[0]).toBeCloseTo(2 + 2 * 0.15, 4);
  });

  it("does not fall on where it was on the mat when the world lost it", () => {
    const falls = new Falls();
    falls.track(pose(0, 0.2), [true], 0);
    falls.track(pose(0, 0), [false], 0.05);
    expect(falls.fall(new Float32Array(12), [false], 0.05)).toBe(false);
  });

  it("keeps its place while parts of the mat come as bodies, and loses it with another world", () => {
    const falls = new Falls();
    falls.track(pose(1.9, -0.1), [true], 0);
    falls.out(0, true, 0.1);
    falls.goOn([{ id: "a" }], [{ id: "a" }, { id: "slab" }]);
    expect(falls.placeOf(0)![0]).toBeCloseTo(1.9, 5);
    falls.goOn([{ id: "a" }, { id: "slab" }], [{ id: "b" }]);
    expect(falls.placeOf(0)).toBeNull();
  });

  it("is on the mat while its last blow is shown again, and has its place after that", () => {
    const falls = new Falls();
    falls.track(pose(1.9, -0.4), [true], 0);
    falls.out(0, true, 0.1);
    falls.again();
    const [rows, active] = [pose(1, 0.2), [true]];
    falls.track(rows, active, 0.2, true);
    expect(falls.fall(rows, active, 0.2)).toBe(false);
    expect([active[0], rows[0]]).toEqual([true, 1]);
    falls.track(pose(0, 0), [false], 3);
    expect(falls.placeOf(0)![0]).toBeCloseTo(1.9, 5);
  });

  it("is not tracked while it falls, and a missing frame does not throw it", () => {
    const falls = new Falls();
    falls.track(pose(0, 0), [true], 0);
    falls.track(pose(3, 0), [true], 0.01);
    falls.out(0, true, 0.02);
    falls.track(pose(50, 0), [true], 0.03);
    const rows = new Float32Array(12);
    falls.fall(rows, [false], 0.12);
    expect(rows[0]).toBeCloseTo(3 + 8 * 0.1, 4);
  });
});

describe("a broken body", () => {
  it("keeps its place, until it is on the mat again", () => {
    const falls = new Falls();
    falls.track(pose(0.5, 0.2), [true], 0);
    falls.out(0, false, 0.1);
    expect(falls.placeOf(0)![0]).toBeCloseTo(0.5, 5);
    expect(falls.fall(new Float32Array(12), [false], 0.2)).toBe(false);
    falls.track(pose(0, 0), [true], 1);
    expect(falls.placeOf(0)).toBeNull();
  });

  it("that was never seen has no place", () => {
    expect(new Falls().out(0, false, 0)).toBeNull();
  });
});

it("a body is drawn smaller from above the deeper it has fallen, and as it is on the mat", () => {
  const sizes = [0.5, 0, -0.5, -2, -8].map(sunk);
  expect(sizes.slice(0, 2)).toEqual([1, 1]);
  for (const [i, size] of sizes.slice(1).entries()) expect(size).toBeLessThanOrEqual(sizes[i]!);
  expect(sizes.at(-1)).toBeGreaterThan(0);
  expect(sizes.at(-1)).toBeLessThan(0.4);
});

it("a picture moves to a point beyond it, on that side, and not too far", () => {
  const moves = [0, 1.9, -1.9, 2.5, -2.5, 9, -9].map((at) => reaching(at, 2, 1));
  expect(moves.map((by) => by + 0)).toEqual([0, 0, 0, 0.5, -0.5, 1, -1]);
});
