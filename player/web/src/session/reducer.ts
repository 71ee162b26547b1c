// Builds a session's state from its views and its events. Pure: no clock, no socket, no signal.

import type { Event, SeatView, SessionView } from "../wire/messages";
import { ENDED } from "../wire/messages";
import { harder } from "./afterwards";
import { withCurlingEvent, withTurn } from "./curling";
import { flag, maybe, num, numbers, part, readBlow, readBrief, readResult, str } from "./events";
import type { Brief, Data } from "./events";
import { withBoxEvent } from "./sandbox";
import { withSpringEvent } from "./spring";
import { UNTOUCHED } from "./state";
import type { Phase, Seat, SessionState } from "./state";
import { describe } from "./wording";

const LOG_KEPT = 400;
const CHAT_KEPT = 200;

/** The state after a whole view. It replaces what events have built and keeps the log and the chat. */
export function withView(state: SessionState, view: SessionView): SessionState {
  const brief = view.brief ? readBrief(view.brief) : null;
  const before = new Map(state.seats.map((seat) => [seat.player, seat]));
  const result = view.result ? readResult(view.result) : ENDED.includes(view.status) ? state.result : null;
  let phase: Phase = "lobby";
  if (ENDED.includes(view.status)) phase = view.started_at ? "over" : "lobby";
  else if (view.status === "running" || view.status === "paused") phase = view.turn_ends_at > 0 && brief ? "acting" : brief ? "moving" : "settling";
  else if (view.status === "starting") phase = "settling";
  return {
    ...state,
    session: view.session,
    status: view.status,
    mode: view.mode,
    size: view.size,
    host: view.host,
    seats: view.seats.map((seat) => fromView(seat, before.get(seat.player), brief)),
    openedAt: view.opened_at,
    closesAt: view.closes_at ?? 0,
    params: view.params ?? {},
    forked: Boolean(view.parent),
    startedAt: view.started_at,
    v: view.v,
    tick: view.tick,
    round: view.round,
    turn: view.turn,
    turnSeat: view.turn_seat,
    turnEndsAt: view.turn_ends_at,
    turnTotalS: brief?.deadlineS ?? state.turnTotalS,
    brief,
    phase,
    result,
    reason: view.reason,
    observers: view.observers,
    series: view.series ?? null,
    bout: view.brief ? num(view.brief, "bout", state.bout) : state.bout,
    bouts: view.brief && state.bouts.length === 0 ? numbers(view.brief, "wins") : state.bouts,
    toWin: num(view.params ?? {}, "rounds_to_win", state.toWin),
    held: view.held ?? [],
    curling: view.mode === "curling" && view.brief && state.curling.stone === null ? withTurn({ ...state.curling, stones: num(view.params, "stones", 4), ends: num(view.params, "ends", 3) }, view.brief) : state.curling,
  };
}

function fromView(view: SeatView, before: Seat | undefined, brief: Brief | null): Seat {
  return {
    seat: view.seat,
    player: view.player,
    name: view.name,
    kind: view.kind,
    body: view.body,
    ready: view.ready,
    connected: view.connected,
    health: view.health ?? brief?.health[view.seat] ?? before?.health ?? null,
    full: brief?.healthFull[view.seat] ?? before?.full ?? null,
    score: view.score ?? before?.score ?? 0,
    out: view.out,
    cause: before?.cause ?? "",
    place: before?.place ?? null,
    lost: before?.lost ?? 0,
    braced: brief?.braced[view.seat] ?? false,
    fills: view.fills,
  };
}

/** The state after the next event. Unknown events change v and tick only. */
export function withEvent(state: SessionState, event: Event): SessionState {
  const box = withBoxEvent(state.box, event);
  const spring = withSpringEvent(state.spring, event);
  const curling = withCurlingEvent(state.curling, event);
  const next = apply({ ...state, box, spring, curling, v: event.v, tick: Math.max(state.tick, event.tick) }, event.t, event.d, event);
  const row = describe(next, event);
  return row ? { ...next, log: [...next.log.slice(-LOG_KEPT + 1), row] } : next;
}

function apply(state: SessionState, type: string, d: Data, event: Event): SessionState {
  const seat = num(d, "seat", -1);
  switch (type) {
    case "seats_released":
      return { ...state, held: [] };
    case "seat_taken":
      return {
        ...state,
        held: state.held.filter((one) => one.seat !== seat),
        seats: sorted([
          ...state.seats.filter((other) => other.seat !== seat),
          {
            seat,
            player: str(d, "player"),
            name: str(d, "name"),
            kind: str(d, "kind") === "bot" ? "bot" : "person",
            body: str(d, "body"),
            ready: flag(d, "ready"),
            connected: false,
            ...UNTOUCHED,
            fills: flag(d, "fills"),
          },
        ]),
      };
    case "seat_left":
      if (state.phase === "lobby") return { ...state, seats: state.seats.filter((other) => other.seat !== seat) };
      return one(state, seat, () => ({ connected: false }));
    case "seat_connected":
      return one(state, seat, () => ({ connected: true }));
    case "seat_disconnected":
      return one(state, seat, () => ({ connected: false }));
    case "seat_ready":
      return one(state, seat, () => ({ ready: flag(d, "ready") }));
    case "body_chosen":
      return one(state, seat, () => ({ body: str(d, "body") }));
    case "host_changed":
      return { ...state, host: str(d, "player") };
    case "filled":
      return { ...state, status: "filled" };
    case "reopened":
      return { ...state, status: "open" };
    case "starting":
      return { ...state, status: "starting", phase: "settling" };
    case "running":
      return { ...state, status: "running", phase: state.phase === "lobby" ? "settling" : state.phase, startedAt: state.startedAt || num(d, "at") };
    case "session_paused":
      return { ...state, status: "paused", pausedAt: num(d, "at") };
    case "session_resumed":
      return {
        ...state,
        status: "running",
        pausedAt: 0,
        turnEndsAt: state.turnEndsAt && state.pausedAt ? state.turnEndsAt + num(d, "at") - state.pausedAt : state.turnEndsAt,
      };
    case "recovered":
      return { ...state, turnEndsAt: state.phase === "acting" ? num(d, "turn_ends_at", state.turnEndsAt) : state.turnEndsAt };
    case "chat":
      return {
        ...state,
        chat: [...state.chat.slice(-CHAT_KEPT + 1), { v: event.v, seat: maybe(d, "seat"), name: str(d, "name"), text: str(d, "text") }],
      };
    case "set_up":
      return setUp(state, d);
    case "turn_started":
      return turnStarted(state, d);
    case "action":
      return { ...one(state, seat, () => ({ braced: str(d, "kind") === "brace" })), phase: "moving", turnEndsAt: 0, turnSeat: seat };
    case "blow": {
      const blow = readBlow(d, event.tick);
      return { ...hurt(hurt(state, blow.a, blow.damageA), blow.b, blow.damageB), best: harder(state.best, blow), ending: blow.damageA + blow.damageB > 0 ? blow : state.ending };
    }
    case "out":
      return one(state, seat, (one) => ({
        out: true,
        cause: str(d, "cause"),
        place: maybe(d, "place"),
        health: str(d, "cause") === "broken" ? 0 : one.health,
      }));
    case "bout_ended":
      return { ...state, bouts: numbers(d, "wins"), phase: "settling", turnSeat: null, turnEndsAt: 0 };
    case "bout_started":
      return {
        ...state,
        bout: num(d, "bout", state.bout),
        bouts: numbers(d, "wins"),
        phase: "settling",
        turnSeat: null,
        ending: null,
        seats: state.seats.map((one) => (numbers(d, "order").includes(one.seat) ? { ...one, out: false, cause: "", place: null, health: one.full, lost: 0, braced: false } : one)),
      };
    case "rim_cracked":
      return { ...state, brief: state.brief && { ...state.brief, cracked: numbers(d, "sides") } };
    case "rim_fell":
      return { ...state, ending: null, brief: state.brief && { ...state.brief, sides: numbers(d, "distances"), cracked: [] } };
    case "end_scored": {
      const total = numbers(d, "total");
      return { ...state, seats: state.seats.map((one) => ({ ...one, score: total[one.seat] ?? one.score })) };
    }
    case "turn_ended": {
      const health = d["health"];
      if (!Array.isArray(health)) return state;
      return { ...state, seats: state.seats.map((one) => ({ ...one, health: typeof health[one.seat] === "number" ? (health[one.seat] as number) : one.health })) };
    }
    case "result": {
      const result = readResult(d);
      return {
        ...state,
        phase: "over",
        result,
        turnEndsAt: 0,
        seats: state.seats.map((one) => ({ ...one, place: result.places[one.seat] ?? one.place, score: result.points[one.seat] ?? one.score })),
      };
    }
    case "ended":
    case "timed_out":
    case "failed":
      return { ...state, status: type, reason: str(d, "reason"), turnEndsAt: 0, phase: state.startedAt ? "over" : state.phase };
    default:
      return state;
  }
}

function setUp(state: SessionState, d: Data): SessionState {
  const bySeat = new Map<number, Data>();
  for (const row of Array.isArray(d["seats"]) ? (d["seats"] as Data[]) : []) bySeat.set(num(row, "seat", -1), row);
  return {
    ...state,
    mode: state.mode || str(d, "mode"),
    phase: "settling",
    turnTotalS: num(part(d, "params"), "turn_s", state.turnTotalS),
    toWin: num(part(d, "params"), "rounds_to_win", 1),
    seats: state.seats.map((one) => {
      const row = bySeat.get(one.seat);
      return row ? { ...one, body: str(row, "body") || one.body, health: num(row, "health"), full: num(row, "health") } : one;
    }),
  };
}

function turnStarted(state: SessionState, d: Data): SessionState {
  const brief = readBrief(d);
  return {
    ...state,
    phase: "acting",
    brief,
    ending: null,
    turnSeat: brief.seat,
    turnEndsAt: brief.endsAt,
    turnTotalS: brief.deadlineS ?? state.turnTotalS,
    round: num(d, "round", state.round),
    turn: num(d, "turn", state.turn),
    bout: num(d, "bout", state.bout),
    bouts: numbers(d, "wins"),
    seats: state.seats.map((one) => ({
      ...one,
      health: brief.health[one.seat] ?? one.health,
      full: brief.healthFull[one.seat] ?? one.full,
      braced: brief.braced[one.seat] ?? false,
      lost: 0,
    })),
  };
}

function hurt(state: SessionState, seat: number, damage: number): SessionState {
  if (!(damage > 0)) return state;
  return one(state, seat, (one) => ({ health: one.health === null ? null : Math.max(0, one.health - damage), lost: one.lost + damage }));
}

function one(state: SessionState, seat: number, change: (seat: Seat) => Partial<Seat>): SessionState {
  return { ...state, seats: state.seats.map((other) => (other.seat === seat ? { ...other, ...change(other) } : other)) };
}

function sorted(seats: Seat[]): Seat[] {
  return seats.sort((a, b) => a.seat - b.seat);
}
