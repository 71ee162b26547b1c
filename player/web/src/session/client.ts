// One session as this page sees it: commands go in, signals for the screens come out. It reconnects with the resume token,
// later after each failure. session/connection.ts has the socket.

import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { ServerClock } from "../wire/clock";
import { DELTA, DeltaDecoder } from "../wire/deltas";
import { BadFrame, FRAME, TOPOLOGY, decodeFrame, decodeTopology, kindOf, versionOf } from "../wire/frames";
import type { Topology } from "../wire/frames";
import { CLOSE, ENDED, SCHEMA_HASH } from "../wire/messages";
import type { ErrorData, WelcomeData } from "../wire/messages";
import { Transcript } from "../wire/transcript";
import type { Outcome } from "../wire/transcript";
import { Problem } from "../wire/api";
import type { SeatTicket } from "../wire/api";
import { Timeline } from "./timeline";
import { FrameChannel, canChannel } from "./channel";
import { Connection, retryDelay } from "./connection";
import { num, readBlow, str } from "./events";
import type { Blow, Data, Out } from "./events";
import { withEvent, withView } from "./reducer";
import { EMPTY } from "./state";
import type { SessionState } from "./state";

export type Link =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  | { readonly kind: "lost"; readonly retryAt: number; readonly since: number }
  | { readonly kind: "closed"; readonly reason: "ended" | "left" | "replaced" | "refused" | "version" | "error" };

/** The events that a reconnection caught up on; shown for a few seconds. */
export interface Back {
  readonly at: number;
  readonly events: number;
}

export interface Telemetry {
  readonly tick: number;
  readonly gap: number;
  /** The smallest gap of all frames so far [m]. */
  readonly smallest: number;
  readonly contacts: number;
  readonly bytes: number;
}

/** The server's answer to a command; `d`: all that it says. */
export type Answer = { readonly ok: true; readonly tick: number | null; readonly d: Data } | { readonly ok: false; readonly error: ErrorData };

/** Seconds per tick until the world reports its own. */
const DEFAULT_STEP_S = 1 / 60;
/** A round trip that people notice, and how many round trips decide. */
const SLOW_MS = 250;
const TRIPS = 5;
const TRANSPORTS = (): string[] => (canChannel() ? ["webrtc"] : []);
/** A line to the other side of the world, for this page only. */
export const FAR_AWAY = "280ms 60ms 2%";
const FIRST_RETRY_MS = 400;
const LAST_RETRY_MS = 4000;

export class SessionClient {
  readonly token: string;
  readonly role: "player" | "observer";
  readonly state: Signal<SessionState> = signal({ ...EMPTY });
  readonly link: Signal<Link> = signal({ kind: "connecting" });
  readonly welcome: Signal<WelcomeData | null> = signal(null);
  readonly topology: Signal<Topology | null> = signal(null);
  readonly rtt: Signal<number | null> = signal(null);
  /** Whether most of the last round trips were slow. */
  readonly slow: Signal<boolean> = signal(false);
  /** When the server fell silent, on a connection that is open, or null. */
  readonly quietSince: Signal<number | null> = signal(null);
  /** Whether the browser says that this machine has no network. */
  readonly offline: Signal<boolean> = signal(globalThis.navigator?.onLine === false);
  readonly back: Signal<Back | null> = signal(null);
  readonly telemetry: Signal<Telemetry | null> = signal(null);
  /** Why the world does not move, or null. */
  readonly paused: Signal<string | null> = signal(null);
  /** Wall time per simulated time, when the server says that the world is slow; 1 is real time. */
  readonly dilation: Signal<number> = signal(1);
  /** The newest notice of an operator, until it is closed. */
  readonly announced: Signal<string | null> = signal(null);
  /** Seconds per tick. */
  readonly step: Signal<number> = signal(DEFAULT_STEP_S);
  readonly clock = new ServerClock();
  /** How many events were received one by one, and how many a whole view replaced. */
  readonly heard = { events: 0, missed: 0 };
  /** How many frames came over the WebSocket, and how many over the data channel. */
  readonly framesBy = { socket: 0, channel: 0 };
  /** Null before the first welcome. */
  readonly timeline: Signal<Timeline | null> = signal(null);
  onBlow: (blow: Blow) => void = () => {};
  onOut: (out: Out) => void = () => {};
  /** Messages about the scene that is built while the session waits: scene, lock, mesh. */
  onScene: (kind: "scene" | "lock" | "mesh", d: Data) => void = () => {};
  /** Fetches a new ticket when the resume token is refused. Null: there is no seat to return to. */
  onTicket: () => Promise<SeatTicket | null> = async () => null;
  /** The transport of frames. */
  readonly channel: FrameChannel;
  private readonly connection: Connection;
  private transcript: Transcript;
  private readonly answers = new Map<number, (answer: Answer) => void>();
  private retryTimer = 0;
  private trips: number[] = [];
  private again: () => void = () => this.connect();
  private tries = 0;
  private lostAt = 0;
  private eventsSinceLost = 0;
  private closed = false;
  private waitingHistory: boolean;
  private readonly history: boolean;
  private network: string | null;
  private lastTelemetry = 0;
  private smallest = Infinity;
  private renewed = false;
  private readonly deltas = new DeltaDecoder();
  private readonly stop = new AbortController();

  /** history: also ask for the events before the join. channel: have frames over WebRTC where the server offers it.
   * network: a bad network for this page, or null. */
  constructor(ticket: SeatTicket, history = true, channel = true, network: string | null = null) {
    this.history = history;
    this.network = network;
    this.waitingHistory = history;
    this.token = ticket.session;
    this.role = ticket.role;
    this.transcript = new Transcript(ticket.ticket, null, history, TRANSPORTS());
    this.channel = new FrameChannel(channel, {
      send: (t, d) => {
        this.transcript.signal(t, d);
        this.flush();
      },
      binary: (data) => {
        // It may be earlier than the topology, which comes over the WebSocket.
        if (kindOf(data) === FRAME && versionOf(data) === this.topology.value?.version) this.receiveBinary(data, "channel");
      },
    });
    this.connection = new Connection(ticket, {
      opened: () => {
        this.transcript.network = this.network;
        this.transcript.opened();
        this.flush();
      },
      text: (data) => this.receiveText(data),
      binary: (data) => this.receiveBinary(data),
      beat: () => {
        this.transcript.ping(Date.now());
        this.flush();
      },
      quiet: (quiet) => (this.quietSince.value = quiet ? Date.now() : null),
      lost: (code, reason, wasOpen) => this.lost(code, reason, wasOpen),
    });
    const { signal: stopped } = this.stop;
    window.addEventListener("online", () => this.setOffline(false), { signal: stopped });
    window.addEventListener("offline", () => this.setOffline(true), { signal: stopped });
    globalThis.document?.addEventListener("visibilitychange", () => this.looked(), { signal: stopped });
    this.connect();
  }

  get mySeat(): number | null {
    return this.welcome.value?.seat ?? null;
  }

  serverNow(): number {
    return this.clock.at(Date.now());
  }

  /** Send a command. Settles when the server has answered it; it is repeated after a reconnection. */
  command(kind: string, d?: Record<string, unknown>): Promise<Answer> {
    const id = this.transcript.command(kind, d);
    const answer = new Promise<Answer>((resolve) => this.answers.set(id, resolve));
    this.flush();
    return answer;
  }

  /** Send a command that is soon out of date, such as a drag. It is not repeated; no answer is awaited. Returns its id,
   * null while there is no connection. */
  fire(kind: string, d?: Record<string, unknown>): number | null {
    if (this.link.value.kind !== "live") return null;
    const id = this.transcript.command(kind, d);
    this.transcript.forget(id);
    this.flush();
    return id;
  }

  /** Give up the seat, or stop watching, and close. */
  leave(): void {
    if (this.closed) return;
    if (this.role === "player" && this.link.value.kind === "live" && !ENDED.includes(this.state.value.status)) {
      this.transcript.command("leave");
      this.flush();
    }
    this.dispose();
  }

  /** Close and keep the seat. */
  dispose(): void {
    this.closed = true;
    this.stop.abort();
    clearTimeout(this.retryTimer);
    this.channel.lost();
    this.connection.dispose();
  }

  retryNow(): void {
    if (this.link.value.kind !== "lost" || this.closed) return;
    clearTimeout(this.retryTimer);
    this.again();
  }

  /** The browser says that the network went or came. Neither proves anything of the server: ask it. */
  private setOffline(offline: boolean): void {
    this.offline.value = offline;
    if (!offline) this.retryNow();
    this.connection.check();
  }

  /** The page is shown again: it may have slept. Ask at once whether the server is still there. */
  private looked(): void {
    if (globalThis.document?.visibilityState !== "visible") return;
    this.retryNow();
    this.connection.check();
  }

  get address(): string {
    return this.connection.address;
  }

  /** Use another network from now on: the page reconnects, and the seat stays. */
  setNetwork(network: string | null): void {
    this.network = network;
    this.connection.drop();
  }

  /** For tests: as if the network failed. */
  drop(): void {
    this.connection.drop();
  }

  // -- the connection

  private connect(): void {
    if (!this.closed) this.connection.connect();
  }

  private flush(): void {
    if (this.connection.canSend) this.connection.send(this.transcript.dataToSend());
  }

  private lost(code: number, reason: string, wasOpen: boolean): void {
    if (this.closed) return;
    this.channel.lost();
    const next = this.transcript.closed(code);
    const status = this.state.value.status;
    if (next === "stop" || (ENDED.includes(status) && next !== "move")) {
      this.finish(ENDED.includes(status) || code === 1000 ? "ended" : "left");
      return;
    }
    if (next === "give up") {
      if (code === CLOSE.RESUME_REFUSED && !this.renewed) {
        void this.renew();
        return;
      }
      this.finish(code === CLOSE.REPLACED ? "replaced" : code === CLOSE.VERSION_MISMATCH ? "version" : code === CLOSE.RESUME_REFUSED ? "refused" : "error");
      return;
    }
    if (next === "move" && /^wss?:/.test(reason)) this.connection.moveTo(reason);
    else if (next === "reconnect" && (!wasOpen || code === CLOSE.SHUTTING_DOWN)) this.connection.moveOn();
    this.retry(next === "move" ? 0 : next === "back off" ? 2000 : FIRST_RETRY_MS, () => this.connect());
  }

  /** Run `again` after a delay, which doubles with each try. */
  private retry(first: number, again: () => void): void {
    if (!this.lostAt) {
      this.lostAt = Date.now();
      this.eventsSinceLost = 0;
    }
    this.rtt.value = null;
    const wait = retryDelay(first, LAST_RETRY_MS, this.tries++);
    this.link.value = { kind: "lost", retryAt: Date.now() + wait, since: this.lostAt };
    this.again = again;
    this.retryTimer = window.setTimeout(again, wait);
  }

  /** The resume token was refused: ask for a new ticket of the same seat. */
  private async renew(): Promise<void> {
    this.link.value = { kind: "lost", retryAt: Date.now(), since: this.lostAt || Date.now() };
    let ticket: SeatTicket | null = null;
    try {
      ticket = await this.onTicket();
    } catch (error) {
      if (!this.closed && error instanceof Problem && error.passing) {
        this.retry(FIRST_RETRY_MS, () => void this.renew());
        return;
      }
    }
    if (this.closed) return;
    if (!ticket) {
      this.finish("refused");
      return;
    }
    this.renewed = true;
    this.connection.setTicket(ticket);
    this.transcript = new Transcript(ticket.ticket, null, this.history, TRANSPORTS());
    Object.assign(this.heard, { events: 0, missed: 0 });
    this.waitingHistory = this.history;
    this.state.value = { ...EMPTY };
    this.connect();
  }

  private finish(reason: "ended" | "left" | "replaced" | "refused" | "version" | "error"): void {
    this.closed = true;
    this.link.value = { kind: "closed", reason };
  }

  // -- what is received

  private receiveText(data: string): void {
    let outcomes: Outcome[];
    try {
      outcomes = this.transcript.receive(data);
    } catch (error) {
      console.warn("unreadable message:", error);
      return;
    }
    let state = this.state.value;
    const blows: Blow[] = [];
    const outs: Out[] = [];
    for (const outcome of outcomes) {
      switch (outcome.kind) {
        case "welcomed":
          this.welcomed(outcome.welcome);
          break;
        case "delivered":
          state = withEvent(state, outcome.event);
          this.heard.events++;
          if (outcome.event.t === "running") this.setStep(num(outcome.event.d, "dt"));
          if (outcome.event.t === "turn_started" || outcome.event.t === "brief") this.setStep(num(outcome.event.d, "time_sim") / outcome.event.tick);
          if (this.lostAt) this.eventsSinceLost++;
          if (outcome.event.t === "blow" && !this.waitingHistory) blows.push(readBlow(outcome.event.d, outcome.event.tick));
          if (outcome.event.t === "out" && !this.waitingHistory) outs.push({ seat: num(outcome.event.d, "seat", -1), cause: str(outcome.event.d, "cause"), tick: outcome.event.tick });
          break;
        case "synced":
          state = withView(state, outcome.view);
          if (outcome.missed) this.heard.missed += outcome.missed[1] - outcome.missed[0] + 1;
          this.waitingHistory = false;
          this.cameBack();
          break;
        case "acknowledged":
          this.settle(outcome.id, { ok: true, tick: outcome.tick, d: outcome.d });
          break;
        case "rejected":
          if (outcome.id !== null) this.settle(outcome.id, { ok: false, error: outcome.error });
          else if (outcome.error.field === "offer" || outcome.error.field === "candidate") this.channel.refused(outcome.error.message);
          else console.warn("refused:", outcome.error);
          break;
        case "answer":
          this.channel.answered(outcome.sdp);
          break;
        case "channel":
          this.channel.changed(outcome.state, outcome.reason);
          break;
        case "noticed": {
          const { state: change, reason, turn_ends_at } = outcome.notice;
          if (change !== "paused" && change !== "resumed") break;
          this.paused.value = change === "paused" ? reason || "the service is paused" : null;
          state = { ...state, ...(change === "resumed" ? { turnEndsAt: turn_ends_at, pausedAt: 0 } : {}) };
          break;
        }
        case "paced":
          this.dilation.value = outcome.dilation;
          break;
        case "announced":
          this.announced.value = outcome.text || null;
          break;
        case "scene":
          this.onScene(outcome.t, outcome.d);
          break;
        case "observed":
          state = { ...state, observers: outcome.observers };
          break;
        case "ponged":
          this.clock.ponged(outcome.at, Date.now(), outcome.serverTime);
          this.rtt.value = this.clock.rtt;
          if (this.rtt.value === null) this.transcript.ping(Date.now());
          this.updateSlow();
          break;
      }
    }
    if (state !== this.state.value) this.state.value = state;
    for (const blow of blows) this.onBlow(blow);
    for (const out of outs) this.onOut(out);
    this.flush();
  }

  private welcomed(welcome: WelcomeData): void {
    this.welcome.value = welcome;
    this.tries = 0;
    this.paused.value = null;
    this.dilation.value = 1;
    this.renewed = false;
    this.clock.welcomed(Date.now(), welcome.server_time);
    this.transcript.ping(Date.now());
    this.timeline.value ??= new Timeline(welcome.dt || DEFAULT_STEP_S, welcome.frame_hz || 30);
    this.setStep(welcome.dt);
    if (welcome.schema_hash !== SCHEMA_HASH) console.warn("the server sends frames of another schema; reload the page");
    this.link.value = { kind: "live" };
    this.connection.setServers(welcome.servers);
    this.channel.welcomed(welcome.webrtc);
    if (this.lostAt && !this.waitingHistory) setTimeout(() => this.cameBack(), 250);
  }

  /** Take over the seconds per tick. The welcome of a waiting lobby does not have them; the first turn or brief does. */
  private setStep(dt: number): void {
    if (!(dt > 0) || !Number.isFinite(dt)) return;
    this.step.value = dt;
    this.timeline.value?.setStep(dt);
  }

  private cameBack(): void {
    if (!this.lostAt) return;
    this.back.value = { at: Date.now(), events: this.eventsSinceLost };
    this.lostAt = 0;
    setTimeout(() => {
      if (this.back.value && Date.now() - this.back.value.at >= 3900) this.back.value = null;
    }, 4000);
  }

  /** Decide whether the connection is slow; a single slow or quick round trip changes nothing. */
  private updateSlow(): void {
    this.trips = [...this.trips.slice(1 - TRIPS), this.clock.newest ?? 0];
    const late = this.trips.filter((trip) => trip > SLOW_MS).length;
    if (late >= TRIPS - 1) this.slow.value = true;
    else if (late <= 1) this.slow.value = false;
  }

  private settle(id: number, answer: Answer): void {
    this.answers.get(id)?.(answer);
    this.answers.delete(id);
  }

  private receiveBinary(data: ArrayBuffer, by: "socket" | "channel" = "socket"): void {
    try {
      const kind = kindOf(data);
      if (kind === TOPOLOGY) {
        this.topology.value = decodeTopology(data);
        this.deltas.setTopology(this.topology.value);
      } else if (kind === FRAME || kind === DELTA) {
        const frame = kind === FRAME ? decodeFrame(data) : this.deltas.decode(data);
        if (!frame || !this.transcript.admitFrame(frame.epoch, frame.tick)) return;
        this.framesBy[by]++;
        this.timeline.value?.push(frame, performance.now() / 1000);
        const now = performance.now();
        this.smallest = Math.min(this.smallest, frame.minDistance);
        if (now - this.lastTelemetry > 200 || frame.tick !== this.telemetry.value?.tick) {
          if (now - this.lastTelemetry < 100) return;
          this.lastTelemetry = now;
          this.telemetry.value = {
            tick: frame.tick,
            gap: frame.minDistance,
            smallest: this.smallest,
            contacts: frame.contacts,
            bytes: data.byteLength,
          };
        }
      }
    } catch (error) {
      if (error instanceof BadFrame) console.warn("unreadable frame:", error.message);
      else throw error;
    }
  }
}
