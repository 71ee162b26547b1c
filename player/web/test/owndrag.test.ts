import { describe, expect, it } from "vitest";
import { OwnDrag } from "../src/session/owndrag";

const length = (point: readonly number[]): number => Math.hypot(...point);

describe("OwnDrag", () => {
  it("moves nothing before the hand moves, or without a hand", () => {
    const drag = new OwnDrag();
    expect(drag.offset(0, 1)).toEqual([0, 0, 0]);
    drag.grab("a", [1, 2, 3], 1);
    expect([drag.held, drag.offset(0, 1.1)]).toEqual(["a", [0, 0, 0]]);
  });

  it("shows a drag within 50 ms, long before the server's answer", () => {
    const drag = new OwnDrag();
    drag.grab("a", [0, 1, 0], 0);
    drag.move([0.1, 1, 0]);
    drag.sent(7);
    for (let now = 0; now <= 0.05; now += 1 / 60) drag.offset(6, now);
    expect(drag.offset(6, 0.05)[0]).toBeGreaterThan(0.07);
    expect(drag.offset(6, 0.5)[0]).toBeCloseTo(0.1, 4);
  });

  it("is reconciled by the input ids of the frames: what they include is not added again", () => {
    const drag = new OwnDrag();
    drag.grab("a", [0, 0, 0], 0);
    drag.move([0.1, 0, 0]);
    drag.sent(7);
    drag.move([0.15, 0, 0]);
    drag.sent(8);
    expect(drag.offset(6, 1)[0]).toBeCloseTo(0.15, 4);
    expect(drag.offset(7, 2)[0]).toBeCloseTo(0.05, 4);
    expect(length(drag.offset(8, 3))).toBeLessThan(1e-4);
  });

  it("never draws a body further than 0.3 m from where the server has it", () => {
    const drag = new OwnDrag();
    drag.grab("a", [0, 0, 0], 0);
    drag.move([3, 4, 0]);
    const [x, y] = drag.offset(0, 10);
    expect([x, y]).toEqual([expect.closeTo(0.18, 3), expect.closeTo(0.24, 3)]);
  });

  it("fades after the release, also if no frame comes any more", () => {
    const drag = new OwnDrag();
    drag.grab("a", [0, 0, 0], 0);
    drag.move([0.2, 0, 0]);
    drag.offset(0, 1);
    drag.release(1);
    drag.move([9, 9, 9]);
    const lengths = [1.1, 1.2, 1.3, 1.6].map((now) => length(drag.offset(0, now)));
    for (let i = 1; i < lengths.length; i++) expect(lengths[i]!).toBeLessThan(lengths[i - 1]!);
    expect([lengths[3]! < 1e-3, drag.offset(0, 2), drag.held]).toEqual([true, [0, 0, 0], null]);
  });

  it("is gone at once when the server refuses the grab", () => {
    const drag = new OwnDrag();
    drag.grab("a", [0, 0, 0], 0);
    drag.move([0.2, 0, 0]);
    drag.offset(0, 1);
    drag.cancel();
    expect([drag.held, drag.offset(0, 1.1)]).toEqual([null, [0, 0, 0]]);
  });
});
