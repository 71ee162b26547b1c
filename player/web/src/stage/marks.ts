// A player's mark: colour, shape and initial, always with a line around it. As SVG text; ui/marks.tsx is the component.

import { shortName } from "../text/format";

export const SHAPES = [
  '<circle cx="12" cy="12" r="9"/>',
  '<rect x="3.5" y="3.5" width="17" height="17" rx="4.5"/>',
  '<path d="M12 1.8 22.6 20.4H1.4z"/>',
  '<path d="M12 1.4 22.6 12 12 22.6 1.4 12z"/>',
  '<path d="M12 3.2 20.8 9.6 17.4 20H6.6L3.2 9.6z"/>',
  '<path d="M7.4 4h9.2L21.2 12l-4.6 8H7.4L2.8 12z"/>',
  '<path d="M12 3.1a5 5 0 0 1 8.9 5.2 5 5 0 0 1 0 7.4 5 5 0 0 1-8.9 5.2 5 5 0 0 1-8.9-5.2 5 5 0 0 1 0-7.4A5 5 0 0 1 12 3.1z"/>',
  '<path d="M8.6 3.4h6.8v5.2h5.2v6.8h-5.2v5.2H8.6v-5.2H3.4V8.6h5.2z"/>',
  '<path d="M1.2 12Q12 -1.6 22.8 12 12 25.6 1.2 12z"/>',
] as const;

export const BASELINE = [16, 16, 18.2, 16, 16.6, 16, 16, 16, 16] as const;

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

let letters: ReadonlyMap<string, string> = new Map();

/** A letter for each name, so that no two of them have the same: the first, else the next one in which those that share
 * it differ, else a number. */
export function lettersOf(names: readonly string[]): Map<string, string> {
  const spelled = new Map(names.map((name) => [shortName(name), [...shortName(name).replace(/[^\p{L}\p{N}]/gu, "").toUpperCase()]]));
  const found = new Map<string, string>();
  const groups = new Map<string, string[]>();
  for (const [name, spelling] of spelled) groups.set(spelling[0] ?? "?", [...(groups.get(spelling[0] ?? "?") ?? []), name]);
  let number = 0;
  for (const [first, group] of [...groups].sort(([, a], [, b]) => a.length - b.length)) {
    const longest = Math.max(...group.map((name) => spelled.get(name)!.length));
    let at = 0;
    for (; at < longest; at++) {
      const tried = group.map((name) => spelled.get(name)![at] ?? "");
      if (new Set(tried).size === group.length && !tried.includes("") && !tried.some((letter) => [...found.values()].includes(letter))) break;
    }
    for (const name of group) found.set(name, group.length === 1 ? first : (spelled.get(name)![at] ?? String(++number)));
  }
  return found;
}

/** Give the marks of these names letters that differ, until others are named. */
export function distinguish(names: readonly string[]): void {
  letters = lettersOf(names);
}

export function initial(name: string): string {
  const short = shortName(name);
  return letters.get(short) ?? [...short.trim()][0]?.toUpperCase() ?? "?";
}

/** The mark as an SVG element in text, for what is drawn outside Preact. */
export function markSvg(mark: number, name: string, size: number): string {
  return (
    `<svg class="mark m${mark + 1}" width="${size}" height="${size}" viewBox="0 0 24 24" aria-hidden="true">` +
    `<g class="mk" style="fill:var(--p${mark + 1})">${SHAPES[mark] ?? SHAPES[0]}</g>` +
    `<text x="12" y="${BASELINE[mark] ?? 16}">${escape(initial(name))}</text></svg>`
  );
}
