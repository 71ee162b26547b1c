// Own templates: scenes that this browser keeps, listed beside those of the catalogue. They need no account, and
// the server keeps nothing: a new lobby is sent the document. For another machine there are scene files.

import { signal } from "@preact/signals";

export interface OwnTemplate {
  readonly name: string;
  /** The document, tussle-scene/1. */
  readonly scene: string;
}

/** How an own template is chosen among those of the catalogue, whose ids have no space. */
export const ownKey = (name: string): string => `own ${name}`;

const KEY = "tussle.templates";
export const MOST_TEMPLATES = 24;
/** What the server takes when a lobby opens. */
const MOST_BYTES = 131_072;

function kept(): readonly OwnTemplate[] {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]") as unknown;
    return Array.isArray(found) ? found.filter((one): one is OwnTemplate => typeof one?.name === "string" && typeof one?.scene === "string") : [];
  } catch {
    return [];
  }
}

export const ownTemplates = signal<readonly OwnTemplate[]>(kept());

/** Keep a scene under a name; one of the same name is replaced. Throws Error, and then nothing has changed. */
export function keepTemplate(name: string, scene: Readonly<Record<string, unknown>>): void {
  const wanted = name.trim().slice(0, 60);
  if (!wanted) throw new Error("A template needs a name.");
  const text = JSON.stringify({ ...scene, name: wanted });
  if (new TextEncoder().encode(text).length > MOST_BYTES) throw new Error("The scene is too large for a template. Save it as a file.");
  const others = kept().filter((one) => one.name !== wanted);
  if (others.length >= MOST_TEMPLATES) throw new Error(`This browser keeps ${MOST_TEMPLATES} templates. Remove one in the lobby first.`);
  write([...others, { name: wanted, scene: text }].sort((a, b) => a.name.localeCompare(b.name)));
}

export function removeTemplate(name: string): void {
  write(kept().filter((one) => one.name !== name));
}

function write(list: readonly OwnTemplate[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(list));
  } catch {
    throw new Error("The browser keeps no more. Save the scene as a file.");
  }
  ownTemplates.value = list;
}
