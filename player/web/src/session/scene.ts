// The scene of a waiting session as this page knows it: each body's version and document, who holds it, which edits
// of this page are not acknowledged yet, and which were refused because another member was first. Pure functions of a state;
// the builder (session/builder.ts) talks to the server.
//
//     list -> rows (no documents) -> documents -> shown = documents + pending
//     scene {version, changed} -> rows without documents, which are read again; a gap in the versions -> list again

import type { SceneListing } from "../wire/answers";
import type { Amounts, Raw, SceneBody } from "../wire/scene";
import { WORLD_ID } from "../wire/scene";

export interface Row {
  readonly version: number;
  readonly sha256: string;
  /** Null until it was read at this version; the previous one is drawn meanwhile. */
  readonly document: Raw | null;
  readonly before: Raw | null;
  readonly lock: number | null;
  /** The version of the scene that this row is from: older messages about the body are ignored. */
  readonly at: number;
}

/** An edit that is not acknowledged yet: the new document of the body, or null to remove it. */
export interface Pending {
  readonly key: number;
  readonly body: string;
  readonly document: Raw | null;
}

/** A step of undo or redo, by the version that made it. */
export interface Step {
  readonly kind: "undo" | "redo";
  readonly version: number;
}

/** Another member was first: the edit of this page, and the present document (null: removed, undefined: not known). */
export interface Conflict {
  readonly body: string;
  readonly code: string;
  readonly message: string;
  readonly mine: Raw | null;
  readonly present: SceneBody | null;
  /** The seat that changed or holds it, if that is known, and the name of who changed it. */
  readonly seat: number | null;
  readonly name?: string;
  /** The step that was not undone or redone. */
  readonly step?: Step;
}

export interface SceneState {
  readonly loaded: boolean;
  readonly editable: boolean;
  /** All versions up to this one were received, and these later ones. */
  readonly version: number;
  readonly ahead: readonly number[];
  readonly rows: ReadonlyMap<string, Row>;
  /** Removed bodies, with the version of the scene that removed them. */
  readonly gone: ReadonlyMap<string, number>;
  readonly pending: readonly Pending[];
  readonly conflicts: readonly Conflict[];
  readonly limits: Amounts;
  readonly used: Amounts;
}

export const EMPTY_SCENE: SceneState = { loaded: false, editable: false, version: 0, ahead: [], rows: new Map(), gone: new Map(), pending: [], conflicts: [], limits: {}, used: {} };

/** The whole list was read. Documents whose version did not change are kept. */
export function withList(state: SceneState, list: SceneListing): SceneState {
  const rows = new Map<string, Row>();
  const put = (body: string, version: number, sha256: string, lock: number | null) => {
    const known = state.rows.get(body);
    // This page has a newer version of the body than the list: another answer arrived before it.
    if (known && known.at > list.version) {
      rows.set(body, known);
      return;
    }
    const same = known?.version === version && known.sha256 === sha256;
    rows.set(body, { version, sha256, lock, at: list.version, document: same ? known.document : null, before: known?.document ?? known?.before ?? null });
  };
  put(WORLD_ID, list.world.version, list.world.sha256, list.world.lock ?? null);
  for (const row of list.bodies) if ((state.gone.get(row.body) ?? 0) <= list.version) put(row.body, row.version, row.sha256, row.lock);
  for (const [body, row] of state.rows) if (row.at > list.version && !rows.has(body)) rows.set(body, row);
  return heardOf({ ...state, loaded: true, editable: list.editable, rows, limits: list.limits, used: list.used, version: Math.max(state.version, list.version) }, []);
}

function heardOf(state: SceneState, versions: readonly number[]): SceneState {
  const ahead = new Set([...state.ahead, ...versions].filter((one) => one > state.version));
  let version = state.version;
  while (ahead.delete(version + 1)) version++;
  return { ...state, version, ahead: [...ahead].filter((one) => one > version).sort((a, b) => a - b) };
}

/** Whether a version between two received ones is missing. */
export function hasGap(state: SceneState): boolean {
  return state.loaded && state.ahead.length > 0;
}

interface Changed {
  readonly body: string;
  readonly version: number;
  readonly sha256?: string;
}

/** The scene got that version by these changes. `documents`: those that this page has sent itself. */
export function withChanges(state: SceneState, version: number, changed: readonly Changed[], documents: ReadonlyMap<string, Raw | null> = new Map()): SceneState {
  const rows = new Map(state.rows);
  const gone = new Map(state.gone);
  for (const one of changed) {
    const known = rows.get(one.body);
    if (version < (known?.at ?? gone.get(one.body) ?? 0)) continue;
    if (one.version === 0) {
      rows.delete(one.body);
      gone.set(one.body, version);
      continue;
    }
    const sent = documents.get(one.body) ?? null;
    const same = known?.version === one.version && known.at <= version;
    gone.delete(one.body);
    rows.set(one.body, {
      version: one.version,
      sha256: one.sha256 ?? (same ? known.sha256 : ""),
      lock: known?.lock ?? null,
      at: version,
      document: sent ?? (same ? known.document : null),
      before: known?.document ?? known?.before ?? null,
    });
  }
  return heardOf({ ...state, rows, gone }, [version]);
}

/** A body was read. A version older than the known one is ignored. */
export function withBody(state: SceneState, read: SceneBody): SceneState {
  const known = state.rows.get(read.body);
  if (!known || read.document === null || read.version < known.version) return state;
  const rows = new Map(state.rows).set(read.body, { ...known, version: read.version, sha256: read.sha256, document: read.document });
  return { ...state, rows };
}

export function withLock(state: SceneState, body: string, seat: number | null): SceneState {
  const known = state.rows.get(body);
  return known ? { ...state, rows: new Map(state.rows).set(body, { ...known, lock: seat }) } : state;
}

/** The lock of every body that a seat holds is gone: the seat's connection ended. */
export function withoutLocksOf(state: SceneState, seat: number): SceneState {
  const rows = new Map([...state.rows].map(([body, row]) => [body, row.lock === seat ? { ...row, lock: null } : row]));
  return { ...state, rows };
}

// -- this page's own edits

export function withPending(state: SceneState, key: number, documents: ReadonlyMap<string, Raw | null>): SceneState {
  return { ...state, pending: [...state.pending, ...[...documents].map(([body, document]) => ({ key, body, document }))] };
}

export function withoutPending(state: SceneState, key: number): SceneState {
  return { ...state, pending: state.pending.filter((one) => one.key !== key) };
}

/** The server took the edit. */
export function withAck(state: SceneState, key: number, version: number, bodies: readonly Changed[]): SceneState {
  const sent = new Map(state.pending.filter((one) => one.key === key).map((one) => [one.body, one.document]));
  return withoutPending(withChanges(state, version, bodies, sent), key);
}

/** Another member was first. The present version is shown; the edit of this page is kept with the conflict. */
export function withConflict(state: SceneState, conflict: Conflict): SceneState {
  const present = conflict.present;
  let next = state;
  if (present?.document) {
    const known = state.rows.get(present.body);
    if (!known || present.version >= known.version) {
      const row: Row = { version: present.version, sha256: present.sha256, document: present.document, before: known?.document ?? null, lock: known?.lock ?? null, at: known?.at ?? state.version };
      next = { ...state, rows: new Map(state.rows).set(present.body, row) };
    }
  }
  return { ...next, conflicts: [...next.conflicts.filter((one) => one.body !== conflict.body), conflict] };
}

export function withoutConflict(state: SceneState, body: string): SceneState {
  return { ...state, conflicts: state.conflicts.filter((one) => one.body !== body) };
}

/** A step was undone or redone: refusals of steps before it are no longer true. */
export function withoutSteps(state: SceneState): SceneState {
  return { ...state, conflicts: state.conflicts.filter((one) => !one.step) };
}

// -- what is shown

/** The documents to show, in the order of the scene: the newest that are known, with this page's edits on top. */
export function shown(state: SceneState): ReadonlyMap<string, Raw> {
  const documents = new Map<string, Raw>();
  for (const [body, row] of state.rows) {
    const document = row.document ?? row.before;
    if (document) documents.set(body, document);
  }
  for (const { body, document } of state.pending) {
    if (document) documents.set(body, document);
    else documents.delete(body);
  }
  return documents;
}

/** The bodies whose documents have to be read. Those of this page's pending edits are known when the answer comes. */
export function unread(state: SceneState): string[] {
  const own = new Set(state.pending.map((one) => one.body));
  return [...state.rows].filter(([body, row]) => row.document === null && !own.has(body)).map(([body]) => body);
}

/** The seat that holds a body, or null. */
export function holderOf(state: SceneState, body: string): number | null {
  return state.rows.get(body)?.lock ?? null;
}
