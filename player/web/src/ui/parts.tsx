// Small parts that every screen uses: icons, the round trip, the ruler, the row of choices. No state of the page.

import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../text/words";

const PATHS = {
  search: "M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.5 10.5 14 14",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z",
  plus: "M8 3v10M3 8h10",
  undo: "M6 3 2.5 6.5 6 10M2.5 6.500H10a3.500 3.500 0 0 1 0 7H7",
  redo: "M10 3l3.500 3.500L10 10M13.500 6.500H6a3.500 3.500 0 0 0 0 7h3",
  up: "M8 13V3M3.5 7.5 8 3l4.5 4.5",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5 13 13M3 13l1.5-1.5M11.5 4.5 13 3",
  gear: "M8 5.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5zM8 1.500v2M8 12.500v2M1.500 8h2M12.500 8h2M3.400 3.400l1.400 1.400M11.200 11.200l1.400 1.400M3.400 12.600l1.400-1.400M11.200 4.800l1.400-1.400M8 3.500a4.500 4.500 0 1 1 0 9 4.500 4.500 0 0 1 0-9z",
  home: "M2 5V2h3M11 2h3v3M14 11v3h-3M5 14H2v-3M8 6a2 2 0 1 1 0 4 2 2 0 0 1 0-4z",
  wire: "M8 1.8 14 5v6l-6 3.2L2 11V5zM2 5l6 3.2L14 5M8 8.2v6",
  link: "M6.5 9.5 9.5 6.5M7 4.5l1-1a3 3 0 0 1 4.5 4.5l-1 1M9 11.5l-1 1A3 3 0 0 1 3.5 8l1-1",
  list: "M3 4h10M3 8h10M3 12h6",
  warn: "M8 2 15 14H1zM8 6.5v3.5M8 12v.1",
  check: "m3 8.5 3.5 3.5L13 4.5",
  cross: "m4 4 8 8M12 4l-8 8",
  play: "M5 3.2 12.5 8 5 12.8z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  back: "M12.5 3.5v9L6.5 8zM3.8 3.5v9",
  on: "M3.5 3.5v9L9.5 8zM12.2 3.5v9",
  flag: "M4 14V2.5h7.5L9.5 5.5l2 3H4",
  fork: "M4.5 5.5v5M4.5 5.5a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM4.5 14.1a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM11.5 5.5a1.8 1.8 0 1 0 0-3.6 1.8 1.8 0 0 0 0 3.6zM11.5 5.5v.6c0 2-7 1.4-7 4.4",
  arrow: "M2.5 13.5 13 3M6.5 3H13v6.5",
  touch: "M6 2v3.5M10 14v-3.5M2 8h3.5M10.5 8H14M3.8 3.8l1.7 1.7M10.5 10.5l1.7 1.7M12.2 3.8l-1.7 1.7M5.5 10.5l-1.7 1.7",
  sound: "M2 6v4h2.500L8 13V3L4.500 6zM10.500 5.500a3.500 3.500 0 0 1 0 5M12.500 3.500a6.400 6.400 0 0 1 0 9",
  mute: "M2 6v4h2.500L8 13V3L4.500 6zM10.500 6l4 4M14.500 6l-4 4",
  rewind: "M8 3.5v9L2 8zM14 3.5v9L8 8z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** Three bars and the number; never colour alone. */
export function Rtt({ ms }: { ms: number | null }) {
  const grade = ms === null ? "" : ms <= 80 ? "g" : ms <= 200 ? "m" : "b";
  const word = ms === null ? t("parts.not-measured") : ms <= 80 ? t("parts.good") : ms <= 200 ? t("parts.fair") : t("parts.slow");
  return (
    <span class="row" style={{ gap: "6px" }} title={t("parts.round-trip-to-the-server", { word })}>
      <span class={`rtt ${grade}`} aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      <span class="data" data-test="rtt">
        {ms === null ? "– ms" : t("parts.ms", { ms })}
      </span>
    </span>
  );
}

/** A printed scale: a tick per step, longer every 5 and 10. `at`: 0 to 1, the past is dimmed. */
export function Ruler({ ticks, at, needle }: { ticks: number; at: number | null; needle?: "now" | "other" | null }) {
  const paths: [string, string] = ["", ""];
  const past = at === null ? -1 : at;
  for (let i = 0; i <= ticks; i++) {
    const x = (1000 * i) / ticks;
    const height = i % 10 === 0 ? 22 : i % 5 === 0 ? 13.2 : 7.5;
    paths[i / ticks < past ? 0 : 1] += `M${x.toFixed(2)} 22v-${height}`;
  }
  return (
    <div class="ruler" aria-hidden="true">
      <svg viewBox="0 0 1000 22" preserveAspectRatio="none">
        <path class="past" d={paths[0]} />
        <path d={paths[1]} />
      </svg>
      {needle && at !== null && <span class={needle === "now" ? "needle" : "needle other"} style={{ left: `${100 * Math.min(1, Math.max(0, at))}%` }} />}
    </div>
  );
}

/** One of several, as a row of buttons. */
export function Segmented<T extends string | number>({ label, options, value, onChoose, tight = false }: { label: string; tight?: boolean; options: readonly { value: T; text: string; title?: string }[]; value: T; onChoose: (value: T) => void }) {
  const row = useRef<HTMLDivElement>(null);
  const step = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const index = (options.findIndex((option) => option.value === value) + by + options.length) % options.length;
    onChoose(options[index]!.value);
    row.current?.querySelectorAll("button")[index]?.focus();
  };
  return (
    <div class={tight ? "seg tight" : "seg"} role="radiogroup" aria-label={label} ref={row} onKeyDown={step}>
      {options.map((option) => (
        <button key={option.value} type="button" role="radio" aria-checked={option.value === value} tabIndex={option.value === value ? 0 : -1} title={option.title} onClick={() => onChoose(option.value)}>
          {option.text}
        </button>
      ))}
    </div>
  );
}

/** Whether a media query matches, followed. */
export function useMatch(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const look = (): void => setMatches(list.matches);
    look();
    list.addEventListener("change", look);
    return () => list.removeEventListener("change", look);
  }, [query]);
  return matches;
}
