// The tree of forks that a session is part of, as rows from the root down.

import type { ForkTree, Forked } from "../wire/answers";

export interface TreeRow {
  readonly session: string;
  /** How many forks lie between the root and this session. */
  readonly depth: number;
  /** Where it begins; null: the root. */
  readonly fork: Forked | null;
}

/** The root, then each fork under its parent, in the order in which they were made. */
export function treeRows(tree: ForkTree): TreeRow[] {
  const children = new Map<string, Forked[]>();
  for (const fork of tree.forks) children.set(fork.parent, [...(children.get(fork.parent) ?? []), fork]);
  const rows: TreeRow[] = [];
  const seen = new Set<string>();
  const waiting: TreeRow[] = [{ session: tree.root, depth: 0, fork: null }];
  for (let row = waiting.pop(); row; row = waiting.pop()) {
    if (seen.has(row.session)) continue;
    seen.add(row.session);
    rows.push(row);
    const { session, depth } = row;
    for (const fork of [...(children.get(session) ?? [])].reverse()) waiting.push({ session: fork.session, depth: depth + 1, fork });
  }
  return rows;
}
