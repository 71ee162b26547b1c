// The keys of the page: on which screens each acts, and which key a person has set for it. Kept in the browser. Keys of
// single controls (arrows in a row of choices, Escape in a panel) are not here: they are the same on every page.

import { signal } from "@preact/signals";
import { load, save } from "./kept";

/** Where keys act. turn: a match that is played in turns; editor: a scene before its start; waiting: other lobbies. */
export type KeyScreen = "lobby" | "waiting" | "turn" | "sandbox" | "spring" | "replay" | "editor";

const ALL: readonly KeyScreen[] = ["lobby", "waiting", "turn", "sandbox", "spring", "replay", "editor"];
const SESSION: readonly KeyScreen[] = ["waiting", "turn", "sandbox", "spring", "editor"];
const MAT: readonly KeyScreen[] = ["turn", "sandbox", "replay", "editor"];
const LOBBY: readonly KeyScreen[] = ["lobby"];
const TURN: readonly KeyScreen[] = ["turn"];
const SANDBOX: readonly KeyScreen[] = ["sandbox"];
const REPLAY: readonly KeyScreen[] = ["replay"];
const EDITOR: readonly KeyScreen[] = ["editor"];
const BUILD: readonly KeyScreen[] = ["editor", "sandbox"];

/** Each act of a key, where it acts, and its keys until another is set. kind3: the third thing to do in a turn. */
const TABLE = [
  ["help", ALL, ["?"]],
  ["sound", SESSION, ["m"]],
  ["search", LOBBY, ["/"]],
  ["open", LOBBY, ["n"]],
  ["left", TURN, ["ArrowLeft"]],
  ["right", TURN, ["ArrowRight"]],
  ["stronger", TURN, ["ArrowUp"]],
  ["weaker", TURN, ["ArrowDown"]],
  ["rise", TURN, ["PageUp"]],
  ["sink", TURN, ["PageDown"]],
  ["launch", TURN, ["Enter"]],
  ["kind1", TURN, ["1"]],
  ["kind2", TURN, ["2"]],
  ["kind3", TURN, ["3"]],
  ["kind4", TURN, ["4"]],
  ["kind5", TURN, ["5"]],
  ["kind6", TURN, ["6"]],
  ["kind7", TURN, ["7"]],
  ["kind8", TURN, ["8"]],
  ["kind9", TURN, ["9"]],
  ["camera", MAT, ["0"]],
  ["wire", MAT, ["w"]],
  ["body1", SANDBOX, ["1"]],
  ["body2", SANDBOX, ["2"]],
  ["body3", SANDBOX, ["3"]],
  ["body4", SANDBOX, ["4"]],
  ["body5", SANDBOX, ["5"]],
  ["body6", SANDBOX, ["6"]],
  ["pause", SANDBOX, [" "]],
  ["play", REPLAY, [" "]],
  ["back", REPLAY, ["ArrowLeft", ","]],
  ["on", REPLAY, ["ArrowRight", "."]],
  ["slower", REPLAY, ["-"]],
  ["faster", REPLAY, ["+"]],
  ["first", REPLAY, ["Home"]],
  ["last", REPLAY, ["End"]],
  ["mark", REPLAY, ["b"]],
  ["fork", REPLAY, ["f"]],
  ["follow", REPLAY, ["c"]],
  ["velocity", REPLAY, ["v"]],
  ["contacts", REPLAY, ["x"]],
  ["present", REPLAY, ["p"]],
  ["live", REPLAY, ["l"]],
  ["move", EDITOR, ["1"]],
  ["turn", EDITOR, ["2"]],
  ["scale", EDITOR, ["3"]],
  ["west", BUILD, ["ArrowLeft"]],
  ["east", BUILD, ["ArrowRight"]],
  ["far", BUILD, ["ArrowUp"]],
  ["near", BUILD, ["ArrowDown"]],
  ["lift", BUILD, ["PageUp"]],
  ["lower", BUILD, ["PageDown"]],
  ["turnleft", EDITOR, ["[", "{"]],
  ["turnright", EDITOR, ["]", "}"]],
  ["copy", EDITOR, ["d"]],
  ["ground", EDITOR, ["g"]],
  ["stack", EDITOR, ["s"]],
  ["remove", EDITOR, ["Delete", "Backspace"]],
  ["tickback", EDITOR, [","]],
  ["tickon", EDITOR, ["."]],
] as const satisfies readonly (readonly [string, readonly KeyScreen[], readonly string[]])[];

export type Act = (typeof TABLE)[number][0];

/** Every act, in the order of the list. */
export const ACTS: readonly Act[] = TABLE.map(([act]) => act);

const ROWS: readonly (readonly [Act, readonly KeyScreen[], readonly string[]])[] = TABLE;
const WHERE = Object.fromEntries(ROWS.map(([act, screens]) => [act, screens])) as Readonly<Record<Act, readonly KeyScreen[]>>;
const FIRST = Object.fromEntries(ROWS.map(([act, , keys]) => [act, keys])) as Readonly<Record<Act, readonly string[]>>;

/** Keys that are the browser's or every page's. */
const FIXED = /^(Tab|Escape|Shift|Control|Alt|AltGraph|Meta|CapsLock|NumLock|ScrollLock|ContextMenu|Dead|Process|Unidentified|F\d+)$/;

/** Why a key was not set: it is one of every page, or an act on a screen of this one has it. */
export type Refusal = "fixed" | { readonly taken: Act };

type Chosen = Readonly<Partial<Record<Act, string>>>;

function read(kept: unknown): Chosen {
  let chosen: Chosen = {};
  if (typeof kept !== "object" || kept === null) return chosen;
  for (const act of ACTS) {
    const key = (kept as Record<string, unknown>)[act];
    if (typeof key === "string" && key.length > 0 && refusalOf(chosen, act, [key]) === null) chosen = { ...chosen, [act]: key };
  }
  return chosen;
}

/** The keys that somebody has set, by their act. */
const chosen = signal<Chosen>({});
chosen.value = read(load<unknown>("tussle.keymap"));

function keysIn(all: Chosen, act: Act): readonly string[] {
  const key = all[act];
  return key === undefined ? FIRST[act] : [key];
}

function refusalOf(all: Chosen, act: Act, keys: readonly string[]): Refusal | null {
  if (keys.some((key) => FIXED.test(key))) return "fixed";
  const taken = ACTS.find((other) => other !== act && WHERE[other].some((screen) => WHERE[act].includes(screen)) && keysIn(all, other).some((key) => keys.includes(key)));
  return taken ? { taken } : null;
}

/** The key of an event: letters without regard to Shift. */
export function keyOf(event: Pick<KeyboardEvent, "key">): string {
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** The keys of an act as they are set. */
export function keysOf(act: Act): readonly string[] {
  return keysIn(chosen.value, act);
}

/** The acts on a screen. */
export function actsOn(screen: KeyScreen): Act[] {
  return ACTS.filter((act) => WHERE[act].includes(screen));
}

/** The acts that have this place in the list: of every screen, of several, or of one. */
export function groupOf(act: Act): "everywhere" | "mat" | "build" | KeyScreen {
  const screens = WHERE[act];
  return screens === ALL || screens === SESSION ? "everywhere" : screens === MAT ? "mat" : screens === BUILD ? "build" : screens[0]!;
}

export function isChanged(act: Act): boolean {
  return chosen.value[act] !== undefined;
}

/** Set the one key of an act. A key that is refused changes nothing. */
export function setKey(act: Act, key: string): Refusal | null {
  const refusal = refusalOf(chosen.value, act, [key]);
  if (refusal === null) keep({ ...chosen.value, [act]: key });
  return refusal;
}

/** Give an act the keys that it has by itself; refused if another act has one of them by now. */
export function resetKey(act: Act): Refusal | null {
  const refusal = refusalOf(chosen.value, act, FIRST[act]);
  if (refusal === null) keep(Object.fromEntries(Object.entries(chosen.value).filter(([other]) => other !== act)));
  return refusal;
}

export function resetKeys(): void {
  keep({});
}

function keep(next: Chosen): void {
  chosen.value = next;
  save("tussle.keymap", next);
}
