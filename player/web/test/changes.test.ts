import { describe, expect, it } from "vitest";
import { changesUrl, readRecorded, readRows, recordedUrl } from "../src/wire/changes";
import type { ListedSession } from "../src/wire/answers";
import type { SessionView } from "../src/wire/messages";

const seat = { seat: 0, player: "p1", name: "ada", kind: "person", body: "halo", ready: false, connected: true } as const;
const row = (session: string, more: object = {}): ListedSession => ({ session, status: "open", mode: "duel", size: 2, host: "", seats: [seat], opened_at: 1, ...more });

describe("readRows", () => {
  it("adds, replaces and removes rows", () => {
    const known = new Map<string, SessionView>();
    readRows(known, { whole: true, rows: [row("a"), row("b")], gone: [] });
    readRows(known, { whole: false, rows: [row("b", { status: "filled" }), row("c")], gone: ["a"] });
    expect([...known.keys()]).toEqual(["b", "c"]);
    expect(known.get("b")?.status).toBe("filled");
  });

  it("forgets what it knew when it connects again", () => {
    const known = new Map<string, SessionView>();
    readRows(known, { whole: false, rows: [row("old")], gone: [] });
    readRows(known, { whole: true, rows: [row("new")], gone: [] });
    expect([...known.keys()]).toEqual(["new"]);
  });

  it("gives a row the fields that it leaves out", () => {
    const known = new Map<string, SessionView>();
    readRows(known, { whole: true, rows: [row("a")], gone: [] });
    expect(known.get("a")).toMatchObject({ ended_at: 0, turn_seat: null, observers: { count: 0, names: [], bots: [] }, seats: [{ ready: false, out: false, fills: false }] });
  });
});

describe("changesUrl", () => {
  it("escapes the search", () => {
    expect(changesUrl({ search: "a&b", mode: "duel", player: "p1", since: 7 }, 5)).toBe("/api/sessions/changes?ended=5&search=a%26b&mode=duel&player=p1&since=7");
    expect(changesUrl({ search: "", mode: "", player: "", since: 0 }, 5)).toBe("/api/sessions/changes?ended=5");
  });
});

describe("recorded sessions", () => {
  it("are asked for with the filters of the list, page by page", () => {
    expect(recordedUrl({ search: "", mode: "duel", player: "", since: 0 }, 50, "")).toBe("/api/recordings?kind=sessions&limit=50&mode=duel");
    expect(recordedUrl({ search: "", mode: "", player: "", since: 0 }, 50, "7.abc")).toBe("/api/recordings?kind=sessions&limit=50&cursor=7.abc");
  });

  it("become rows of the list of sessions, with their winner", () => {
    const seats = [{ seat: 0, player: "p1", name: "ada", kind: "person" as const, body: "halo" }];
    const about = { session: "a", status: "ended", mode: "duel", size: 2, seats, opened_at: 1, started_at: 2, ended_at: 3, length: 9, seconds: 1.5 };
    expect(readRecorded({ ...about, winner: 0 })).toMatchObject({ ended_at: 3, result: { winner: 0 }, observers: { count: 0 } });
    expect(readRecorded(about).result).toBeNull();
  });
});
