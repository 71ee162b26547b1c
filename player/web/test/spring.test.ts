import { describe, expect, it } from "vitest";
import { EMPTY_SPRING, path, streamed, withPoll, withSpringEvent } from "../src/session/spring";
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
    const look = { run: "7-0", name: "web", x0: 0.5, v0: 0, after: "7-0", cycles: null, n: [], t: [], x: [], closed_x: [], done: false, waits_for: ["velocity"] };
    let run = withPoll(streamed("7-0", 0.5), look);
    expect(run).toMatchObject({ n: 0, x: [0.5], waitsFor: ["velocity"], done: false });
    run = withPoll(run, { ...look, after: "9-0", cycles: 2, n: [1], t: [0.1], x: [0.4], closed_x: [0.4], waits_for: [] });
    run = withPoll(run, { ...look, after: "9-4", cycles: 2, n: [2], t: [0.2], x: [0.3], closed_x: [0.25], waits_for: [], done: true });
    expect(run).toMatchObject({ n: 2, cycles: 2, t: [0, 0.1, 0.2], x: [0.5, 0.4, 0.3], after: "9-4", waitsFor: [], done: true });
    expect(run.error).toBeCloseTo(0.05, 12);
    expect(withPoll(run, { ...look, run: "8-0" })).toBe(run);
  });

  it("become a path with up as up", () => {
    expect(path([0, 10], [0, 1], { width: 100, height: 50, t: 10, x: 1 })).toBe("M0.0 25.0L100.0 0.0");
    expect(path([], [], { width: 1, height: 1, t: 0, x: 0 })).toBe("");
  });
});
