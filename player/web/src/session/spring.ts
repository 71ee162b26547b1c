// The state of the spring-damper: the newest run of the session and of the stream solvers, beside the closed form. Pure.

import type { SpringPoll } from "../wire/api";
import type { Event } from "../wire/messages";
import { num, numbers, part } from "./events";

export interface Spring {
  readonly run: number;
  readonly cycles: number;
  readonly t: readonly number[];
  readonly x: readonly number[];
  readonly closed: readonly number[];
  /** The newest step's number. */
  readonly n: number;
  /** Largest distance from the closed form so far [m]. */
  readonly error: number;
}

export const EMPTY_SPRING: Spring = { run: 0, cycles: 0, t: [], x: [], closed: [], n: 0, error: 0 };

const KEPT = 4000;

export function withSpringEvent(spring: Spring, event: Event): Spring {
  const d = event.d;
  switch (event.t) {
    case "set_up":
      return { ...EMPTY_SPRING, cycles: num(part(d, "params"), "cycles") };
    case "triggered":
      return { ...EMPTY_SPRING, cycles: spring.cycles, run: num(d, "run"), t: [0], x: [num(d, "x")], closed: [num(d, "x")] };
    case "steps": {
      const same = num(d, "run") === spring.run;
      const before = same ? spring : { ...EMPTY_SPRING, cycles: spring.cycles };
      const [n, t, x, closed] = [numbers(d, "n"), numbers(d, "t"), numbers(d, "x"), numbers(d, "closed")];
      const off = x.map((value, i) => Math.abs(value - (closed[i] ?? value)));
      return {
        run: num(d, "run"),
        cycles: before.cycles,
        t: [...before.t, ...t].slice(-KEPT),
        x: [...before.x, ...x].slice(-KEPT),
        closed: [...before.closed, ...closed].slice(-KEPT),
        n: n[n.length - 1] ?? before.n,
        error: Math.max(before.error, ...off),
      };
    }
    default:
      return spring;
  }
}

/** A run of the two solver processes over streams, as far as it was polled. */
export interface Streamed extends Spring {
  /** The id of its trigger, "" before it is known. */
  readonly id: string;
  /** The stream id after which the next poll reads. */
  readonly after: string;
  readonly done: boolean;
  /** Solvers that the run needs and that do not run. */
  readonly waitsFor: readonly string[];
}

export function streamed(id: string, x: number): Streamed {
  return { ...EMPTY_SPRING, id, after: "", done: false, waitsFor: [], t: [0], x: [x], closed: [x] };
}

export function withPoll(run: Streamed, look: SpringPoll): Streamed {
  if (look.run !== run.id) return run;
  const closed = look.closed_x.map((value, i) => value ?? look.x[i] ?? 0);
  return {
    ...run,
    cycles: look.cycles ?? run.cycles,
    after: look.after,
    done: look.done,
    waitsFor: look.waits_for,
    t: [...run.t, ...look.t].slice(-KEPT),
    x: [...run.x, ...look.x].slice(-KEPT),
    closed: [...run.closed, ...closed].slice(-KEPT),
    n: look.n[look.n.length - 1] ?? run.n,
    error: Math.max(run.error, ...look.x.map((value, i) => Math.abs(value - (closed[i] ?? value)))),
  };
}

/** A path through points that are scaled into a box; y grows upward in the data and downward on the page. */
export function path(t: readonly number[], x: readonly number[], box: { width: number; height: number; t: number; x: number }): string {
  const points = t.map((at, i) => {
    const across = (at / (box.t || 1)) * box.width;
    const down = box.height / 2 - ((x[i] ?? 0) / (box.x || 1)) * (box.height / 2);
    return `${across.toFixed(1)} ${down.toFixed(1)}`;
  });
  return points.length ? `M${points.join("L")}` : "";
}
