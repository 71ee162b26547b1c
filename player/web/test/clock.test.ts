import { describe, expect, it } from "vitest";
import { ServerClock, TRIPS, isSlow } from "../src/wire/clock";

describe("the server's clock", () => {
  it("shows no round trip before the second, then the quickest of three", () => {
    const clock = new ServerClock();
    const shown = [400, 30, 90, 200, 200].map((rtt, i) => {
      clock.ponged(1000 * i, 1000 * i + rtt, 0);
      return [clock.newest, clock.rtt];
    });
    expect(shown).toEqual([
      [400, null],
      [30, 30],
      [90, 30],
      [200, 30],
      [200, 90],
    ]);
  });

  it("calls a line slow once nearly all round trips are late, and not while the one that is shown is quick", () => {
    const calls = (...trips: number[]): boolean[] => {
      let slow = false;
      return trips.map((_, i) => (slow = isSlow(slow, trips.slice(0, i + 1).slice(-TRIPS))));
    };
    expect(calls(400, 400, 400, 400, 400)).toEqual([false, false, false, true, true]);
    expect(calls(400, 12, 400, 400, 400)).toEqual([false, false, false, false, true]);
    expect(calls(400, 400, 400, 400, 12, 400, 400, 400)).toEqual([false, false, false, true, false, false, false, true]);
    expect(calls(400, 400, 12, 400, 400, 12)).not.toContain(true);
  });

  it("takes the offset of the quickest round trip, and the welcome's only until one came", () => {
    const clock = new ServerClock();
    clock.welcomed(1000, 6000);
    expect(clock.at(1000)).toBe(6000);
    clock.ponged(2000, 2400, 7000); // the way there or back took long: 5000 +- 200 ms
    clock.ponged(3000, 3020, 8010);
    expect(clock.at(10_000)).toBe(15_000);
  });
});
