import { describe, expect, it } from "vitest";
import { boutScore, damageByPair, harder, ratingChange, seriesScore } from "../src/session/afterwards";
import { UNTOUCHED } from "../src/session/state";
import type { Seat } from "../src/session/state";

const seat = (number: number, player: string, kind: "person" | "bot" = "person"): Seat => ({
  seat: number, player, name: player, kind, body: "cobble", ready: true, connected: true, ...UNTOUCHED,
});
const series = { match: 3, wins: [{ player: "a", name: "a", won: 1 }, { player: "b", name: "b", won: 0 }], bots: 0, drawn: 1, before: "k7qm2xpv" };

describe("the end of a match", () => {
  it("adds this match to the score of the series, by person and not by seat", () => {
    const seats = [seat(0, "b"), seat(1, "a")];
    const won = (one: ReturnType<typeof seriesScore>) => ({ match: one.match, won: one.sides.map((side) => side.won), drawn: one.drawn });
    expect(won(seriesScore(series, seats, null))).toEqual({ match: 3, won: [0, 1], drawn: 1 });
    expect(won(seriesScore(series, seats, { winner: 0 }))).toEqual({ match: 3, won: [1, 1], drawn: 1 });
    expect(won(seriesScore(series, seats, { winner: null }))).toEqual({ match: 3, won: [0, 1], drawn: 2 });
    expect(won(seriesScore(null, seats, { winner: 1 }))).toEqual({ match: 1, won: [0, 1], drawn: 0 });
  });

  it("counts the wins of all bots together and once, since other bots come each time", () => {
    const seats = [seat(0, "x", "bot"), seat(1, "a"), seat(2, "y", "bot")];
    const { sides } = seriesScore({ ...series, bots: 2 }, seats, { winner: 2 });
    expect(sides).toEqual([{ seats: [seats[0], seats[2]], won: 3 }, { seats: [seats[1]], won: 1 }]);
  });

  it("says the bouts of the winner first, and nothing of a match without bouts", () => {
    expect(boutScore([1, 2], 1)).toBe("2 to 1");
    expect(boutScore([2, 0, 1], 0)).toBe("2 to 1 to 0");
    expect(boutScore([], 1)).toBe("");
    expect(boutScore([1, 1], null)).toBe("");
  });

  it("names pairs that hurt each other, the greatest first, and no seat that hurt itself", () => {
    expect(damageByPair([[9, 3], [40.2, 0.1]])).toEqual([{ by: 1, to: 0, damage: 40.2 }, { by: 0, to: 1, damage: 3 }]);
    expect(damageByPair([])).toEqual([]);
  });

  it("keeps the blow that did the most damage to one seat", () => {
    const blow = { a: 0, b: 1, damageA: 5, damageB: 12, impulse: 20, tick: 7 };
    const first = harder(null, blow);
    expect(first).toEqual({ by: 0, to: 1, damage: 12, impulse: 20, tick: 7 });
    expect(harder(first, { ...blow, damageA: 11, damageB: 12 })).toBe(first);
    expect(harder(first, { ...blow, damageA: 13, tick: 9 })?.by).toBe(1);
    expect(harder(null, { ...blow, damageA: 0, damageB: 0 })).toBeNull();
  });

  it("says the rating before and after, or that it is the first, or nothing yet", () => {
    expect(ratingChange([], "a")).toBe("");
    expect(ratingChange([{ player: "a", before: 1000.4, after: 987.6 }], "a")).toBe("1000\u00a0→\u00a0988 (−12)");
    expect(ratingChange([{ player: "a", before: 990, after: 1010 }], "a")).toBe("990\u00a0→\u00a01010 (+20)");
    expect(ratingChange([{ player: "a", before: null, after: 1010 }], "a")).toBe("1010 (new)");
  });
});
