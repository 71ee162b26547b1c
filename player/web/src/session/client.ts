// One session as this page sees it: commands go in, signals for the screens come out. @tussle/client has the connection;
// this module must never open a socket or read a message.

import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { Refused, Session, peerClass } from "@tussle/client";
import type { Frame, Heard, SessionOptions, Topology, Way } from "@tussle/client";
import { t } from "../text/words";
import { CLOSE } from "../wire/messages";
import type { ErrorData, Event, NoticeData, SessionView, WelcomeData } from "../wire/messages";
import type { Join } from "../wire/answers";
import { at } from "../wire/place";
import { TRIPS, isSlow } from "../wire/clock";
import { Timeline } from "./timeline";
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
/** A line to the other side of the world, for this page only. */
export const FAR_AWAY = "280ms 60ms 2%";
/** How long the banner of a connection that came back is shown [ms], and the wait for events that follow it. */
const BACK_MS = 4000;
const CATCH_UP_MS = 250;
/** Between two readings of the telemetry [ms]. */
const TELEMETRY_MS = 100;
/** How long the stones of an end are seen after it is scored [s]. */
const END_SEEN_S = 1.5;

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
  /** Whether the last blow of the match is about to be shown again, or is just shown. */
  readonly showsLastBlow: Signal<boolean> = signal(false);
  /** The newest notice of an operator, until it is closed. */
  readonly announced: Signal<string | null> = signal(null);
  /** Seconds per tick. */
  readonly step: Signal<number> = signal(DEFAULT_STEP_S);
  /** The transport of frames. */
  readonly way: Signal<Way>;
  /** Null before the first welcome. */
  readonly timeline: Signal<Timeline | null> = signal(null);
  onBlow: (blow: Blow) => void = () => {};
  onOut: (out: Out) => void = () => {};
  /** Messages about the scene that is built while the session waits: scene, lock, mesh. */
  onScene: (kind: "scene" | "lock" | "mesh", d: Data) => void = () => {};
  /** Fetches a new ticket when the resume token is refused. Null: there is no seat to return to. */
  onTicket: () => Promise<Join | null> = async () => null;
  private readonly session: Session;
  private trips: number[] = [];
  private lostAt = 0;
  /** The tick in which the last end of curling was scored. */
  private scoredAt = -1;
  private eventsSinceLost = 0;
  private waitingHistory: boolean;
  private disposed = false;
  private telemetryAt = 0;
  private smallest = Infinity;

  /** history: also ask for the events before the join. channel: have frames over WebRTC where the server offers it.
   * network: a bad network for this page, or null. more: what else the session is asked for. */
  constructor(ticket: Join, history = true, channel = true, network: string | null = null, more: SessionOptions = {}) {
    this.token = ticket.session;
    this.role = ticket.role;
    this.waitingHistory = history;
    const here = new URL(at("/ws"), location.href).href;
    this.session = new Session(ticket, here, () => this.onTicket(), { history, channel, network, ...more });
    this.way = signal(this.session.way);
    this.listen(this.session);
  }

  get mySeat(): number | null {
    return this.session.seat;
  }

  /** The address of the current or the next socket. */
  get address(): string {
    return this.session.address;
  }

  /** How many events were received one by one, and how many a whole view replaced. */
  get heard(): Session["heard"] {
    return this.session.heard;
  }

  /** How many frames came over the WebSocket, and how many over the data channel. */
  get framesBy(): Session["received"] {
    return this.session.received;
  }

  serverNow(): number {
    return this.session.clock.at(Date.now());
  }

  /** Send a command. Settles when the server has answered it; it is repeated after a reconnection. */
  async command(kind: string, d?: Record<string, unknown>): Promise<Answer> {
    try {
      const answer = await this.session.command(kind, d);
      return { ok: true, tick: typeof answer["tick"] === "number" ? answer["tick"] : null, d: answer };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      // Nobody waits for the answer any more: the screen shows how the session was closed.
      if (error.code === "closed") return new Promise(() => {});
      return { ok: false, error: { code: error.code, message: error.message, field: error.field, detail: error.detail, ...(error.retryAfter === null ? {} : { retry_after: error.retryAfter }) } };
    }
  }

  /** Send a command that is soon out of date, such as a drag. It is not repeated; no answer is awaited. Returns its id,
   * null while there is no connection. */
  fire(kind: string, d?: Record<string, unknown>): number | null {
    return this.session.fire(kind, d);
  }

  /** Give up the seat, or stop watching, and close. */
  leave(): void {
    this.disposed = true;
    this.session.leave();
  }

  /** Close and keep the seat. */
  dispose(): void {
    this.disposed = true;
    this.session.close();
  }

  retryNow(): void {
    this.session.retryNow();
  }

  /** Have frames over WebRTC where the server offers it, or do not. */
  wantChannel(wanted: boolean): void {
    this.session.wantChannel(wanted);
  }

  /** Use another network from now on: the page reconnects, and the seat stays. */
  setNetwork(network: string | null): void {
    this.session.setNetwork(network);
  }

  /** For tests: as if the network failed. */
  drop(): void {
    this.session.drop();
  }

  private listen(session: Session): void {
    session.on("live", (welcome) => this.welcomed(welcome));
    session.on("view", (view) => this.viewed(view));
    session.on("*", (event) => this.happened(event));
    session.on("frame", (frame) => this.drawn(frame));
    session.on("topology", (topology) => (this.topology.value = topology));
    session.on("notice", (notice) => this.noticed(notice));
    session.on("pace", ({ dilation }) => (this.dilation.value = dilation));
    session.on("announcement", (text) => (this.announced.value = text || null));
    session.on("observers", (observers) => (this.state.value = { ...this.state.value, observers }));
    for (const kind of ["scene", "lock", "mesh"] as const) session.on(kind, (d) => this.onScene(kind, { ...d }));
    session.on("rtt", (trip) => this.measured(trip));
    session.on("quiet", (quiet) => (this.quietSince.value = quiet ? Date.now() : null));
    session.on("offline", (offline) => (this.offline.value = offline));
    session.on("way", (way) => (this.way.value = way));
    session.on("lost", (how) => this.lost(how));
    session.on("closed", (how) => this.closed(how));
    session.on("problem", (error) => console.warn(error));
  }

  private lost({ retryMs }: Heard["lost"]): void {
    if (!this.lostAt) {
      this.lostAt = Date.now();
      this.eventsSinceLost = 0;
    }
    this.rtt.value = null;
    this.link.value = { kind: "lost", retryAt: Date.now() + retryMs, since: this.lostAt };
  }

  private closed({ code, refused }: Heard["closed"]): void {
    if (this.disposed) return;
    const ended = this.session.ended || code === CLOSE.NORMAL;
    const reason = code === CLOSE.REPLACED ? "replaced" : code === CLOSE.VERSION_MISMATCH ? "version" : code === CLOSE.RESUME_REFUSED ? "refused" : "error";
    this.link.value = { kind: "closed", reason: refused ? reason : ended ? "ended" : "left" };
  }

  private welcomed(welcome: WelcomeData): void {
    this.welcome.value = welcome;
    this.paused.value = null;
    this.dilation.value = 1;
    this.timeline.value ??= new Timeline(welcome.dt || DEFAULT_STEP_S, welcome.frame_hz || 30);
    this.setStep(welcome.dt);
    this.link.value = { kind: "live" };
    if (this.lostAt && !this.waitingHistory) setTimeout(() => this.cameBack(), CATCH_UP_MS);
  }

  private viewed(view: SessionView): void {
    this.state.value = withView(this.state.value, view);
    this.waitingHistory = false;
    this.cameBack();
  }

  private happened(event: Event): void {
    const { t, d, tick } = event;
    this.state.value = withEvent(this.state.value, event);
    if (t === "running") this.setStep(num(d, "dt"));
    if (t === "turn_started" || t === "brief") this.setStep(num(d, "time_sim") / tick);
    if (this.lostAt) this.eventsSinceLost++;
    if (this.waitingHistory) return;
    // The stones of an end are seen before the sheet is cleared; those of the last end stay.
    if (t === "end_scored") this.scoredAt = tick;
    if (tick === this.scoredAt && (t === "end_scored" || t === "result")) this.timeline.value?.hold(tick, t === "result" ? Infinity : END_SEEN_S);
    if (t === "blow") this.onBlow(readBlow(d, tick));
    if (t === "out") this.onOut({ seat: num(d, "seat", -1), cause: str(d, "cause"), tick });
  }

  private noticed({ state: change, reason, turn_ends_at }: NoticeData): void {
    if (change !== "paused" && change !== "resumed") return;
    this.paused.value = change === "paused" ? reason || t("client.the-service-is-paused") : null;
    if (change === "resumed") this.state.value = { ...this.state.value, turnEndsAt: turn_ends_at, pausedAt: 0 };
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
      if (this.back.value && Date.now() - this.back.value.at >= BACK_MS - 100) this.back.value = null;
    }, BACK_MS);
  }

  /** Decide whether the connection is slow; a single slow or quick round trip changes nothing. */
  private measured(trip: number): void {
    this.rtt.value = this.session.rtt;
    this.trips = [...this.trips.slice(1 - TRIPS), trip];
    this.slow.value = isSlow(this.slow.peek(), this.trips);
  }

  private drawn(frame: Frame): void {
    const now = performance.now();
    this.timeline.value?.push(frame, now / 1000);
    this.smallest = Math.min(this.smallest, frame.minDistance);
    if (now - this.telemetryAt < TELEMETRY_MS) return;
    this.telemetryAt = now;
    this.telemetry.value = { tick: frame.tick, gap: frame.minDistance, smallest: this.smallest, contacts: frame.contacts, bytes: this.session.received.bytes };
  }
}

/** Whether this browser can have frames over WebRTC. */
export const canChannel = (): boolean => peerClass() !== undefined;
