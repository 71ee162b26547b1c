// Numbers and names as people read them: thin groups, true minus, units; a gap is never rounded down to 0.

import { t } from "./words";

const THIN = "\u2009";

export function group(value: number): string {
  const [whole = "", rest] = Math.abs(value).toString().split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, THIN);
  return `${value < 0 ? "−" : ""}${grouped}${rest ? `.${rest}` : ""}`;
}

export function fixed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** m:ss */
export function minutes(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole >= 3600) return `${Math.floor(whole / 3600)}:${String(Math.floor(whole / 60) % 60).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A day and time of this place, such as "28 Nov, 00:41". at: [ms since 1970]. */
export function dayAndTime(at: number): string {
  return new Date(at).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

/** A moment: seconds with two decimals, m:ss.ss from a minute on. */
export function clockTime(seconds: number, digits = 2): string {
  const whole = Math.max(0, seconds);
  if (whole < 60) return `${whole.toFixed(digits)} s`;
  // Rounded first, so that 119.999 s is 2:00.00.
  const rounded = Number(whole.toFixed(digits));
  const rest = (rounded % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  const minute = Math.floor(rounded / 60);
  return minute < 60 ? `${minute}:${rest}` : `${Math.floor(minute / 60)}:${String(minute % 60).padStart(2, "0")}:${rest}`;
}

/** A gap in metres, in mm or µm, with the digits that keep it above 0. */
export function gap(metres: number): string {
  if (!Number.isFinite(metres)) return t("format.none-near");
  const mm = metres * 1000;
  if (mm >= 0.1) return t("format.mm", { mm: mm.toFixed(2) });
  const um = mm * 1000;
  if (um >= 0.1) return `${um.toFixed(um >= 10 ? 0 : 1)} µm`;
  return t("format.nm", { toPrecision: (um * 1000).toPrecision(2) });
}

/** A guest's name without the four characters that make it unique. */
export function shortName(name: string): string {
  return name.split("#")[0] || name;
}

/** A session's token as people type it: two groups of four. */
export function code(token: string): string {
  const upper = token.toUpperCase();
  return `${upper.slice(0, 4)} ${upper.slice(4)}`.trim();
}

/** What someone typed, as a token; a whole link works too. */
export function parseCode(text: string): string {
  const link = /(?:#\/s|\/r)\/([0-9a-z]{8})/i.exec(text);
  return (link?.[1] ?? text).toLowerCase().replace(/[^0-9a-z]/g, "");
}

export function ordinal(place: number): string {
  return ["", "first", "second", "third", "fourth", "fifth", "sixth"][place] ?? `${place}th`;
}

export function inWords(count: number): string {
  return t("format.numbers").split(" ")[count] ?? String(count);
}
