import { describe, expect, it } from "vitest";
import type { Event } from "../src/wire/messages";
import { withEvent } from "../src/session/reducer";
import { EMPTY } from "../src/session/state";
import { bestEnd, table } from "../src/session/curling";

const event = (v: number, t: string, d: Record<string, unknown>): Event => ({ v, t, d, tick: 10 * v, epoch: 1 });

const seats = [0, 1].map((seat): [string, Record<string, unknown>] => ["seat_taken", { seat, player: `p${seat}`, name: seat ? "otto" : "ada", kind: "person", body: "quern", ready: true }]);
const house = { x: 6.5, rings: [0.2, 0.6, 1] };

function play(events: readonly [string, Record<string, unknown>][]) {
  return [...seats, ...events].reduce((state, [t, d], i) => withEvent(state, event(i + 1, t, d)), { ...EMPTY, mode: "curling" });
}

const begun: [string, Record<string, unknown>][] = [
  ["set_up", { mode: "curling", params: { ends: 3, stones: 4 }, house, seats: [{ seat: 0 }, { seat: 1 }] }],
  ["turn_started", { seat: 0, stone: 0, end: 1, points: [0, 0], house, rules: { speed: 4.2, guarded: true } }],
  ["action", { seat: 0, kind: "launch", stone: 0, power: 0.5, azimuth: 1, spin: 0 }],
  ["turn_started", { seat: 1, stone: 4, end: 1, points: [0, 0], house, rules: { speed: 4.2, guarded: true } }],
];

describe("curling", () => {
  it("knows the house, whose stone it is, and how many each has thrown", () => {
    const { curling } = play(begun);
    expect(curling).toMatchObject({ house, stone: 4, end: 1, guarded: true, thrown: [1, 0] });
  });

  it("says blows, lost stones and ends by their owners", () => {
    const state = play([...begun, ["blow", { a: 4, b: 0, impulse_Ns: 12.34, point: [6, 0.1, 0] }], ["stone_lost", { stone: 0, cause: "off" }], ["end_scored", { end: 1, seat: 1, points: 2, total: [0, 2] }]]);
    const said = state.log.map((row) => row.parts.map((part) => part.text).join(""));
    expect(said).toContain("A stone of otto touched one of ada, 12.3 N·s");
    const turned = play([...begun, ["blow", { a: 0, b: 4, impulse_Ns: 12.34, point: [6, 0.1, 0] }]]);
    expect(turned.log.at(-1)?.parts[0]?.text).toBe("A stone of otto touched one of ada, ");
    expect(said).toContain("ada’s stone is off the sheet");
    expect(said.at(-1)).toBe("End 1: 2 for otto");
    expect(state.seats.map((seat) => seat.score)).toEqual([0, 2]);
    expect(state.curling.thrown).toEqual([]);
  });

  it("keeps the hardest touch by its owners, over all ends, and the end with the most points", () => {
    const blow = (a: number, b: number, impulse: number): [string, Record<string, unknown>] => ["blow", { a, b, impulse_Ns: impulse, point: [6, 0.1, 0] }];
    const scored = (end: number, seat: number | null, points: number): [string, Record<string, unknown>] => ["end_scored", { end, seat, points, total: [0, 0] }];
    expect(play(begun).curling.hardest).toBeNull();
    expect(bestEnd(play([...begun, scored(1, null, 0)]).curling)).toBeNull();
    const { curling } = play([...begun, blow(0, 4, 9), blow(4, 5, 12), blow(4, 0, 3), scored(1, 1, 1), scored(2, 0, 2), scored(3, 1, 2)]);
    expect(curling.hardest).toEqual({ by: 1, to: 1, impulse: 12 });
    expect(bestEnd(curling)).toEqual({ end: 2, seat: 0, points: 2 });
  });

  it("keeps a board of ends, and says an end again without counting it twice", () => {
    const state = play([...begun, ["end_scored", { end: 1, seat: 1, points: 2, total: [0, 2] }], ["end_scored", { end: 2, seat: null, points: 0, total: [0, 2] }], ["end_scored", { end: 2, seat: null, points: 0, total: [0, 2] }]]);
    expect(table(state.curling, [0, 1])).toEqual([[null, null], [2, null]]);
  });
});
