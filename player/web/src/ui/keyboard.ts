// Listens to the keys of the page as they are set, and names them.

import { useEffect, useRef } from "preact/hooks";
import { ACTS, keyOf, keysOf } from "../app/keys";
import type { Act } from "../app/keys";
import { t } from "../text/words";
import type { Vec3 } from "../wire/scene";

/** What keys do here. A handler that returns false leaves the key to the browser. */
export type Handlers = Readonly<Partial<Record<Act, (event: KeyboardEvent) => unknown>>>;

/** Where a key is typed, or chooses. */
const TYPING = "select, textarea, [contenteditable=true], input:not([type=range]):not([type=radio])";
/** Where Enter and Space press. */
const PRESSED = "button, a, summary";

/** A step by a key, and with Shift [m]. */
const COARSE = 0.05;
const FINE = 0.01;

/** The keys that move something by a step along an axis. */
export function steps(move: (by: Vec3, event: KeyboardEvent) => unknown): Handlers {
  const along = (x: number, y: number, z: number) => (event: KeyboardEvent) => {
    const by = event.shiftKey ? FINE : COARSE;
    return move([by * x, by * y, by * z], event);
  };
  return { west: along(-1, 0, 0), east: along(1, 0, 0), far: along(0, 0, -1), near: along(0, 0, 1), lift: along(0, 1, 0), lower: along(0, -1, 0) };
}

/** Calls the handler of an act for its key, outside of fields; not for letters and signs where the settings say so. */
export function useKeys(handlers: Handlers): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const at = event.target instanceof Element ? event.target : null;
      if (at?.matches(TYPING)) return;
      if ((event.key === "Enter" || event.key === " ") && at?.closest(PRESSED)) return;
      if (event.key.length === 1 && event.key !== " " && document.documentElement.dataset["keys"] === "off") return;
      const key = keyOf(event);
      const act = ACTS.find((one) => latest.current[one] && keysOf(one).includes(key));
      if (act && latest.current[act]!(event) !== false) event.preventDefault();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
}

/** A key as it is printed on a keyboard. */
export function keyName(key: string): string {
  const known: Readonly<Record<string, string>> = { " ": t("keys.space"), ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageUp: t("keys.pageup"), PageDown: t("keys.pagedown") };
  return known[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

/** The keys of some acts, as they are set: "1 … 9" for a row of digits. */
export function keyNames(...acts: readonly Act[]): string {
  const keys = acts.flatMap((act) => keysOf(act));
  const digits = keys.length > 3 && keys.every((key, i) => /^\d$/.test(key) && Number(key) === Number(keys[0]) + i);
  return digits ? `${keys[0]} … ${keys.at(-1)}` : keys.map(keyName).join(" ");
}

/** A text with the first key of an act: "Wireframe, W". */
export function withKey(text: string, act: Act): string {
  return `${text}, ${keyName(keysOf(act)[0]!)}`;
}

/** The keys of a turn, for texts. */
export function aimKeys(): Readonly<Record<"aim" | "spin" | "launch", string>> {
  return { aim: keyNames("left", "right", "stronger", "weaker"), spin: keyNames("rise", "sink"), launch: keyNames("launch") };
}
