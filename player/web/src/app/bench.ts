// The workbench for modes: several players in one page, each with its own login and connection, and every message that
// any of them sends or gets. It uses the public API only. It must never touch the login of this browser's player.

import { batch, signal } from "@preact/signals";
import type { SocketClass, SocketLike } from "@tussle/client";
import { SessionClient } from "../session/client";
import { t } from "../text/words";
import { Api } from "../wire/api";
import { Refused } from "../wire/calls";
import { load, save } from "./kept";
import { bodies } from "./store";

/** One message. way: to the server (out) or from it (in). text: as it was sent; of frames only their size. */
export interface Traffic {
  readonly n: number;
  readonly at: number;
  readonly seat: number;
  readonly way: "in" | "out";
  readonly type: string;
  readonly text: string;
}

const KEPT = 500;

export const seats = signal<readonly SessionClient[]>([]);
export const traffic = signal<readonly Traffic[]>([]);
export const problem = signal("");
export const starting = signal(false);
export const chosen = signal(load<{ mode: string; size: number; params: string }>("tussle.playground") ?? { mode: "duel", size: 2, params: "{}" });

let count = 0;
let began = 0;

function note(seat: number, way: "in" | "out", data: unknown): void {
  const text = typeof data === "string" ? data : "";
  let type = "frame";
  if (text) {
    try {
      type = String((JSON.parse(text) as { t?: unknown }).t ?? "?");
    } catch {
      type = "?";
    }
  }
  const size = data instanceof ArrayBuffer ? t("bench.bytes", { byteLength: data.byteLength }) : text;
  traffic.value = [...traffic.value.slice(1 - KEPT), { n: ++count, at: performance.now() - began, seat, way, type, text: size }];
}

/** A WebSocket that notes what passes for a seat. */
function notedSocket(seat: number): SocketClass {
  return class extends WebSocket {
    constructor(url: string) {
      super(url);
      this.addEventListener("message", (event: MessageEvent<unknown>) => note(seat, "in", event.data));
    }

    override send(data: string): void {
      note(seat, "out", data);
      super.send(data);
    }
  } as unknown as new (url: string) => SocketLike;
}

export function stop(): void {
  for (const one of seats.peek()) one.leave();
  seats.value = [];
}

/** Open a lobby that is in nobody's list, with a guest in every seat, all of them ready. */
export async function begin(): Promise<void> {
  const { mode, size, params } = chosen.peek();
  save("tussle.playground", chosen.peek());
  stop();
  batch(() => {
    traffic.value = [];
    problem.value = "";
    starting.value = true;
  });
  began = performance.now();
  const made: SessionClient[] = [];
  try {
    const wanted = JSON.parse(params || "{}") as Record<string, number>;
    const logins = await Promise.all(Array.from({ length: size }, () => guest()));
    let token = "";
    for (const [seat, api] of logins.entries()) {
      const ticket = token ? await api.join(token) : await api.open(mode, size, true, null, { ready: true, params: wanted });
      token = ticket.session;
      const client = new SessionClient(ticket, true, false, null, { WebSocket: notedSocket(ticket.seat ?? seat) });
      client.onTicket = () => api.join(token);
      made.push(client);
      seats.value = [...made];
      if (seat) void client.command("ready", { ready: true });
    }
  } catch (error) {
    for (const one of made) one.leave();
    seats.value = [];
    problem.value = error instanceof Refused || error instanceof SyntaxError ? error.message : String(error);
  } finally {
    starting.value = false;
  }
}

async function guest(): Promise<Api> {
  const api = new Api();
  const login = await api.login(null, null);
  api.token = login.token;
  if (!bodies.peek().length) bodies.value = (await api.catalogue()).bodies;
  return api;
}

/** Send a command as a seat: any type, any data. The answer is in the log. */
export async function send(client: SessionClient, type: string, data: string): Promise<string> {
  let d: unknown;
  try {
    d = data.trim() ? JSON.parse(data) : undefined;
  } catch {
    return t("bench.not-json");
  }
  const answer = await client.command(type, d as Record<string, unknown> | undefined);
  return answer.ok ? `Acknowledged${answer.tick === null ? "" : t("bench.tick", { tick: answer.tick })}.` : `${answer.error.code}: ${answer.error.message}`;
}
