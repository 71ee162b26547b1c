// The state of the spring-damper: the newest run of the session and of the stream solvers, beside the closed form. Pure.

import { t } from "../text/words";
import type { SpringRun } from "../wire/answers";
import type { Event } from "../wire/messages";
import { num, numbers, part } from "./events";

/** The scheme: m [kg], k [N/m], zeta [1], h [s], steps of a run. */
export interface Scheme {
  readonly m: number;
  readonly k: number;
  readonly zeta: number;
  readonly h: number;
  readonly cycles: number;
}

export interface Spring {
  readonly run: number;
  readonly cycles: number;
  /** null before its first event. */
  readonly scheme: Scheme | null;
  readonly t: readonly number[];
  readonly x: readonly number[];
  readonly closed: readonly number[];
  /** The newest step's number. */
  readonly n: number;
  /** Largest distance from the closed form so far [m]. */
  readonly error: number;
}

export const EMPTY_SPRING: Spring = { run: 0, cycles: 0, scheme: null, t: [], x: [], closed: [], n: 0, error: 0 };

const KEPT = 4000;

export function withSpringEvent(spring: Spring, event: Event): Spring {
  const d = event.d;
  switch (event.t) {
    case "set_up": {
      const params = part(d, "params");
      const scheme = { m: num(params, "m", 1), k: num(params, "k", 1), zeta: num(params, "zeta"), h: num(params, "h", 0.1), cycles: num(params, "cycles") };
      return { ...EMPTY_SPRING, cycles: scheme.cycles, scheme };
    }
    case "triggered":
      return { ...EMPTY_SPRING, cycles: spring.cycles, scheme: spring.scheme, run: num(d, "run"), t: [0], x: [num(d, "x")], closed: [num(d, "x")] };
    case "steps": {
      const same = num(d, "run") === spring.run;
      const before = same ? spring : { ...EMPTY_SPRING, cycles: spring.cycles, scheme: spring.scheme };
      const [n, t, x, closed] = [numbers(d, "n"), numbers(d, "t"), numbers(d, "x"), numbers(d, "closed")];
      const off = x.map((value, i) => Math.abs(value - (closed[i] ?? value)));
      return {
        run: num(d, "run"),
        cycles: before.cycles,
        scheme: before.scheme,
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
  /** The id of its trigger. */
  readonly id: string;
  /** The line for a terminal that adds the same trigger by hand. */
  readonly byHand: string;
  /** The stream id after which the next poll reads. */
  readonly after: string;
  readonly done: boolean;
  /** Solvers that the run needs and that do not run. */
  readonly waitsFor: readonly string[];
}

export function streamed(begun: { run: string; stream: string }, name: string, start: { x: number; v: number }): Streamed {
  const state = JSON.stringify({ x: start.x, v: start.v, t: 0 });
  const byHand = t("spring.redis-cli-xadd-name-in", { stream: begun.stream, name, state });
  return { ...EMPTY_SPRING, id: begun.run, byHand, after: "", done: false, waitsFor: [], t: [0], x: [start.x], closed: [start.x] };
}

export function withPoll(run: Streamed, look: SpringRun): Streamed {
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

/** Whether the scheme oscillates, as Spring.closed_form of lobby/rules/spring.py asks for; the server refuses others. */
export function oscillates({ m, k, zeta, h }: Scheme): boolean {
  const damping = 1 - 2 * h * zeta * Math.sqrt(k / m);
  return damping > 0 && Math.abs(1 + damping - (h * h * k) / m) < 2 * Math.sqrt(damping);
}

/** Round numbers from ``low`` to ``high``, about ``count`` of them: 1, 2 or 5 times a power of ten apart. */
export function ticks(low: number, high: number, count: number): number[] {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((one) => one * power >= rough * 0.999) ?? 10);
  const found: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
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
