// The replay room: members, presenter, bookmarks, views and chat. One socket, JSON messages {t, d}.
//
//     hello -> welcome; present -> presenter; scrub (by the presenter) -> scrub (to all others)
//
// Followers drop scrubs of an older grant. The room is optional: the page also works without this connection.

import { batch, signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { Connection, retryDelay } from "@tussle/client";
import { numbers, part } from "../session/events";
import { CLOSE } from "../wire/messages";
import { at } from "../wire/place";
import type { ReplayMessage, ReplayReply } from "../wire/replaymessages";

export interface Member {
  readonly player: string;
  readonly name: string;
}

export interface Bookmark {
  readonly id: string;
  readonly name: string;
  readonly frame: number;
  /** Its author: player and name. */
  readonly by: string;
  readonly byName: string;
}

/** A camera under a name: where it is and what it looks at [m]; follow: the body that it moves with, or "". */
export interface NamedView {
  readonly name: string;
  readonly camera: { readonly position: Point; readonly target: Point; readonly follow: string };
  readonly by: string;
}

/** The name of the view that is the first camera of every page. */
export const DEFAULT_VIEW = "default";

type Point = readonly [number, number, number];

export interface Said {
  readonly name: string;
  readonly text: string;
}

export interface Place {
  readonly frame: number;
  readonly playing: boolean;
  readonly speed: number;
}

/** The newest scrub. at: when it was received [s]. */
export interface Scrub extends Place {
  readonly at: number;
}

export type RoomLink = "connecting" | "here" | "lost" | "none";

/** Smallest time between two scrubs of a presenter. BEAT_MS is the largest, so that the token does not expire. */
const SCRUB_MS = 33;
const BEAT_MS = 1500;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 8000;
/** Failed connections in a row after which a room that this page was never in counts as unreachable. */
const HOPELESS = 4;
const CHAT_KEPT = 200;

type Data = Record<string, unknown>;

export class Room {
  readonly link: Signal<RoomLink> = signal("connecting");
  /** Whether nothing is heard, although the connection is open. */
  readonly quiet: Signal<boolean> = signal(false);
  /** This player. */
  readonly you: Signal<string> = signal("");
  /** The first of `count` members. */
  readonly members: Signal<readonly Member[]> = signal([]);
  readonly count: Signal<number> = signal(0);
  /** The player who presents, or null. */
  readonly presenter: Signal<string | null> = signal(null);
  /** Whether this connection presents. */
  readonly mine: Signal<boolean> = signal(false);
  readonly bookmarks: Signal<readonly Bookmark[]> = signal([]);
  readonly views: Signal<readonly NamedView[]> = signal([]);
  readonly chat: Signal<readonly Said[]> = signal([]);
  /** Why the last request was refused, or "". */
  readonly refused: Signal<string> = signal("");
  readonly rtt: Signal<number | null> = signal(null);
  /** The newest scrub; null before the first one. */
  scrubbed: Scrub | null = null;
  onScrub: (scrub: Scrub) => void = () => {};
  /** The frame of this page, for the scrubs that renew the token. */
  where: () => Place = () => ({ frame: 0, playing: false, speed: 1 });
  /** The recording has grown, or its session has ended. */
  onRecording: () => void = () => {};
  private readonly connection: Connection;
  private readonly token: () => string | null;
  private connectionName = "";
  private grant = 0;
  private n = -1;
  private tries = 0;
  private retry = 0;
  private beat = 0;
  private closed = false;
  private wasHere = false;
  private sentAt = 0;
  private waiting: Place | null = null;
  private timer = 0;
  private pingedAt = 0;

  /** token: of the player, asked for at each connection. */
  constructor(session: string, token: () => string | null) {
    this.token = token;
    this.connection = new Connection(
      [at(`/replay/${session}`)],
      location.href,
      {
        opened: () => this.send({ t: "hello", d: { token: this.token() ?? "" } }),
        text: (text) => this.receive(text),
        binary: () => {},
        beat: () => {
          this.pingedAt = performance.now();
          this.send({ t: "ping", d: {} });
        },
        quiet: (quiet) => (this.quiet.value = quiet),
        lost: (code, _reason, wasOpen) => this.lost(code, wasOpen),
      },
    );
    this.connection.connect();
  }

  get presenting(): boolean {
    return this.mine.value;
  }

  nameOf(player: string): string {
    return this.members.value.find((member) => member.player === player)?.name ?? "";
  }

  present(): void {
    this.send({ t: "present", d: {} });
  }

  release(): void {
    this.send({ t: "release", d: {} });
  }

  /** Send the frame of this presenter to the others, at most 30 times a second. The newest one is always sent. */
  scrub(frame: number, playing: boolean, speed: number): void {
    if (!this.presenting) return;
    this.waiting = { frame, playing, speed };
    const wait = this.sentAt + SCRUB_MS - performance.now();
    if (wait <= 0) this.flush();
    else if (!this.timer) this.timer = window.setTimeout(() => this.flush(), wait);
  }

  bookmark(name: string, frame: number): void {
    this.send({ t: "bookmark", d: { name, frame } });
  }

  removeBookmark(id: string): void {
    this.send({ t: "remove_bookmark", d: { id } });
  }

  keepView(view: Omit<NamedView, "by">): void {
    this.send({ t: "view", d: view });
  }

  removeView(name: string): void {
    this.send({ t: "remove_view", d: { name } });
  }

  say(text: string): void {
    this.send({ t: "chat", d: { text } });
  }

  dispose(): void {
    this.closed = true;
    clearTimeout(this.retry);
    clearTimeout(this.timer);
    clearInterval(this.beat);
    this.connection.dispose();
  }

  /** For tests: close the socket as a failed network does. */
  drop(): void {
    this.connection.drop();
  }

  /** A message of the server. Unknown ones are ignored. */
  receive(text: string): void {
    const message = JSON.parse(text) as { t?: ReplayReply["t"]; d?: Data };
    const d = message.d ?? {};
    switch (message.t) {
      case "welcome":
        this.tries = 0;
        this.link.value = "here";
        this.wasHere = true;
        this.connection.setServers(textsOf(d["servers"]));
        this.you.value = textOf(part(d, "you")["player"]);
        this.connectionName = textOf(part(d, "you")["connection"]);
        this.gather(d);
        this.bookmarks.value = sorted(listOf(d["bookmarks"]).map(bookmarkOf));
        this.views.value = listOf(d["views"]).map(viewOf);
        this.chat.value = listOf(d["chat"]).map(saidOf);
        this.grant = 0;
        this.appoint(d["presenter"], d["presenter_connection"], numberOf(d["grant"]));
        this.n = numberOf(d["n"], -1);
        if (this.presenter.value !== null) this.move(d);
        this.onRecording();
        break;
      case "presenter":
        this.appoint(d["player"], d["connection"], numberOf(d["grant"]));
        break;
      case "scrub":
        if (numberOf(d["grant"]) < this.grant || (numberOf(d["grant"]) === this.grant && numberOf(d["n"], 0) <= this.n)) break;
        this.grant = numberOf(d["grant"]);
        this.n = numberOf(d["n"], 0);
        this.move(d);
        break;
      case "presence":
        this.gather(d);
        break;
      case "view":
        this.views.value = [...this.views.value.filter((one) => one.name !== textOf(d["name"])), viewOf(d)];
        break;
      case "view_removed":
        this.views.value = this.views.value.filter((one) => one.name !== textOf(d["name"]));
        break;
      case "bookmark":
        this.bookmarks.value = sorted([...this.bookmarks.value.filter((one) => one.id !== textOf(d["id"])), bookmarkOf(d)]);
        break;
      case "bookmark_removed":
        this.bookmarks.value = this.bookmarks.value.filter((one) => one.id !== textOf(d["id"]));
        break;
      case "chat":
        this.chat.value = [...this.chat.value.slice(1 - CHAT_KEPT), saidOf(d)];
        break;
      case "recording":
        this.onRecording();
        break;
      case "servers":
        this.connection.setServers(textsOf(d["servers"]));
        break;
      case "pong":
        this.rtt.value = Math.round(performance.now() - this.pingedAt);
        break;
      case "error":
        this.refused.value = textOf(d["message"]) || textOf(d["code"]);
        break;
    }
  }

  private gather(d: Data): void {
    this.members.value = listOf(d["members"]).map((one) => ({ player: textOf(one["player"]), name: textOf(one["name"]) }));
    this.count.value = Math.max(this.members.value.length, numberOf(d["member_count"]));
  }

  private appoint(player: unknown, connection: unknown, grant: number): void {
    if (grant < this.grant) return;
    if (grant > this.grant) this.n = -1;
    this.grant = grant;
    this.refused.value = "";
    batch(() => {
      this.presenter.value = typeof player === "string" && player ? player : null;
      this.mine.value = this.presenter.value !== null && textOf(connection) === this.connectionName;
    });
    clearInterval(this.beat);
    if (this.mine.value) this.beat = window.setInterval(() => this.renew(), BEAT_MS);
  }

  /** Send the frame if no scrub was sent: a presenter who sends none loses the token. */
  private renew(): void {
    if (performance.now() - this.sentAt < BEAT_MS - SCRUB_MS) return;
    this.waiting ??= this.where();
    this.flush();
  }

  private flush(): void {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.waiting || !this.presenting) return;
    this.sentAt = performance.now();
    this.send({ t: "scrub", d: { ...this.waiting } });
    this.waiting = null;
  }

  private move(d: Data): void {
    this.scrubbed = { frame: numberOf(d["frame"]), playing: d["playing"] === true, speed: numberOf(d["speed"], 1), at: performance.now() / 1000 };
    this.onScrub(this.scrubbed);
  }

  private send(message: ReplayMessage): void {
    if (this.connection.canSend) this.connection.send([JSON.stringify(message)]);
  }

  private lost(code: number, wasOpen: boolean): void {
    clearInterval(this.beat);
    if (this.closed) return;
    this.rtt.value = null;
    this.members.value = [];
    this.count.value = 0;
    batch(() => {
      this.presenter.value = null;
      this.mine.value = false;
    });
    this.tries = wasOpen ? 1 : this.tries + 1;
    const over = code === CLOSE.REPLACED || code === CLOSE.VERSION_MISMATCH || (!this.wasHere && this.tries >= HOPELESS);
    this.link.value = over ? "none" : this.wasHere ? "lost" : "connecting";
    if (over) return;
    if (!wasOpen || code === CLOSE.SHUTTING_DOWN) this.connection.moveOn();
    const wait = retryDelay(FIRST_RETRY_MS, LAST_RETRY_MS, this.tries);
    this.retry = window.setTimeout(() => this.connection.connect(), wait);
  }
}

const numberOf = (value: unknown, fallback = 0): number => (typeof value === "number" && Number.isFinite(value) ? value : fallback);
const textOf = (value: unknown): string => (typeof value === "string" ? value : typeof value === "number" ? String(value) : "");
const textsOf = (value: unknown): string[] => (Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : []);
const listOf = (value: unknown): Data[] => (Array.isArray(value) ? value.filter((one): one is Data => typeof one === "object" && one !== null) : []);

function bookmarkOf(d: Data): Bookmark {
  return { id: textOf(d["id"]), name: textOf(d["name"]), frame: numberOf(d["frame"]), by: textOf(d["by"]), byName: textOf(d["by_name"]) };
}

function viewOf(d: Data): NamedView {
  const camera = part(d, "camera");
  const point = (key: string): Point => {
    const [x, y, z] = numbers(camera, key);
    return [x ?? 0, y ?? 0, z ?? 0];
  };
  return { name: textOf(d["name"]), camera: { position: point("position"), target: point("target"), follow: textOf(camera["follow"]) }, by: textOf(d["by"]) };
}

function saidOf(d: Data): Said {
  return { name: textOf(d["name"]), text: textOf(d["text"]) };
}

function sorted(list: Bookmark[]): Bookmark[] {
  return list.sort((a, b) => a.frame - b.frame);
}
