// One client's protocol state for one session, over any number of connections. Sans-I/O, the twin of
// player/transcript.py. Events are delivered once and in the order of v. A gap is reported. Events and frames of an
// older epoch are dropped. A command is repeated under its id until it is answered. It must never open a socket or
// read a clock.

import { CLOSE, CODEC, PROTOCOL, PROTOCOLS } from "./messages";
import type { ErrorData, Event, HelloData, NoticeData, ObserversData, ServersData, SessionView, WelcomeData } from "./messages";

/** Events kept behind a gap until the whole view comes. More are dropped; the view covers them. */
const HELD_EVENTS = 256;

export type Next = "stop" | "give up" | "reconnect" | "back off" | "resync" | "move";

export type Outcome =
  | { readonly kind: "welcomed"; readonly welcome: WelcomeData; readonly again: boolean }
  | { readonly kind: "delivered"; readonly event: Event }
  | { readonly kind: "synced"; readonly v: number; readonly view: SessionView; readonly missed: readonly [number, number] | null }
  | { readonly kind: "acknowledged"; readonly id: number; readonly tick: number | null; readonly d: Record<string, unknown> }
  | { readonly kind: "scene"; readonly t: "scene" | "lock" | "mesh"; readonly d: Record<string, unknown> }
  | { readonly kind: "answer"; readonly sdp: string }
  | { readonly kind: "channel"; readonly state: string; readonly reason: string }
  | { readonly kind: "rejected"; readonly id: number | null; readonly error: ErrorData }
  | { readonly kind: "observed"; readonly observers: ObserversData }
  | { readonly kind: "paced"; readonly dilation: number }
  | { readonly kind: "noticed"; readonly notice: NoticeData }
  | { readonly kind: "announced"; readonly text: string }
  | { readonly kind: "servers"; readonly servers: readonly string[] }
  | { readonly kind: "ponged"; readonly at: number; readonly serverTime: number };

const AFTER_CLOSE: Record<number, Next> = {
  [CLOSE.NORMAL]: "stop",
  [CLOSE.LEFT]: "stop",
  [CLOSE.SHUTTING_DOWN]: "reconnect",
  [CLOSE.ERROR]: "reconnect",
  [CLOSE.RESUME_REFUSED]: "give up",
  [CLOSE.BAD_MESSAGE]: "give up",
  [CLOSE.REPLACED]: "give up",
  [CLOSE.MOVED]: "move",
  [CLOSE.VERSION_MISMATCH]: "give up",
  [CLOSE.RATE_LIMITED]: "back off",
  [CLOSE.TOO_SLOW]: "resync",
};

/** What a client does after a close code. A code that is not in the table means a lost connection. */
export function afterClose(code: number): Next {
  return AFTER_CLOSE[code] ?? "reconnect";
}

interface Envelope {
  t: string;
  d?: Record<string, unknown>;
  v?: number;
  id?: number | null;
  tick?: number;
  epoch?: number;
}

export class BadMessage extends Error {}

export class Transcript {
  resume: string | null;
  welcome: WelcomeData | null = null;
  view: SessionView | null = null;
  v = 0;
  epoch = 0;
  tick = 0;
  live = false;
  /** A bad network for this connection only; null: the server's. */
  network: string | null = null;
  /** The most frames per simulated second that are wanted; null: all. */
  frameHz: number | null = null;
  /** Types of events that are not needed. */
  without: readonly string[] = [];
  private ticket: string | null;
  private eventEpoch = 0;
  private nextId = 1;
  private readonly pendingCommands = new Map<number, string>();
  private held = new Map<number, Event>();
  private resyncing = false;
  private askWhole = false;
  private outgoing: string[] = [];
  private readonly history: boolean;
  private readonly transports: string[];

  /** history: ask for the session's events from the first on, and for the view after them. transports: see HelloData. */
  constructor(ticket: string | null, resume: string | null = null, history = false, transports: string[] = []) {
    this.transports = transports;
    this.ticket = ticket;
    this.resume = resume;
    this.history = history;
  }

  /** Another ticket, after the resume token was refused. */
  renew(ticket: string): void {
    this.ticket = ticket;
    this.resume = null;
  }

  // -- sending

  /** A socket is open: say hello. Obliges the caller to send `dataToSend`. */
  opened(): void {
    const known = (this.view !== null || this.v > 0) && !this.askWhole;
    const hello: HelloData = {
      protocol: PROTOCOL,
      protocols: PROTOCOLS,
      ticket: this.resume === null ? this.ticket : null,
      resume: this.resume,
      last_v: known ? this.v : this.history && !this.askWhole ? 0 : null,
      last_tick: known ? this.tick : null,
      codecs: [CODEC],
      transports: this.transports,
      network: this.network,
      ...(this.frameHz === null ? {} : { frame_hz: this.frameHz }),
      ...(this.without.length ? { without: [...this.without] } : {}),
    };
    this.live = false;
    this.resyncing = false;
    this.held.clear();
    this.outgoing = [JSON.stringify({ t: "hello", d: hello })];
  }

  /** Queue a command under a new id, which is returned. It is repeated on every new connection until answered. */
  command(kind: string, d?: Record<string, unknown>): number {
    const id = this.nextId++;
    const data = JSON.stringify(d === undefined ? { t: kind, id } : { t: kind, id, d });
    this.pendingCommands.set(id, data);
    if (this.live) this.outgoing.push(data);
    return id;
  }

  /** Do not repeat that command any more. It may still take effect. */
  forget(id: number): void {
    this.pendingCommands.delete(id);
  }

  ping(at: number): void {
    if (this.live) this.outgoing.push(JSON.stringify({ t: "ping", d: { at } }));
  }

  /** Queue a message about the data channel. It is not repeated on a new connection. */
  signal(t: string, d?: Record<string, unknown>): void {
    if (this.live) this.outgoing.push(JSON.stringify(d === undefined ? { t } : { t, d }));
  }

  /** Ask for the whole view, once until it comes. */
  requestResync(): void {
    if (this.live && !this.resyncing) {
      this.resyncing = true;
      this.outgoing.push(JSON.stringify({ t: "resync" }));
    }
  }

  /** The messages to send now, in order; they are handed out once. */
  dataToSend(): string[] {
    const data = this.outgoing;
    this.outgoing = [];
    return data;
  }

  get pending(): number[] {
    return [...this.pendingCommands.keys()];
  }

  // -- receiving

  /** The outcomes of one text message, in order. Throws BadMessage for an illegal message; the state is unchanged. */
  receive(data: string): Outcome[] {
    let message: Envelope;
    try {
      message = JSON.parse(data) as Envelope;
    } catch {
      throw new BadMessage("not JSON");
    }
    if (typeof message !== "object" || message === null || typeof message.t !== "string") throw new BadMessage("no message");
    const d = message.d ?? {};
    switch (message.t) {
      case "welcome":
        return this.welcomed(d as unknown as WelcomeData);
      case "session":
        if (typeof message.v !== "number") throw new BadMessage("a session message without v");
        return this.synced(message.v, d as unknown as SessionView);
      case "ack":
        return this.answered(message.id ?? null, {
          kind: "acknowledged",
          id: message.id ?? 0,
          tick: typeof d["tick"] === "number" ? d["tick"] : null,
          d,
        });
      case "error":
        return this.answered(message.id ?? null, { kind: "rejected", id: message.id ?? null, error: d as unknown as ErrorData });
      case "notice":
        return [{ kind: "noticed", notice: d as unknown as NoticeData }];
      case "pace":
        return [{ kind: "paced", dilation: Number(d["dilation"]) }];
      case "announcement":
        return [{ kind: "announced", text: String(d["text"] ?? "") }];
      case "servers":
        return [{ kind: "servers", servers: (d as unknown as ServersData).servers }];
      case "scene":
      case "lock":
      case "mesh":
        return [{ kind: "scene", t: message.t, d }];
      case "observers":
        return [{ kind: "observed", observers: d as unknown as ObserversData }];
      case "answer":
        return [{ kind: "answer", sdp: String(d["sdp"]) }];
      case "channel":
        return [{ kind: "channel", state: String(d["state"]), reason: String(d["reason"] ?? "") }];
      case "pong":
        return [{ kind: "ponged", at: Number(d["at"]), serverTime: Number(d["server_time"]) }];
      default:
        if (typeof message.v !== "number") return [];
        return this.heard({ v: message.v, t: message.t, d, tick: message.tick ?? 0, epoch: message.epoch ?? 0 });
    }
  }

  /** Whether a frame is newer than all admitted ones; if so it is admitted. A newer epoch may have a lower tick. */
  admitFrame(epoch: number, tick: number): boolean {
    if (epoch < this.epoch || (epoch === this.epoch && tick < this.tick)) return false;
    this.epoch = epoch;
    this.tick = tick;
    return true;
  }

  /** The socket closed with that code. Pending commands stay, to be repeated. */
  closed(code: number): Next {
    this.live = false;
    this.resyncing = false;
    this.held.clear();
    this.outgoing = [];
    const next = afterClose(code);
    this.askWhole = next === "resync";
    return next;
  }

  // -- inside

  private welcomed(welcome: WelcomeData): Outcome[] {
    const again = this.welcome !== null;
    this.welcome = welcome;
    this.live = true;
    if (welcome.resume !== null) this.resume = welcome.resume;
    this.epoch = Math.max(this.epoch, welcome.epoch);
    this.nextId = Math.max(this.nextId, welcome.last_id + 1);
    this.outgoing.push(...this.pendingCommands.values());
    if (this.history && this.view === null) this.requestResync();
    return [{ kind: "welcomed", welcome, again }];
  }

  private synced(v: number, view: SessionView): Outcome[] {
    const joined = this.view === null && this.v === 0;
    const missed = v > this.v && !joined ? ([this.v + 1, v] as const) : null;
    this.v = v;
    this.view = view;
    this.epoch = Math.max(this.epoch, view.epoch);
    this.eventEpoch = view.epoch;
    this.resyncing = this.askWhole = false;
    const held = this.held;
    this.held = new Map();
    const outcomes: Outcome[] = [{ kind: "synced", v, view, missed }];
    for (const number of [...held.keys()].sort((a, b) => a - b)) {
      const event = held.get(number);
      if (event) outcomes.push(...this.heard(event));
    }
    return outcomes;
  }

  private heard(event: Event): Outcome[] {
    if (event.v <= this.v || this.stale(event)) return [];
    if (event.v > this.v + 1 && !this.without.length) {
      const held = this.held.get(event.v);
      if (this.held.size < HELD_EVENTS && (!held || held.epoch < event.epoch)) this.held.set(event.v, event);
      this.requestResync();
      return [];
    }
    const outcomes: Outcome[] = [];
    let following: Event | undefined = event;
    while (following && !this.stale(following)) {
      this.v = following.v;
      this.eventEpoch = Math.max(this.eventEpoch, following.epoch);
      this.epoch = Math.max(this.epoch, following.epoch);
      outcomes.push({ kind: "delivered", event: following });
      const next: Event | undefined = this.held.get(this.v + 1);
      this.held.delete(this.v + 1);
      following = next;
    }
    return outcomes;
  }

  /** Whether the event is of an older epoch than the newest. Epoch 0 has no holder: any server may write it. */
  private stale(event: Event): boolean {
    return event.epoch > 0 && event.epoch < this.eventEpoch;
  }

  private answered(id: number | null, outcome: Outcome): Outcome[] {
    if (id === null) return outcome.kind === "rejected" ? [outcome] : [];
    return this.pendingCommands.delete(id) ? [outcome] : [];
  }
}
