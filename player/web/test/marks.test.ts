import { afterEach, describe, expect, it } from "vitest";
import { distinguish, initial, lettersOf } from "../src/stage/marks";

afterEach(() => distinguish([]));

describe("the letters of marks", () => {
  it("are the first ones where these differ", () => {
    expect([...lettersOf(["Ada", "kei", "Zoë"])]).toEqual([["Ada", "A"], ["kei", "K"], ["Zoë", "Z"]]);
  });

  it("are later ones where they do not, and none is used twice", () => {
    expect(lettersOf(["Ada", "Amy"])).toEqual(new Map([["Ada", "D"], ["Amy", "M"]]));
    const taken = lettersOf(["Ada", "Amy", "Mira"]);
    expect(taken.get("Mira")).toBe("M");
    expect(new Set(taken.values()).size).toBe(3);
    expect(new Set(lettersOf(["Amber Quern", "Amber Hinge", "Amber Oak"]).values())).toEqual(new Set(["Q", "H", "O"]));
  });

  it("are numbers where names have no letter of their own", () => {
    expect(lettersOf(["Al", "Ali", "Alina", "Alin"])).toEqual(new Map([["Al", "1"], ["Ali", "2"], ["Alina", "3"], ["Alin", "4"]]));
    expect(initial("")).toBe("?");
  });

  it("hold for the names of one session", () => {
    distinguish(["Ada", "Amy#k3v7"]);
    expect([initial("Ada"), initial("Amy#k3v7"), initial("Amy"), initial("Zoë")]).toEqual(["D", "M", "M", "Z"]);
    distinguish(["Ada"]);
    expect([initial("Ada"), initial("Amy")]).toEqual(["A", "A"]);
  });
});
