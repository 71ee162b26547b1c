import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Fetcher } from "../src/replay/recording";
import type { Replay } from "../src/replay/replay";
import type { Room } from "../src/replay/room";

/** A double of the browser's WebSocket. A test calls its handlers. */
class Socket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static made: Socket[] = [];
  readyState: number = Socket.OPEN;
  readonly sent: { t: string; d: Record<string, unknown> }[] = [];
  onopen = (): void => {};
  onmessage = (_event: { data: string }): void => {};
  onclose = (_event: { code: number; reason: string }): void => {};
  readonly url: string;

  constructor(url: string) {
    this.url = url;
    Socket.made.push(this);
  }

  send(data: string): void {
    this.sent.push(JSON.parse(data) as { t: string; d: Record<string, unknown> });
  }

  close(): void {}

  hear(t: string, d: Record<string, unknown>): void {
    this.onmessage({ data: JSON.stringify({ t, d }) });
  }

  named(t: string): Record<string, unknown>[] {
    return this.sent.filter((message) => message.t === t).map((message) => message.d);
  }
}

const members = [{ player: "me", name: "Mira" }, { player: "ada", name: "Ada" }];
const welcome = { session: "k7qm2xpv", you: { player: "me", name: "Mira", role: "observer", connection: "c1" }, members, member_count: 2, presenter: null, presenter_connection: null, grant: 0, n: 0, frame: 0, playing: false, speed: 1, bookmarks: [], views: [], chat: [], length: 100, live: false, protocol: 1 };

let room: Room;
let socket: Socket;

beforeEach(async () => {
  Socket.made = [];
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance", "Date"] });
  vi.stubGlobal("window", Object.assign(new EventTarget(), { setInterval, setTimeout }));
  vi.stubGlobal("location", { href: "http://127.0.0.1:8/r/k7qm2xpv", protocol: "http:", hostname: "127.0.0.1" });
  vi.stubGlobal("WebSocket", Socket);
  const made = await import("../src/replay/room");
  room = new made.Room("k7qm2xpv", () => "secret");
  socket = Socket.made[0]!;
  socket.onopen();
  socket.hear("welcome", welcome);
});

afterEach(() => {
  room.dispose();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe("Room", () => {
  it("logs in with the player's token and knows who is there", () => {
    expect(socket.url).toBe("ws://127.0.0.1:8/replay/k7qm2xpv");
    expect(socket.sent[0]).toEqual({ t: "hello", d: { token: "secret" } });
    expect([room.link.value, room.you.value, room.count.value]).toEqual(["here", "me", 2]);
  });

  it("goes to another server that it was named when its own does not answer", () => {
    socket.hear("servers", { servers: ["ws://127.0.0.1:9/replay/k7qm2xpv", 7] });
    socket.onclose({ code: 1006, reason: "" });
    vi.advanceTimersByTime(3000);
    expect(Socket.made[1]!.url).toBe("ws://127.0.0.1:8/replay/k7qm2xpv");
    Socket.made[1]!.onclose({ code: 1006, reason: "" });
    vi.advanceTimersByTime(3000);
    const other = Socket.made[2]!;
    expect(other.url).toBe("ws://127.0.0.1:9/replay/k7qm2xpv");
    other.onopen();
    other.hear("welcome", { ...welcome, servers: ["ws://127.0.0.1:10/replay/k7qm2xpv"] });
    expect(room.link.value).toBe("here");
    other.onclose({ code: 4001, reason: "" });
    vi.advanceTimersByTime(3000);
    expect(Socket.made[3]!.url).toBe("ws://127.0.0.1:10/replay/k7qm2xpv");
  });

  it("drops the scrubs of an older grant and those that come late", () => {
    const frames: number[] = [];
    room.onScrub = (scrub) => frames.push(scrub.frame);
    socket.hear("presenter", { player: "ada", grant: 5, connection: "c2" });
    socket.hear("scrub", { grant: 5, n: 11, frame: 40 });
    socket.hear("scrub", { grant: 5, n: 10, frame: 39 });
    socket.hear("scrub", { grant: 4, n: 12, frame: 7 });
    socket.hear("scrub", { grant: 5, n: 13, frame: 41, playing: true, speed: 0.5 });
    expect(frames).toEqual([40, 41]);
    expect(room.scrubbed).toMatchObject({ frame: 41, playing: true, speed: 0.5 });
  });

  it("presents with one connection only, also of the same player", () => {
    socket.hear("presenter", { player: "me", grant: 1, connection: "another window" });
    expect([room.presenter.value, room.presenting]).toEqual(["me", false]);
    socket.hear("presenter", { player: "me", grant: 2, connection: "c1" });
    expect(room.presenting).toBe(true);
    socket.hear("presenter", { player: null, grant: 2, connection: null });
    expect([room.presenter.value, room.presenting]).toEqual([null, false]);
  });

  it("sends at most thirty scrubs a second, the newest last, and keeps the presenter's token while it is still", () => {
    room.where = () => ({ frame: 99, playing: false, speed: 1 });
    room.scrub(1, false, 1);
    expect(socket.named("scrub")).toEqual([]);
    socket.hear("presenter", { player: "me", grant: 1, connection: "c1" });
    vi.advanceTimersByTime(100);
    for (let frame = 0; frame < 100; frame++) {
      room.scrub(frame, false, 1);
      vi.advanceTimersByTime(10);
    }
    vi.advanceTimersByTime(50);
    const sent = socket.named("scrub");
    expect(sent.length).toBeLessThanOrEqual(32);
    expect(sent.length).toBeGreaterThan(20);
    expect(sent.at(-1)).toEqual({ frame: 99, playing: false, speed: 1 });
    vi.advanceTimersByTime(5000);
    expect(socket.named("scrub").length - sent.length).toBeGreaterThanOrEqual(2);
    socket.hear("presenter", { player: null, grant: 1, connection: null });
    const released = socket.named("scrub").length;
    vi.advanceTimersByTime(5000);
    expect(socket.named("scrub").length).toBe(released);
  });

  it("keeps bookmarks, views and chat as they come and go", () => {
    socket.hear("bookmark", { id: "2", name: "the hit", frame: 50, by: "ada", by_name: "Ada" });
    socket.hear("bookmark", { id: "1", name: "the launch", frame: 10, by: "me", by_name: "Mira" });
    expect(room.bookmarks.value.map((one) => one.name)).toEqual(["the launch", "the hit"]);
    socket.hear("bookmark_removed", { id: "2" });
    expect(room.bookmarks.value.map((one) => one.id)).toEqual(["1"]);
    const camera = { position: [1, 2, 3], target: [0, 0, 0], follow: "a" };
    socket.hear("view", { name: "left", camera, by: "me" });
    expect(room.views.value).toEqual([{ name: "left", camera, by: "me" }]);
    socket.hear("view_removed", { name: "left" });
    expect(room.views.value).toEqual([]);
    socket.hear("chat", { n: 1, player: "ada", name: "Ada", text: "see?", at: 5 });
    expect(room.chat.value.at(-1)).toEqual({ name: "Ada", text: "see?" });
    socket.hear("error", { code: "too_many_marks", message: "the recording has 200 of them" });
    expect(room.refused.value).toBe("the recording has 200 of them");
  });

  it("connects again after a loss, and takes over what the room says then", () => {
    socket.hear("presenter", { player: "ada", grant: 5, connection: "c2" });
    socket.onclose({ code: 1006, reason: "" });
    expect([room.link.value, room.presenter.value]).toEqual(["lost", null]);
    vi.advanceTimersByTime(3000);
    const again = Socket.made[1]!;
    again.onopen();
    again.hear("welcome", { ...welcome, grant: 3, presenter: "ada", presenter_connection: "c9", frame: 8 });
    expect([room.link.value, room.presenter.value, room.scrubbed?.frame]).toEqual(["here", "ada", 8]);
  });

  const refuse = (times: number): void => {
    for (let i = 0; i < times; i++) {
      const before = Socket.made.length;
      Socket.made.at(-1)!.onclose({ code: 1006, reason: "" });
      for (let tenth = 0; tenth < 100 && Socket.made.length === before; tenth++) vi.advanceTimersByTime(100);
    }
  };

  it("comes back to a room that it was in, however long the server is away", () => {
    refuse(20);
    expect(room.link.value).toBe("lost");
    Socket.made.at(-1)!.onopen();
    Socket.made.at(-1)!.hear("welcome", welcome);
    expect(room.link.value).toBe("here");
  });

  it("says that an open connection is silent", () => {
    vi.advanceTimersByTime(3000);
    expect([room.link.value, room.quiet.value]).toEqual(["here", true]);
    socket.hear("pong", {});
    expect(room.quiet.value).toBe(false);
  });

  it("gives up a server that has no rooms", async () => {
    room.dispose();
    room = new (await import("../src/replay/room")).Room("k7qm2xpv", () => "secret");
    Socket.made.at(-1)!.onclose({ code: 1006, reason: "" });
    expect(room.link.value).toBe("connecting");
    refuse(6);
    expect(room.link.value).toBe("none");
  });
});

describe("Replay in a room", () => {
  let replay: Replay;

  beforeEach(async () => {
    const made = await import("../src/replay/replay");
    const about = { session: "k7qm2xpv", mode: "duel", live: false, length: 0, dt: 0.1, stride: 1, fields: {}, segments: [], seats: [], first_tick: 0, last_tick: 0 };
    const fetcher: Fetcher = { json: async <T>(path: string) => (path.endsWith("events") ? [] : about) as T, bytes: () => new Promise(() => {}) };
    replay = new made.Replay("k7qm2xpv", fetcher, null);
    await replay.open();
    const { curves } = replay.recording!;
    Object.assign(curves, { tick: Float64Array.from({ length: 100 }, (_, i) => i), time: Float64Array.from({ length: 100 }, (_, i) => i / 10), length: 100 });
    (replay as unknown as { curvesArrived(): void }).curvesArrived();
    replay.enter(room);
  });

  afterEach(() => replay.dispose());

  it("goes where the presenter is, until it looks around alone, and comes back", () => {
    socket.hear("presenter", { player: "ada", grant: 1, connection: "c2" });
    socket.hear("scrub", { grant: 1, n: 1, frame: 40 });
    expect([replay.following.value, replay.place.value.frame]).toEqual([true, 40]);
    replay.step(1);
    expect([replay.following.value, replay.place.value.frame]).toEqual([false, 41]);
    socket.hear("scrub", { grant: 1, n: 2, frame: 60, speed: 0.5 });
    expect(replay.place.value.frame).toBe(41);
    replay.comeBack();
    expect([replay.following.value, replay.place.value.frame, replay.speed.value]).toEqual([true, 60, 0.5]);
    socket.hear("presenter", { player: null, grant: 1, connection: null });
    expect([replay.following.value, replay.place.value.frame]).toEqual([false, 60]);
  });

  it("moves the others while it presents", () => {
    replay.seekFrame(10);
    expect(socket.named("scrub")).toEqual([]);
    vi.advanceTimersByTime(100);
    socket.hear("presenter", { player: "me", grant: 1, connection: "c1" });
    expect(socket.named("scrub")).toEqual([{ frame: 10, playing: false, speed: 1 }]);
    vi.advanceTimersByTime(100);
    replay.setSpeed(2);
    vi.advanceTimersByTime(100);
    replay.toggle();
    expect(socket.named("scrub").at(-1)).toEqual({ frame: 10, playing: true, speed: 2 });
    expect(replay.following.value).toBe(false);
  });
});
