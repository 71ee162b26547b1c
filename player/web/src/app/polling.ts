// Polls the lists of the lobby: once a second while the page is visible, not while it is hidden; soon after a search changes.

import { api, ended, leaderboard, online, pollRtt, ratedMode, search, sessions } from "./store";

const LIST_MS = 1000;
const ENDED_EVERY = 5;
const ENDED_SHOWN = 50;
const BOARD_EVERY = 8;
/** Between the last key of a search and its request. */
const TYPING_MS = 150;

/** Poll until the returned function is called. */
export function poll(): () => void {
  let stopped = false;
  let timer = 0;
  let round = 0;
  let asked = "";
  const step = async (): Promise<void> => {
    if (stopped) return;
    if (!document.hidden) {
      const began = performance.now();
      const text = search.value.trim();
      const fresh = text !== asked;
      try {
        const [list, past] = await Promise.all([api.sessions(null, text), fresh || round % ENDED_EVERY === 0 ? api.sessions("ended", text, ENDED_SHOWN) : null]);
        if (stopped) return;
        pollRtt.value = Math.round(performance.now() - began);
        if (text === search.value.trim()) {
          sessions.value = list;
          if (past) ended.value = past.filter((one) => one.started_at > 0);
          asked = text;
        }
        online.value = true;
        if (round % BOARD_EVERY === 0) leaderboard.value = await api.leaderboard(ratedMode.value).catch(() => []);
      } catch {
        online.value = false;
      }
      round++;
    }
    timer = window.setTimeout(() => void step(), LIST_MS);
  };
  /** Poll after that wait instead of at the next interval. */
  const soon = (wait: number): void => {
    clearTimeout(timer);
    timer = window.setTimeout(() => void step(), wait);
  };
  void step();
  const stops = [
    search.subscribe((text) => {
      if (text.trim() !== asked) soon(TYPING_MS);
    }),
    ratedMode.subscribe((mode) => {
      leaderboard.value = null;
      void api.leaderboard(mode).then(
        (rows) => {
          if (!stopped && mode === ratedMode.value) leaderboard.value = rows;
        },
        () => {},
      );
    }),
  ];
  return () => {
    stopped = true;
    clearTimeout(timer);
    for (const stop of stops) stop();
  };
}
