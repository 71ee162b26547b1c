import { describe, expect, it } from "vitest";
import { dayAndTime } from "../src/text/format";

describe("dayAndTime", () => {
  it("names the day and the time of this place", () => {
    expect(dayAndTime(new Date(2026, 10, 8, 0, 41).getTime())).toBe("8 Nov, 00:41");
  });
});
