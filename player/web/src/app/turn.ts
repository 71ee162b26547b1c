// Says that it is this player's turn, whatever screen is shown: in the title of the tab, by a sound, and by a notification
// while the tab is hidden. Screens name themselves here for the title.

import { computed, effect, signal, untracked } from "@preact/signals";
import { shortName } from "../text/format";
import { t } from "../text/words";
import { alertTurn, closeAlert } from "./alert";
import { soundTurn } from "./sound";
import { seatClient } from "./store";

/** Turns of this length have no clock [s]: those of a practice mat. */
export const UNTIMED_S = 3600;

const title = signal("");

/** Name the screen in the title of the tab, which a turn takes over while it lasts. */
export function entitle(text: string): void {
  title.value = text;
}

/** Whether it is this player's turn, and this page can act in it. */
export const myTurn = computed(() => {
  const seat = seatClient.value;
  if (!seat || seat.link.value.kind === "closed") return false;
  const { phase, turnSeat } = seat.state.value;
  return phase === "acting" && turnSeat !== null && turnSeat === seat.mySeat;
});

function announce(): void {
  const seat = seatClient.peek();
  if (!seat) return;
  const { seats, turnEndsAt, turnTotalS } = seat.state.peek();
  const timed = turnEndsAt > 0 && turnTotalS < UNTIMED_S;
  soundTurn();
  alertTurn(seats.map((one) => shortName(one.name)).join(", "), timed ? Math.max(0, (turnEndsAt - seat.serverNow()) / 1000) : null);
}

/** Called once. */
export function followTurn(): void {
  effect(() => {
    document.title = myTurn.value ? t("session.your-turn-tussle") : title.value || t("lobby.tussle");
  });
  effect(() => {
    if (!myTurn.value) return undefined;
    untracked(announce);
    document.addEventListener("visibilitychange", closeAlert);
    return () => {
      document.removeEventListener("visibilitychange", closeAlert);
      closeAlert();
    };
  });
}
