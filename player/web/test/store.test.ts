import { beforeEach, describe, expect, it, vi } from "vitest";

interface Call {
  path: string;
  authorization: string | undefined;
  answer(body: unknown): void;
  refuse(status: number, code: string): void;
}

let calls: Call[] = [];

const player = (name: string) => ({ player: `p-${name}`, name, token: `token-${name}`, expires_s: 60, guest: true });
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

beforeEach(() => {
  calls = [];
  vi.resetModules();
  vi.stubGlobal("location", { hash: "", href: "http://127.0.0.1:8/", pathname: "/", search: "" });
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
  vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => {} });
  vi.stubGlobal("fetch", (path: string, init: { headers: Record<string, string> }) => {
    return new Promise((resolve) => {
      const answer = (body: unknown) => resolve({ ok: true, text: async () => JSON.stringify(body) });
      const refuse = (status: number, code: string) => resolve({ ok: false, status, statusText: code, headers: new Headers(), text: async () => JSON.stringify({ code, detail: code, status }) });
      calls.push({ path, authorization: init.headers["authorization"], answer, refuse });
    });
  });
});

describe("the login", () => {
  it("is made once for calls at the same time", async () => {
    const { ensureMe } = await import("../src/app/store");
    const both = Promise.all([ensureMe(), ensureMe()]);
    await settled();
    expect(calls.map((call) => call.path)).toEqual(["/api/login"]);
    calls[0]!.answer(player("guest#k3v7"));
    const [first, second] = await both;
    expect(second).toBe(first);
  });

  it("leaves the field empty for a guest that the server named, and asks for no name by itself", async () => {
    const { ensureMe, me, wantedName } = await import("../src/app/store");
    const guest = ensureMe();
    await settled();
    calls[0]!.answer(player("Amber Quern"));
    await guest;
    expect([me.value?.name, wantedName.value]).toEqual(["Amber Quern", ""]);
    await ensureMe();
    expect(calls).toHaveLength(1);
    for (const [name, wanted] of [["Amber Quern", ""], ["Mira#2222", "Mira"]]) {
      vi.resetModules();
      vi.stubGlobal("localStorage", { getItem: (key: string) => (key === "tussle.me" ? JSON.stringify(player(name!)) : null), setItem: () => {} });
      expect((await import("../src/app/store")).wantedName.value).toBe(wanted);
    }
  });

  it("under another name leaves the old token to other calls until it is answered", async () => {
    const { api, ensureMe, wantedName } = await import("../src/app/store");
    const guest = ensureMe();
    await settled();
    calls[0]!.answer(player("guest#k3v7"));
    await guest;
    wantedName.value = "Mira";
    const mira = ensureMe();
    await settled();
    expect(calls[1]).toMatchObject({ path: "/api/login", authorization: undefined });
    void api.observe("k7qm2xpv");
    expect(calls[2]).toMatchObject({ path: "/api/observe", authorization: "Bearer token-guest#k3v7" });
    calls[1]!.answer(player("Mira#2222"));
    await mira;
    expect(api.token).toBe("token-Mira#2222");
  });
});

describe("a new scene from another one", () => {
  async function seated() {
    const shelf = new Map<string, string>();
    vi.stubGlobal("localStorage", { getItem: (key: string) => shelf.get(key) ?? null, setItem: (key: string, text: string) => shelf.set(key, text) });
    vi.stubGlobal("history", { pushState: () => {}, replaceState: () => {} });
    const store = await import("../src/app/store");
    store.me.value = player("Mira#2222");
    store.api.token = "token";
    const dispose = vi.fn();
    const status = { peek: () => state, value: { status: "open", forked: false, mode: "sandbox" } };
    const state = status.value;
    store.client.value = { role: "player", token: "k7qm2xpv", state: status, dispose } as unknown as NonNullable<typeof store.client.value>;
    return { store, dispose, own: (await import("../src/app/templates")).ownTemplates };
  }

  async function until(count: number): Promise<Call> {
    for (let i = 0; i < 20 && calls.length < count; i++) await settled();
    expect(calls.length).toBe(count);
    return calls[count - 1]!;
  }

  it("keeps the edited scene of the lobby that was left if it is refused, and says so", async () => {
    const { store, dispose, own } = await seated();
    const done = store.newFrom({ like: { session: "aaaaaaa2" } });
    (await until(1)).answer({ editable: true });
    (await until(2)).answer({ schema: "tussle-scene/1", bodies: [7] });
    const leave = await until(3);
    expect(leave.path).toBe("/api/leave");
    leave.answer({});
    (await until(4)).refuse(429, "store_full");
    await done;
    expect(own.value.map(({ name, scene }) => [name, JSON.parse(scene).bodies])).toEqual([["Draft of k7qm2xpv", [7]]]);
    expect(store.notice.value).toMatchObject({ kind: "bad", title: "The server is full." });
    expect(store.notice.value?.text).toContain("template “Draft of k7qm2xpv”");
    expect([store.client.value, dispose.mock.calls.length]).toEqual([null, 1]);
  });

  it("leaves no lobby whose scene cannot be kept", async () => {
    const { store, own } = await seated();
    const done = store.newFrom({ template: "tower" });
    (await until(1)).answer({ editable: true });
    (await until(2)).answer({ text: "x".repeat(131_072) });
    await done;
    expect([calls.length, own.value.length, store.client.value === null]).toEqual([2, 0, false]);
    expect(store.notice.value?.title).toContain("You have not left");
  });

  it("keeps nothing of a lobby that it could not leave", async () => {
    const { store, own } = await seated();
    const done = store.newFrom({ template: "tower" });
    (await until(1)).answer({ editable: true });
    (await until(2)).answer({ bodies: [7] });
    (await until(3)).refuse(503, "store_unavailable");
    await done;
    expect([calls.length, own.value.length, store.client.value === null]).toEqual([3, 0, false]);
  });
});
