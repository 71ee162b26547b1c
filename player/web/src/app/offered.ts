// The modes that the server offers, and the parameters that this page chose for them.

import { signal } from "@preact/signals";
import type { OfferedMode } from "../wire/answers";
import type { Param } from "../wire/api";

/** The modes that the server offers; null until it has said so. */
export const offered = signal<readonly OfferedMode[] | null>(null);

/** The parameters that this page chose for new lobbies of a mode, where they differ from the defaults. */
export const wantedParams = signal<Readonly<Record<string, Readonly<Record<string, Param>>>>>({});

export function chooseParam(mode: string, name: string, value: Param, standard: unknown): void {
  const { [name]: _, ...others } = wantedParams.value[mode] ?? {};
  wantedParams.value = { ...wantedParams.value, [mode]: value === standard ? others : { ...others, [name]: value } };
}

/** The chosen parameters for a new lobby of a mode. */
export function chosenParams(mode: string): { params?: Readonly<Record<string, Param>> } {
  const chosen = wantedParams.value[mode] ?? {};
  return Object.keys(chosen).length ? { params: chosen } : {};
}
