import { beforeEach, describe, expect, it, vi } from "vitest";
import { en } from "../src/text/lang/en";

const kept = new Map<string, string>();

/** The module as a page has it that opens now. */
async function opened() {
  vi.resetModules();
  vi.stubGlobal("localStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value), removeItem: (key: string) => kept.delete(key) });
  vi.stubGlobal("location", { pathname: "/", hash: "", search: "", origin: "http://localhost" });
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => {} }));
  return import("../src/app/keys");
}

beforeEach(() => kept.clear());

describe("the keys", () => {
  it("have no two acts on one screen at first, and a text each", async () => {
    const { ACTS, actsOn, keysOf } = await opened();
    for (const screen of ["lobby", "waiting", "turn", "sandbox", "spring", "replay", "editor"] as const) {
      const keys = actsOn(screen).flatMap((act) => keysOf(act));
      expect(keys.filter((key, i) => keys.indexOf(key) !== i)).toEqual([]);
    }
    for (const act of ACTS) expect(en).toHaveProperty([`key.${act.replace(/^(kind|body)\d$/, "$1")}`]);
  });

  it("are set, kept and reset", async () => {
    const { keysOf, resetKey, resetKeys, setKey } = await opened();
    expect(setKey("wire", "q")).toBeNull();
    expect(keysOf("wire")).toEqual(["q"]);
    expect(setKey("back", "z")).toBeNull();
    const later = await opened();
    expect([later.keysOf("wire"), later.keysOf("back"), later.isChanged("wire"), later.isChanged("on")]).toEqual([["q"], ["z"], true, false]);
    expect(later.resetKey("back")).toBeNull();
    expect(later.keysOf("back")).toEqual(["ArrowLeft", ","]);
    later.resetKeys();
    expect(later.keysOf("wire")).toEqual(["w"]);
    expect([resetKey("wire"), resetKeys()]).toEqual([null, undefined]);
  });

  it("of two acts on one screen are refused, and nothing changes", async () => {
    const { keysOf, resetKey, setKey } = await opened();
    expect(setKey("wire", "m")).toEqual({ taken: "sound" });
    expect(setKey("wire", "v")).toEqual({ taken: "velocity" }); // in a recording
    expect(setKey("rise", "ArrowLeft")).toEqual({ taken: "left" });
    expect([keysOf("wire"), keysOf("sound")]).toEqual([["w"], ["m"]]);
    // Of two screens they may be the same.
    expect(setKey("search", "v")).toBeNull();
    // What was free may be taken when it is to be reset.
    expect([setKey("wire", "q"), setKey("fork", "w")]).toEqual([null, null]);
    expect(resetKey("wire")).toEqual({ taken: "fork" });
    expect(keysOf("wire")).toEqual(["q"]);
  });

  it("of the browser are refused", async () => {
    const { setKey } = await opened();
    for (const key of ["Tab", "Escape", "Shift", "F5", "Dead", "Unidentified"]) expect(setKey("wire", key)).toBe("fixed");
    expect(setKey("wire", "f")).toEqual({ taken: "fork" });
  });

  it("that were kept are read with care", async () => {
    kept.set("tussle.keymap", JSON.stringify({ wire: "Tab", sound: 7, camera: "w", launch: " ", nothing: "x", play: "" }));
    const { keysOf } = await opened();
    expect([keysOf("wire"), keysOf("sound"), keysOf("camera"), keysOf("launch"), keysOf("play")]).toEqual([["w"], ["m"], ["0"], [" "], [" "]]);
    for (const broken of ["{", "[]", "7", "null"]) {
      kept.set("tussle.keymap", broken);
      expect((await opened()).keysOf("wire")).toEqual(["w"]);
    }
  });

  it("are letters without regard to Shift", async () => {
    const { keyOf } = await opened();
    expect(["W", "w", "?", "Enter", " ", "PageUp"].map((key) => keyOf({ key }))).toEqual(["w", "w", "?", "Enter", " ", "PageUp"]);
  });
});
