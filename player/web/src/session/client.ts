// One session as this page lives it: socket, transcript, clock and timeline, and the signals that screens read.
// Comes back by itself with the resume token, with back-off. The only user of WebSocket.

import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { ServerClock } from "../wire/clock";
import { BadFrame, FRAME, TOPOLOGY, decodeFrame, decodeTopology, kindOf } from "../wire/frames";
import type { Topology } from "../wire/frames";
import { CLOSE, ENDED, SCHEMA_HASH } from "../wire/messages";
import type { ErrorData, WelcomeData } from "../wire/messages";
import { Transcript } from "../wire/transcript";
import type { Outcome } from "../wire/transcript";
import { Problem } from "../wire/api";
import type { SeatTicket } from "../wire/api";
import { Timeline } from "./timeline";
import { num, readBlow } from "./events";
import type { Blow } from "./events";
import { withEvent, withView } from "./reducer";
import { EMPTY } from "./state";
import type { SessionState } from "./state";

export type Link =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  | { readonly kind: "lost"; readonly retryAt: number; readonly since: number }
  | { readonly kind: "closed"; readonly reason: "ended" | "left" | "replaced" | "refused" | "version" | "error" };

/** What was caught up on the way back; shown for a few seconds. */
export interface Back {
  readonly at: number;
  readonly events: number;
}

export interface Telemetry {
  readonly tick: number;
  readonly gap: number;
  /** The smallest gap of all pictures that came [m]. */
  readonly smallest: number;
  readonly contacts: number;
  readonly bytes: number;
}

type Answer = { readonly ok: true; readonly tick: number | null } | { readonly ok: false; readonly error: ErrorData };

/** Until the world has begun [s]. */
const DEFAULT_STEP_S = 1 / 60;
const PING_MS = 2000;
/** A socket that is silent for this long is dead: pongs come every PING_MS. */
const SILENT_MS = 7000;
/** A round trip that is felt, and how many of them are looked at. */
const SLOW_MS = 250;
const TRIPS = 5;
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
  /** Whether the line has been slow for a while. */
  readonly slow: Signal<boolean> = signal(false);
  readonly back: Signal<Back | null> = signal(null);
  readonly telemetry: Signal<Telemetry | null> = signal(null);
  /** Why nothing moves for now, or null. */
  readonly paused: Signal<string | null> = signal(null);
  /** Seconds per tick. */
  readonly step: Signal<number> = signal(DEFAULT_STEP_S);
  readonly clock = new ServerClock();
  /** How many events came one after another, and how many were covered by a whole view instead. */
  readonly heard = { events: 0, missed: 0 };
  /** Null before the first welcome. */
  readonly timeline: Signal<Timeline | null> = signal(null);
  onBlow: (blow: Blow) => void = () => {};
  /** A new ticket, when the resume token is refused; null: there is no way back. */
  onTicket: () => Promise<SeatTicket | null> = async () => null;
  private url: string;
  /** Where the session was last, then other servers that may take the seat back. */
  private places: readonly string[];
  private opened = false;
  private transcript: Transcript;
  private socket: WebSocket | null = null;
  private readonly answers = new Map<number, (answer: Answer) => void>();
  private pinger = 0;
  private retryTimer = 0;
  private trips: number[] = [];
  private again: () => void = () => this.connect();
  private tries = 0;
  private heardAt = 0;
  private beatAt = 0;
  private lostAt = 0;
  private eventsSinceLost = 0;
  private closed = false;
  private waitingHistory: boolean;
  private readonly history: boolean;
  private lastTelemetry = 0;
  private smallest = Infinity;
  private renewed = false;
  private readonly onlineListener = () => this.retryNow();

  /** history: also ask for what happened before. */
  constructor(ticket: SeatTicket, history = true) {
    this.history = history;
    this.waitingHistory = history;
    this.token = ticket.session;
    this.role = ticket.role;
    this.places = placesOf(ticket);
    this.url = this.places[0]!;
    this.transcript = new Transcript(ticket.ticket, null, history);
    window.addEventListener("online", this.onlineListener);
    this.connect();
  }

  get mySeat(): number | null {
    return this.welcome.value?.seat ?? null;
  }

  serverNow(): number {
    return this.clock.at(Date.now());
  }

  /** Send a command; settles when the server has answered it, also over a reconnection. */
  command(kind: string, d?: Record<string, unknown>): Promise<Answer> {
    const id = this.transcript.command(kind, d);
    const answer = new Promise<Answer>((resolve) => this.answers.set(id, resolve));
    this.flush();
    return answer;
  }

  /** Send a command that is out of date in a moment: it is not repeated. */
  fire(kind: string, d?: Record<string, unknown>): void {
    if (this.link.value.kind !== "live") return;
    this.transcript.forget(this.transcript.command(kind, d));
    this.flush();
  }

  /** Give the seat up, or stop watching. */
  leave(): void {
    if (this.closed) return;
    if (this.role === "player" && this.link.value.kind === "live" && !ENDED.includes(this.state.value.status)) {
      this.transcript.command("leave");
      this.flush();
    }
    this.dispose();
  }

  /** Close without giving the seat up. */
  dispose(): void {
    this.closed = true;
    window.removeEventListener("online", this.onlineListener);
    clearInterval(this.pinger);
    clearTimeout(this.retryTimer);
    const socket = this.socket;
    this.socket = null;
    if (socket && socket.readyState <= WebSocket.OPEN) setTimeout(() => socket.close(1000), 50);
  }

  retryNow(): void {
    if (this.link.value.kind !== "lost" || this.closed) return;
    clearTimeout(this.retryTimer);
    this.again();
  }

  get address(): string {
    return this.url;
  }

  /** For tests: as if the network went away. */
  drop(): void {
    this.socket?.close(4999);
  }

  // -- the socket

  private connect(): void {
    if (this.closed) return;
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.opened = false;
    this.heardAt = this.beatAt = performance.now();
    socket.onopen = () => {
      if (socket !== this.socket) return;
      this.opened = true;
      this.transcript.opened();
      this.flush();
      clearInterval(this.pinger);
      this.pinger = window.setInterval(() => this.beat(), PING_MS);
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.socket) return;
      this.heardAt = performance.now();
      if (typeof event.data === "string") this.hearText(event.data);
      else this.hearBinary(event.data);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.lost(event.code, event.reason);
    };
  }

  private beat(): void {
    const now = performance.now();
    // A page that slept or was busy has heard nothing because it did not listen.
    if (now - this.beatAt > 2 * PING_MS) this.heardAt = now;
    this.beatAt = now;
    if (now - this.heardAt > SILENT_MS) {
      const socket = this.socket;
      this.socket = null;
      socket?.close();
      this.lost(1006, "");
      return;
    }
    this.transcript.ping(Date.now());
    this.flush();
  }

  private flush(): void {
    const socket = this.socket;
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    for (const data of this.transcript.dataToSend()) socket.send(data);
  }

  private lost(code: number, reason: string): void {
    clearInterval(this.pinger);
    this.socket = null;
    if (this.closed) return;
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
    if (next === "move" && /^wss?:/.test(reason)) this.url = sameOrigin(reason);
    else if (next === "reconnect" && (!this.opened || code === CLOSE.SHUTTING_DOWN)) this.elsewhere();
    this.retry(next === "move" ? 0 : next === "back off" ? 2000 : FIRST_RETRY_MS, () => this.connect());
  }

  /** Try again, later each time. */
  private retry(first: number, again: () => void): void {
    if (!this.lostAt) {
      this.lostAt = Date.now();
      this.eventsSinceLost = 0;
    }
    this.rtt.value = null;
    const wait = Math.min(LAST_RETRY_MS, first * 2 ** this.tries++) * (0.75 + Math.random() / 2);
    this.link.value = { kind: "lost", retryAt: Date.now() + wait, since: this.lostAt };
    this.again = again;
    this.retryTimer = window.setTimeout(again, wait);
  }

  /** Any server of the realm takes the seat back: where one does not answer or shuts down, the next is asked. */
  private elsewhere(): void {
    this.url = this.places[(this.places.indexOf(this.url) + 1) % this.places.length]!;
  }

  /** The token is not good any more: a new ticket for the same place is asked for. */
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
    this.places = placesOf(ticket);
    this.url = this.places[0]!;
    this.transcript = new Transcript(ticket.ticket, null, this.history);
    Object.assign(this.heard, { events: 0, missed: 0 });
    this.waitingHistory = this.history;
    this.state.value = { ...EMPTY };
    this.connect();
  }

  private finish(reason: "ended" | "left" | "replaced" | "refused" | "version" | "error"): void {
    this.closed = true;
    clearInterval(this.pinger);
    this.link.value = { kind: "closed", reason };
  }

  // -- what comes

  private hearText(data: string): void {
    let outcomes: Outcome[];
    try {
      outcomes = this.transcript.receive(data);
    } catch (error) {
      console.warn("unreadable message:", error);
      return;
    }
    let state = this.state.value;
    const blows: Blow[] = [];
    for (const outcome of outcomes) {
      switch (outcome.kind) {
        case "welcomed":
          this.welcomed(outcome.welcome);
          break;
        case "delivered":
          state = withEvent(state, outcome.event);
          this.heard.events++;
          if (outcome.event.t === "turn_started" || outcome.event.t === "brief") this.learnStep(num(outcome.event.d, "time_sim") / outcome.event.tick);
          if (this.lostAt) this.eventsSinceLost++;
          if (outcome.event.t === "blow" && !this.waitingHistory) blows.push(readBlow(outcome.event.d, outcome.event.tick));
          break;
        case "synced":
          state = withView(state, outcome.view);
          if (outcome.missed) this.heard.missed += outcome.missed[1] - outcome.missed[0] + 1;
          this.waitingHistory = false;
          this.cameBack();
          break;
        case "acknowledged":
          this.settle(outcome.id, { ok: true, tick: outcome.tick });
          break;
        case "rejected":
          if (outcome.id !== null) this.settle(outcome.id, { ok: false, error: outcome.error });
          else console.warn("refused:", outcome.error);
          break;
        case "noticed": {
          const { state: standing, reason, turn_ends_at } = outcome.notice;
          this.paused.value = standing === "paused" ? reason || "the service pauses" : null;
          state = { ...state, ...(standing === "resumed" ? { turnEndsAt: turn_ends_at, pausedAt: 0 } : {}) };
          break;
        }
        case "observed":
          state = { ...state, observers: outcome.observers };
          break;
        case "ponged":
          this.clock.ponged(outcome.at, Date.now(), outcome.serverTime);
          this.rtt.value = this.clock.rtt;
          if (this.rtt.value === null) this.transcript.ping(Date.now());
          this.judge();
          break;
      }
    }
    if (state !== this.state.value) this.state.value = state;
    for (const blow of blows) this.onBlow(blow);
    this.flush();
  }

  private welcomed(welcome: WelcomeData): void {
    this.welcome.value = welcome;
    this.tries = 0;
    this.paused.value = null;
    this.renewed = false;
    this.clock.welcomed(Date.now(), welcome.server_time);
    this.transcript.ping(Date.now());
    this.timeline.value ??= new Timeline(welcome.dt || DEFAULT_STEP_S, welcome.frame_hz || 30);
    this.learnStep(welcome.dt);
    if (welcome.schema_hash !== SCHEMA_HASH) console.warn("the server draws by another schema; reload the page");
    this.link.value = { kind: "live" };
    this.places = [...new Set([this.url, ...welcome.servers.map(sameOrigin)])];
    if (this.lostAt && !this.waitingHistory) setTimeout(() => this.cameBack(), 250);
  }

  /** Seconds per tick: the welcome of a lobby that waits cannot tell, the first turn or brief can. */
  private learnStep(dt: number): void {
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

  /** One late answer is no slow line, and one quick one does not mend it. */
  private judge(): void {
    this.trips = [...this.trips.slice(1 - TRIPS), this.clock.newest ?? 0];
    const late = this.trips.filter((trip) => trip > SLOW_MS).length;
    if (late >= TRIPS - 1) this.slow.value = true;
    else if (late <= 1) this.slow.value = false;
  }

  private settle(id: number, answer: Answer): void {
    this.answers.get(id)?.(answer);
    this.answers.delete(id);
  }

  private hearBinary(data: ArrayBuffer): void {
    try {
      const kind = kindOf(data);
      if (kind === TOPOLOGY) this.topology.value = decodeTopology(data);
      else if (kind === FRAME) {
        const frame = decodeFrame(data);
        if (!this.transcript.admitFrame(frame.epoch, frame.tick)) return;
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
      if (error instanceof BadFrame) console.warn("unreadable picture:", error.message);
      else throw error;
    }
  }
}

function placesOf(ticket: SeatTicket): string[] {
  return [...new Set([ticket.ws_url, ...ticket.servers].map(sameOrigin))];
}

/** A page from https may only open wss; a page on this host reaches a server that names itself by its loopback. */
export function sameOrigin(url: string): string {
  const parsed = new URL(url, location.href);
  if (location.protocol === "https:") parsed.protocol = "wss:";
  else if (parsed.protocol === "http:") parsed.protocol = "ws:";
  if (["127.0.0.1", "localhost", "0.0.0.0", "[::]"].includes(parsed.hostname) && !["127.0.0.1", "localhost"].includes(location.hostname)) {
    parsed.hostname = location.hostname;
  }
  return parsed.toString();
}
