// The signs and lines that one press says. They are lines of chat: the server bounds and prices them as such.

import type { Word } from "../text/words";

/** Signs that the fonts of every machine have; pictures in colour are missing on many. */
export const EMOTES: readonly { readonly sign: string; readonly word: Word }[] = [
  { sign: "★", word: "quick.star" },
  { sign: "♥", word: "quick.heart" },
  { sign: "!", word: "quick.wow" },
  { sign: "?", word: "quick.what" },
];

export const LINES: readonly Word[] = ["quick.luck", "quick.nice", "quick.close", "quick.thanks", "quick.again"];

/** Whether a line of chat is a sign that is shown over a body. */
export const isEmote = (text: string): boolean => EMOTES.some(({ sign }) => sign === text);
