// @tussle/client: sessions of a Tussle server in browsers and in Node. What it decodes with is shared with the web client
// (src/wire). It must never use the DOM.

import { ServerClock } from "../src/wire/clock";
import { DELTA, DeltaDecoder } from "../src/wire/deltas";
import { BadFrame, FRAME, TOPOLOGY, decodeFrame, decodeTopology, kindOf } from "../src/wire/frames";
import type { Frame, Topology } from "../src/wire/frames";
import { CLOSE } from "../src/wire/messages";
import type { ErrorData, Event, NoticeData, SessionView, WelcomeData } from "../src/wire/messages";
import { Transcript } from "../src/wire/transcript";
import type { Outcome } from "../src/wire/transcript";
import type { EventData } from "./events";

export { BadFrame, DeltaDecoder, ServerClock, decodeFrame, decodeTopology };
export type { ErrorData, Event, EventData, Frame, NoticeData, SessionView, Topology, WelcomeData };

const PING_MS = 1000;
/** A connection that is silent for this long counts as lost: pongs come every PING_MS. */
const SILENT_MS = 7000;
const FIRST_RETRY_MS = 400;
const LAST_RETRY_MS = 4000;

/** What is used of a WebSocket. */
export interface Socket {
  binaryType: string;
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}
export type SocketClass = new (url: string) => Socket;

export interface Options {
  /** The class of WebSockets; the global one without it. */
  readonly WebSocket?: SocketClass;
}

/** A seat, or a place among the observers, as find, open, join and observe give it. */
export interface Seat {
  readonly session: string;
  readonly seat: number | null;
  readonly role: "player" | "observer";
  readonly ticket: string;
  readonly ws_url: string;
  readonly here: boolean;
  readonly servers: readonly string[];
}

/** A call or command that was refused. `code` is for programs; docs/reference/errors.md has all of them. */
export class Refused extends Error {
  readonly code: string;
  readonly field: string | null;
  readonly retryAfter: number | null;

  constructor(code: string, message: string, field: string | null = null, retryAfter: number | null = null) {
    super(message);
    this.code = code;
    this.field = field;
    this.retryAfter = retryAfter;
  }
}

/** The HTTP calls of one server. `url`: its address, with the path below which it is served. */
export class Tussle {
  token: string | null = null;
  player: string | null = null;
  private readonly url: string;
  private readonly options: Options;

  constructor(url: string, options: Options = {}) {
    this.url = url.replace(/\/$/, "");
    this.options = options;
  }

  /** Log in as a guest, or with a secret as the player of that name. */
  async login(who: { name?: string; secret?: string; kind?: "person" | "bot" } = {}): Promise<{ player: string; name: string; guest: boolean }> {
    const login = await this.call<{ player: string; name: string; token: string; guest: boolean }>("POST", "/api/login", who);
    [this.token, this.player] = [login.token, login.player];
    return login;
  }

  find(wanted: { mode: string; size: number; body?: string; ready?: boolean; bots?: boolean }): Promise<Seat> {
    return this.call("POST", "/api/find", wanted);
  }

  open(wanted: { mode: string; size: number; body?: string; ready?: boolean; private?: boolean; bots?: boolean; params?: Record<string, unknown> }): Promise<Seat> {
    return this.call("POST", "/api/open", wanted);
  }

  join(session: string, more: { body?: string; ready?: boolean } = {}): Promise<Seat> {
    return this.call("POST", "/api/join", { session, ...more });
  }

  observe(session: string): Promise<Seat> {
    return this.call("POST", "/api/observe", { session });
  }

  /** Open and running sessions; `query` as GET /api/sessions takes it. */
  async sessions(query: Record<string, string> = {}): Promise<SessionView[]> {
    const asked = new URLSearchParams(query).toString();
    return (await this.call<{ sessions: SessionView[] }>("GET", `/api/sessions${asked && "?"}${asked}`)).sessions;
  }

  /** Any call that answers JSON (openapi.json of the server lists them). Throws Refused. */
  async call<Answer = unknown>(method: string, path: string, body?: unknown): Promise<Answer> {
    const headers: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
    if (this.token) headers["authorization"] = `Bearer ${this.token}`;
    const answer = await fetch(this.url + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const document = (await answer.json().catch(() => ({}))) as Record<string, unknown>;
    if (answer.ok) return document as Answer;
    const text = (name: string): string | null => (typeof document[name] === "string" ? (document[name] as string) : null);
    const again = document["retry_after"];
    throw new Refused(text("code") ?? `http_${answer.status}`, text("detail") ?? answer.statusText, text("field"), typeof again === "number" ? again : null);
  }

  /** Connect to a session, and stay connected until it ends or `close` is called. */
  connect(seat: Seat, options: { readonly history?: boolean; readonly network?: string } = {}): Session {
    const here = `${this.url.replace(/^http/, "ws")}/ws`;
    const addresses = [seat.here ? here : seat.ws_url, ...seat.servers].map((one) => new URL(one, here).href);
    const Class = this.options.WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket;
    if (!Class) throw new Error("this Node has no WebSocket: run it with --experimental-websocket, or pass one");
    const renew = async (): Promise<string> => (await (seat.role === "player" ? this.join(seat.session) : this.observe(seat.session))).ticket;
    return new Session(seat, addresses, Class as SocketClass, renew, options.history ?? false, options.network ?? null);
  }
}

/** What listeners get, by type. Every other type is an event of the session: docs/events.md. */
export interface Heard {
  /** Every event of the session. */
  "*": Event;
  frame: Frame;
  topology: Topology;
  /** The whole view: after connecting, and after events that are lost. */
  view: SessionView;
  notice: NoticeData;
  /** The connection is there, for the first time or again. */
  live: WelcomeData;
  /** The connection is lost; the next try follows. */
  lost: { readonly code: number; readonly reason: string; readonly retryMs: number };
  /** Nothing follows any more. `refused`: the server does not take the client back. */
  closed: { readonly code: number; readonly reason: string; readonly refused: boolean };
}

type Typed<Type extends string> = Type extends keyof Heard ? Heard[Type] : Type extends keyof EventData ? Event & { readonly d: EventData[Type] } : Event;
type Listener = (value: never) => void;

export class Session {
  readonly token: string;
  readonly clock = new ServerClock();
  view: SessionView | null = null;
  frame: Frame | null = null;
  topology: Topology | null = null;
  welcome: WelcomeData | null = null;
  private readonly transcript: Transcript;
  private readonly deltas = new DeltaDecoder();
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly answers = new Map<number, { resolve: (d: Record<string, unknown>) => void; reject: (error: Refused) => void }>();
  private addresses: string[];
  private address: string;
  private readonly Class: SocketClass;
  private readonly renew: () => Promise<string>;
  private socket: Socket | null = null;
  private beat: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private heardAt = 0;
  private renewed = false;
  private over = false;

  /** Made by Tussle.connect. */
  constructor(seat: Seat, addresses: string[], Class: SocketClass, renew: () => Promise<string>, history: boolean, network: string | null) {
    this.token = seat.session;
    this.transcript = new Transcript(seat.ticket, null, history);
    this.transcript.network = network;
    this.addresses = [...new Set(addresses)];
    this.address = this.addresses[0]!;
    [this.Class, this.renew] = [Class, renew];
    this.open();
  }

  /** This client's seat; null for an observer, and before the first welcome. */
  get seat(): number | null {
    return this.welcome?.seat ?? null;
  }

  /** The quickest of the newest round trips [ms]; null before the second one. */
  get rtt(): number | null {
    return this.clock.rtt;
  }

  /** Call `listener` for each `type`: see Heard, and the events of the session. Returns what removes the listener. */
  on<Type extends string>(type: Type, listener: (value: Typed<Type>) => void): () => void {
    const listeners = this.listeners.get(type) ?? new Set();
    this.listeners.set(type, listeners.add(listener as Listener));
    return () => void listeners.delete(listener as Listener);
  }

  /** The next value of `type`. */
  next<Type extends string>(type: Type): Promise<Typed<Type>> {
    return new Promise((resolve) => {
      const remove = this.on(type, (value) => {
        remove();
        resolve(value);
      });
    });
  }

  /** An input to the world. Returns the tick in which it acts. Throws Refused. */
  async act(kind: string, d: Record<string, unknown> = {}): Promise<number | null> {
    const answer = await this.command("act", { kind, d });
    return typeof answer["tick"] === "number" ? answer["tick"] : null;
  }

  /** A command: ready, choose, chat, leave, act. It is repeated until it is answered. Throws Refused. */
  command(type: string, d?: Record<string, unknown>): Promise<Record<string, unknown>> {
    if (this.over) return Promise.reject(new Refused("closed", "the session is closed"));
    const id = this.transcript.command(type, d);
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => this.answers.set(id, { resolve, reject }));
    this.flush();
    return answer;
  }

  /** Close the connection and keep the seat. */
  close(): void {
    this.finish(1000, "closed by the client", false);
  }

  // -- the connection

  private open(): void {
    const socket = new this.Class(this.address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      if (socket !== this.socket) return;
      opened = true;
      this.heardAt = Date.now();
      this.transcript.opened();
      this.flush();
      clearInterval(this.beat);
      this.beat = setInterval(() => this.look(socket), PING_MS);
    };
    socket.onmessage = (event: { data: string | ArrayBuffer }) => {
      if (socket !== this.socket) return;
      this.heardAt = Date.now();
      if (typeof event.data === "string") this.text(event.data);
      else this.binary(event.data);
    };
    socket.onclose = (event: { code: number; reason: string }) => {
      if (socket === this.socket) this.lost(event.code, event.reason, opened);
    };
    socket.onerror = () => {};
  }

  private look(socket: Socket): void {
    if (Date.now() - this.heardAt > SILENT_MS) {
      this.lost(1006, "the server is silent", true);
      socket.close();
      return;
    }
    this.transcript.ping(Date.now());
    this.flush();
  }

  private flush(): void {
    if (this.socket?.readyState !== 1) return;
    for (const data of this.transcript.dataToSend()) this.socket.send(data);
  }

  private lost(code: number, reason: string, opened: boolean): void {
    clearInterval(this.beat);
    this.socket = null;
    const next = this.transcript.closed(code);
    if (next === "stop") return this.finish(code, reason, false);
    if (next === "give up") {
      if (code !== CLOSE.RESUME_REFUSED || this.renewed) return this.finish(code, reason, true);
      this.renewed = true;
      this.renew().then(
        (ticket) => {
          this.transcript.renew(ticket);
          this.again(0, code, reason);
        },
        () => this.finish(code, reason, true),
      );
      return;
    }
    if (next === "move" && /^(wss?:|\/)/.test(reason)) this.address = new URL(reason, this.address).href;
    else if (!opened || code === CLOSE.SHUTTING_DOWN) this.address = this.addresses[(this.addresses.indexOf(this.address) + 1) % this.addresses.length]!;
    this.again(next === "move" ? 0 : next === "back off" ? 2000 : FIRST_RETRY_MS, code, reason);
  }

  private again(first: number, code: number, reason: string): void {
    if (this.over) return;
    const retryMs = Math.min(LAST_RETRY_MS, first * 2 ** this.tries++) * (0.75 + Math.random() / 2);
    this.retry = setTimeout(() => this.open(), retryMs);
    this.tell("lost", { code, reason, retryMs });
  }

  private finish(code: number, reason: string, refused: boolean): void {
    if (this.over) return;
    this.over = true;
    clearInterval(this.beat);
    clearTimeout(this.retry);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    for (const { reject } of this.answers.values()) reject(new Refused("closed", reason || "the session is closed"));
    this.answers.clear();
    this.tell("closed", { code, reason, refused });
  }

  // -- what is received

  private text(data: string): void {
    for (const outcome of this.transcript.receive(data)) this.take(outcome);
    this.flush();
  }

  private take(outcome: Outcome): void {
    switch (outcome.kind) {
      case "welcomed":
        this.welcome = outcome.welcome;
        [this.tries, this.renewed] = [0, false];
        this.clock.welcomed(Date.now(), outcome.welcome.server_time);
        this.addresses = [...new Set([this.address, ...outcome.welcome.servers.map((one) => new URL(one, this.address).href)])];
        this.transcript.ping(Date.now());
        this.tell("live", outcome.welcome);
        break;
      case "synced":
        this.view = outcome.view;
        this.tell("view", outcome.view);
        break;
      case "delivered":
        this.tell(outcome.event.t, outcome.event);
        this.tell("*", outcome.event);
        break;
      case "acknowledged":
        this.answers.get(outcome.id)?.resolve(outcome.d);
        this.answers.delete(outcome.id);
        break;
      case "rejected": {
        if (outcome.id === null) break;
        const { code, message, field, retry_after } = outcome.error;
        this.answers.get(outcome.id)?.reject(new Refused(code, message, field, retry_after ?? null));
        this.answers.delete(outcome.id);
        break;
      }
      case "noticed":
        this.tell("notice", outcome.notice);
        break;
      case "ponged":
        this.clock.ponged(outcome.at, Date.now(), outcome.serverTime);
        break;
    }
  }

  private binary(data: ArrayBuffer): void {
    const kind = kindOf(data);
    try {
      if (kind === TOPOLOGY) {
        this.topology = decodeTopology(data);
        this.deltas.setTopology(this.topology);
        this.tell("topology", this.topology);
      } else if (kind === FRAME || kind === DELTA) {
        const frame = kind === FRAME ? decodeFrame(data) : this.deltas.decode(data);
        if (!frame || !this.transcript.admitFrame(frame.epoch, frame.tick)) return;
        this.frame = frame;
        this.tell("frame", frame);
      }
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error; // a listener's
    }
  }

  private tell(type: string, value: unknown): void {
    for (const listener of [...(this.listeners.get(type) ?? [])]) (listener as (value: unknown) => void)(value);
  }
}
