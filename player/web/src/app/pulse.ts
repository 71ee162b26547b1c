// The pulse of the lobby page: one socket to /live that only sends pings. It measures the round trip, and it notices a
// server that falls silent, which the stream of the lists cannot. It is closed while the page is hidden.

import { Connection, ServerClock, retryDelay } from "@tussle/client";
import { PROTOCOL, PROTOCOLS } from "../wire/messages";
import { at } from "../wire/place";
import { me, lobbyRtt, silent } from "./store";

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 20_000;

/** The socket of one page that is visible. */
class Pulse {
  private readonly connection: Connection;
  private clock = new ServerClock();
  private tries = 0;
  private retry = 0;
  private closed = false;
  private readonly login: string;

  constructor(login: string) {
    this.login = login;
    this.connection = new Connection([new URL(at("/live"), location.href).href], location.href, {
      opened: () => this.connection.send([JSON.stringify({ t: "live", d: { login: this.login, protocol: PROTOCOL, protocols: PROTOCOLS } }), this.ping()]),
      text: (data) => this.heard(data),
      binary: () => {},
      beat: () => this.connection.send([this.ping()]),
      quiet: (quiet) => (silent.value = quiet),
      lost: () => {
        if (this.closed) return;
        lobbyRtt.value = null;
        this.clock = new ServerClock();
        this.retry = window.setTimeout(() => this.connection.connect(), retryDelay(FIRST_RETRY_MS, LAST_RETRY_MS, this.tries++));
      },
    });
    this.connection.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retry);
    this.connection.dispose();
    lobbyRtt.value = null;
    silent.value = false;
  }

  private ping(): string {
    return JSON.stringify({ t: "ping", d: { at: Math.round(performance.now()) } });
  }

  private heard(data: string): void {
    const { t, d } = JSON.parse(data) as { t: string; d: { at?: number } };
    if (t !== "pong" || typeof d.at !== "number") return;
    this.tries = 0;
    this.clock.ponged(d.at, performance.now(), 0);
    const trip = this.clock.rtt;
    if (trip !== null) lobbyRtt.value = Math.round(trip);
  }
}

/** Measure while the page is visible and somebody is logged in, until the returned function is called. */
export function followPulse(): () => void {
  let pulse: Pulse | null = null;
  let login: string | null = null;
  const look = (): void => {
    const wanted = document.hidden ? null : (me.value?.token ?? null);
    if (wanted === login) return;
    login = wanted;
    pulse?.close();
    pulse = wanted === null ? null : new Pulse(wanted);
  };
  const stop = me.subscribe(look);
  document.addEventListener("visibilitychange", look);
  return () => {
    stop();
    document.removeEventListener("visibilitychange", look);
    pulse?.close();
  };
}
