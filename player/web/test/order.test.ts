import { describe, expect, it } from "vitest";
import { inOrder, orderOf } from "../src/screens/order";
import { ROW_DEFAULTS } from "../src/wire/api";
import type { SessionView } from "../src/wire/messages";

const row = (session: string, status: string): SessionView => ({ ...ROW_DEFAULTS, session, status }) as SessionView;
const list = (running: string[], ended: string[]) => [
  { name: "running", rows: running.map((one) => row(one, "running")) },
  { name: "ended", rows: ended.map((one) => row(one, "ended")) },
];
const shown = (groups: ReturnType<typeof inOrder>["groups"]) => groups.map(({ rows }) => rows.map(({ session, view }) => `${session} ${view?.status ?? "gone"}`));

describe("the order of the list of sessions", () => {
  it("is its own while nothing holds it", () => {
    const { groups, later } = inOrder(list(["b"], ["a", "z"]), null);
    expect(shown(groups)).toEqual([["b running"], ["a ended", "z ended"]]);
    expect(later).toBe(0);
  });

  it("is kept while it is held: a match that ends stays in its place, with its end", () => {
    const held = orderOf(list(["a", "b"], ["z"]));
    expect(shown(inOrder(list(["b"], ["a", "z"]), held).groups)).toEqual([["a ended", "b running"], ["z ended"]]);
  });

  it("shows what has become of a session that its group has no room for", () => {
    const held = orderOf(list(["a"], ["z"]));
    expect(shown(inOrder(list([], ["a"]), held, [row("a", "ended"), row("z", "failed")]).groups)).toEqual([["a ended"], ["z failed"]]);
  });

  it("keeps the place of a session that is in no list any more", () => {
    const held = orderOf(list(["a", "b"], ["z"]));
    expect(shown(inOrder(list(["b"], ["z"]), held).groups)).toEqual([["a gone", "b running"], ["z ended"]]);
  });

  it("counts the sessions that came later and does not show them", () => {
    const held = orderOf(list(["a"], []));
    const { groups, later } = inOrder(list(["c", "b", "a"], ["y"]), held);
    expect(shown(groups)).toEqual([["a running"], []]);
    expect(later).toBe(3);
  });
});
