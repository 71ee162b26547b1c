// One session of a server, for as long as it lasts: it reconnects with the resume token, later after each failure, follows
// the session to other servers, repeats commands, decodes frames, and has them over WebRTC where both sides can. Where
// there is a page it uses the page's network and visibility events; it must never draw or change one.

import { Refused } from "../src/wire/calls";
import { ServerClock } from "../src/wire/clock";
import { DELTA, DeltaDecoder, KEYFRAME } from "../src/wire/deltas";
import { LOSSY, LOSSY_KEYFRAME, LossyDecoder } from "../src/wire/lossydeltas";
import { BadFrame, FRAME, TOPOLOGY, decodeFrame, decodeTopology, kindOf, versionOf } from "../src/wire/frames";
import type { Frame, Topology } from "../src/wire/frames";
import { CLOSE, ENDED, SCHEMA_HASH } from "../src/wire/messages";
import type { ErrorData, Event, LockChange, MeshData, NoticeData, ObserversData, PaceData, SceneData, SessionView, WelcomeData } from "../src/wire/messages";
import { BadMessage, Transcript } from "../src/wire/transcript";
import type { Outcome } from "../src/wire/transcript";
import { FrameChannel, peerClass } from "./channel";
import type { PeerClass, Way } from "./channel";
import { Connection, retryDelay } from "./connection";
import type { SocketClass } from "./connection";
import type { EventData } from "../src/generated/eventdata";

const FIRST_RETRY_MS = 400;
const LAST_RETRY_MS = 4000;
/** The first wait after a close for too many messages [ms]. */
const BACK_OFF_MS = 2000;

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

export interface SessionOptions {
  /** Also ask for the events before the join. */
  readonly history?: boolean;
  /** A bad network for this client only, such as "120ms 40ms 3%". */
  readonly network?: string | null;
  /** The most frames per simulated second that are wanted. At most a quarter of the server's rate: every fourth frame;
   * more, and without it: all. */
  readonly frameHz?: number;
  /** Types of events that are not needed: they are not sent. */
  readonly without?: readonly string[];
  /** The time between two pings [ms]; 1000 without it. A server that falls silent is noticed that much later. */
  readonly pingMs?: number;
  /** Have frames over WebRTC where server and client can; true without it. */
  readonly channel?: boolean;
  /** The class of WebSockets; the global one without it. */
  readonly WebSocket?: SocketClass;
  /** The class of WebRTC connections; the browser's without it, none in Node. */
  readonly RTCPeerConnection?: PeerClass;
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
  /** How fast the world runs. */
  pace: PaceData;
  /** A line from an operator, for people. */
  announcement: string;
  observers: ObserversData;
  /** Changes of the scene that is edited while the lobby waits. */
  scene: SceneData;
  lock: LockChange;
  mesh: MeshData;
  /** The connection is there, for the first time or again. */
  live: WelcomeData;
  /** The connection is lost; the next try follows. */
  lost: { readonly code: number; readonly reason: string; readonly retryMs: number };
  /** Nothing follows any more. `refused`: the server does not take the client back. */
  closed: { readonly code: number; readonly reason: string; readonly refused: boolean };
  /** The server fell silent on a connection that is open, or answers again. */
  quiet: boolean;
  /** This machine lost its network, or has it again, as the browser says. */
  offline: boolean;
  /** The transport of frames. */
  way: Way;
  /** A round trip [ms] was measured. */
  rtt: number;
  /** A message or frame that cannot be read, or a server of another schema; the session goes on. */
  problem: Error;
}

const OWN: ReadonlySet<string> = new Set<keyof Heard>([
  "*", "frame", "topology", "view", "notice", "pace", "announcement", "observers", "scene", "lock", "mesh", "live", "lost", "closed", "quiet", "offline", "way", "rtt", "problem",
]); // prettier-ignore

export type Typed<Type extends string> = Type extends keyof Heard ? Heard[Type] : Type extends keyof EventData ? Event & { readonly d: EventData[Type] } : Event;
type Listener = (value: never) => void;

export class Session {
  readonly token: string;
  readonly role: "player" | "observer";
  readonly clock = new ServerClock();
  view: SessionView | null = null;
  frame: Frame | null = null;
  topology: Topology | null = null;
  welcome: WelcomeData | null = null;
  /** Whether the session is over. */
  ended = false;
  /** Whether the connection is there. */
  live = false;
  /** Whether the browser says that this machine has no network. */
  offline = globalThis.navigator?.onLine === false;
  /** How many events were received one by one, and how many a whole view replaced. */
  readonly heard = { events: 0, missed: 0 };
  /** How many frames came over the WebSocket and over the data channel, and the bytes of the newest one. */
  readonly received = { socket: 0, channel: 0, bytes: 0 };
  private readonly transcript: Transcript;
  private readonly connection: Connection;
  private readonly frames: FrameChannel;
  private readonly deltas = new DeltaDecoder();
  private readonly lossy = new LossyDecoder();
  private readonly listeners = new Map<string, Set<Listener>>();
  private readonly answers = new Map<number, { resolve: (d: Record<string, unknown>) => void; reject: (error: Refused) => void }>();
  private readonly renew: () => Promise<Seat | null>;
  private readonly here: string;
  private readonly page = new AbortController();
  private retrying: ReturnType<typeof setTimeout> | undefined;
  private again: () => void = () => {};
  private tries = 0;
  private renewed = false;
  private over = false;

  /** Tussle.connect makes it. here: the address of a WebSocket of the server that answered; other addresses are understood
   * from it. renew: another ticket of the same seat when the resume token is refused; null: there is none. If it throws an
   * error that is `passing` (Refused), it is asked again later. */
  constructor(seat: Seat, here: string, renew: () => Promise<Seat | null>, options: SessionOptions = {}) {
    const Peer = options.RTCPeerConnection ?? peerClass();
    this.token = seat.session;
    this.role = seat.role;
    this.here = here;
    this.renew = renew;
    this.transcript = new Transcript(seat.ticket, null, options.history ?? false, Peer ? ["webrtc"] : []);
    this.transcript.network = options.network ?? null;
    this.transcript.frameHz = options.frameHz ?? null;
    this.transcript.without = options.without ?? [];
    this.frames = new FrameChannel(options.channel ?? true, Peer, {
      send: (t, d) => {
        this.transcript.signal(t, d);
        this.flush();
      },
      binary: (data) => {
        // It may be earlier than the topology, which comes over the WebSocket.
        const kind = kindOf(data);
        const known = kind === FRAME && versionOf(data) === this.topology?.version;
        if (known || kind === LOSSY || kind === LOSSY_KEYFRAME) this.binary(data, "channel");
      },
      changed: (way) => this.tell("way", way),
    });
    this.connection = new Connection(
      this.addressesOf(seat),
      here,
      {
        opened: () => {
          this.transcript.opened();
          this.flush();
        },
        text: (data) => this.text(data),
        binary: (data) => this.binary(data, "socket"),
        beat: () => this.ping(),
        quiet: (quiet) => this.tell("quiet", quiet),
        lost: (code, reason, wasOpen) => this.lost(code, reason, wasOpen),
      },
      options.WebSocket,
      options.pingMs,
    );
    this.followPage();
    this.connection.connect();
  }

  /** This client's seat; null for an observer, and before the first welcome. */
  get seat(): number | null {
    return this.welcome?.seat ?? null;
  }

  /** The quickest of the newest round trips [ms]; null before the second one. */
  get rtt(): number | null {
    return this.clock.rtt;
  }

  /** The transport of frames. */
  get way(): Way {
    return this.frames.way;
  }

  /** The address of the current or the next WebSocket. */
  get address(): string {
    return this.connection.address;
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

  /** A command that is soon out of date, such as a drag: it is not repeated, and no answer is awaited. Returns its id,
   * which frames carry once they include it; null while there is no connection. */
  fire(type: string, d?: Record<string, unknown>): number | null {
    if (!this.live) return null;
    const id = this.transcript.command(type, d);
    this.transcript.forget(id);
    this.flush();
    return id;
  }

  /** Give up the seat, or stop watching, and close. */
  leave(): void {
    if (this.over) return;
    if (this.role === "player" && this.live && !this.ended) {
      this.transcript.command("leave");
      this.flush();
    }
    this.close();
  }

  /** Close the connection and keep the seat. */
  close(): void {
    this.finish(1000, "closed by the client", false);
  }

  /** Try to connect now, instead of after the wait. */
  retryNow(): void {
    if (this.live || this.over || this.retrying === undefined) return;
    clearTimeout(this.retrying);
    this.retrying = undefined;
    this.again();
  }

  /** Close the socket as if the network had failed. */
  drop(): void {
    this.connection.drop();
  }

  /** Use another bad network from now on, null: none. The client reconnects, and the seat stays. */
  setNetwork(network: string | null): void {
    this.transcript.network = network;
    this.connection.drop();
  }

  /** Have frames over WebRTC where the server offers it, or do not. */
  wantChannel(wanted: boolean): void {
    this.frames.want(wanted);
  }

  // -- the connection

  private addressesOf(seat: Seat): string[] {
    return [seat.here ? this.here : seat.ws_url, ...seat.servers];
  }

  /** The page's own news are reasons to ask the server, which alone knows. */
  private followPage(): void {
    const { signal } = this.page;
    const { window, document } = globalThis as { window?: EventTarget; document?: EventTarget & { visibilityState: string } };
    const network = (offline: boolean): void => {
      this.offline = offline;
      this.tell("offline", offline);
      if (!offline) this.retryNow();
      this.connection.check();
    };
    window?.addEventListener("online", () => network(false), { signal });
    window?.addEventListener("offline", () => network(true), { signal });
    document?.addEventListener(
      "visibilitychange",
      () => {
        if (document.visibilityState !== "visible") return; // shown again, it may have slept
        this.retryNow();
        this.connection.check();
      },
      { signal },
    );
  }

  private ping(): void {
    this.transcript.ping(Date.now());
    this.flush();
  }

  private flush(): void {
    if (this.connection.canSend) this.connection.send(this.transcript.dataToSend());
  }

  private lost(code: number, reason: string, wasOpen: boolean): void {
    if (this.over) return;
    this.live = false;
    this.frames.lost();
    const next = this.transcript.closed(code);
    if (next === "stop" || (this.ended && next !== "move")) return this.finish(code, reason, false);
    if (next === "give up") {
      if (code !== CLOSE.RESUME_REFUSED || this.renewed) return this.finish(code, reason, true);
      this.tell("lost", { code, reason, retryMs: 0 });
      void this.askTicket(code, reason);
      return;
    }
    if (next === "move" && /^(wss?:|\/)/.test(reason)) this.connection.moveTo(reason);
    else if (next === "reconnect" && (!wasOpen || code === CLOSE.SHUTTING_DOWN)) this.connection.moveOn();
    this.retry(next === "move" ? 0 : next === "back off" ? BACK_OFF_MS : FIRST_RETRY_MS, code, reason, () => this.connection.connect());
  }

  private retry(first: number, code: number, reason: string, again: () => void): void {
    const retryMs = retryDelay(first, LAST_RETRY_MS, this.tries++);
    this.again = again;
    this.retrying = setTimeout(() => {
      this.retrying = undefined;
      again();
    }, retryMs);
    this.tell("lost", { code, reason, retryMs });
  }

  /** The resume token was refused: ask once for a new ticket of the same seat. */
  private async askTicket(code: number, reason: string): Promise<void> {
    let seat: Seat | null = null;
    try {
      seat = await this.renew();
    } catch (error) {
      if (!this.over && error instanceof Refused && error.passing) {
        this.retry(FIRST_RETRY_MS, code, reason, () => void this.askTicket(code, reason));
        return;
      }
    }
    if (this.over) return;
    if (!seat) return this.finish(code, reason, true);
    this.renewed = true;
    this.transcript.renew(seat.ticket);
    this.connection.setAddresses(this.addressesOf(seat));
    this.connection.connect();
  }

  private finish(code: number, reason: string, refused: boolean): void {
    if (this.over) return;
    this.over = true;
    this.live = false;
    this.page.abort();
    clearTimeout(this.retrying);
    this.frames.lost();
    this.connection.dispose();
    for (const { reject } of this.answers.values()) reject(new Refused("closed", reason || "the session is closed"));
    this.answers.clear();
    this.tell("closed", { code, reason, refused });
  }

  // -- what is received

  private text(data: string): void {
    let outcomes: Outcome[];
    try {
      outcomes = this.transcript.receive(data);
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error;
      this.tell("problem", error);
      return;
    }
    for (const outcome of outcomes) this.take(outcome);
    this.flush();
  }

  private take(outcome: Outcome): void {
    switch (outcome.kind) {
      case "welcomed":
        this.welcomed(outcome.welcome);
        break;
      case "synced":
        this.view = outcome.view;
        this.ended = ENDED.includes(outcome.view.status);
        if (outcome.missed) this.heard.missed += outcome.missed[1] - outcome.missed[0] + 1;
        this.tell("view", outcome.view);
        break;
      case "delivered":
        this.heard.events++;
        if (ENDED.includes(outcome.event.t)) this.ended = true;
        if (!OWN.has(outcome.event.t)) this.tell(outcome.event.t, outcome.event);
        this.tell("*", outcome.event);
        break;
      case "acknowledged":
        this.answers.get(outcome.id)?.resolve(outcome.d);
        this.answers.delete(outcome.id);
        break;
      case "rejected":
        this.rejected(outcome.id, outcome.error);
        break;
      case "answer":
        this.frames.answered(outcome.sdp);
        break;
      case "channel":
        this.frames.changed(outcome.state, outcome.reason);
        break;
      case "noticed":
        this.tell("notice", outcome.notice);
        break;
      case "paced":
        this.tell("pace", { dilation: outcome.dilation });
        break;
      case "announced":
        this.tell("announcement", outcome.text);
        break;
      case "scene":
        this.tell(outcome.t, outcome.d);
        break;
      case "observed":
        this.tell("observers", outcome.observers);
        break;
      case "servers":
        this.connection.setServers(outcome.servers);
        break;
      case "ponged":
        this.clock.ponged(outcome.at, Date.now(), outcome.serverTime);
        if (this.clock.rtt === null) this.ping();
        this.tell("rtt", this.clock.newest);
        break;
    }
  }

  private welcomed(welcome: WelcomeData): void {
    this.welcome = welcome;
    this.live = true;
    this.tries = 0;
    this.renewed = false;
    this.clock.welcomed(Date.now(), welcome.server_time);
    this.ping();
    if (welcome.schema_hash !== SCHEMA_HASH) this.tell("problem", new Error("the server sends frames of another schema"));
    this.connection.setServers(welcome.servers);
    this.tell("live", welcome);
    this.frames.welcomed(welcome.webrtc);
  }

  private rejected(id: number | null, error: ErrorData): void {
    const { code, message, field, retry_after, detail } = error;
    const refusal = new Refused(code, message, null, field, retry_after ?? null, detail ?? {});
    if (id !== null) {
      this.answers.get(id)?.reject(refusal);
      this.answers.delete(id);
    } else if (field === "offer" || field === "candidate") this.frames.refused(message);
    else this.tell("problem", refusal);
  }

  private binary(data: ArrayBuffer, by: "socket" | "channel"): void {
    const decoded = this.decoded(data);
    if (!decoded) return;
    if ("bodies" in decoded) {
      this.topology = decoded;
      this.deltas.setTopology(decoded);
      this.lossy.setTopology(decoded);
      this.tell("topology", decoded);
    } else if (this.transcript.admitFrame(decoded.epoch, decoded.tick)) {
      this.frame = decoded;
      this.received[by]++;
      this.received.bytes = data.byteLength;
      this.tell("frame", decoded);
    }
  }

  /** What the bytes hold; null for kinds that are not known, and for what is missing or cannot be read. */
  private decoded(data: ArrayBuffer): Frame | Topology | null {
    try {
      const kind = kindOf(data);
      if (kind === TOPOLOGY) return decodeTopology(data);
      if (kind === FRAME) return decodeFrame(data);
      if (kind === DELTA || kind === KEYFRAME) return this.deltas.decode(data);
      if (kind !== LOSSY && kind !== LOSSY_KEYFRAME) return null;
      const frame = this.lossy.decode(data);
      if (this.lossy.kept) {
        this.transcript.signal("seen", { number: this.lossy.kept });
        this.flush();
      }
      return frame;
    } catch (error) {
      if (!(error instanceof BadFrame)) throw error;
      this.tell("problem", error);
      return null;
    }
  }

  private tell(type: string, value: unknown): void {
    for (const listener of [...(this.listeners.get(type) ?? [])]) (listener as (value: unknown) => void)(value);
  }
}
