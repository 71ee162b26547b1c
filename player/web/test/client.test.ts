import { effect } from "@preact/signals";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SessionOptions } from "@tussle/client";
import type { Join } from "../src/wire/answers";

const ticket: Join = { session: "k7qm2xpv", seat: null, role: "observer", ticket: "t", ws_url: "ws://127.0.0.1:9/ws", here: false, servers: [], protocol: 1, build: "" };
const welcome = { session: "k7qm2xpv", player: "p", role: "observer", seat: null, resume: "r", v: 0, tick: 0, dt: 1 / 60, frame_hz: 30, epoch: 1, schema_hash: "", protocol: 1, build: "", server_time: 0, last_id: 0, servers: [] };

/** A double of the browser's WebSocket. A test calls its handlers. */
class Socket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static made: Socket[] = [];
  readyState: number = Socket.OPEN;
  readonly closed: (number | undefined)[] = [];
  readonly sent: string[] = [];
  onopen = (): void => {};
  onmessage = (_event: { data: string }): void => {};
  onclose = (_event: { code: number; reason: string }): void => {};
  readonly url: string;

  constructor(url: string) {
    this.url = url;
    Socket.made.push(this);
  }

  send(data: string): void {
    this.sent.push(data);
  }

  close(code?: number): void {
    this.closed.push(code);
  }
}

async function connected(over: Partial<Join> = {}, more: SessionOptions = {}) {
  Socket.made = [];
  vi.useFakeTimers();
  vi.stubGlobal("window", Object.assign(new EventTarget(), { setInterval, setTimeout }));
  vi.stubGlobal("location", { href: "http://127.0.0.1:8/", protocol: "http:", hostname: "127.0.0.1" });
  vi.stubGlobal("WebSocket", Socket);
  vi.spyOn(console, "warn").mockImplementation(() => {});
  const { SessionClient } = await import("../src/session/client");
  const client = new SessionClient({ ...ticket, ...over }, false, false, null, more);
  return { client, socket: Socket.made[0]! };
}

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("SessionClient", () => {
  it("reports its timeline to a stage that was made before the welcome came", async () => {
    const { client, socket } = await connected();
    const seen: boolean[] = [];
    const stop = effect(() => void seen.push(client.timeline.value !== null));
    socket.onopen();
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    expect(seen).toEqual([false, true]);
    stop();
    client.dispose();
  });

  it("takes the length of a tick from the event that a session runs", async () => {
    const { client, socket } = await connected();
    socket.onopen();
    expect(JSON.parse(socket.sent[0]!)).toMatchObject({ t: "hello", d: { protocol: 1, protocols: [1] } });
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: { ...welcome, dt: 0, later: { x: 1 } } }) });
    const before = client.step.value;
    socket.onmessage({ data: JSON.stringify({ t: "of a later version", d: {} }) });
    socket.onmessage({ data: JSON.stringify({ t: "later", v: 1, d: {} }) });
    socket.onmessage({ data: JSON.stringify({ t: "running", v: 2, tick: 0, epoch: 1, d: { at: 5, dt: 0.01 } }) });
    expect([before === 0.01, client.step.value]).toEqual([false, 0.01]);
    client.dispose();
  });

  it("says at once that this machine has no network, asks the server, and gives up before 3 s", async () => {
    const { client, socket } = await connected();
    socket.onopen();
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    vi.stubGlobal("navigator", { onLine: false });
    const before = socket.sent.length;
    window.dispatchEvent(new Event("offline"));
    expect([client.offline.value, socket.sent.length]).toEqual([true, before + 1]);
    expect(JSON.parse(socket.sent.at(-1)!).t).toBe("ping");
    vi.advanceTimersByTime(2000);
    expect(client.quietSince.value).not.toBeNull();
    expect(client.link.value.kind).toBe("live");
    vi.advanceTimersByTime(1000);
    expect(client.link.value.kind).toBe("lost");
    window.dispatchEvent(new Event("online"));
    expect([client.offline.value, Socket.made.length]).toEqual([false, 2]);
    client.dispose();
  });

  it("names what it does not need, pings as seldom as asked, and takes the longer wait for no silence", async () => {
    const { client, socket } = await connected({}, { without: ["turn_started"], pingMs: 3000 });
    socket.onopen();
    expect(JSON.parse(socket.sent[0]!).d.without).toEqual(["turn_started"]);
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    const before = socket.sent.length;
    vi.advanceTimersByTime(3300);
    expect([socket.sent.length - before, client.quietSince.value]).toEqual([1, null]);
    vi.advanceTimersByTime(500);
    expect(client.quietSince.value).not.toBeNull();
    client.dispose();
  });

  it("asks the server at once when the page is shown again, and not when it is hidden", async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: "hidden" });
    vi.stubGlobal("document", page);
    const { client, socket } = await connected();
    socket.onopen();
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    const before = socket.sent.length;
    page.dispatchEvent(new Event("visibilitychange"));
    expect(socket.sent.length).toBe(before);
    page.visibilityState = "visible";
    page.dispatchEvent(new Event("visibilitychange"));
    expect(JSON.parse(socket.sent.at(-1)!).t).toBe("ping");
    expect(socket.sent.length).toBe(before + 1);
    client.dispose();
    page.dispatchEvent(new Event("visibilitychange"));
    expect(socket.sent.length).toBe(before + 1);
  });

  it("keeps the timeline over a reconnection", async () => {
    const { client, socket } = await connected();
    socket.onopen();
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    const before = client.timeline.value;
    socket.onclose({ code: 1006, reason: "" });
    expect(client.link.value.kind).toBe("lost");
    vi.advanceTimersByTime(1000);
    const second = Socket.made[1]!;
    second.onopen();
    second.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    expect(client.link.value.kind).toBe("live");
    expect(client.timeline.value).toBe(before);
    client.dispose();
  });

  it("says within two seconds that the server is silent, and no longer when it answers", async () => {
    const { client, socket } = await connected();
    socket.onopen();
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    const pings = () => socket.sent.filter((data) => data.startsWith('{"t":"ping"')).length;
    vi.advanceTimersByTime(1500);
    expect(client.quietSince.value).toBeNull();
    expect(pings()).toBeGreaterThan(0);
    vi.advanceTimersByTime(500);
    expect(client.quietSince.value).not.toBeNull();
    expect(client.link.value.kind).toBe("live");
    socket.onmessage({ data: JSON.stringify({ t: "pong", d: { at: Date.now(), server_time: 0 } }) });
    expect(client.quietSince.value).toBeNull();
    vi.advanceTimersByTime(8000);
    expect(client.link.value.kind).toBe("lost");
    expect(client.quietSince.value).toBeNull();
    client.dispose();
  });

  it("gives a silent connection up sooner when the machine has no network", async () => {
    const { client, socket } = await connected();
    vi.stubGlobal("navigator", { onLine: false });
    socket.onopen();
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    vi.advanceTimersByTime(2000);
    expect(client.link.value.kind).toBe("live");
    vi.advanceTimersByTime(1000);
    expect(client.link.value.kind).toBe("lost");
    client.dispose();
  });

  it("asks for another network on the next connection, and keeps the seat", async () => {
    const { client, socket } = await connected();
    socket.onopen();
    socket.onmessage({ data: JSON.stringify({ t: "welcome", d: welcome }) });
    client.setNetwork("280ms 60ms 2%");
    expect(socket.closed).toEqual([4999]);
    socket.onclose({ code: 4999, reason: "" });
    vi.advanceTimersByTime(1000);
    Socket.made[1]!.onopen();
    expect(JSON.parse(Socket.made[1]!.sent[0]!).d).toMatchObject({ resume: "r", network: "280ms 60ms 2%" });
    client.dispose();
  });

  it("tries the next server when one does not open, and the address in the close when the session moved", async () => {
    const { client, socket } = await connected({ servers: ["ws://127.0.0.1:10/ws"] });
    socket.onclose({ code: 1006, reason: "" });
    vi.advanceTimersByTime(1000);
    expect(Socket.made[1]!.url).toBe("ws://127.0.0.1:10/ws");
    Socket.made[1]!.onopen();
    Socket.made[1]!.onclose({ code: 4011, reason: "ws://127.0.0.1:11/ws" });
    vi.advanceTimersByTime(1000);
    expect(Socket.made[2]!.url).toBe("ws://127.0.0.1:11/ws");
    client.dispose();
  });

  it("closes a socket that is still connecting only after it has opened", async () => {
    const { client, socket } = await connected();
    socket.readyState = Socket.CONNECTING;
    client.dispose();
    vi.advanceTimersByTime(1000);
    expect(socket.closed).toEqual([]);
    socket.onopen();
    expect(socket.closed).toEqual([1000]);
    expect(socket.sent).toEqual([]);
  });

  it("loses a socket that is silent for seven seconds", async () => {
    const { client, socket } = await connected();
    socket.onopen();
    vi.advanceTimersByTime(10_000);
    expect(socket.closed.length).toBe(1);
    expect(client.link.value.kind).toBe("lost");
    client.dispose();
  });
});
