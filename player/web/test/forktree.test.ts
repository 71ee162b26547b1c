import { expect, test } from "vitest";
import { treeRows } from "../src/replay/forktree";
import type { Forked } from "../src/wire/answers";

function fork(session: string, parent: string): Forked {
  return { session, parent, parent_tick: 10, exact: true, at: 0, name: "Ada", status: null };
}

test("the tree of forks has each session once, under its parent", () => {
  const forks = [fork("b", "a"), fork("c", "b"), fork("d", "a"), fork("e", "c")];
  const rows = treeRows({ session: "c", root: "a", forks });
  expect(rows.map((row) => [row.session, row.depth])).toEqual([["a", 0], ["b", 1], ["c", 2], ["e", 3], ["d", 1]]);
  expect(rows[0]!.fork).toBeNull();
});

test("a tree that is a circle ends", () => {
  expect(treeRows({ session: "a", root: "a", forks: [fork("b", "a"), fork("a", "b")] }).map((row) => row.session)).toEqual(["a", "b"]);
});
