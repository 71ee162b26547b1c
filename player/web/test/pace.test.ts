import { describe, expect, it } from "vitest";
import { Pace } from "../src/stage/pace";

/** Draw for a while at a rate, and return how often the pace was called slow. */
function draw(pace: Pace, rate: number, seconds: number, plain: boolean): number {
  let slow = 0;
  for (let i = 0; i < seconds * rate; i++) if (pace.slow(1 / rate, plain)) slow++;
  return slow;
}

describe("the pace of a stage", () => {
  it("is slow after two seconds below 45 frames a second, or below 25 in a plain tier", () => {
    expect(draw(new Pace(), 50, 10, false)).toBe(0);
    expect(draw(new Pace(), 40, 1.9, false)).toBe(0);
    expect(draw(new Pace(), 40, 2.2, false)).toBe(1);
    expect(draw(new Pace(), 30, 10, true)).toBe(0);
    expect(draw(new Pace(), 20, 2.2, true)).toBe(1);
  });

  it("does not count rests", () => {
    const pace = new Pace();
    for (let i = 0; i < 20; i++) {
      expect(draw(pace, 60, 0.5, false)).toBe(0);
      pace.rest();
      expect(pace.slow(30, false)).toBe(false);
    }
    expect(pace.fps).toBeCloseTo(60, 3);
  });

  it("counts a frame of many seconds while something moves", () => {
    const pace = new Pace();
    pace.slow(0, true);
    expect(pace.slow(5, true)).toBe(true);
    expect(pace.fps).toBeCloseTo(0.2, 6);
  });
});
