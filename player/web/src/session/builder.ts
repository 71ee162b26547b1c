// Builds a scene together with others: sends commands one after another, receives changes, reads documents. The state is
// a signal for the screens; session/scene.ts has its rules. It must never touch the page.

import { computed, signal } from "@preact/signals";
import type { ReadonlySignal, Signal } from "@preact/signals";
import { t } from "../text/words";
import type { ErrorData } from "../wire/messages";
import { WORLD_ID, deltaOf, readBody, readWorld } from "../wire/scene";
import type { SceneListing, SceneReport } from "../wire/answers";
import type { Body, Raw, SceneBody, World } from "../wire/scene";
import type { Data } from "./events";
import { list, maybe, num, part, str } from "./events";
import { EMPTY_SCENE, hasGap, shown, unread, withAck, withBody, withChanges, withConflict, withList, withLock, withPending, withoutConflict, withoutLocksOf, withoutPending, withoutSteps } from "./scene";
import type { Conflict, SceneState, Step } from "./scene";

/** What a builder needs of a session: commands with their whole answer, and the reads. */
export interface BuilderPort {
  seat(): number | null;
  command(kind: string, d?: Record<string, unknown>): Promise<{ readonly ok: true; readonly d: Data } | { readonly ok: false; readonly error: ErrorData }>;
  list(): Promise<SceneListing>;
  body(body: string): Promise<SceneBody>;
  whole(): Promise<Raw>;
  check(): Promise<SceneReport>;
}

/** One body and its new document; null removes it. */
export interface Change {
  readonly body: string;
  readonly document: Raw | null;
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly retryAfter: number | null;
}

/** Room in one message for edits [bytes], and how many: the server takes 8192 and 64. */
const MESSAGE_BYTES = 7000;
const MESSAGE_EDITS = 64;
/** A missing version may still be on its way [ms]. */
const GAP_MS = 400;
/** More unread documents than this are read as one. */
const MANY = 6;
const AGAIN_MS = 1500;
/** The check runs when nothing has changed for this long [ms]. */
const CHECK_MS = 350;
/** A command that was rate limited waits for at most WAIT_S [s], and is sent again at most WAITS times. */
const WAIT_S = 10;
const WAITS = 5;
const KEPT_ANSWERS = 64;

export class Builder {
  readonly state: Signal<SceneState> = signal(EMPTY_SCENE);
  readonly documents: ReadonlySignal<ReadonlyMap<string, Raw>> = computed(() => shown(this.state.value));
  /** All bodies as they are shown, in the order of the scene. */
  readonly bodies: ReadonlySignal<readonly Body[]>;
  readonly world: ReadonlySignal<World> = computed(() => readWorld(this.documents.value.get(WORLD_ID) ?? {}));
  /** The last answer of the check, and whether a newer one is awaited. */
  readonly checked: Signal<SceneReport | null> = signal(null);
  readonly checking: Signal<boolean> = signal(false);
  /** Why the check could not run. */
  readonly unchecked: Signal<string> = signal("");
  /** Whether the list and all documents are here. */
  readonly complete: ReadonlySignal<boolean> = computed(() => this.state.value.loaded && !unread(this.state.value).length);
  /** Edits that wait for their answer. */
  readonly busy: ReadonlySignal<number> = computed(() => new Set(this.state.value.pending.map((one) => one.key)).size);
  onRefusal: (refusal: Refusal) => void = () => {};
  private readonly port: BuilderPort;
  private readonly tokens = new Map<string, number>();
  private readonly versions = new Map<number, Map<string, number>>();
  private nextKey = 1;
  private queue: Promise<unknown> = Promise.resolve();
  private reading = false;
  private gapTimer = 0;
  private checkTimer = 0;
  private stopped = false;
  private readonly parsed = new WeakMap<Raw, Body>();

  constructor(port: BuilderPort) {
    this.port = port;
    this.bodies = computed(() => [...this.documents.value].filter(([id]) => id !== WORLD_ID).map(([, document]) => this.bodyOf(document)));
  }

  /** The same document gives the same body, so that unchanged bodies are equal. */
  private bodyOf(document: Raw): Body {
    let body = this.parsed.get(document);
    if (!body) this.parsed.set(document, (body = readBody(document)));
    return body;
  }

  /** Read the scene; again until the server answers. */
  async open(): Promise<void> {
    await this.refresh().catch(() => this.later());
  }

  dispose(): void {
    this.stopped = true;
    clearTimeout(this.gapTimer);
    clearTimeout(this.checkTimer);
  }

  // -- messages of the session

  /** A message `scene` or `lock` of the session. */
  receive(kind: string, d: Data): void {
    if (kind === "lock") {
      const body = str(d, "body");
      const seat = maybe(d, "seat");
      if (seat !== this.port.seat()) this.tokens.delete(body);
      this.set(withLock(this.state.peek(), body, seat));
    } else if (kind === "scene") {
      const changed = (list(d, "changed") as Data[]).map((one) => ({ body: str(one, "body"), version: num(one, "version") }));
      this.set(withChanges(this.state.peek(), num(d, "version"), changed));
      this.follow();
    }
  }

  /** The connection was lost, and with it the locks; or it is back, and messages may have been missed. */
  connection(live: boolean): void {
    if (!live) {
      this.tokens.clear();
      const seat = this.port.seat();
      if (seat !== null) this.set(withoutLocksOf(this.state.peek(), seat));
    } else if (this.state.peek().loaded) void this.refresh().catch(() => this.later());
  }

  /** Read what is missing. */
  private follow(): void {
    this.plan();
    if (hasGap(this.state.peek())) {
      clearTimeout(this.gapTimer);
      this.gapTimer = setTimeout(() => {
        if (hasGap(this.state.peek())) void this.refresh().catch(() => this.later());
      }, GAP_MS) as unknown as number;
    }
    void this.read();
  }

  private later(): void {
    if (this.stopped) return;
    clearTimeout(this.gapTimer);
    this.gapTimer = setTimeout(() => void this.refresh().catch(() => this.later()), AGAIN_MS) as unknown as number;
  }

  private async refresh(): Promise<void> {
    const answer = await this.port.list();
    if (this.stopped) return;
    this.set(withList(this.state.peek(), answer));
    this.plan();
    await this.read();
  }

  /** Read the documents that are missing, one by one or as a whole. */
  private async read(): Promise<void> {
    if (this.reading) return;
    this.reading = true;
    try {
      for (let missing = unread(this.state.peek()); missing.length && !this.stopped; missing = unread(this.state.peek())) {
        if (missing.length > MANY && (await this.readWhole())) continue;
        await Promise.all(
          missing.slice(0, MANY).map(async (body) => {
            const read = await this.port.body(body).catch((error: unknown) => {
              if ((error as { status?: number }).status === 404) return null;
              throw error;
            });
            if (read) this.set(withBody(this.state.peek(), read));
            else await this.relist();
          }),
        );
      }
    } catch {
      this.later();
    } finally {
      this.reading = false;
    }
  }

  private async relist(): Promise<void> {
    const answer = await this.port.list();
    this.set(withList(this.state.peek(), answer));
  }

  /** All documents at once; they are used only if no version changed meanwhile. */
  private async readWhole(): Promise<boolean> {
    const before = await this.port.list();
    const whole = await this.port.whole();
    const after = await this.port.list();
    let state = withList(this.state.peek(), after);
    if (before.version !== after.version) {
      this.set(state);
      return false;
    }
    const documents = new Map((list(whole as Data, "bodies") as Raw[]).map((one) => [String(one["id"]), one]));
    const { bodies: _bodies, schema: _schema, ...world } = whole as Record<string, unknown>;
    documents.set(WORLD_ID, world);
    for (const body of unread(state)) {
      const row = state.rows.get(body)!;
      const document = documents.get(body);
      if (document) state = withBody(state, { body, version: row.version, sha256: row.sha256, document });
    }
    this.set(state);
    return unread(state).length === 0;
  }

  private set(state: SceneState): void {
    if (state !== this.state.peek()) this.state.value = state;
  }

  // -- the check

  private plan(): void {
    clearTimeout(this.checkTimer);
    if (this.stopped || !this.state.peek().editable) return;
    if (this.checked.peek()?.version === this.state.peek().version) return;
    this.checking.value = true;
    this.checkTimer = setTimeout(() => void this.check(), CHECK_MS) as unknown as number;
  }

  private async check(): Promise<void> {
    try {
      const answer = await this.port.check();
      if (this.stopped) return;
      this.checked.value = answer;
      this.unchecked.value = "";
      this.checking.value = false;
      if (answer.version < this.state.peek().version) this.plan();
    } catch (error) {
      if (this.stopped) return;
      this.checking.value = false;
      this.unchecked.value = error instanceof Error ? error.message : String(error);
      this.checkTimer = setTimeout(() => this.plan(), AGAIN_MS) as unknown as number;
    }
  }

  // -- locks

  /** Take hold of a body. Returns whether this page holds it now. */
  async hold(body: string): Promise<boolean> {
    if (this.tokens.has(body)) return true;
    if (!this.state.peek().rows.has(body)) return true; // the server does not have it yet, so nobody else can hold it
    const answer = await this.patient("lock", { body });
    if (!answer.ok) {
      this.refused(answer.error, [{ body, document: null }], true);
      return false;
    }
    this.tokens.set(body, num(answer.d, "lock"));
    const seat = this.port.seat();
    if (seat !== null) this.set(withLock(this.state.peek(), body, seat));
    return true;
  }

  /** Let go of a body. */
  release(body: string): void {
    const token = this.tokens.get(body);
    if (token === undefined) return;
    // After the edits that need the lock.
    void this.then(async () => {
      if (this.tokens.get(body) !== token) return;
      this.tokens.delete(body);
      const seat = this.port.seat();
      if (this.state.peek().rows.get(body)?.lock === seat) this.set(withLock(this.state.peek(), body, null));
      await this.port.command("unlock", { body, lock: token });
    });
  }

  holds(body: string): boolean {
    return this.tokens.has(body);
  }

  // -- edits

  private then<T>(act: () => Promise<T>): Promise<T> {
    const next = this.queue.then(act, act);
    this.queue = next.catch(() => {});
    return next;
  }

  /** Change bodies: at once on this page, then on the server, as one step to undo. Returns whether it was taken. */
  commit(changes: readonly Change[]): Promise<boolean> {
    if (!changes.length) return Promise.resolve(true);
    const key = this.nextKey++;
    const state = this.state.peek();
    // Each edit is based on what the person saw: the version that is known, or this page's own edit on the way.
    const after = new Map(state.pending.map((one) => [one.body, one.key]));
    const bases = changes.map((change) => ({ after: after.get(change.body) ?? null, version: state.rows.get(change.body)?.version ?? 0, document: state.rows.get(change.body)?.document ?? null }));
    this.set(withPending(state, key, new Map(changes.map((change) => [change.body, change.document]))));
    return this.then(() => this.send(key, changes, bases));
  }

  private async send(key: number, changes: readonly Change[], bases: readonly { after: number | null; version: number; document: Raw | null }[]): Promise<boolean> {
    const fail = (): false => {
      this.set(withoutPending(this.state.peek(), key));
      void this.read();
      return false;
    };
    for (let retry = 0; ; retry++) {
      const edits: Record<string, unknown>[] = [];
      for (const [i, change] of changes.entries()) {
        const { after, version, document } = bases[i]!;
        const base = after === null ? version : (this.versions.get(after)?.get(change.body) ?? null);
        if (base === null) return fail(); // the edit before it was refused and reported
        if (base > 0 && !(await this.hold(change.body))) return fail();
        const lock = base > 0 ? { lock: this.tokens.get(change.body) } : {};
        const delta = base > 0 && after === null && document && change.document ? deltaOf(document, change.document) : null;
        edits.push({ body: change.body, base, ...lock, ...(change.document === null ? { remove: true } : delta ? { delta } : { document: change.document }) });
      }
      const done = new Map<string, number>();
      this.versions.set(key, done);
      if (this.versions.size > KEPT_ANSWERS) this.versions.delete(this.versions.keys().next().value!);
      let refused: ErrorData | null = edits.some((edit) => bytesOf(edit) > MESSAGE_BYTES) ? tooLarge() : null;
      for (const message of refused ? [] : messages(edits)) {
        const answer = await this.patient("edit", { edits: message });
        if (!answer.ok) {
          refused = answer.error;
          break;
        }
        this.took(key, answer.d, done);
      }
      if (!refused) {
        this.set(withoutPending(this.state.peek(), key));
        this.follow();
        return true;
      }
      // The lock expired, or its connection did: take it again, once.
      if (retry === 0 && done.size === 0 && (refused.code === "stale_lock" || refused.code === "lock_required")) {
        for (const change of changes) this.tokens.delete(change.body);
        continue;
      }
      this.refused(refused, changes, false);
      return fail();
    }
  }

  /** Send a command. If it is rate limited, wait as long as the server asks and send it again. */
  private async patient(kind: string, d?: Record<string, unknown>): ReturnType<BuilderPort["command"]> {
    for (let waits = 0; ; waits++) {
      const answer = await this.port.command(kind, d);
      if (answer.ok || answer.error.code !== "rate_limited" || waits >= WAITS || this.stopped) return answer;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(WAIT_S, answer.error.retry_after ?? 1)));
    }
  }

  private took(key: number, d: Data, done: Map<string, number>): void {
    const bodies = (list(d, "bodies") as Data[]).map((one) => ({ body: str(one, "body"), version: num(one, "version"), sha256: str(one, "sha256") }));
    for (const one of bodies) {
      done.set(one.body, one.version);
      if (one.version === 0) this.tokens.delete(one.body);
    }
    const state = this.state.peek();
    const sent = new Map(state.pending.filter((one) => one.key === key).map((one) => [one.body, one.document]));
    this.set(withChanges(state, num(d, "version"), bodies, sent));
  }

  undo(): Promise<boolean> {
    return this.step("undo");
  }

  redo(): Promise<boolean> {
    return this.step("redo");
  }

  /** `skip`: a refused step, which is dropped first. */
  private step(kind: Step["kind"], skip: number | null = null): Promise<boolean> {
    return this.then(async () => {
      const dropped = skip === null ? null : await this.patient("skip", { step: skip });
      const answer = dropped && !dropped.ok ? dropped : await this.patient(kind);
      if (!answer.ok) {
        this.refused(answer.error, [], false, kind);
        return false;
      }
      this.set(withAck(withoutSteps(this.state.peek()), 0, num(answer.d, "version"), (list(answer.d, "bodies") as Data[]).map((one) => ({ body: str(one, "body"), version: num(one, "version"), sha256: str(one, "sha256") }))));
      this.follow();
      return true;
    });
  }

  /** Report why: a conflict if another member changed or locked the body first, else a refusal. */
  private refused(error: ErrorData, changes: readonly Change[], locking: boolean, kind: Step["kind"] | null = null): void {
    const detail = part(error as unknown as Data, "detail");
    const body = str(detail, "body") || (changes.length === 1 ? changes[0]!.body : "");
    const wanted = changes.find((one) => one.body === body);
    if (["stale_version", "undo_conflict", "body_locked"].includes(error.code) && body) {
      const version = maybe(detail, "version");
      const document = detail["document"];
      const conflict: Conflict = {
        body,
        code: error.code,
        message: error.message,
        mine: locking ? null : (wanted?.document ?? null),
        present: version === null || document === undefined ? null : { body, version, sha256: str(detail, "sha256"), document: document as Raw | null },
        seat: maybe(detail, "seat") ?? (error.code === "undo_conflict" ? null : (this.state.peek().rows.get(body)?.lock ?? null)),
        name: str(detail, "name"),
        ...(error.code === "undo_conflict" && kind ? { step: { kind, version: num(detail, "step") } } : {}),
      };
      this.set(withConflict(this.state.peek(), conflict));
      if (error.code !== "body_locked") void this.refresh().catch(() => this.later());
      return;
    }
    if (error.code === "not_editable") this.set({ ...this.state.peek(), editable: false });
    this.onRefusal({ code: error.code, message: error.message, retryAfter: error.retry_after ?? null });
  }

  /** Close a conflict: keep the present version, or repeat this page's edit on top of it; after an undo that was refused,
   * drop its step and undo the one before. */
  resolve(body: string, again: boolean): void {
    const conflict = this.state.peek().conflicts.find((one) => one.body === body);
    this.set(withoutConflict(this.state.peek(), body));
    if (again && conflict?.step) void this.step(conflict.step.kind, conflict.step.version);
    else if (again && conflict?.mine) void this.commit([{ body, document: conflict.mine }]);
  }
}

const tooLarge = (): ErrorData => ({ code: "document_too_large", message: t("builder.the-document-of-a-body"), field: null });

function bytesOf(edit: Record<string, unknown>): number {
  return new TextEncoder().encode(JSON.stringify(edit)).length + 1;
}

/** Edits in messages that the server takes; all in one where they fit, as one message is one step to undo. */
function messages(edits: readonly Record<string, unknown>[]): Record<string, unknown>[][] {
  const all: Record<string, unknown>[][] = [];
  let size = Infinity;
  for (const edit of edits) {
    const bytes = bytesOf(edit);
    if (size + bytes > MESSAGE_BYTES || all.at(-1)!.length >= MESSAGE_EDITS) {
      all.push([]);
      size = 0;
    }
    all.at(-1)!.push(edit);
    size += bytes;
  }
  return all;
}
