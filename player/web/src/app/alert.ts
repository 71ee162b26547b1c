// Says that it is your turn while the tab is hidden: a notification of the browser, by consent only. The title of the tab
// and the sound (sound.ts) say it in any case.

import { signal } from "@preact/signals";
import { t } from "../text/words";
import { load, save } from "./kept";

/** One notification of this page replaces another. */
const TAG = "tussle-turn";

/** Whether a turn is notified: asked for here, and granted by the browser. */
export const alerts = signal(load<boolean>("tussle.alerts") === true && permission() === "granted");
/** Whether the browser refused when it was asked. */
export const refusedAlerts = signal(false);
let shown: Notification | null = null;

function permission(): NotificationPermission | null {
  return globalThis.Notification?.permission ?? null;
}

export const canAlert = (): boolean => permission() !== null;

/** Turn the notifications on, which asks the browser's consent, or off. */
export async function chooseAlerts(wanted: boolean): Promise<void> {
  const granted = wanted && (permission() === "granted" || (await Notification.requestPermission()) === "granted");
  refusedAlerts.value = wanted && !granted;
  alerts.value = granted;
  save("tussle.alerts", granted);
}

/** It is this player's turn. left: [s]; null: without a clock. */
export function alertTurn(title: string, left: number | null): void {
  if (!document.hidden || !alerts.peek()) return;
  shown?.close();
  shown = new Notification(t("turn.alert"), { body: left === null ? title : t("turn.alert.body", { title, n: Math.ceil(left) }), tag: TAG });
  shown.onclick = () => {
    window.focus();
    shown?.close();
  };
}

/** The page is seen again, or the turn is over: nothing is left to say. */
export function closeAlert(): void {
  shown?.close();
  shown = null;
}
