import { describe, expect, it } from "vitest";
import { favouriteBody, ratingCurve } from "../src/session/career";
import type { PastMatch, PlayerProfile } from "../src/wire/answers";

const match = (mode: string, rating: number | null, body = ""): PastMatch => ({ session: "k7qm2xpv", mode, at: 0, place: 1, of: 2, body, rating });
const profile = (played: number, matches: PastMatch[]): PlayerProfile => ({ player: "p", name: "Ada", kind: "person", xp: 0, played, won: 0, standings: [{ mode: "duel", value: 0, provisional: true, played, place: 1 }], matches });

describe("the rating over time", () => {
  it("begins at the rating of a stranger when every match is kept", () => {
    const matches = [match("duel", 1090), match("curling", 900), match("duel", null), match("duel", 1050)];
    expect(ratingCurve(profile(3, matches), "duel")).toEqual([1000, 1050, 1090]);
  });

  it("begins with the oldest match that is kept when some are not", () => {
    expect(ratingCurve(profile(7, [match("duel", 1090), match("duel", 1050)]), "duel")).toEqual([1050, 1090]);
  });

  it("is empty in a mode without a rated match", () => {
    expect(ratingCurve(profile(1, [match("duel", null)]), "duel")).toEqual([]);
    expect(ratingCurve(profile(1, [match("duel", 1050)]), "curling")).toEqual([]);
  });
});

describe("the favourite body", () => {
  it("is that of most matches in modes where it is chosen", () => {
    const matches = [match("duel", 1, "halo"), match("curling", 1, "quern"), match("curling", 1, "quern"), match("duel", 1, "burr"), match("duel", 1, "burr")];
    expect(favouriteBody(matches, (mode) => mode === "duel")).toBe("burr");
    expect(favouriteBody(matches.slice(0, 1), () => true)).toBe("halo");
    expect(favouriteBody([], () => true)).toBeNull();
  });
});
