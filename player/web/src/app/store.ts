// The state of the page as signals: the player, the route, the session, the lists; and the actions that change it.

import { batch, computed, effect, signal } from "@preact/signals";
import { t } from "../text/words";
import { Api } from "../wire/api";
import { Refused } from "../wire/calls";
import type { Join, LeaderboardRow } from "../wire/answers";
import type { Beginning, BodyEntry, ReadyMesh, Template } from "../wire/api";
import { ENDED } from "../wire/messages";
import type { SessionView } from "../wire/messages";
import { FAR_AWAY, SessionClient } from "../session/client";
import { group, parseCode } from "../text/format";
import { REFUSALS } from "./refusals";
import { load, save } from "./kept";
import { chosenParams, offered } from "./offered";
import { followAddress, go, route } from "./route";
import { keepTemplate, ownKey, ownTemplates, removeTemplate } from "./templates";

export interface Me {
  readonly player: string;
  readonly name: string;
  readonly token: string;
  readonly guest: boolean;
}

export interface Notice {
  readonly kind: "bad" | "wash" | "ok";
  readonly title: string;
  readonly text: string;
  readonly at: number;
}

export const api = new Api();

export const me = signal<Me | null>(load("tussle.me"));
export const client = signal<SessionClient | null>(null);
/** The session in which this player has a seat, as far as this page knows. */
export const seated = signal<string | null>(null);
/** The connection of one's seat while `client` is another session, which is watched. */
export const aside = signal<SessionClient | null>(null);
/** The connection of one's seat, or null while there is none. */
export const seatClient = computed(() => [client.value, aside.value].find((one) => one !== null && one.token === seated.value) ?? null);
export const notice = signal<Notice | null>(null);
export const busy = signal<string | null>(null);
export const online = signal(true);

export const sessions = signal<readonly SessionView[] | null>(null);
export const ended = signal<readonly SessionView[]>([]);
/** How many lists were shown, each with a choice of its own of what is in it. */
export const newLists = signal(0);
/** Recorded sessions that are no longer in the list of ended ones, and the cursor of the next page of them or "". */
export const recorded = signal<readonly SessionView[]>([]);
export const recordedNext = signal("");
export const search = signal("");
/** Further filters of the list: a mode or ""; only sessions of this player; only those of the last days, or 0. */
export const listedMode = signal("");
export const mineOnly = signal(false);
export const listedDays = signal(0);
export const filtered = computed(() => listedMode.value !== "" || mineOnly.value || listedDays.value > 0);

export function clearFilters(): void {
  batch(() => {
    search.value = listedMode.value = "";
    mineOnly.value = false;
    listedDays.value = 0;
  });
}
/** Which sessions the list shows. */
export const listed = signal<"all" | "open" | "running" | "ended">("all");
export const bodies = signal<readonly BodyEntry[]>([]);
export const leaderboard = signal<readonly LeaderboardRow[] | null>(null);
/** Round trip of the lobby page's pings [ms]; a session measures its own. */
export const lobbyRtt = signal<number | null>(null);
/** Whether the server does not answer the lobby page's pings, on a connection that is open. */
export const silent = signal(false);

/** The name in the field: empty for a guest that asked for none and has two words from the server. */
export const wantedName = signal(me.value && !(me.value.guest && !me.value.name.includes("#")) ? (me.value.name.split("#")[0] ?? "") : "");
export const wantedMode = signal(load<string>("tussle.mode") ?? "duel");
/** The mode whose leaderboard is shown. Modes without a winner have none. */
export const ratedMode = computed(() => (["duel", "curling"].includes(wantedMode.value) || offered.value?.some((one) => one.mode === wantedMode.value && one.rated) ? wantedMode.value : "duel"));
export const wantedSize = signal(load<number>("tussle.size") ?? 2);
/** How bots play that this page asks for: one of SKILLS. */
export const wantedSkill = signal(load<string>("tussle.skill") ?? "fair");
/** Whether the rules of the chosen mode are shown beside it. */
export const rulesOpen = signal(load<boolean>("tussle.rules") ?? true);

export function openRules(open: boolean): void {
  rulesOpen.value = open;
  save("tussle.rules", open);
}
/** A new lobby that is not listed: joined by its code only. */
export const wantedPrivate = signal(false);
/** The template that a new sandbox begins with, or "" for the default (`ownKey` of an own one); and the catalogue's. */
export const wantedTemplate = signal("");
export const templates = signal<readonly Template[]>([]);
export const readyMeshes = signal<readonly ReadyMesh[]>([]);
export const wantedBody = signal<string | null>(load("tussle.body"));

/** Whether this page plays over a line to the other side of the world. */
export const farAway = signal(load<boolean>("tussle.far") === true);

export const systemDark = signal(matchMedia("(prefers-color-scheme: dark)").matches);
export const chosenTheme = signal<"dark" | "light" | null>(load("tussle.theme"));
export const theme = computed(() => chosenTheme.value ?? (systemDark.value ? "dark" : "light"));
/** Frames over WebRTC, where a server offers it. */
export const wantedChannel = signal(load<boolean>("tussle.webrtc") ?? true);
export type Motion = "system" | "less" | "full";
export const systemCalm = signal(matchMedia("(prefers-reduced-motion: reduce)").matches);
export const wantedMotion = signal<Motion>(load<Motion>("tussle.motion") ?? "system");
/** Whether nothing glides, shakes or flashes. */
export const calm = computed(() => (wantedMotion.value === "system" ? systemCalm.value : wantedMotion.value === "less"));
/** Whether the page is hidden. */
export const hidden = signal(globalThis.document?.hidden ?? false);
/** The time for texts that count [ms]; set four times a second. */
export const now = signal(Date.now());

api.token = me.value?.token ?? null;

/** Choose whether frames come over WebRTC where a server offers it, now and later. */
export function chooseChannel(wanted: boolean): void {
  wantedChannel.value = wanted;
  save("tussle.webrtc", wanted);
  client.value?.wantChannel(wanted);
}

/** Connect the theme, the motion and the clock to the browser. Called once. */
export function startPage(): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => (systemDark.value = event.matches));
  matchMedia("(prefers-reduced-motion: reduce)").addEventListener("change", (event) => (systemCalm.value = event.matches));
  setInterval(() => (now.value = Date.now()), 250);
  document.addEventListener("visibilitychange", () => (hidden.value = document.hidden));
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
    document.querySelector('meta[name="theme-color"]')?.setAttribute("content", theme.value === "dark" ? "#0C1413" : "#E4EAE7");
  });
}

/** Connect the store to the browser and load what the lobby needs. Called once. */
export function start(): void {
  startPage();
  followAddress();
  effect(() => save("tussle.mode", wantedMode.value));
  effect(() => save("tussle.size", wantedSize.value));
  effect(() => save("tussle.body", wantedBody.value));
  effect(() => save("tussle.skill", wantedSkill.value));
  effect(followSeat);
  void loadBodies();
  void resume();
}

async function loadBodies(): Promise<void> {
  for (let wait = 500; ; wait = Math.min(8000, wait * 2)) {
    try {
      const [catalogue, modes] = await Promise.all([api.catalogue(), api.modes()]);
      batch(() => {
        offered.value = modes;
        if (!modes.some((one) => one.mode === wantedMode.value)) wantedMode.value = modes[0]?.mode ?? "duel";
        bodies.value = catalogue.bodies;
        templates.value = catalogue.templates;
        readyMeshes.value = catalogue.meshes;
      });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

/** Return to the seat after a reload in the middle of a session, or say that it is lost. */
async function resume(): Promise<void> {
  try {
    if (!me.value) await ensureMe(); // guest first
    const kept = load<string>("tussle.seat");
    const profile = await api.me();
    const at = route.value;
    if (client.value) return; // a session was entered meanwhile
    sitIn(profile.session);
    if (kept && kept !== profile.session) sayLost(await api.session(kept).then((view) => view.status, () => ""));
    if (profile.session && (at.screen === "lobby" || (at.screen === "session" && at.token === profile.session))) await join(profile.session);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) forget();
  }
}

/** Remember where this player has a seat, also after a reload. */
function sitIn(token: string | null): void {
  seated.value = token;
  save("tussle.seat", token);
}

/** Say what became of a seat that this player had. status: of its session; "": it is gone. */
function sayLost(status: string): void {
  if (status === "" || ENDED.includes(status)) notify("wash", t("store.your-session-is-over"), t("store.it-ended-while-you-were"));
  else notify("bad", t("store.your-seat-is-gone"), t("store.you-were-away-for-too"));
}

/** Follow the seat of the session that is open: it ends with the session, or is lost. */
function followSeat(): void {
  const current = seatClient.value;
  if (!current || current.role !== "player") return;
  const { status } = current.state.value;
  const link = current.link.value;
  const over = ENDED.includes(status);
  if (!over && (link.kind !== "closed" || link.reason === "replaced")) return;
  const away = route.peek().screen !== "session" || client.peek() !== current;
  sitIn(null);
  if (current === aside.peek()) dropAside();
  if (away) sayLost(over ? status : "running");
}

/** Go back to one's seat. */
export async function returnToSeat(): Promise<void> {
  const token = seated.value;
  if (!token) return;
  if (seatClient.value) showSeat();
  else await join(token);
  if (client.value?.token === token && client.value.role !== "player") sitIn(null);
}

/** Show the session of one's seat, whose connection is there. */
export function showSeat(): void {
  const kept = aside.value;
  batch(() => {
    if (kept && kept === seatClient.value) {
      client.value?.dispose();
      client.value = kept;
      aside.value = null;
    }
    if (seated.value) go({ screen: "session", token: seated.value });
  });
}

function dropAside(): void {
  aside.peek()?.dispose();
  aside.value = null;
}

/** Give the seat up without leaving the screen that is shown. */
export async function giveUpSeat(): Promise<void> {
  const token = seated.value;
  if (!token) return;
  const current = seatClient.value;
  batch(() => {
    sitIn(null);
    if (current === client.value) client.value = null;
    else aside.value = null;
  });
  current?.leave();
  await api.leave(token).catch(() => {});
}

function forget(): void {
  me.value = null;
  api.token = null;
  save("tussle.me", null);
}

/** The recording that plays as soon as it is there. */
export const playsAtOnce = signal<string | null>(null);

/** Open the recording of a session, and play it. */
export function watchAgain(token: string): void {
  playsAtOnce.value = token;
  replay(token);
}

/** Open the recording of a session. A seat in the session is kept. */
export function replay(token: string): void {
  go({ screen: "replay", token });
}

export function notify(kind: Notice["kind"], title: string, text: string): void {
  const made = { kind, title, text, at: Date.now() };
  notice.value = made;
  setTimeout(() => {
    if (notice.value === made) notice.value = null;
  }, 8000);
}

function explain(error: unknown): void {
  if (error instanceof Refused) {
    const [title, text] = REFUSALS.value[error.code] ?? [t("store.the-request-failed"), sentence(error.message)];
    notify("bad", title, text);
  } else throw error;
}

let lastLogin: Promise<unknown> = Promise.resolve();

/** Log in under the name in the field, as a guest at first. Calls wait for each other: one page is one player. */
export function ensureMe(): Promise<Me> {
  const login = lastLogin.then(loginIfNeeded);
  lastLogin = login.catch(() => {});
  return login;
}

/** The old token stays in use until the answer is there: other calls run meanwhile. */
async function loginIfNeeded(): Promise<Me> {
  const name = wantedName.value.trim();
  const known = me.value;
  if (known && (!name || known.name.split("#")[0] === name)) return known;
  return remember(await api.login(name || null, null, true), name);
}

/** asked: the name that was in the field when the call began. A name typed since then stays. */
function remember(answer: { player: string; name: string; token: string; guest: boolean }, asked: string): Me {
  const made = { player: answer.player, name: answer.name, token: answer.token, guest: answer.guest };
  me.value = made;
  api.token = made.token;
  const shown = made.name.split("#")[0] ?? "";
  if (wantedName.value.trim() === asked) wantedName.value = made.guest && !asked ? "" : shown;
  save("tussle.me", made);
  return made;
}

/** Claim the name with a secret, or log in as its owner. Returns null, or why that was refused. */
export async function claim(secret: string): Promise<string | null> {
  const done = await exclusive("claim", async () => {
    try {
      const name = wantedName.value.trim();
      remember(await api.login(name, secret), name);
    } catch (error) {
      if (error instanceof Refused && (error.code === "name_taken" || error.field)) return error.code === "name_taken" ? t("store.this-is-someone-elses-name") : sentence(error.message);
      throw error;
    }
    notify("ok", t("store.is-yours", { name: me.value?.name ?? "" }), t("store.log-in-with-the-same"));
    return "";
  });
  return done === "" ? null : (done ?? "");
}

/** Log out: the token is deleted on the server, and the page is a new guest from the next call on. */
export async function logOut(): Promise<void> {
  await exclusive("logout", async () => {
    await api.logout();
    forget();
    wantedName.value = "";
    notify("ok", t("store.you-are-logged-out"), t("store.your-name-and-its-secret"));
  });
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}.`;
}

/** Run one action at a time; errors become a notice. */
async function exclusive<T>(name: string, act: () => Promise<T>): Promise<T | null> {
  if (busy.value) return null;
  busy.value = name;
  try {
    return await act();
  } catch (error) {
    if (error instanceof Refused && error.status === 401 && error.code !== "name_taken" && me.value) {
      forget();
      try {
        await ensureMe();
        return await act();
      } catch (again) {
        explain(again);
        return null;
      }
    }
    explain(error);
    return null;
  } finally {
    busy.value = null;
  }
}

/** Play as from the other side of the world, or no longer; the session that is open reconnects. */
export function toggleFarAway(): void {
  farAway.value = !farAway.value;
  save("tussle.far", farAway.value);
  client.value?.setNetwork(farAway.value ? FAR_AWAY : null);
}

async function enter(ticket: Join): Promise<void> {
  // A sandbox needs no history: its brief of each second has all, and an hour of events is long.
  const mode = await api.session(ticket.session).then((view) => view.mode, () => "duel");
  const before = client.value;
  if (before && before === seatClient.value && ticket.role === "observer" && before.token !== ticket.session) aside.value = before;
  else before?.dispose();
  if (aside.value && (ticket.role === "player" || ticket.session === aside.value.token)) dropAside();
  const made = new SessionClient(ticket, mode !== "sandbox", wantedChannel.value, farAway.value ? FAR_AWAY : null);
  made.onTicket = () => (ticket.role === "player" ? api.join(ticket.session) : api.observe(ticket.session));
  batch(() => {
    client.value = made;
    if (ticket.role === "player") sitIn(ticket.session);
    go({ screen: "session", token: ticket.session });
  });
}

export function find(): Promise<unknown> {
  return exclusive("find", async () => {
    await ensureMe();
    await enter(await api.find(wantedMode.value, wantedSize.value, wantedBody.value, false));
  });
}

export function open(): Promise<unknown> {
  return exclusive("open", async () => {
    await ensureMe();
    await enter(await api.open(wantedMode.value, wantedSize.value, wantedPrivate.value, wantedMode.value === "sandbox" ? beginning() : null, chosenParams(wantedMode.value)));
  });
}

/** What a new sandbox begins with: a template of the catalogue or one that this browser keeps. */
function beginning(): Beginning | null {
  const own = ownTemplates.value.find((one) => ownKey(one.name) === wantedTemplate.value);
  if (own) return { scene: own.scene };
  return wantedTemplate.value ? { template: wantedTemplate.value } : null;
}

/** Begin at once: alone in a mode without opponents, else against bots in every other seat. */
export function playNow(alone: boolean): Promise<unknown> {
  return exclusive("play-now", async () => {
    await ensureMe();
    const body = wantedBody.value;
    const ticket = await api.open(wantedMode.value, alone ? 1 : wantedSize.value, false, wantedMode.value === "sandbox" ? beginning() : null, { ready: true, ...chosenParams(wantedMode.value), ...(body ? { body } : {}) });
    try {
      if (!alone) await api.bots(ticket.session, wantedSkill.value);
    } catch (error) {
      await api.leave(ticket.session);
      throw error;
    }
    await enter(ticket);
  });
}

/** A turn of a practice mat [s]: as good as without a clock. */
const PRACTICE_TURN_S = 3600;

/** Open a mat of one's own, with a dummy that never moves. It is not rated, and nobody else sees it in the list. */
export function practise(): Promise<unknown> {
  return exclusive("practise", async () => {
    await ensureMe();
    const body = wantedBody.value;
    const ticket = await api.open(wantedMode.value, 2, true, null, { ready: true, params: { turn_s: PRACTICE_TURN_S }, ...(body ? { body } : {}) });
    try {
      await api.bots(ticket.session, "dummy");
    } catch (error) {
      await api.leave(ticket.session);
      throw error;
    }
    await enter(ticket);
  });
}

/** Ask for bots in the free seats of a lobby that this player hosts. */
export function fill(token: string): Promise<unknown> {
  return exclusive("fill", () => api.bots(token, wantedSkill.value));
}

/** Open a sandbox whose scene begins as another one: a session's, at a tick of its recording if one is named. A seat in
 * another session is given up for it. */
export function newFrom(beginning: Beginning): Promise<unknown> {
  return exclusive("new-from", async () => {
    await ensureMe();
    const current = client.value;
    const left = current?.role === "player" && !ENDED.includes(current.state.value.status) ? current : null;
    let draft = "";
    try {
      if (left) draft = await keepDraft(left);
    } catch (error) {
      if (error instanceof Refused) throw error;
      notify("bad", t("store.the-scene-here-cannot-be"), error instanceof Error ? error.message : "");
      return;
    }
    try {
      if (left) await api.leave(left.token);
    } catch (error) {
      if (draft) removeTemplate(draft);
      throw error;
    }
    try {
      await enter(await api.open("sandbox", wantedMode.value === "sandbox" ? wantedSize.value : 2, false, beginning));
    } catch (error) {
      if (left) giveUp(left);
      if (!left || (error instanceof Refused && error.status === 401)) throw error; // `exclusive` tries again
      explain(error);
      notify("bad", notice.value?.title ?? "", t("store.your-seat-is-given-up", { text: notice.value?.text ?? "", what: draft ? t("store.its-scene-is-kept-as", { draft }) : "" }).trim());
      return;
    }
    if (draft) removeTemplate(draft);
  });
}

/** Open a spring-damper of these numbers, alone, and go there. A seat in another session is given up for it. */
export function newRig(params: Record<string, number>): Promise<unknown> {
  return exclusive("new-rig", async () => {
    await ensureMe();
    const current = client.value;
    if (current?.role === "player" && !ENDED.includes(current.state.value.status)) {
      current.dispose();
      await api.leave(current.token);
      sitIn(null);
    }
    await enter(await api.open("spring-damper", 1, false, null, { ready: true, params }));
  });
}

/** Keep the scene of a waiting lobby as an own template, since a lobby that all have left is closed. Returns its name,
 * or "" where there is no scene to edit. Throws where the scene cannot be kept; nothing has changed then. */
async function keepDraft(current: SessionClient): Promise<string> {
  const { status, forked, mode } = current.state.value;
  if (forked || !["open", "filled"].includes(status) || offered.value?.find((one) => one.mode === mode)?.builds === false) return "";
  try {
    if (!(await api.scene(current.token)).editable) return "";
  } catch (error) {
    if (error instanceof Refused && ["not_editable", "no_such_session"].includes(error.code)) return "";
    throw error;
  }
  const name = t("store.draft-of", { token: current.token });
  keepTemplate(name, await api.wholeScene(current.token));
  return name;
}

/** Show the lobby instead of a session whose seat is given up. */
function giveUp(current: SessionClient): void {
  current.dispose();
  batch(() => {
    if (current.token === seated.value) sitIn(null);
    if (client.value === current) client.value = null;
    if (route.value.screen === "session") go({ screen: "lobby" });
  });
}

/** Whether a person can take a seat: a free one, or that of a bot that fills it. */
export function hasSeat(view: SessionView): boolean {
  return view.status === "open" || (view.status === "filled" && view.seats.some((seat) => seat.fills));
}

export function join(text: string): Promise<unknown> {
  return exclusive(`join ${text}`, async () => {
    await ensureMe();
    const token = parseCode(text);
    const view = await api.session(token);
    const seated = view.seats.some((seat) => seat.player === me.value?.player);
    if (!seated && !hasSeat(view) && !ENDED.includes(view.status)) {
      notify("wash", t("store.all-seats-are-taken"), t("store.you-are-watching"));
      await enter(await api.observe(token));
      return;
    }
    try {
      await enter(await api.join(token));
    } catch (error) {
      // The last seat was taken meanwhile, or this player has left before.
      if (error instanceof Refused && (error.code === "lobby_full" || error.code === "left" || error.code === "ended")) {
        notify("wash", error.code === "lobby_full" ? t("store.all-seats-are-taken") : t("store.there-is-no-seat-to"), t("store.you-are-watching"));
        await enter(await api.observe(token));
      } else throw error;
    }
  });
}

export function watch(token: string): Promise<unknown> {
  return exclusive(`watch ${token}`, async () => {
    await ensureMe();
    await enter(await api.observe(token));
  });
}

/** Go to the lobby, and give up the seat if there is one. */
export function leave(): void {
  const current = client.value;
  batch(() => {
    if (current && current.token === seated.value) sitIn(null);
    client.value = null;
    go({ screen: "lobby" });
  });
  current?.leave();
  if (current?.role === "player") void api.leave(current.token).catch(() => {});
}

/** Open a lobby that begins with a moment of a session. */
export function fork(token: string, tick: number): Promise<unknown> {
  return exclusive("fork", async () => {
    await ensureMe();
    const made = await api.fork(token, tick);
    if (!made.exact) notify("wash", t("store.it-begins-with-tick", { parent_tick: group(made.parent_tick) }), t("store.the-server-has-another-version"));
    await enter(made);
  });
}

/** A seat in the rematch of a session that is over, with the same body. The first who asks opens it. */
export function rematch(token: string, body: string | null): Promise<unknown> {
  return exclusive("rematch", async () => {
    await ensureMe();
    await enter(await api.rematch(token, body));
  });
}

/** Find a seat in the same mode again, with anybody. */
export function nextOpponent(mode: string, size: number, body: string | null): Promise<unknown> {
  return exclusive("find", async () => {
    await ensureMe();
    await enter(await api.find(mode, size, body, false));
  });
}
