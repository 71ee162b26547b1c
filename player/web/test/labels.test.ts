import { describe, expect, it } from "vitest";
import { clearOf, inside, nextTo } from "../src/stage/labels";

const box = { x: 100, y: 100, width: 80, height: 24 };

describe("a label", () => {
  it("stays where nothing is in the way", () => {
    expect(clearOf(box, 1, [{ x: 100, y: 160, radius: 30 }], [{ x: 190, y: 100, width: 80, height: 24 }])).toBe(box);
  });

  it("moves below bodies and other labels, one after the other", () => {
    const clear = clearOf(box, 1, [{ x: 110, y: 95, radius: 30 }], [{ x: 120, y: 145, width: 80, height: 24 }]);
    expect(clear.x).toBe(100);
    expect(clear.y - 12).toBeGreaterThan(145 + 12);
    expect(clear.y).toBeLessThan(190);
  });

  it("moves above them when it is a pin", () => {
    const clear = clearOf(box, -1, [{ x: 130, y: 105, radius: 30 }], []);
    expect(clear.y + 12).toBeLessThan(75);
  });

  it("stays where there is no free place", () => {
    const wall = Array.from({ length: 40 }, (_, i) => ({ x: 100, y: 60 + 20 * i, radius: 15 }));
    expect(clearOf(box, 1, wall, [])).toBe(box);
  });
});

describe("a label in a stage", () => {
  const stage = { width: 500, height: 300 };

  it("is moved to where nothing of it is cut off, on each side", () => {
    for (const [x, y] of [[10, 150], [495, 150], [250, -40], [250, 310], [-200, 900]] as const) {
      const { x: at, y: high } = inside({ ...box, x, y }, stage);
      expect([at - 40 >= 0, at + 40 <= 500, high - 12 >= 0, high + 12 <= 300]).toEqual([true, true, true, true]);
    }
  });

  it("stays where all of it is seen", () => {
    expect(inside(box, stage)).toBe(box);
  });
});

describe("the label of a body", () => {
  const stage = { width: 500, height: 400 };
  const size = { width: 80, height: 24 };
  const body = { x: 250, y: 200, radius: 40 };

  it("is above it", () => {
    expect(nextTo(body, size, [], [], stage)).toEqual({ box: { ...size, x: 250, y: 148 }, side: "above" });
  });

  it("is above it wherever it is, to the last digit", () => {
    for (let i = 0; i < 500; i++) {
      const at = { x: 200 + i / 7, y: 150 + i / 11, radius: 20 + i / 13 };
      expect(nextTo(at, size, [], [], stage).side).toBe("above");
    }
  });

  it("stays above it where the free place is a little further away", () => {
    const { box, side } = nextTo(body, size, [], [{ ...size, x: 220, y: 165 }], stage);
    expect(side).toBe("above");
    expect(box.y + 12).toBeLessThan(153);
  });

  it("is not above the body that lies over it, which it would seem to name", () => {
    const { box, side } = nextTo(body, size, [{ x: 240, y: 120, radius: 36 }], [], stage);
    expect(side).toBe("below");
    expect(box.y - 12).toBeGreaterThanOrEqual(240);
  });

  it("is beside it between two bodies, and covers neither body nor label", () => {
    const others = [{ x: 250, y: 110, radius: 45 }, { x: 250, y: 290, radius: 45 }];
    expect(nextTo(body, size, others, [], stage)).toEqual({ box: { ...size, x: 330, y: 200 }, side: "beside" });
    expect(nextTo(body, size, others, [{ ...size, x: 350, y: 210 }], stage)).toEqual({ box: { ...size, x: 170, y: 200 }, side: "beside" });
  });

  it("is in the stage, and not over its body, at the rim", () => {
    for (const [x, y] of [[250, 30], [20, 30], [480, 390]] as const) {
      const { box } = nextTo({ ...body, x, y }, size, [], [], stage);
      expect(inside(box, stage)).toBe(box);
      expect(Math.abs(box.y - y) >= 12 + 37 || Math.abs(box.x - x) >= 40 + 37).toBe(true);
    }
  });
});
