// The stream of changes of the lists of sessions: server-sent events, docs/protocol.md.

import type { ListedSeat, ListedSession, RecordedSeat, RecordedSession } from "./answers";
import { ROW_DEFAULTS, SEAT_DEFAULTS } from "./api";
import type { SeatView, SessionView } from "./messages";

/** Leads from the rows known so far to the rows of now. whole: forget what was known. */
export interface RowsEvent {
  whole: boolean;
  rows: ListedSession[];
  gone: string[];
}

/** Which sessions a list has. An empty field or 0 does not filter. since: [ms since 1970]. */
export interface Wanted {
  search: string;
  mode: string;
  player: string;
  since: number;
}

/** The stream of the matching sessions, and of the newest ended ones of them. */
export function changesUrl(wanted: Wanted, ended: number): string {
  const query = new URLSearchParams({ ended: String(ended) });
  for (const [name, value] of Object.entries(wanted)) if (value) query.set(name, String(value));
  return `/api/sessions/changes?${query.toString()}`;
}

/** The address of a page of recorded sessions. cursor: `next` of the page before, or "". */
export function recordedUrl(wanted: Wanted, limit: number, cursor: string): string {
  const query = new URLSearchParams({ kind: "sessions", limit: String(limit) });
  for (const [name, value] of Object.entries({ ...wanted, cursor })) if (value) query.set(name, String(value));
  return `/api/recordings?${query.toString()}`;
}

/** A recorded session as a row of the list of sessions. */
export function readRecorded(row: RecordedSession): SessionView {
  const { winner, ...about } = row;
  return { ...ROW_DEFAULTS, host: "", ...about, seats: row.seats.map(seatOf), result: winner === undefined ? null : { winner } };
}

/** Apply an event to the rows, by token. */
export function readRows(known: Map<string, SessionView>, event: RowsEvent): void {
  if (event.whole) known.clear();
  for (const token of event.gone) known.delete(token);
  for (const row of event.rows) known.set(row.session, { ...ROW_DEFAULTS, ...row, seats: row.seats.map(seatOf), observers: { ...ROW_DEFAULTS.observers, ...row.observers } });
}

function seatOf(seat: ListedSeat | RecordedSeat): SeatView {
  return { ...SEAT_DEFAULTS, ...seat };
}
