// The operators' page: its own login, the overview that it polls, and the calls. The player of the lobby is not used.

import { batch, computed, signal } from "@preact/signals";
import { t } from "../text/words";
import { Api } from "../wire/api";
import { Refused } from "../wire/calls";
import type { OverviewAnswer } from "../wire/answers";
import { notify } from "./store";

const POLL_MS = 2000;
const KEY = "tussle.operator";

const operatorApi = new Api();
operatorApi.token = sessionStorage.getItem(KEY);

/** null: not read yet. */
export const overview = signal<OverviewAnswer | null>(null);
export const loggedIn = signal(operatorApi.token !== null);
export const reachable = signal(true);
export const pending = signal<string | null>(null);
/** The server whose rows are shown; "" for all. */
export const shownServer = signal("");

export const refusedMost = computed(() =>
  [...(overview.value?.limits ?? [])].filter((row) => row.refusals > 0).sort((a, b) => b.refusals - a.refusals),
);

/** Log in for this tab. Returns null, or why it was refused. */
export async function logIn(name: string, secret: string): Promise<string | null> {
  try {
    const answer = await new Api().login(name, secret, true);
    operatorApi.token = answer.token;
    await refresh();
  } catch (error) {
    operatorApi.token = null;
    if (!(error instanceof Refused)) throw error;
    if (error.code === "not_allowed") return t("operate.this-player-is-not-an");
    if (error.code === "name_taken") return t("operate.this-is-not-the-secret");
    return `${error.message[0]?.toUpperCase() ?? ""}${error.message.slice(1)}.`;
  }
  sessionStorage.setItem(KEY, operatorApi.token ?? "");
  loggedIn.value = true;
  return null;
}

export async function logOut(): Promise<void> {
  await operatorApi.logout().catch(() => {});
  forgetLogin();
}

function forgetLogin(): void {
  sessionStorage.removeItem(KEY);
  operatorApi.token = null;
  batch(() => {
    loggedIn.value = false;
    overview.value = null;
  });
}

async function refresh(): Promise<void> {
  const seen = await operatorApi.overview();
  batch(() => {
    overview.value = seen;
    reachable.value = true;
  });
}

/** Poll the overview while the page is visible, until the returned function is called. */
export function pollOverview(): () => void {
  let stopped = false;
  let timer = 0;
  const step = async (): Promise<void> => {
    if (stopped) return;
    if (!document.hidden && loggedIn.value) {
      try {
        await refresh();
      } catch (error) {
        if (error instanceof Refused && (error.status === 401 || error.status === 403)) forgetLogin();
        else if (!(error instanceof Refused && error.status === 429)) reachable.value = false;
      }
    }
    timer = window.setTimeout(() => void step(), POLL_MS);
  };
  void step();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Make one call, say what it did, and read the overview again. */
export async function order(path: string, body: Record<string, unknown>, done: string): Promise<boolean> {
  if (pending.value) return false;
  pending.value = path;
  try {
    await operatorApi.order(path, body);
    notify("ok", done, "");
    await refresh().catch(() => {});
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    notify("bad", t("operate.the-server-refused-this"), `${error.message[0]?.toUpperCase() ?? ""}${error.message.slice(1)}.`);
    return false;
  } finally {
    pending.value = null;
  }
}
