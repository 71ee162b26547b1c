import { describe, expect, it } from "vitest";
import { labelTimes } from "../src/replay/ruler";

describe("the labels of a timeline", () => {
  it("are round times", () => {
    expect(labelTimes(0.1, 15.2)).toEqual([2, 4, 6, 8, 10, 12, 14]);
    expect(labelTimes(0.1, 3)).toEqual([0.5, 1, 1.5, 2, 2.5]);
  });

  it("keep clear of both ends, where the playhead may be", () => {
    expect(labelTimes(0, 14.1)).toEqual([2, 4, 6, 8, 10, 12]);
    expect(labelTimes(9.9, 20)).toEqual([12, 14, 16, 18]);
  });

  it("are none on a recording without length", () => {
    expect(labelTimes(3.2, 3.2)).toEqual([]);
  });
});
