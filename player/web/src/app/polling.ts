// The live list: asked about once a second while the lobby is looked at, rarer when nobody looks.

import { api, ended, leaderboard, online, pollRtt, ratedMode, search, sessions } from "./store";

const LIST_MS = 1000;
const BOARD_EVERY = 8;

/** Poll until the returned function is called. */
export function poll(): () => void {
  let stopped = false;
  let timer = 0;
  let round = 0;
  const step = async (): Promise<void> => {
    if (stopped) return;
    if (!document.hidden) {
      const began = performance.now();
      try {
        const text = search.value.trim();
        const list = await api.sessions(null, text);
        if (stopped) return;
        pollRtt.value = Math.round(performance.now() - began);
        sessions.value = list;
        online.value = true;
        if (round % 3 === 0) ended.value = await api.sessions("ended", text).then((all) => all.filter((one) => one.started_at > 0));
        if (round % BOARD_EVERY === 0) leaderboard.value = await api.leaderboard(ratedMode.value).catch(() => []);
      } catch {
        online.value = false;
      }
      round++;
    }
    timer = window.setTimeout(() => void step(), LIST_MS);
  };
  void step();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
