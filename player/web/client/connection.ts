// The socket of one session or one replay room: its addresses, its heartbeat, its end. The only user of WebSocket. It
// must never read a message.

/** What is used of a WebSocket. */
export interface SocketLike {
  binaryType: string;
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}
export type SocketClass = new (url: string) => SocketLike;

/** Of readyState. */
const [CONNECTING, OPEN] = [0, 1];

const PING_MS = 1000;
/** A socket whose pong is this late is shown as silent. */
const QUIET_MS = 600;
/** A socket that is silent for this long counts as lost, also one that does not open: a host without power answers nothing,
 * and browsers wait minutes for it. */
const SILENT_MS = 7000;
/** The same while the browser says that this machine has no network. */
const OFFLINE_MS = 2500;
/** How often the silence is measured. */
const LOOK_MS = 250;
/** After this time without a measurement the page slept or was busy. */
const HIDDEN_MS = 2000;
/** Lets a last message leave before the close [ms]. */
const LINGER_MS = 50;

/** The wait before a retry [ms]: `first` after no failure, doubled by each one up to `last`, changed by up to a quarter
 * at random so that clients do not come at once. */
export const retryDelay = (first: number, last: number, failures: number): number => Math.min(last, first * 2 ** failures) * (0.75 + Math.random() / 2);

/** What the connection reports. `lost` is called once per socket, also when it never opened. */
export interface ConnectionHandlers {
  opened(): void;
  text(data: string): void;
  binary(data: ArrayBuffer): void;
  /** It is time to send a ping. */
  beat(): void;
  /** Whether nothing has come for some time, on a socket that is open. Called when it changes. */
  quiet?(quiet: boolean): void;
  lost(code: number, reason: string, wasOpen: boolean): void;
}

export class Connection {
  /** The address of the current or the next socket. */
  address: string;
  private addresses: readonly string[] = [];
  private socket: SocketLike | null = null;
  private wasOpen = false;
  private pinger: ReturnType<typeof setInterval> | undefined;
  private heardAt = 0;
  private lookedAt = 0;
  private beatAt = 0;
  private isQuiet = false;
  private readonly here: string;
  private readonly handlers: ConnectionHandlers;
  private readonly Class: SocketClass;
  private readonly pingMs: number;

  /** here: an address at which the client reaches the server; others are understood from it. Class: of WebSockets, the
   * global one without it. pingMs: between two beats, well below SILENT_MS. */
  constructor(addresses: readonly string[], here: string, handlers: ConnectionHandlers, Class?: SocketClass, pingMs = PING_MS) {
    const found = Class ?? (globalThis as { WebSocket?: SocketClass }).WebSocket;
    if (!found) throw new Error("this Node has no WebSocket: run it with --experimental-websocket, or pass one");
    this.Class = found;
    this.pingMs = pingMs;
    this.here = here;
    this.handlers = handlers;
    this.address = this.setAddresses(addresses);
  }

  /** Use these addresses from the next socket on, beginning with the first. Returns it. */
  setAddresses(addresses: readonly string[]): string {
    this.addresses = [...new Set(addresses.map((one) => reachable(one, this.here)))];
    return (this.address = this.addresses[0]!);
  }

  /** Other servers that take the seat too: those of the welcome, and of each later list. */
  setServers(servers: readonly string[]): void {
    this.addresses = [...new Set([this.address, ...servers.map((one) => reachable(one, this.address))])];
  }

  /** Connect to that address the next time. */
  moveTo(url: string): void {
    this.address = reachable(url, this.address);
  }

  /** Connect to the next known address the next time: any server of the realm takes the seat back. */
  moveOn(): void {
    this.address = this.addresses[(this.addresses.indexOf(this.address) + 1) % this.addresses.length]!;
  }

  connect(): void {
    const socket = new this.Class(this.address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.wasOpen = false;
    this.heardAt = this.lookedAt = this.beatAt = performance.now();
    clearInterval(this.pinger);
    this.pinger = setInterval(() => this.look(), LOOK_MS);
    socket.onopen = () => {
      if (socket !== this.socket) return;
      this.wasOpen = true;
      this.heardAt = this.lookedAt = this.beatAt = performance.now();
      this.handlers.opened();
    };
    socket.onmessage = (event: { data: string | ArrayBuffer }) => {
      if (socket !== this.socket) return;
      this.heardAt = performance.now();
      this.setQuiet(false);
      if (typeof event.data === "string") this.handlers.text(event.data);
      else this.handlers.binary(event.data);
    };
    socket.onclose = (event: { code: number; reason: string }) => {
      if (socket === this.socket) this.end(event.code, event.reason);
    };
    socket.onerror = () => {}; // onclose follows
  }

  /** Whether the socket is open. */
  get canSend(): boolean {
    return this.socket?.readyState === OPEN;
  }

  /** Send messages in order. */
  send(messages: readonly string[]): void {
    for (const data of messages) this.socket?.send(data);
  }

  /** Ask the server now whether it is there: a page that slept, or whose network changed, does not know. */
  check(): void {
    if (!this.canSend) return;
    this.heardAt = this.lookedAt = this.beatAt = performance.now();
    this.handlers.beat();
  }

  /** Close this socket as if the network had failed. */
  drop(): void {
    this.socket?.close(4999);
  }

  /** Close for good; no handler is called any more. */
  dispose(): void {
    clearInterval(this.pinger);
    const socket = this.socket;
    this.socket = null;
    if (socket?.readyState === CONNECTING) closeOnceOpen(socket);
    else if (socket?.readyState === OPEN) setTimeout(() => socket.close(1000), LINGER_MS);
  }

  private look(): void {
    const now = performance.now();
    // A page that slept or was busy received nothing because it did not run. Browsers call a hidden page once a second.
    if (now - this.lookedAt > HIDDEN_MS) this.heardAt = now;
    this.lookedAt = now;
    const silent = now - this.heardAt;
    if (silent > (globalThis.navigator?.onLine === false ? OFFLINE_MS : SILENT_MS)) {
      const socket = this.socket;
      this.end(1006, "");
      if (socket?.readyState === CONNECTING) closeOnceOpen(socket);
      else socket?.close();
      return;
    }
    if (!this.wasOpen) return;
    this.setQuiet(silent > this.pingMs + QUIET_MS);
    if (now - this.beatAt < this.pingMs - LOOK_MS / 2) return;
    this.beatAt = now;
    this.handlers.beat();
  }

  private setQuiet(quiet: boolean): void {
    if (quiet === this.isQuiet) return;
    this.isQuiet = quiet;
    this.handlers.quiet?.(quiet);
  }

  private end(code: number, reason: string): void {
    clearInterval(this.pinger);
    this.setQuiet(false);
    this.socket = null;
    this.handlers.lost(code, reason, this.wasOpen);
  }
}

/** Close a socket that is still connecting. The browser logs a failure when it is closed before it is open. */
function closeOnceOpen(socket: SocketLike): void {
  socket.onopen = () => socket.close(1000);
}

/** An address of a WebSocket as a client at `here` can open it: wss from https or wss, and the host of `here` for a server
 * that names its loopback. Relative addresses begin at `here`. */
export function reachable(url: string, here: string): string {
  const [parsed, base] = [new URL(url, here), new URL(here)];
  if (/^(https|wss):$/.test(base.protocol)) parsed.protocol = "wss:";
  else if (parsed.protocol === "http:") parsed.protocol = "ws:";
  if (["127.0.0.1", "localhost", "0.0.0.0", "[::]"].includes(parsed.hostname) && !["127.0.0.1", "localhost"].includes(base.hostname)) {
    parsed.hostname = base.hostname;
  }
  return parsed.toString();
}
