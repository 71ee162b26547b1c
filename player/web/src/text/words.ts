// The words of the page in the language that is chosen.

import { signal } from "@preact/signals";
import { en } from "./lang/en";

export type Word = keyof typeof en;
export type Words = Readonly<Record<Word, string>>;

/** The languages that there are, by their code, each with its own name. */
export const LANGUAGES: Readonly<Record<string, { readonly name: string; readonly words: Words }>> = { en: { name: "English", words: en } };

/** Read by every text, so that a component shows it again when it changes. */
const spoken = signal<{ readonly words: Words; readonly plurals: Intl.PluralRules }>({ words: en, plurals: new Intl.PluralRules("en") });

/** Use a language from now on; English where there is none of that code. */
export function speak(code: string): void {
  const known = LANGUAGES[code];
  spoken.value = { words: known?.words ?? en, plurals: new Intl.PluralRules(known ? code : "en") };
}

/** A line with its values. Of "one|other" the form that fits `n` is taken. */
export function t(word: Word, values: Readonly<Record<string, string | number>> = {}): string {
  const { words, plurals } = spoken.value;
  const forms = words[word].split("|");
  const n = values["n"];
  const form = forms.length > 1 && typeof n === "number" && plurals.select(n) !== "one" ? forms[1]! : forms[0]!;
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? shown(name, values[name]!) : whole));
}

/** A count has its digits in groups of three; other values are as they come. */
const shown = (name: string, value: string | number): string => (name === "n" ? String(value).replace(/\B(?=(\d{3})+$)/g, "\u2009") : String(value));
