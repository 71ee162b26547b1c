// What a person chose for this browser, besides the sound (sound.ts): theme, motion, picture, units, language, keys. Kept
// in the browser only.

import { computed, effect, signal } from "@preact/signals";
import { setUnits } from "../text/units";
import type { Units } from "../text/units";
import { LANGUAGES, speak } from "../text/words";
import { load, save } from "./kept";
import { calm, chosenTheme, wantedMotion } from "./store";
import type { Motion } from "./store";

/** How a picture is drawn: by itself, or one of the stage's tiers. */
export const QUALITIES = ["auto", "A", "B", "C", "H", "D"] as const;
export type Quality = (typeof QUALITIES)[number];

function among<T extends string>(key: string, values: readonly T[], otherwise: T): T {
  const kept = load<string>(key);
  return values.find((one) => one === kept) ?? otherwise;
}

export const quality = signal<Quality>(among("tussle.quality", QUALITIES, "auto"));
export const units = signal<Units>(among("tussle.units", ["si", "us"], "si"));
export const language = signal<string>(among("tussle.language", Object.keys(LANGUAGES), "en"));
/** Whether single letters and digits are keys. */
export const letterKeys = signal(load<boolean>("tussle.keys") ?? true);
/** The tier of the stage that was made last, for the settings. */
export const drawnTier = signal("");

/** The tier to draw with, or null: as this machine can. The address may name one: ?tier=C. */
export const wantedTier = computed(() => new URLSearchParams(globalThis.location?.search ?? "").get("tier") ?? (quality.value === "auto" ? null : quality.value));

export function chooseTheme(theme: "system" | "light" | "dark"): void {
  chosenTheme.value = theme === "system" ? null : theme;
  save("tussle.theme", chosenTheme.value);
}

export function chooseMotion(motion: Motion): void {
  wantedMotion.value = motion;
  save("tussle.motion", motion);
}

export function chooseQuality(chosen: Quality): void {
  quality.value = chosen;
  save("tussle.quality", chosen);
}

export function chooseUnits(chosen: Units): void {
  units.value = chosen;
  save("tussle.units", chosen);
}

export function chooseLanguage(code: string): void {
  language.value = code;
  save("tussle.language", code);
}

export function chooseLetterKeys(on: boolean): void {
  letterKeys.value = on;
  save("tussle.keys", on);
}

/** Let what was chosen act on the page. Called once. */
export function applySettings(): void {
  effect(() => setUnits(units.value));
  effect(() => {
    speak(language.value);
    document.documentElement.lang = language.value;
  });
  effect(() => {
    document.documentElement.dataset["motion"] = calm.value ? "less" : "full";
    document.documentElement.dataset["keys"] = letterKeys.value ? "on" : "off";
  });
}
