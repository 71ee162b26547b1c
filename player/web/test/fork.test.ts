import { afterEach, expect, it, vi } from "vitest";
import { Api } from "../src/wire/api";

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

it("waits for a fork as long as the server may simulate, for other calls ten seconds", async () => {
  const limits: number[] = [];
  vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    limits.push(ms);
    return new AbortController().signal;
  });
  vi.stubGlobal("fetch", async () => ({ ok: true, text: async () => "{}" }));
  const api = new Api();
  await api.fork("k7qm2xpv", 300);
  await api.me();
  expect(limits).toEqual([120_000, 10_000]);
});
