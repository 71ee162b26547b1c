import { describe, expect, it } from "vitest";
import type { Event, SessionView } from "../src/wire/messages";
import { withEvent, withView } from "../src/session/reducer";
import { EMPTY, order, pausedBecause } from "../src/session/state";
import type { SessionState } from "../src/session/state";

const event = (v: number, t: string, d: Record<string, unknown>, tick = 0): Event => ({ v, t, d, tick, epoch: 1 });

function play(events: readonly [string, Record<string, unknown>, number?][], from: SessionState = EMPTY): SessionState {
  return events.reduce((state, [t, d, tick], i) => withEvent(state, event(from.v + i + 1, t, d, tick)), from);
}

const seated: [string, Record<string, unknown>][] = [
  ["seat_taken", { seat: 0, player: "pa", name: "ada#k3v7", kind: "person", body: "cobble", ready: false }],
  ["seat_connected", { seat: 0, player: "pa" }],
  ["seat_taken", { seat: 1, player: "pb", name: "otto", kind: "bot", body: "marl", ready: true }],
];

const brief = {
  seat: 1,
  deadline_s: 20,
  ends_at: 5000,
  actions: { seat: 1, kinds: [{ kind: "launch", fields: { power: { low: 0, high: 1 } } }] },
  positions: [[1, 0.2, 0], [-1, 0.2, 0]],
  health: [146, 169],
  health_full: [146, 169],
  alive: [true, true],
  braced: [false, false],
  speeds: [3.7, 3.7],
  masses: [15.7, 14],
  round: 1,
  turn: 0,
};

const running: [string, Record<string, unknown>, number?][] = [
  ...seated,
  ["filled", { size: 2 }],
  ["starting", { at: 1 }],
  ["running", { at: 2 }],
  ["set_up", { mode: "duel", seats: [{ seat: 0, health: 146 }, { seat: 1, health: 169 }], params: { turn_s: 20 } }],
  ["turn_started", brief, 40],
];

describe("the reducer", () => {
  it("seats, connects and readies", () => {
    const state = play([...seated, ["seat_ready", { seat: 0, ready: true }], ["body_chosen", { seat: 0, body: "halo" }]]);
    expect(state.seats.map((seat) => [seat.name, seat.connected, seat.ready, seat.body])).toEqual([
      ["ada#k3v7", true, true, "halo"],
      ["otto", false, true, "marl"],
    ]);
    expect(state.phase).toBe("lobby");
  });

  it("frees a seat of a waiting lobby, keeps one of a run", () => {
    expect(play([...seated, ["seat_left", { seat: 1, player: "pb", reason: "left" }]]).seats.length).toBe(1);
    const filled = play([...seated.slice(0, 1), ["seat_taken", { seat: 1, player: "pb", name: "otto", kind: "bot", body: "marl", ready: true, fills: true }]]);
    expect(filled.seats.map((one) => [one.kind, one.fills])).toEqual([["person", false], ["bot", true]]);
    const state = play([...running, ["seat_left", { seat: 0, player: "pa", reason: "left" }]]);
    expect(state.seats.map((seat) => seat.connected)).toEqual([false, false]);
  });

  it("stops the turn clock while an operator has paused the session", () => {
    const state = play([...running, ["session_paused", { at: 3000, by: "po" }], ["session_resumed", { at: 4500, by: "po" }]]);
    expect([state.status, state.turnEndsAt, state.pausedAt]).toEqual(["running", 6500, 0]);
  });

  it("takes the turn's new end from the server that restored the session", () => {
    const state = play([...running, ["recovered", { exact: null, tick: 40, turn_ends_at: 9000 }]]);
    expect(state.turnEndsAt).toBe(9000);
    expect(state.log.at(-1)?.parts[0]?.text).toContain("nothing was lost");
  });

  it("knows whose turn it is and until when", () => {
    const state = play(running);
    expect([state.phase, state.turnSeat, state.turnEndsAt, state.turnTotalS, state.round]).toEqual(["acting", 1, 5000, 20, 1]);
    expect(order(state).map((seat) => seat.seat)).toEqual([1, 0]);
  });

  it("keeps the blow that may end the match: of this turn, and with damage", () => {
    const blow = (tick: number, damage: number): [string, Record<string, unknown>, number] => ["blow", { a: 0, b: 1, first_tick: tick, impulse_credited_Ns: 18.6, damage_a: damage, damage_b: 0, point: [0, 0, 0], normal: [1, 0, 0] }, tick];
    const ending = (...events: [string, Record<string, unknown>, number][]): number | undefined =>
      events.reduce((state, [t, d, tick], i) => withEvent(state, { v: i + 1, t, d, tick, epoch: 1 }), EMPTY).ending?.tick;
    expect(ending(blow(60, 5))).toBe(60);
    expect(ending(blow(60, 5), blow(64, 0))).toBe(60);
    expect(ending(blow(60, 5), ["turn_started", { seat: 1 }, 90])).toBeUndefined();
    expect(ending(blow(60, 5), ["rim_fell", { distances: [] }, 90])).toBeUndefined();
    expect(ending(blow(60, 5), ["bout_started", { bout: 2, wins: [1, 0], order: [0, 1] }, 90])).toBeUndefined();
  });

  it("names no operator as the cause of a pause that is older than its connection", () => {
    expect(pausedBecause(null, "running")).toBeNull();
    expect(pausedBecause(null, "paused")).toBe("");
    expect(pausedBecause("unattended", "paused")).toBe("");
    expect(pausedBecause("the store does not answer", "running")).toBe("the store does not answer");
  });

  it("says why a session was paused", () => {
    const said = (d: Record<string, unknown>): string | undefined => play([["session_paused", { at: 5, ...d }]]).log.at(-1)?.parts[0]?.text;
    expect(said({ by: "", reason: "unattended" })).toBe("Paused: nobody was here");
    expect(said({ by: "root", reason: "" })).toBe("Paused by an operator");
  });

  it("takes damage off at the blow and logs the target's damage first", () => {
    const state = play([
      ...running,
      ["action", { seat: 1, kind: "launch", impulse_Ns: 42 }, 41],
      ["blow", { a: 0, b: 1, first_tick: 60, impulse_credited_Ns: 18.6, damage_a: 18.2, damage_b: 9, point: [0, 0, 0], normal: [1, 0, 0] }, 62],
    ]);
    expect(state.phase).toBe("moving");
    expect(state.seats[0]!.health).toBeCloseTo(127.8);
    expect(state.seats[0]!.lost).toBeCloseTo(18.2);
    const row = state.log.at(-1)!;
    expect([row.tick, row.parts.map((part) => part.text).join("")]).toEqual([60, "otto touched ada, 18.6 N·s. ada −18, otto −9"]);
    expect(state.log.at(-2)!.parts[0]!.text).toBe("otto launched Marl, 3.0 m/s");
  });

  it("corrects health from the end of the turn", () => {
    const state = play([...running, ["turn_ended", { seat: 1, end: "rest", health: [100, 160] }, 90]]);
    expect(state.seats.map((seat) => seat.health)).toEqual([100, 160]);
  });

  it("knows what has cracked and fallen of the mat before the next turn", () => {
    const cracked = play([...running, ["rim_cracked", { sides: [2, 6], falls: 5 }]]);
    expect(cracked.brief).toMatchObject({ cracked: [2, 6] });
    const fell = play([...running, ["rim_cracked", { sides: [2, 6], falls: 5 }], ["rim_fell", { sides: [2, 6], distances: [1.6, 1.6, 1.2] }]]);
    expect(fell.brief).toMatchObject({ cracked: [], sides: [1.6, 1.6, 1.2] });
    expect(play([["rim_cracked", { sides: [2], falls: 5 }]]).brief).toBeNull();
  });

  it("ends with places", () => {
    const state = play([
      ...running,
      ["out", { seat: 0, cause: "fallen", place: 2 }, 90],
      ["result", { winner: 1, places: [2, 1], points: [0, 40], cause: "last_standing" }, 95],
      ["ended", { at: 9 }, 95],
    ]);
    expect([state.phase, state.status, state.result?.winner]).toEqual(["over", "ended", 1]);
    expect(state.seats.map((seat) => [seat.out, seat.place])).toEqual([[true, 2], [false, 1]]);
    expect(state.log.map((row) => row.parts[0]!.text)).toContain("ada is off the mat, in second place");
  });

  it("keeps log and chat when the whole view comes, and believes the view", () => {
    const state = play([...running, ["chat", { seat: 0, name: "ada", text: "hello" }]]);
    const view: SessionView = {
      session: "k7qm2xpv", status: "running", mode: "duel", size: 2, host: "pa", opened_at: 1, started_at: 2, ended_at: 0, epoch: 1, v: 40,
      tick: 500, round: 3, turn: 4, turn_seat: 0, turn_ends_at: 9000, brief: { ...brief, seat: 0 }, result: null, reason: "", ws_url: "", closes_at: 0, params: {},
      seats: state.seats.map((seat) => ({ seat: seat.seat, player: seat.player, name: seat.name, kind: seat.kind, body: seat.body, ready: true, connected: true, health: 12, score: 3, out: false, fills: false })),
      observers: { count: 1, names: ["lena"], bots: [] }, min_distance: null, parent: null, parent_tick: null, exact: true, series: null, held: [], rematch: null, ratings: [],
    } as SessionView;
    const after = withView(state, view);
    expect([after.round, after.turnSeat, after.phase, after.v]).toEqual([3, 0, "acting", 40]);
    expect(after.seats[0]!.health).toBe(12);
    expect(after.chat.length).toBe(1);
    expect(after.log.length).toBe(state.log.length);
  });

  it("ignores events that it does not know", () => {
    const state = play([["sandstorm", { strength: 3 }]]);
    expect(state.v).toBe(1);
    expect(state.log).toEqual([]);
  });

  it("survives events with nothing in them", () => {
    const types = ["seat_taken", "seat_left", "chat", "set_up", "turn_started", "action", "blow", "out", "turn_ended", "rim_cracked", "rim_fell", "result", "ended", "failed"];
    expect(() => play(types.map((type) => [type, {}]))).not.toThrow();
  });
});
