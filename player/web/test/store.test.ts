import { beforeEach, describe, expect, it, vi } from "vitest";

interface Call {
  path: string;
  authorization: string | undefined;
  answer(body: unknown): void;
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
      calls.push({ path, authorization: init.headers["authorization"], answer });
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
