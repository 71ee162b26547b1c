import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Refused, Session } from "@tussle/client";
import type { Heard, Seat, SessionOptions, Way } from "@tussle/client";

const seat: Seat = { session: "k7qm2xpv", seat: 0, role: "player", ticket: "t1", ws_url: "ws://10.0.0.2:8420/ws", here: true, servers: [] };
const welcome = { session: "k7qm2xpv", player: "p", role: "player", seat: 0, resume: "r1", v: 0, tick: 0, dt: 1 / 60, frame_hz: 30, epoch: 1, schema_hash: "", protocol: 1, build: "", server_time: 0, last_id: 0, servers: [] };

/** A double of a WebSocket. A test calls its handlers. */
class Socket {
  static made: Socket[] = [];
  binaryType = "";
  readyState = 0;
  readonly sent: { t: string; id?: number; d?: Record<string, unknown> }[] = [];
  onopen = (): void => {};
  onmessage = (_event: { data: string | ArrayBuffer }): void => {};
  onclose = (_event: { code: number; reason: string }): void => {};
  onerror = (): void => {};
  readonly url: string;

  constructor(url: string) {
    this.url = url;
    Socket.made.push(this);
  }

  static get last(): Socket {
    return Socket.made.at(-1)!;
  }

  send(data: string): void {
    this.sent.push(JSON.parse(data) as { t: string });
  }

  close(): void {
    this.readyState = 3;
  }

  open(): this {
    this.readyState = 1;
    this.onopen();
    return this;
  }

  hear(t: string, d: object, more: object = {}): void {
    this.onmessage({ data: JSON.stringify({ t, d, ...more }) });
  }

  welcome(more: object = {}): this {
    this.open().hear("welcome", { ...welcome, ...more });
    return this;
  }

  end(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose({ code, reason });
  }
}

/** A double of a peer connection, which never reaches the server by itself. */
class Peer {
  static made: Peer[] = [];
  onicecandidate = null;
  closed = false;
  readonly channel = { binaryType: "", onmessage: (_event: { data: ArrayBuffer }): void => {}, onclose: (): void => {} };

  constructor() {
    Peer.made.push(this);
  }

  createDataChannel() {
    return this.channel;
  }

  async createOffer() {
    return { type: "offer" as const, sdp: "v=0" };
  }

  async setLocalDescription(): Promise<void> {}
  async setRemoteDescription(): Promise<void> {}

  close(): void {
    this.closed = true;
  }
}

function begin(renew: () => Promise<Seat | null> = async () => null, options: SessionOptions = {}) {
  const session = new Session(seat, "ws://127.0.0.1:8420/ws", renew, { WebSocket: Socket, ...options });
  const heard: [string, unknown][] = [];
  for (const type of ["live", "lost", "closed", "problem", "way"] as const) session.on(type, (value) => heard.push([type, value]));
  return { session, heard, types: () => heard.map(([type]) => type) };
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  [Socket.made, Peer.made] = [[], []];
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("Session", () => {
  it("goes to a server that started after the welcome", async () => {
    const { session } = begin();
    Socket.last.welcome();
    Socket.last.hear("servers", { servers: ["ws://127.0.0.1:8421/ws"] });
    Socket.last.end(1006);
    await vi.advanceTimersByTimeAsync(400);
    expect(Socket.last.url).toBe("ws://127.0.0.1:8420/ws");
    Socket.last.end(1006);
    await vi.advanceTimersByTimeAsync(2000);
    expect(Socket.last.url).toBe("ws://127.0.0.1:8421/ws");
    session.close();
  });

  it("goes to the next server when one does not answer at all", async () => {
    const { session, types } = begin();
    const losses = (): number => types().filter((type) => type === "lost").length;
    Socket.last.welcome({ servers: ["ws://127.0.0.1:8421/ws"] });
    Socket.last.end(1006);
    await vi.advanceTimersByTimeAsync(400);
    const silent = Socket.last;
    await vi.advanceTimersByTimeAsync(6000);
    expect([Socket.last, losses()]).toEqual([silent, 1]);
    await vi.advanceTimersByTimeAsync(4000);
    expect([silent.url, Socket.last.url, losses()]).toEqual(["ws://127.0.0.1:8420/ws", "ws://127.0.0.1:8421/ws", 2]);
    silent.open();
    expect([silent.readyState, silent.sent.length]).toEqual([3, 0]);
    expect(Socket.last.open().sent[0]).toMatchObject({ t: "hello", d: { resume: "r1" } });
    session.close();
  });

  it("asks for one new ticket when its resume token is refused, and repeats what is not answered", async () => {
    const renew = vi.fn(async () => ({ ...seat, ticket: "t2" }));
    const { session, types } = begin(renew);
    Socket.last.welcome();
    const answer = session.act("brace");
    Socket.last.end(1006);
    await vi.advanceTimersByTimeAsync(400);
    expect(Socket.last.open().sent[0]).toMatchObject({ t: "hello", d: { resume: "r1", ticket: null } });
    Socket.last.end(4003, "resume_refused");
    await vi.advanceTimersByTimeAsync(0);
    expect(Socket.last.open().sent[0]).toMatchObject({ d: { resume: null, ticket: "t2" } });
    Socket.last.hear("welcome", welcome);
    expect(Socket.last.sent.find((message) => message.t === "act")).toMatchObject({ id: 1 });
    Socket.last.hear("ack", { tick: 7 }, { id: 1 });
    expect(await answer).toBe(7);
    expect([renew.mock.calls.length, types().filter((type) => type === "live").length]).toEqual([1, 2]);
  });

  it("gives up when the new ticket is refused as well", async () => {
    const renew = vi.fn(async () => ({ ...seat, ticket: "t2" }));
    const { heard } = begin(renew);
    Socket.last.welcome().end(4003);
    await vi.advanceTimersByTimeAsync(0);
    Socket.last.open().end(4003, "ticket_refused");
    expect([renew.mock.calls.length, heard.at(-1)]).toEqual([1, ["closed", { code: 4003, reason: "ticket_refused", refused: true }]]);
  });

  it("asks for the ticket again while no server answers, and gives up when there is no seat", async () => {
    const answers: (() => Promise<Seat | null>)[] = [async () => Promise.reject(new Refused("offline", "", 0)), async () => null];
    const { heard } = begin(() => answers.shift()!());
    Socket.last.welcome().end(4003);
    await vi.advanceTimersByTimeAsync(399);
    expect(heard.at(-1)![0]).toBe("lost");
    await vi.advanceTimersByTimeAsync(1);
    expect(heard.at(-1)).toEqual(["closed", { code: 4003, reason: "", refused: true }]);
  });

  it("follows a session that moved, to an address or to a path on the same host", async () => {
    begin();
    Socket.last.welcome().end(4011, "ws://10.0.0.3:8420/ws");
    await vi.advanceTimersByTimeAsync(0);
    expect(Socket.last.url).toBe("ws://10.0.0.3:8420/ws");
    Socket.last.welcome().end(4011, "/two/ws");
    await vi.advanceTimersByTimeAsync(0);
    expect(Socket.last.url).toBe("ws://10.0.0.3:8420/two/ws");
  });

  it("reports what it cannot read and goes on", () => {
    const { session, heard } = begin();
    Socket.last.welcome();
    heard.length = 0;
    Socket.last.onmessage({ data: "{" });
    Socket.last.onmessage({ data: new Uint8Array([1, 2, 3]).buffer });
    Socket.last.onmessage({ data: new Uint8Array([99]).buffer });
    Socket.last.hear("error", { code: "bad_message", message: "no", field: null });
    expect(heard.map(([type, value]) => [type, (value as Error).message])).toEqual([["problem", "not JSON"], ["problem", "a frame is shorter than its head"], ["problem", "no"]]);
    expect(session.live).toBe(true);
  });

  it("never takes an event for one of its own reports", () => {
    const { session } = begin();
    const frames: unknown[] = [];
    const events: string[] = [];
    session.on("frame", (frame) => frames.push(frame));
    session.on("*", ({ t }) => events.push(t));
    Socket.last.welcome().hear("frame", {}, { v: 1, tick: 0, epoch: 1 });
    expect([frames, events]).toEqual([[], ["frame"]]);
  });

  it("does not come back to a session that is over, and rejects what is not answered", async () => {
    const { session, heard } = begin();
    Socket.last.welcome();
    const answer = session.act("brace").catch((error: Refused) => error.code);
    Socket.last.hear("ended", { at: 1, reason: "" }, { v: 1, tick: 9, epoch: 1 });
    Socket.last.end(1006);
    expect([await answer, session.ended, heard.at(-1)![0], Socket.made.length]).toEqual(["closed", true, "closed", 1]);
    await expect(session.command("chat", { text: "hi" })).rejects.toMatchObject({ code: "closed" });
  });

  it("says with a refusal when the command may succeed, and the detail of it", async () => {
    const { session } = begin();
    Socket.last.welcome();
    const refused = session.act("grab").catch((error: Refused) => error);
    Socket.last.hear("error", { code: "stale_version", message: "old", field: "body", retry_after: 2, detail: { version: 4 } }, { id: 1 });
    expect(await refused).toMatchObject({ code: "stale_version", field: "body", retryAfter: 2, detail: { version: 4 }, status: null });
  });
});

describe("frames over a data channel", () => {
  const offered = { webrtc: { ice_servers: [] } };
  const open = () => Socket.last.hear("channel", { state: "open", reason: "" });
  const way = (heard: [string, unknown][]): Way => heard.filter(([type]) => type === "way").at(-1)![1] as Way;

  it("are asked for where both sides can, and given up within 3 s", async () => {
    const { heard } = begin(undefined, { RTCPeerConnection: Peer });
    Socket.last.welcome(offered);
    await vi.advanceTimersByTimeAsync(0);
    expect(Socket.last.sent[0]).toMatchObject({ t: "hello", d: { transports: ["webrtc"] } });
    expect(Socket.last.sent.at(-1)).toEqual({ t: "offer", d: { sdp: "v=0" } });
    await vi.advanceTimersByTimeAsync(2999);
    expect(way(heard).kind).toBe("asking");
    await vi.advanceTimersByTimeAsync(1);
    expect(way(heard)).toMatchObject({ kind: "socket", reason: "no packet gets through" });
    expect([Peer.made[0]!.closed, Socket.last.sent.at(-1)!.t]).toEqual([true, "hangup"]);
  });

  it("are watched: a channel without a message for 2 s is closed, and tried again later", async () => {
    const { heard } = begin(undefined, { RTCPeerConnection: Peer });
    Socket.last.welcome(offered);
    await vi.advanceTimersByTimeAsync(0);
    open();
    expect(way(heard).kind).toBe("channel");
    const answering = setInterval(() => Socket.last.hear("pong", { at: Date.now(), server_time: 0 }), 500);
    for (let i = 0; i < 10; i++) {
      Peer.made[0]!.channel.onmessage({ data: new Uint8Array([0]).buffer });
      await vi.advanceTimersByTimeAsync(500);
    }
    expect(way(heard).kind).toBe("channel");
    await vi.advanceTimersByTimeAsync(2250);
    expect(way(heard)).toMatchObject({ kind: "socket", reason: "the channel was cut" });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(Peer.made.length).toBe(2);
    clearInterval(answering);
  });

  it("end with the WebSocket, and are not asked for by a client that does not want them", async () => {
    const { session, heard } = begin(undefined, { RTCPeerConnection: Peer, channel: false });
    Socket.last.welcome(offered);
    expect(Peer.made.length).toBe(0);
    session.wantChannel(true);
    open();
    expect(way(heard).kind).toBe("channel");
    Socket.last.end(1006);
    expect([way(heard).kind, Peer.made[0]!.closed]).toEqual(["socket", true]);
  });
});

it("the reports of a session have their types", () => {
  const { session } = begin();
  const lost: Heard["lost"][] = [];
  session.on("lost", (how) => lost.push(how));
  Socket.last.welcome().end(4001);
  expect(lost).toEqual([{ code: 4001, reason: "", retryMs: 400 }]);
});
