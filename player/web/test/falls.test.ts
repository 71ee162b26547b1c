import { describe, expect, it } from "vitest";
import { FALL_S, Falls } from "../src/stage/falls";

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
