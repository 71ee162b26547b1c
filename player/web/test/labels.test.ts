import { describe, expect, it } from "vitest";
import { clearOf } from "../src/stage/labels";

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
