// The order of the rows in the list of sessions: it is held while somebody points at the list, so that no row moves away
// from under the pointer or the focus.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { RefObject } from "preact";
import type { SessionView } from "../wire/messages";

/** A group of the list. name: one of its own. */
export interface Grouped<T> {
  readonly name: string;
  readonly rows: readonly T[];
}

/** The tokens of the rows of every group, as they are shown. */
export type Order = ReadonlyMap<string, readonly string[]>;

export const orderOf = (groups: readonly Grouped<{ readonly session: string }>[]): Order => new Map(groups.map((group) => [group.name, group.rows.map((row) => row.session)]));

/** A row in its place. view: null once the session is in no list. */
export interface Placed {
  readonly session: string;
  readonly view: SessionView | null;
}

export const inPlace = (views: readonly SessionView[]): Placed[] => views.map((view) => ({ session: view.session, view }));

/**
 * The groups in a held order, or in their own. Every row of a held order keeps its group and its place, whatever becomes of
 * its session; its view is the newest one. Rows that came later are left out; `later` counts them. known: the sessions of all
 * lists, also those that the groups have no room for.
 */
export function inOrder(groups: readonly Grouped<SessionView>[], held: Order | null, known: readonly SessionView[] = []): { groups: Grouped<Placed>[]; later: number } {
  if (!held) return { groups: groups.map(({ name, rows }) => ({ name, rows: inPlace(rows) })), later: 0 };
  const rows = groups.flatMap((group) => group.rows);
  const views = new Map([...known, ...rows].map((view) => [view.session, view]));
  const kept = new Set([...held.values()].flat());
  return {
    groups: groups.map(({ name }) => ({ name, rows: (held.get(name) ?? []).map((session) => ({ session, view: views.get(session) ?? null })) })),
    later: rows.filter(({ session }) => !kept.has(session)).length,
  };
}

/** A click into the list gives it a focus that is not visible: that does not hold its order once the pointer has left. */
const focused = (list: HTMLElement): boolean => list.querySelector(":focus-visible") !== null;

/**
 * The groups in the order to show, and the handlers of the list's element. reason: changes when the list is another one, so
 * that an order of the list before it is dropped.
 */
export function useHeldOrder(list: RefObject<HTMLElement | null>, groups: readonly Grouped<SessionView>[], known: readonly SessionView[], reason: string) {
  const [held, setHeld] = useState<{ order: Order; reason: string } | null>(null);
  const pointed = useRef(false);
  const order = held?.reason === reason ? held.order : null;
  const hold = (): void => {
    if (!order) setHeld({ order: orderOf(groups), reason });
  };
  useLayoutEffect(() => {
    // A row that had the focus may be gone.
    if (held && !(pointed.current || (list.current && focused(list.current)))) setHeld(null);
  });
  const point = (): void => {
    pointed.current = true;
    hold();
  };
  return {
    ...inOrder(groups, order, known),
    handlers: {
      onPointerEnter: point,
      onPointerMove: point,
      onPointerLeave: () => {
        pointed.current = false;
        if (list.current && !focused(list.current)) setHeld(null);
      },
      onFocusIn: () => list.current && focused(list.current) && hold(),
      onFocusOut: (event: FocusEvent) => {
        if (!pointed.current && !(event.relatedTarget instanceof Node && list.current?.contains(event.relatedTarget))) setHeld(null);
      },
    },
  };
}
