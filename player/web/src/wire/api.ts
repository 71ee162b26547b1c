// The HTTP calls, typed. An error answer is a problem document (RFC 9457); its `code` is for programs.

import type { SessionView } from "./messages";
import { at } from "./place";
import type { MeshState, Raw, Recipe, SceneBody, SceneChecked, SceneList } from "./scene";

export class Problem extends Error {
  /** Whether the same call may succeed later: no server answered, or the store was away. */
  get passing(): boolean {
    return this.status === 0 || this.status >= 500 || this.status === 429;
  }
  readonly code: string;
  readonly status: number;
  readonly field: string | null;

  constructor(code: string, message: string, status: number, field: string | null) {
    super(message);
    this.code = code;
    this.status = status;
    this.field = field;
  }
}

export interface LoginAnswer {
  player: string;
  name: string;
  token: string;
  expires_s: number;
  guest: boolean;
}

export interface Profile {
  player: string;
  name: string;
  kind: string;
  session: string | null;
  xp: number;
  rating: number;
}

export interface SeatTicket {
  session: string;
  seat: number | null;
  role: "player" | "observer";
  ticket: string;
  ws_url: string;
  /** Whether `ws_url` is the server that answered: its socket is where this page came from. */
  here?: boolean;
  /** Other living servers, each of which takes the ticket too. */
  servers: string[];
  protocol: number;
  build: string;
}

/** The answer to a request for bots: those that are still to come, and the bot processes that are up. */
export interface BotsAsked {
  session: string;
  wanted: number;
  skill: string;
  processes: number;
}

export interface BodyEntry {
  id: string;
  name: string;
  character: string;
  kind: string;
  params: Record<string, unknown>;
  density: number;
  stiffness: number;
  friction?: number;
  speed: number;
  health: number;
  computed: { mass: number; bounding_radius: number; rest_height: number };
  launch_impulse: number;
}

export interface LeaderboardRow {
  player: string;
  name: string;
  value: number;
  provisional: boolean;
  played: number;
}

/** A run of the two stream solvers: columns of the steps that are new since the last poll. */
export interface SpringPoll {
  run: string;
  name: string;
  x0: number;
  v0: number;
  after: string;
  cycles: number | null;
  n: number[];
  t: number[];
  x: number[];
  closed_x: (number | null)[];
  done: boolean;
  waits_for: string[];
}

/** What operators see, over all servers; lobby/overview.py. Times in ms of the store's clock. */
export interface Overview {
  at: number;
  session_count: number;
  player_count: number;
  sessions: SessionRow[];
  servers: ServerRow[];
  solvers: { server: string; index: number; kind: string; running: boolean; sessions: number; queue: number; busy: number; load: number }[];
  players: { server: string; player: string; name: string; kind: string; session: string; role: string }[];
  banned: { player: string; name: string; until: number }[];
  banned_addresses: { address: string; until: number }[];
  limits: LimitRow[];
  refusals: { server: string; code: string; count: number }[];
}

/** A session and its load. solver_ms per tick; share of one core; dilation 1 is real time. null: not measured. */
export interface SessionRow {
  session: string;
  status: string;
  mode: string;
  size: number;
  tick: number;
  members: { seat: number; player: string; name: string; kind: string; connected: boolean }[];
  observers: number;
  opened_at: number;
  started_at: number;
  server: string;
  tick_rate: number | null;
  solver_ms: number | null;
  share: number | null;
  dilation: number | null;
}

export interface ServerRow {
  id: string;
  url: string;
  sessions: number;
  physics_id: string;
  lease_age_ms: number | null;
  build: string;
  held: boolean | null;
  draining: boolean | null;
  connections: number | null;
  share: number | null;
}

/** One budget of one server; server/costs.py. */
export interface LimitRow {
  server: string;
  resource: string;
  owner: string;
  rate: number;
  burst: number;
  held: boolean;
  setting: string;
  count: number;
  refusals: number;
  keys: { key: string; refusals: number; holds: number; left: number | null }[];
}

/** What a new scene begins with: a document, a template of the catalogue, or another session's, at a tick. */
export type Beginning = { readonly scene: string } | { readonly template: string } | { readonly like: { readonly session: string; readonly tick?: number } };

/** A ready mesh of the catalogue. */
export interface ReadyMesh {
  readonly id: string;
  readonly name: string;
  readonly kind: "mesh";
  readonly params: { readonly sha256: string };
  readonly vertices: number;
}

/** A scene of the catalogue. */
export interface Template {
  readonly id: string;
  readonly name: string;
  readonly about: string;
}

/** A fork: a session that began with the state of another one after a tick. */
export interface ForkRow {
  session: string;
  parent: string;
  parent_tick: number;
  exact: boolean;
  name: string;
  status: string | null;
}

export interface ForkTree {
  session: string;
  root: string;
  forks: ForkRow[];
}

/** A recorded session as GET /api/recordings?kind=sessions lists it, also after its keys have expired. */
export type RecordedRow = Pick<SessionView, "session" | "status" | "mode" | "size" | "seats" | "opened_at" | "started_at" | "ended_at"> & { winner?: number };

/** Rows of a list leave out what has its default. */
export const ROW_DEFAULTS = {
  started_at: 0,
  ended_at: 0,
  epoch: 0,
  v: 0,
  tick: 0,
  round: 0,
  turn: 0,
  turn_seat: null,
  turn_ends_at: 0,
  brief: null,
  result: null,
  reason: "",
  ws_url: "",
  closes_at: 0,
  params: {},
  min_distance: null,
  parent: null,
  parent_tick: null,
  exact: null,
  observers: { count: 0, names: [] },
};

const OFFLINE = "The server does not answer.";
/** Timeouts of a call and of a large answer [ms]. */
const CALL_MS = 10_000;
const BYTES_MS = 60_000;
/** A fork simulates up to its tick before it answers. */
const FORK_MS = 120_000;

/** The body of an answer. */
async function textOf(response: Response): Promise<string> {
  try {
    return await response.text();
  } catch {
    throw new Problem("offline", OFFLINE, 0, null);
  }
}

/** The JSON value, or null if it is not JSON, such as a proxy's error page. */
function parsed(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

function problemOf(status: number, text: string): Problem {
  const problem = (parsed(text) ?? {}) as { code?: string; detail?: string; field?: string };
  return new Problem(problem.code ?? "http", problem.detail ?? `The server answered ${status}.`, status, problem.field ?? null);
}

export class Api {
  token: string | null = null;

  /** A document at a path. */
  json<T>(path: string): Promise<T> {
    return this.call(path);
  }

  /** The bytes at a path, of one media type. */
  async bytes(path: string, accept: string): Promise<ArrayBuffer> {
    const response = await this.request(path, { headers: { accept } }, BYTES_MS);
    if (!response.ok) throw problemOf(response.status, await textOf(response));
    try {
      return await response.arrayBuffer();
    } catch {
      throw new Problem("offline", OFFLINE, 0, null);
    }
  }

  /** The bytes that answer a document. */
  private async bytesFor(path: string, body: Record<string, unknown>): Promise<ArrayBuffer> {
    const response = await this.request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }, BYTES_MS);
    if (!response.ok) throw problemOf(response.status, await textOf(response));
    return response.arrayBuffer();
  }

  private async request(path: string, init: { method?: string; headers?: Record<string, string>; body?: string }, timeout: number, anonymous = false): Promise<Response> {
    const headers = { ...init.headers, ...(this.token && !anonymous ? { authorization: `Bearer ${this.token}` } : {}) };
    try {
      return await fetch(at(path), { ...init, headers, signal: AbortSignal.timeout(timeout) });
    } catch {
      throw new Problem("offline", OFFLINE, 0, null);
    }
  }

  private async call<T>(path: string, body?: Record<string, unknown>, anonymous = false, timeout = CALL_MS): Promise<T> {
    const init = body ? { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {};
    const response = await this.request(path, init, timeout, anonymous);
    const text = await textOf(response);
    if (!response.ok) throw problemOf(response.status, text);
    return parsed(text) as T;
  }

  /** Log in. anonymous: as a new guest; else a secret claims the name for the player who is logged in. */
  login(name: string | null, secret: string | null = null, anonymous = false): Promise<LoginAnswer> {
    return this.call("/api/login", { ...(name ? { name } : {}), ...(secret ? { secret } : {}) }, anonymous);
  }

  logout(): Promise<Record<string, never>> {
    return this.call("/api/logout", {});
  }

  overview(): Promise<Overview> {
    return this.call("/api/admin/overview");
  }

  /** One of the operators' calls: docs/protocol.md. */
  order(path: string, body: Record<string, unknown>): Promise<Record<string, unknown>> {
    return this.call(path, body);
  }

  me(): Promise<Profile> {
    return this.call("/api/me");
  }

  find(mode: string, size: number, body: string | null, ready: boolean): Promise<SeatTicket> {
    return this.call("/api/find", { mode, size, ready, ...(body ? { body } : {}) });
  }

  open(mode: string, size: number, hidden: boolean, beginning: Beginning | null = null, more: { ready?: boolean; body?: string; params?: Record<string, number> } = {}): Promise<SeatTicket> {
    return this.call("/api/open", { mode, size, private: hidden, ...beginning, ...more }, false, beginning ? FORK_MS : CALL_MS);
  }

  /** Ask for bots in a lobby, as its host: one for every free seat. */
  bots(session: string, skill: string): Promise<BotsAsked> {
    return this.call(`${this.at(session)}/bots`, { skill });
  }

  // -- a scene that is built

  private at(session: string): string {
    return `/api/sessions/${encodeURIComponent(session)}`;
  }

  scene(session: string): Promise<SceneList> {
    return this.call(`${this.at(session)}/scene`);
  }

  sceneBody(session: string, body: string): Promise<SceneBody> {
    return this.call(`${this.at(session)}/scene/bodies/${encodeURIComponent(body)}`);
  }

  /** The whole document, as `tussle simulate` runs it. */
  wholeScene(session: string): Promise<Raw> {
    return this.call(`${this.at(session)}/scene.json`, undefined, false, BYTES_MS);
  }

  checkScene(session: string): Promise<SceneChecked> {
    return this.call(`${this.at(session)}/scene/check`, {}, false, BYTES_MS);
  }

  /** The mesh of one shape in its own frame: a topology of one body. */
  shape(recipe: Recipe): Promise<ArrayBuffer> {
    return this.bytesFor("/api/shapes", { kind: recipe.kind, params: recipe.params });
  }

  mesh(mesh: string): Promise<MeshState> {
    return this.call(`/api/meshes/${encodeURIComponent(mesh)}`);
  }

  /** Send a file of a mesh. `sent`: the share that is on the server, 0 to 1. */
  putMesh(file: File, session: string, sent: (share: number) => void): Promise<MeshState> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("PUT", at(`/api/meshes?name=${encodeURIComponent(file.name)}&session=${encodeURIComponent(session)}`));
      request.setRequestHeader("content-type", "application/octet-stream");
      if (this.token) request.setRequestHeader("authorization", `Bearer ${this.token}`);
      request.upload.onprogress = (event) => event.lengthComputable && sent(event.loaded / event.total);
      request.onload = () => {
        if (request.status >= 200 && request.status < 300) resolve(parsed(request.responseText) as MeshState);
        else reject(problemOf(request.status, request.responseText));
      };
      request.onerror = request.onabort = () => reject(new Problem("offline", OFFLINE, 0, null));
      request.send(file);
    });
  }

  join(session: string): Promise<SeatTicket> {
    return this.call("/api/join", { session });
  }

  observe(session: string): Promise<SeatTicket> {
    return this.call("/api/observe", { session });
  }

  /** A new lobby that begins with the state of a session after a tick; exact: by the same physics. */
  fork(session: string, tick: number): Promise<SeatTicket & { parent_tick: number; exact: boolean }> {
    return this.call(`/api/sessions/${encodeURIComponent(session)}/fork`, { tick }, false, FORK_MS);
  }

  /** The tree of forks that a session is part of. */
  forks(session: string): Promise<ForkTree> {
    return this.call(`/api/sessions/${encodeURIComponent(session)}/forks`);
  }

  leave(session: string): Promise<Record<string, never>> {
    return this.call("/api/leave", { session });
  }

  session(token: string): Promise<SessionView> {
    return this.call(`/api/sessions/${encodeURIComponent(token)}`);
  }

  async catalogue(): Promise<{ bodies: BodyEntry[]; templates: Template[]; meshes: ReadyMesh[] }> {
    const answer = await this.call<{ bodies: BodyEntry[] | Record<string, BodyEntry>; scenes?: Record<string, Record<string, unknown>>; meshes?: Record<string, ReadyMesh> }>("/api/catalogue");
    const scenes = Object.entries(answer.scenes ?? {}).filter(([, row]) => "scene" in row); // the others are arenas
    const templates = scenes.map(([id, row]) => ({ id, name: String(row["name"] || id), about: String(row["about"] ?? "") }));
    return { bodies: Array.isArray(answer.bodies) ? answer.bodies : Object.values(answer.bodies), templates, meshes: Object.values(answer.meshes ?? {}).sort((a, b) => a.name.localeCompare(b.name, "en")) };
  }

  async leaderboard(mode: string): Promise<LeaderboardRow[]> {
    return (await this.call<{ rows: LeaderboardRow[] }>(`/api/leaderboard/${encodeURIComponent(mode)}`)).rows;
  }

  /** One page of recorded sessions: changes.ts makes the address. */
  recorded(url: string): Promise<{ recordings: RecordedRow[]; next: string }> {
    return this.call(url);
  }

  startSpring(name: string, x: number, v: number): Promise<{ run: string; stream: string }> {
    return this.call("/api/springs", { name, x, v });
  }

  pollSpring(run: string, after: string): Promise<SpringPoll> {
    return this.call(`/api/springs/${encodeURIComponent(run)}?after=${encodeURIComponent(after)}`);
  }
}
