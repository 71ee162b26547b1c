import { describe, expect, it } from "vitest";
import { EMPTY_SPRING, oscillates, path, streamed, ticks, withPoll, withSpringEvent } from "../src/session/spring";
import type { Event } from "../src/wire/messages";

const event = (t: string, d: Record<string, unknown>): Event => ({ t, d, v: 1, tick: 0, epoch: 1 }) as Event;

describe("the spring-damper's events", () => {
  it("gather the steps of the newest run beside the closed form", () => {
    let spring = withSpringEvent(EMPTY_SPRING, event("set_up", { params: { cycles: 50 } }));
    spring = withSpringEvent(spring, event("triggered", { run: 1, x: 0, v: 1 }));
    spring = withSpringEvent(spring, event("steps", { run: 1, n: [1, 2], t: [0.1, 0.2], x: [0.0998, 0.1984], v: [1, 1], closed: [0.0998, 0.1985] }));
    expect(spring).toMatchObject({ run: 1, n: 2, cycles: 50, t: [0, 0.1, 0.2], x: [0, 0.0998, 0.1984] });
    expect(spring.error).toBeCloseTo(1e-4, 8);
    spring = withSpringEvent(spring, event("triggered", { run: 2, x: 0.5, v: 0 }));
    expect(spring).toMatchObject({ run: 2, n: 0, t: [0], x: [0.5], error: 0 });
  });

  it("start with the steps when the beginning was missed", () => {
    const spring = withSpringEvent(EMPTY_SPRING, event("steps", { run: 3, n: [9], t: [0.9], x: [1], v: [0], closed: [1] }));
    expect(spring).toMatchObject({ run: 3, n: 9, t: [0.9] });
  });

  it("of the stream solvers come look by look, after the wait", () => {
    const look = { run: "7-0", name: "web", x0: 0.5, v0: 0, after: "7-0", cycles: null, n: [], t: [], x: [], v: [], closed_x: [], closed_v: [], done: false, waits_for: ["velocity"] };
    let run = withPoll(streamed({ run: "7-0", stream: "{main}:positions" }, "web", { x: 0.5, v: 0 }), look);
    expect(run).toMatchObject({ n: 0, x: [0.5], waitsFor: ["velocity"], done: false });
    run = withPoll(run, { ...look, after: "9-0", cycles: 2, n: [1], t: [0.1], x: [0.4], closed_x: [0.4], waits_for: [] });
    run = withPoll(run, { ...look, after: "9-4", cycles: 2, n: [2], t: [0.2], x: [0.3], closed_x: [0.25], waits_for: [], done: true });
    expect(run).toMatchObject({ n: 2, cycles: 2, t: [0, 0.1, 0.2], x: [0.5, 0.4, 0.3], after: "9-4", waitsFor: [], done: true });
    expect(run.error).toBeCloseTo(0.05, 12);
    expect(withPoll(run, { ...look, run: "8-0" })).toBe(run);
    expect(run.byHand).toBe(`redis-cli XADD '{main}:positions' '*' name web in '{"x":0.5,"v":0,"t":0}' out '{"x":0.5,"v":0,"t":0}'`);
  });

  it("keep the numbers of the scheme from run to run", () => {
    let spring = withSpringEvent(EMPTY_SPRING, event("set_up", { params: { m: 2, k: 8, zeta: 0.05, h: 0.02, cycles: 50 } }));
    spring = withSpringEvent(spring, event("triggered", { run: 2, x: 0.5, v: 0 }));
    spring = withSpringEvent(spring, event("steps", { run: 4, n: [1], t: [0.02], x: [0.5], v: [0], closed: [0.5] }));
    expect(spring.scheme).toEqual({ m: 2, k: 8, zeta: 0.05, h: 0.02, cycles: 50 });
  });

  it("oscillate or not, as the rules say", () => {
    const scheme = { m: 1, k: 1, zeta: 0.01, h: 0.1, cycles: 10 };
    expect(oscillates(scheme)).toBe(true);
    expect(oscillates({ ...scheme, zeta: 0.9 })).toBe(true);
    expect(oscillates({ ...scheme, zeta: 1.05 })).toBe(false);
    expect(oscillates({ ...scheme, m: 1e-3 })).toBe(false);
    expect(oscillates({ ...scheme, k: 399 })).toBe(false);
  });

  it("have axes with round numbers", () => {
    expect(ticks(0, 10, 8)).toEqual([0, 2, 4, 6, 8, 10]);
    expect(ticks(-1.1, 1.1, 5)).toEqual([-1, -0.5, 0, 0.5, 1]);
    expect(ticks(0, 0.0301, 5)).toEqual([0, 0.01, 0.02, 0.03]);
    expect(ticks(1, 1, 5)).toEqual([]);
  });

  it("become a path with up as up", () => {
    expect(path([0, 10], [0, 1], { width: 100, height: 50, t: 10, x: 1 })).toBe("M0.0 25.0L100.0 0.0");
    expect(path([], [], { width: 1, height: 1, t: 0, x: 0 })).toBe("");
  });
});
