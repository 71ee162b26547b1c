// The lists of the lobby: follows the server's stream of changes while the page is visible, and again after a search changes.

import { batch, computed } from "@preact/signals";
import { changesUrl, readRecorded, readRows, recordedUrl } from "../wire/changes";
import type { RowsEvent } from "../wire/changes";
import { ENDED } from "../wire/messages";
import type { SessionView } from "../wire/messages";
import { at } from "../wire/place";
import { api, ended, leaderboard, listed, listedDays, listedMode, me, mineOnly, newLists, online, ratedMode, recorded, recordedNext, search, sessions } from "./store";

const ENDED_SHOWN = 50;
const RECORDED_SHOWN = 50;
const BOARD_MS = 30_000;
/** Between the last key of a search and its request. */
const TYPING_MS = 150;
/** Before a new stream if the server refused the last one; a stream that was cut off connects again by itself. */
const REFUSED_MS = 5000;

/** The sessions that the filters leave. Days begin at midnight, so that pages with the same filters share a stream. */
const wanted = computed(() => {
  const since = new Date();
  since.setHours(0, 0, 0, 0);
  since.setDate(since.getDate() - listedDays.value + 1);
  return {
    search: search.value.trim(),
    mode: listedMode.value,
    player: mineOnly.value ? (me.value?.player ?? "") : "",
    since: listedDays.value ? since.getTime() : 0,
  };
});

/** The same filters while ended sessions are shown. */
const recordings = computed(() => (listed.value === "ended" ? wanted.value : null));

/** Read the next page of recorded sessions, or the first one. An answer to older filters is dropped. */
export async function showRecorded(cursor = ""): Promise<void> {
  const asked = recordings.peek();
  if (!asked) return;
  try {
    const page = await api.recorded(recordedUrl(asked, RECORDED_SHOWN, cursor));
    if (asked !== recordings.peek()) return;
    recorded.value = [...(cursor ? recorded.peek() : []), ...page.recordings.map(readRecorded)];
    recordedNext.value = page.next;
  } catch {
    // the stream shows whether the server answers
  }
}

/** Follow until the returned function is called. */
export function followLists(): () => void {
  const known = new Map<string, SessionView>();
  let stream: EventSource | null = null;
  /** What the list that is shown was asked for with: a stream that begins again sends the same list whole once more. */
  let shown = "";
  let timer = 0;
  let later = 0;
  const close = (): void => {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  };
  const open = (): void => {
    close();
    if (document.hidden) return;
    const url = changesUrl(wanted.peek(), ENDED_SHOWN);
    const made = new EventSource(at(url));
    made.onopen = () => (online.value = true);
    made.onerror = () => {
      online.value = false;
      if (made.readyState === EventSource.CLOSED) soon(REFUSED_MS);
    };
    made.addEventListener("rows", (event: MessageEvent<string>) => {
      const rows = JSON.parse(event.data) as RowsEvent;
      readRows(known, rows);
      batch(() => {
        if (rows.whole && url !== shown) newLists.value++;
        if (rows.whole) shown = url;
        show(known);
      });
    });
    stream = made;
  };
  const soon = (wait: number): void => {
    clearTimeout(timer);
    timer = window.setTimeout(open, wait);
  };
  const board = async (): Promise<void> => {
    if (document.hidden) return;
    const mode = ratedMode.value;
    try {
      const rows = await api.leaderboard(mode);
      if (mode === ratedMode.value) leaderboard.value = rows;
    } catch {
      // the stream shows whether the server answers
    }
  };
  const boards = window.setInterval(() => void board(), BOARD_MS);
  document.addEventListener("visibilitychange", open);
  let asked = wanted.peek();
  const stops = [
    wanted.subscribe((now) => {
      if (JSON.stringify(now) !== JSON.stringify(asked)) soon(now.search === asked.search ? 0 : TYPING_MS);
      asked = now;
    }),
    recordings.subscribe((now) => {
      clearTimeout(later);
      if (now) later = window.setTimeout(() => void showRecorded(), TYPING_MS);
    }),
    ratedMode.subscribe(() => {
      leaderboard.value = null;
      void board();
    }),
  ];
  open();
  return () => {
    close();
    clearInterval(boards);
    clearTimeout(later);
    document.removeEventListener("visibilitychange", open);
    for (const stop of stops) stop();
  };
}

/** Waiting sessions, oldest first, then running ones, newest first; and ended ones, newest first. */
function show(known: ReadonlyMap<string, SessionView>): void {
  const all = [...known.values()];
  const waiting = all.filter((one) => one.status === "open" || one.status === "filled");
  const over = all.filter((one) => ENDED.includes(one.status));
  const running = all.filter((one) => !waiting.includes(one) && !over.includes(one));
  sessions.value = [...waiting.sort((a, b) => a.opened_at - b.opened_at), ...running.sort((a, b) => b.started_at - a.started_at)];
  ended.value = over.filter((one) => one.started_at > 0).sort((a, b) => b.ended_at - a.ended_at);
}
