// The HTTP calls of this page, typed. calls.ts sends them.

import type { BotsAsked, Fork, ForkTree, Join, Leaderboard, Login, Me, MeshView, ModeList, OverviewAnswer, PlayerProfile, RecordedList, SentMesh, SceneDocument, SceneListing, SceneReport, SpringRun, SpringStarted } from "./answers";
import { Calls, Refused, parsed, refusalOf } from "./calls";
import type { CallOptions } from "./calls";
import type { HeldSeat, RatingChange, SessionView } from "./messages";
import { at } from "./place";
import type { Raw, Recipe } from "./scene";

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

/** Rows of a list, and their seats, leave out what has its default. */
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
  observers: { count: 0, names: [] as string[], bots: [] as string[] },
  series: null,
  held: [] as HeldSeat[],
  rematch: null,
  ratings: [] as RatingChange[],
};
export const SEAT_DEFAULTS = { ready: true, connected: false, health: null, score: null, out: false, fills: false };

/** Timeout of a large answer [ms]. */
const BYTES_MS = 60_000;
/** A fork simulates up to its tick before it answers. */
const FORK_MS = 120_000;

/** A parameter of a mode, as a page asks for it. */
export type Param = number | string | boolean;

export class Api extends Calls {
  constructor() {
    super(at);
  }

  /** A document at a path. */
  json<T>(path: string): Promise<T> {
    return this.get(path);
  }

  /** The bytes at a path, of one media type. */
  bytes(path: string, accept: string): Promise<ArrayBuffer> {
    return this.read(path, { headers: { accept }, timeout: BYTES_MS });
  }

  private get<T>(path: string, timeout?: number): Promise<T> {
    return this.call("GET", path, undefined, timeout ? { timeout } : {});
  }

  private post<T>(path: string, body: Record<string, unknown>, options: CallOptions = {}): Promise<T> {
    return this.call("POST", path, body, options);
  }

  /** Log in. anonymous: as a new guest; else a secret claims the name for the player who is logged in. */
  login(name: string | null, secret: string | null = null, anonymous = false): Promise<Login> {
    return this.post("/api/login", { ...(name ? { name } : {}), ...(secret ? { secret } : {}) }, { anonymous });
  }

  logout(): Promise<Record<string, never>> {
    return this.post("/api/logout", {});
  }

  overview(): Promise<OverviewAnswer> {
    return this.get("/api/admin/overview");
  }

  /** One of the operators' calls: docs/protocol.md. */
  order(path: string, body: Record<string, unknown>): Promise<Record<string, unknown>> {
    return this.post(path, body);
  }

  me(): Promise<Me> {
    return this.get("/api/me");
  }

  find(mode: string, size: number, body: string | null, ready: boolean): Promise<Join> {
    return this.post("/api/find", { mode, size, ready, ...(body ? { body } : {}) });
  }

  open(mode: string, size: number, hidden: boolean, beginning: Beginning | null = null, more: { ready?: boolean; body?: string; params?: Readonly<Record<string, Param>> } = {}): Promise<Join> {
    return this.post("/api/open", { mode, size, private: hidden, ...beginning, ...more }, beginning ? { timeout: FORK_MS } : {});
  }

  /** Ask for bots in a lobby, as its host: one for every free seat. */
  bots(session: string, skill: string): Promise<BotsAsked> {
    return this.post(`${this.at(session)}/bots`, { skill });
  }

  /** A seat in the rematch of a session that is over. Ready at once: it begins when everyone has come. */
  rematch(session: string, body: string | null): Promise<Join> {
    return this.post(`${this.at(session)}/rematch`, { ready: true, ...(body ? { body } : {}) });
  }

  // -- a scene that is built

  private at(session: string): string {
    return `/api/sessions/${encodeURIComponent(session)}`;
  }

  scene(session: string): Promise<SceneListing> {
    return this.get(`${this.at(session)}/scene`);
  }

  sceneBody(session: string, body: string): Promise<SceneDocument> {
    return this.get(`${this.at(session)}/scene/bodies/${encodeURIComponent(body)}`);
  }

  /** The whole document, as `tussle simulate` runs it. */
  wholeScene(session: string): Promise<Raw> {
    return this.get(`${this.at(session)}/scene.json`, BYTES_MS);
  }

  checkScene(session: string): Promise<SceneReport> {
    return this.post(`${this.at(session)}/scene/check`, {}, { timeout: BYTES_MS });
  }

  /** The mesh of one shape in its own frame: a topology of one body. */
  shape(recipe: Recipe): Promise<ArrayBuffer> {
    return this.read("/api/shapes", { method: "POST", body: { kind: recipe.kind, params: recipe.params }, timeout: BYTES_MS });
  }

  mesh(mesh: string): Promise<MeshView> {
    return this.get(`/api/meshes/${encodeURIComponent(mesh)}`);
  }

  /** Send a file of a mesh. `sent`: the share that is on the server, 0 to 1. */
  putMesh(file: File, session: string, sent: (share: number) => void): Promise<SentMesh> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("PUT", at(`/api/meshes?name=${encodeURIComponent(file.name)}&session=${encodeURIComponent(session)}`));
      request.setRequestHeader("content-type", "application/octet-stream");
      if (this.token) request.setRequestHeader("authorization", `Bearer ${this.token}`);
      request.upload.onprogress = (event) => event.lengthComputable && sent(event.loaded / event.total);
      request.onload = () => {
        if (request.status >= 200 && request.status < 300) resolve(parsed(request.responseText) as SentMesh);
        else reject(refusalOf(request.status, request.responseText));
      };
      request.onerror = request.onabort = () => reject(new Refused("offline", "The server does not answer.", 0));
      request.send(file);
    });
  }

  join(session: string): Promise<Join> {
    return this.post("/api/join", { session });
  }

  observe(session: string): Promise<Join> {
    return this.post("/api/observe", { session });
  }

  /** A new lobby that begins with the state of a session after a tick; exact: by the same physics. */
  fork(session: string, tick: number): Promise<Fork> {
    return this.post(`/api/sessions/${encodeURIComponent(session)}/fork`, { tick }, { timeout: FORK_MS });
  }

  /** The tree of forks that a session is part of. */
  forks(session: string): Promise<ForkTree> {
    return this.get(`/api/sessions/${encodeURIComponent(session)}/forks`);
  }

  leave(session: string): Promise<Record<string, never>> {
    return this.post("/api/leave", { session });
  }

  session(token: string): Promise<SessionView> {
    return this.get(`/api/sessions/${encodeURIComponent(token)}`);
  }

  async catalogue(): Promise<{ bodies: BodyEntry[]; templates: Template[]; meshes: ReadyMesh[] }> {
    const answer = await this.get<{ bodies: BodyEntry[] | Record<string, BodyEntry>; scenes?: Record<string, Record<string, unknown>>; meshes?: Record<string, ReadyMesh> }>("/api/catalogue");
    const scenes = Object.entries(answer.scenes ?? {}).filter(([, row]) => "scene" in row); // the others are arenas
    const templates = scenes.map(([id, row]) => ({ id, name: String(row["name"] || id), about: String(row["about"] ?? "") }));
    return { bodies: Array.isArray(answer.bodies) ? answer.bodies : Object.values(answer.bodies), templates, meshes: Object.values(answer.meshes ?? {}).sort((a, b) => a.name.localeCompare(b.name, "en")) };
  }

  async modes(): Promise<ModeList["modes"]> {
    return (await this.get<ModeList>("/api/modes")).modes;
  }

  async leaderboard(mode: string): Promise<Leaderboard["rows"]> {
    return (await this.get<Leaderboard>(`/api/leaderboard/${encodeURIComponent(mode)}`)).rows;
  }

  player(player: string): Promise<PlayerProfile> {
    return this.get(`/api/players/${encodeURIComponent(player)}`);
  }

  /** One page of recorded sessions: changes.ts makes the address. */
  recorded(url: string): Promise<RecordedList> {
    return this.get(url);
  }

  startSpring(name: string, x: number, v: number): Promise<SpringStarted> {
    return this.post("/api/springs", { name, x, v });
  }

  pollSpring(run: string, after: string): Promise<SpringRun> {
    return this.get(`/api/springs/${encodeURIComponent(run)}?after=${encodeURIComponent(after)}`);
  }
}
