// The HTTP calls that lead into sessions. Any other call: Tussle.call.

import type { Join, ListedSession, Login, SessionList } from "../src/wire/answers";
import { Calls, Refused } from "../src/wire/calls";
import type { FindRequest, JoinRequest, LoginRequest, OpenRequest } from "../src/wire/requests";
import type { SocketClass } from "./connection";
import type { PeerClass } from "./channel";
import { Session } from "./session";
import type { Seat } from "./session";

export interface Options {
  /** The class of WebSockets; the global one without it. */
  readonly WebSocket?: SocketClass;
  /** The class of WebRTC connections; the browser's without it, none in Node. */
  readonly RTCPeerConnection?: PeerClass;
}

/** The HTTP calls of one server. `url`: its address, with the path below which it is served. */
export class Tussle extends Calls {
  player: string | null = null;
  private readonly url: string;
  private readonly options: Options;

  constructor(url: string, options: Options = {}) {
    const root = url.replace(/\/$/, "");
    super((path) => root + path);
    this.url = root;
    this.options = options;
  }

  /** Log in as a guest, or with a secret as the player of that name. */
  async login(who: LoginRequest = {}): Promise<Login> {
    const login = await this.call<Login>("POST", "/api/login", who);
    [this.token, this.player] = [login.token, login.player];
    return login;
  }

  find(wanted: FindRequest): Promise<Join> {
    return this.call("POST", "/api/find", wanted);
  }

  open(wanted: OpenRequest): Promise<Join> {
    return this.call("POST", "/api/open", wanted);
  }

  join(session: string, more: Omit<JoinRequest, "session"> = {}): Promise<Join> {
    return this.call("POST", "/api/join", { session, ...more });
  }

  observe(session: string): Promise<Join> {
    return this.call("POST", "/api/observe", { session });
  }

  /** Open and running sessions; `query` as GET /api/sessions takes it. */
  async sessions(query: Record<string, string> = {}): Promise<ListedSession[]> {
    const asked = new URLSearchParams(query).toString();
    return (await this.call<SessionList>("GET", `/api/sessions${asked && "?"}${asked}`)).sessions;
  }

  /** Connect to a session, and stay connected until it ends or `close` is called. history: also ask for the events before
   * the join. network: a bad network for this client only. channel: false: no frames over WebRTC. */
  connect(seat: Seat, options: { readonly history?: boolean; readonly network?: string; readonly channel?: boolean } = {}): Session {
    const renew = async (): Promise<Seat | null> => {
      try {
        return await (seat.role === "player" ? this.join(seat.session) : this.observe(seat.session));
      } catch (error) {
        if (error instanceof Refused && !error.passing) return null;
        throw error;
      }
    };
    return new Session(seat, `${this.url.replace(/^http/, "ws")}/ws`, renew, { ...this.options, ...options });
  }
}
