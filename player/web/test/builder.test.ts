import { describe, expect, it } from "vitest";
import { Builder } from "../src/session/builder";
import type { BuilderPort, Refusal } from "../src/session/builder";
import type { ErrorData } from "../src/wire/messages";
import { WORLD_ID } from "../src/wire/scene";
import type { Raw } from "../src/wire/scene";

/** A server with the agreed rules in a few lines: versions, locks with tokens, conflicts, undo. */
class Server {
  version = 1;
  token = 0;
  readonly docs = new Map<string, { version: number; document: Raw }>([[WORLD_ID, { version: 1, document: {} }]]);
  readonly locks = new Map<string, { seat: number; token: number }>();
  readonly listeners: ((kind: string, d: Record<string, unknown>) => void)[] = [];
  readonly edits: { seat: number; edits: Record<string, unknown>[] }[] = [];
  readonly undos: (() => [string, number, Raw | null, number][])[] = [];
  reads: string[] = [];
  deaf = false;
  expire = "";

  tell(kind: string, d: Record<string, unknown>): void {
    if (!this.deaf) for (const listener of this.listeners) listener(kind, d);
  }

  private write(body: string, document: Raw | null): number {
    const known = this.docs.get(body);
    if (document === null) {
      this.docs.delete(body);
      return 0;
    }
    const version = (known?.version ?? 0) + 1;
    this.docs.set(body, { version, document });
    return version;
  }

  error(code: string, detail?: Record<string, unknown>) {
    return { ok: false as const, error: { code, message: code, field: null, ...(detail ? { detail } : {}) } as ErrorData };
  }

  command(seat: number, kind: string, d: Record<string, unknown> = {}): Awaited<ReturnType<BuilderPort["command"]>> {
    if (kind === "lock") {
      const body = String(d["body"]);
      const lock = this.locks.get(body);
      if (lock && lock.seat !== seat) return this.error("body_locked", { body, seat: lock.seat });
      const token = ++this.token;
      this.locks.set(body, { seat, token });
      this.tell("lock", { body, seat });
      return { ok: true, d: { lock: token } };
    }
    if (kind === "unlock") {
      this.locks.delete(String(d["body"]));
      this.tell("lock", { body: d["body"], seat: null });
      return { ok: true, d: {} };
    }
    if (kind === "skip") {
      if (d["step"] === this.undos.length) this.undos.pop();
      return { ok: true, d: {} };
    }
    if (kind === "undo") {
      if (!this.undos.length) return this.error("nothing_to_undo");
      const step = this.undos.at(-1)!();
      for (const [body, , , made] of step) {
        const present = this.docs.get(body);
        if ((present?.version ?? 0) !== made) return this.error("undo_conflict", { step: this.undos.length, body, version: present?.version ?? 0, seat: 1, name: "Kei" });
      }
      this.undos.pop();
      return this.done(step.map(([body, , document]) => [body, document]));
    }
    const edits = d["edits"] as Record<string, unknown>[];
    this.edits.push({ seat, edits });
    for (const edit of edits) {
      const body = String(edit["body"]);
      const known = this.docs.get(body);
      if (known) {
        const lock = this.locks.get(body);
        if (!lock || edit["lock"] === undefined) return this.error("lock_required", { body });
        if (this.expire === body || lock.token !== edit["lock"]) {
          this.expire = "";
          return this.error("stale_lock", { body });
        }
      }
      if (edit["base"] !== (known?.version ?? 0)) return this.error("stale_version", { body, version: known?.version ?? 0, sha256: "p", document: known?.document ?? null });
    }
    const before = edits.map((edit): [string, Raw | null] => [String(edit["body"]), this.docs.get(String(edit["body"]))?.document ?? null]);
    const answer = this.done(edits.map((edit) => [String(edit["body"]), edit["remove"] ? null : edit["delta"] ? { ...this.docs.get(String(edit["body"]))!.document, ...(edit["delta"] as Raw) } : (edit["document"] as Raw)]));
    const made = new Map((answer.d["bodies"] as { body: string; version: number }[]).map((one) => [one.body, one.version]));
    this.undos.push(() => before.map(([body, document]) => [body, 0, document, made.get(body)!]));
    return answer;
  }

  private done(changes: [string, Raw | null][]) {
    const bodies = changes.map(([body, document]) => ({ body, version: this.write(body, document), sha256: `${body}${this.version}` }));
    this.version++;
    this.tell("scene", { version: this.version, changed: bodies.map(({ body, version }) => ({ body, version })) });
    return { ok: true as const, d: { version: this.version, bodies } };
  }

  port(seat: number): BuilderPort {
    return {
      seat: () => seat,
      command: async (kind, d) => this.command(seat, kind, d),
      list: async () => ({
        version: this.version,
        editable: true,
        world: { version: this.docs.get(WORLD_ID)!.version, sha256: "w", body: WORLD_ID, lock: null },
        bodies: [...this.docs].filter(([id]) => id !== WORLD_ID).map(([body, one]) => ({ body, version: one.version, sha256: "", lock: this.locks.get(body)?.seat ?? null })),
        limits: {},
        used: {},
      }),
      body: async (body) => {
        this.reads.push(body);
        const one = this.docs.get(body);
        if (!one) throw Object.assign(new Error("gone"), { status: 404 });
        return { body, version: one.version, sha256: "", document: one.document };
      },
      whole: async () => {
        this.reads.push("*");
        return { ...this.docs.get(WORLD_ID)!.document, schema: "tussle-scene/1", bodies: [...this.docs].filter(([id]) => id !== WORLD_ID).map(([, one]) => one.document) };
      },
      check: async () => ({ version: this.version, ok: true, vertices: 8, overlaps: [], problems: [], smallest_gap: 1 }),
    };
  }
}

const doc = (id: string, y = 0): Raw => ({ id, shape: { kind: "box", params: {} }, material: { density: 1 }, position: [0, y, 0] });
const rest = () => new Promise((resolve) => setTimeout(resolve, 0));

async function builders(server: Server, count = 2) {
  const made: { builder: Builder; refusals: Refusal[] }[] = [];
  for (let seat = 0; seat < count; seat++) {
    const builder = new Builder(server.port(seat));
    const refusals: Refusal[] = [];
    builder.onRefusal = (refusal) => refusals.push(refusal);
    server.listeners.push((kind, d) => builder.receive(kind, d));
    await builder.open();
    made.push({ builder, refusals });
  }
  return made;
}

const heights = (builder: Builder): Record<string, number> => Object.fromEntries(builder.bodies.value.map((body) => [body.id, body.position[1]]));

describe("Builder", () => {
  it("adds and changes bodies, and the other page reads only what it has not sent", async () => {
    const server = new Server();
    const [ada, kei] = (await builders(server)).map((one) => one.builder) as [Builder, Builder];
    const adding = ada.commit([{ body: "a", document: doc("a") }, { body: "b", document: doc("b") }]);
    expect(heights(ada)).toEqual({ a: 0, b: 0 });
    expect(await adding).toBe(true);
    await rest();
    expect(heights(kei)).toEqual({ a: 0, b: 0 });
    server.reads = [];
    expect(await ada.commit([{ body: "a", document: doc("a", 3) }])).toBe(true);
    await rest();
    expect(heights(kei)).toEqual({ a: 3, b: 0 });
    expect(server.reads).toEqual(["a"]);
    expect(server.edits.at(-1)!.edits).toEqual([{ body: "a", base: 1, lock: 1, delta: { position: [0, 3, 0] } }]);
    expect(server.edits).toHaveLength(2);
  });

  it("bases an edit on this page's own one that is still on the way", async () => {
    const server = new Server();
    const { builder } = (await builders(server, 1))[0]!;
    const all = [builder.commit([{ body: "a", document: doc("a", 1) }]), builder.commit([{ body: "a", document: doc("a", 2) }]), builder.commit([{ body: "a", document: doc("a", 3) }])];
    expect(heights(builder)).toEqual({ a: 3 });
    expect(await Promise.all(all)).toEqual([true, true, true]);
    expect(server.edits.map((one) => one.edits[0]!["base"])).toEqual([0, 1, 2]);
    expect(server.docs.get("a")!.document).toEqual(doc("a", 3));
  });

  it("says who holds a body, and shows that body as it was", async () => {
    const server = new Server();
    const [ada, kei] = (await builders(server)).map((one) => one.builder) as [Builder, Builder];
    await ada.commit([{ body: "a", document: doc("a", 1) }]);
    expect(await ada.hold("a")).toBe(true);
    await rest();
    expect(kei.state.value.rows.get("a")?.lock).toBe(0);
    expect(await kei.commit([{ body: "a", document: doc("a", 9) }])).toBe(false);
    expect(kei.state.value.conflicts).toMatchObject([{ body: "a", code: "body_locked", seat: 0 }]);
    expect(heights(kei)).toEqual({ a: 1 });
    ada.release("a");
    await rest();
    await rest();
    kei.resolve("a", false);
    expect(await kei.commit([{ body: "a", document: doc("a", 9) }])).toBe(true);
  });

  it("shows the present version when somebody was first, and can make its edit again on top", async () => {
    const server = new Server();
    const [ada, kei] = (await builders(server)).map((one) => one.builder) as [Builder, Builder];
    await ada.commit([{ body: "a", document: doc("a", 1) }]);
    await rest();
    server.deaf = true; // what Ada does now reaches Kei late
    await ada.commit([{ body: "a", document: doc("a", 5) }]);
    ada.release("a");
    await rest();
    await rest();
    server.deaf = false;
    expect(await kei.commit([{ body: "a", document: doc("a", 7) }])).toBe(false);
    expect(kei.state.value.conflicts).toMatchObject([{ body: "a", code: "stale_version", mine: doc("a", 7), present: { version: 2, document: doc("a", 5) } }]);
    expect(heights(kei)).toEqual({ a: 5 });
    kei.resolve("a", true);
    await rest();
    await rest();
    expect(kei.state.value.conflicts).toEqual([]);
    expect(server.docs.get("a")!.document).toEqual(doc("a", 7));
  });

  it("takes a lock that expired again, once", async () => {
    const server = new Server();
    const { builder, refusals } = (await builders(server, 1))[0]!;
    await builder.commit([{ body: "a", document: doc("a", 1) }]);
    await builder.hold("a");
    server.expire = "a";
    expect(await builder.commit([{ body: "a", document: doc("a", 2) }])).toBe(true);
    expect(refusals).toEqual([]);
  });

  it("loses its locks with the connection, and reads what it missed when it is back", async () => {
    const server = new Server();
    const [ada, kei] = (await builders(server)).map((one) => one.builder) as [Builder, Builder];
    await ada.commit([{ body: "a", document: doc("a", 1) }]);
    await kei.hold("a");
    server.deaf = true;
    kei.connection(false);
    expect(kei.holds("a")).toBe(false);
    server.locks.clear();
    await ada.commit([{ body: "a", document: doc("a", 4) }, { body: "b", document: doc("b") }]);
    server.deaf = false;
    kei.connection(true);
    await rest();
    expect(heights(kei)).toEqual({ a: 4, b: 0 });
  });

  it("reads the list again when a message is missing", async () => {
    const server = new Server();
    const [ada, kei] = (await builders(server)).map((one) => one.builder) as [Builder, Builder];
    server.deaf = true;
    await ada.commit([{ body: "a", document: doc("a", 1) }]);
    server.deaf = false;
    await ada.commit([{ body: "b", document: doc("b", 2) }]);
    await expect.poll(() => heights(kei), { timeout: 3000 }).toEqual({ a: 1, b: 2 });
    expect(kei.state.value.version).toBe(server.version);
  });

  it("undoes its own step, and refuses where the body was changed since", async () => {
    const server = new Server();
    const [ada, kei] = (await builders(server)).map((one) => one.builder) as [Builder, Builder];
    await ada.commit([{ body: "a", document: doc("a", 1) }]);
    await ada.commit([{ body: "a", document: doc("a", 2) }]);
    expect(await ada.undo()).toBe(true);
    await rest();
    expect([heights(ada), heights(kei)]).toEqual([{ a: 1 }, { a: 1 }]);
    expect(await ada.undo()).toBe(false); // its version was made by the undo, and the model is strict
    expect(ada.state.value.conflicts).toMatchObject([{ body: "a", code: "undo_conflict" }]);
  });

  it("drops a step that is refused, and goes on, after a press of its button", async () => {
    const server = new Server();
    const [ada, kei] = (await builders(server)).map((one) => one.builder) as [Builder, Builder];
    await ada.commit([{ body: "b", document: doc("b", 1) }]);
    await ada.commit([{ body: "a", document: doc("a", 1) }]);
    await rest();
    await kei.hold("a");
    const theirs = server.command(1, "edit", { edits: [{ body: "a", base: 1, lock: server.token, delta: doc("a", 2) }] });
    server.undos.pop(); // each member has steps of its own; this server keeps only Ada's
    expect(theirs.ok).toBe(true);
    await rest();
    for (let i = 0; i < 2; i++) expect(await ada.undo()).toBe(false);
    expect(heights(ada)).toEqual({ a: 2, b: 1 });
    expect(ada.state.value.conflicts).toMatchObject([{ body: "a", code: "undo_conflict", seat: 1, name: "Kei", step: { kind: "undo" } }]);
    ada.resolve("a", true);
    await expect.poll(() => heights(ada)).toEqual({ a: 2 });
    expect(ada.state.value.conflicts).toEqual([]);
    expect(await ada.undo()).toBe(false); // nothing is left
  });

  it("reads many documents as one", async () => {
    const server = new Server();
    for (let i = 0; i < 30; i++) server.docs.set(`b${i}`, { version: 1, document: doc(`b${i}`, i) });
    const { builder } = (await builders(server, 1))[0]!;
    expect(builder.bodies.value).toHaveLength(30);
    expect(server.reads).toEqual(["*"]);
  });

  it("sends an edit that is larger than a message in parts", async () => {
    const server = new Server();
    const { builder } = (await builders(server, 1))[0]!;
    expect(await builder.commit(Array.from({ length: 120 }, (_, i) => ({ body: `b${i}`, document: doc(`b${i}`) })))).toBe(true);
    expect(server.edits.length).toBeGreaterThan(1);
    expect(Math.max(...server.edits.map((one) => JSON.stringify(one.edits).length))).toBeLessThan(8000);
    expect(builder.bodies.value).toHaveLength(120);
    expect(builder.state.value.pending).toEqual([]);
  });

  it("waits as long as the server asks when an edit came too soon", async () => {
    const server = new Server();
    const { builder, refusals } = (await builders(server, 1))[0]!;
    const command = server.command.bind(server);
    let soon = 2;
    server.command = (seat, kind, d) => (kind === "edit" && soon-- > 0 ? { ok: false, error: { code: "rate_limited", message: "", field: null, retry_after: 0.001 } } : command(seat, kind, d));
    expect(await builder.commit([{ body: "a", document: doc("a") }])).toBe(true);
    expect(refusals).toEqual([]);
  });

  it("does not send a document that no message can hold", async () => {
    const server = new Server();
    const { builder, refusals } = (await builders(server, 1))[0]!;
    expect(await builder.commit([{ body: "a", document: { ...doc("a"), handles: [{ id: "all", vertices: Array.from({ length: 4000 }, (_, i) => i) }] } }])).toBe(false);
    expect(refusals).toMatchObject([{ code: "document_too_large" }]);
    expect(server.edits).toEqual([]);
    expect(heights(builder)).toEqual({});
  });

  it("says a refusal that is no conflict, and takes the edit back", async () => {
    const server = new Server();
    const { builder, refusals } = (await builders(server, 1))[0]!;
    const command = server.command.bind(server);
    server.command = (seat, kind, d) => (kind === "edit" ? server.error("too_many_bodies") : command(seat, kind, d));
    expect(await builder.commit([{ body: "a", document: doc("a") }])).toBe(false);
    expect(refusals).toMatchObject([{ code: "too_many_bodies" }]);
    expect(heights(builder)).toEqual({});
  });

  it("checks the scene once it has not changed for a moment", async () => {
    const server = new Server();
    const { builder } = (await builders(server, 1))[0]!;
    await builder.commit([{ body: "a", document: doc("a") }]);
    expect(builder.checking.value).toBe(true);
    await expect.poll(() => builder.checked.value?.version, { timeout: 3000 }).toBe(server.version);
    expect(builder.checking.value).toBe(false);
  });
});
