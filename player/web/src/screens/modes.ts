// The modes: names, sizes, and the rules in a few lines.

import { computed } from "@preact/signals";
import { offered } from "../app/offered";
import { title } from "../session/wording";
import { shortName } from "../text/format";
import { t } from "../text/words";

interface ModeCard {
  readonly name: string;
  /** The heading of the rules. */
  readonly how: string;
  /** The name on a narrow button. */
  readonly short: string;
  readonly sizes: readonly number[];
  /** The size that is chosen with the mode. */
  readonly size: number;
  /** Follows the number of seats, as in "two on the mat". */
  readonly on: string;
  /** Whether each player chooses a body. */
  readonly bodies: boolean;
  /** Whether the members may build the scene while they wait. */
  readonly builds: boolean;
  /** Whether it is for one as well: there are no opponents. */
  readonly alone: boolean;
  readonly rules: readonly string[];
  /** Whether one can practise it against a dummy. */
  readonly practice: boolean;
  /** Facts for the waiting lobby, beside the parameters that the host chose. */
  readonly facts: readonly (readonly [string, string])[];
}

const CARDS = computed((): Readonly<Record<string, ModeCard>> => ({
  duel: {
    name: t("modes.duel"),
    how: t("modes.rules-of-the-duel"),
    short: t("modes.duel"),
    sizes: [2, 3, 4, 6],
    size: 2,
    on: t("modes.on-the-mat"),
    bodies: true,
    builds: false,
    alone: false,
    practice: true,
    rules: [
        t("modes.pull-back-from-your-body"),
        t("modes.a-blow-does-damage-by"),
        t("modes.or-spin-it-hop-to"),
        t("modes.a-body-that-leaves-the"),
        t("modes.from-round-5-on-two"),
      ] as const,
    facts: [
        [t("modes.mat"), "octagon, 3.6 m"],
        [t("modes.friction"), "μ 0.4"],
        [t("modes.step"), "1/60 s"],
      ] as const,
  },
  curling: {
    name: t("modes.curling"),
    how: t("modes.rules-of-curling"),
    short: t("modes.curling"),
    sizes: [2, 3, 4],
    size: 2,
    on: t("modes.on-the-sheet"),
    bodies: false,
    builds: false,
    alone: false,
    practice: true,
    rules: [
        t("modes.pull-back-from-your-stone"),
        t("modes.a-stone-that-rests-short"),
        t("modes.the-first-three-throws-of"),
        t("modes.nearest-to-the-button-scores"),
      ] as const,
    facts: [
        [t("modes.sheet"), "8 × 2 m"],
        [t("modes.friction"), "μ 0.1"],
        [t("modes.full-speed"), "4.2 m/s"],
        [t("modes.stone"), "18.8 kg"],
      ] as const,
  },
  sandbox: {
    name: t("modes.sandbox"),
    how: t("modes.rules-of-the-sandbox"),
    short: t("modes.sandbox"),
    sizes: [1, 2, 4, 8],
    size: 2,
    on: t("modes.in-the-box"),
    bodies: false,
    builds: true,
    alone: true,
    practice: false,
    rules: [
        t("modes.take-any-body-by-the"),
        t("modes.one-player-at-a-time"),
        t("modes.put-bodies-on-the-mat"),
        t("modes.the-host-pauses-resets-and"),
      ] as const,
    facts: [
        [t("modes.step"), "1/30 s"],
        [t("modes.held-points-at-most"), "8"],
        [t("modes.bodies-at-most"), "128"],
      ] as const,
  },
  "spring-damper": {
    name: t("modes.spring-damper"),
    how: t("modes.what-the-spring-shows"),
    short: t("modes.spring"),
    sizes: [1, 3, 6],
    size: 1,
    on: t("modes.at-the-rig"),
    bodies: false,
    builds: false,
    alone: true,
    practice: false,
    rules: [
        t("modes.a-mass-on-a-spring"),
        t("modes.one-solver-steps-the-velocity"),
        t("modes.both-are-plotted-on-top"),
      ] as const,
    facts: [[t("modes.step"), "0.1 s"]] as const,
  },
}));

/** Most sizes that one chooses from by a button each. */
const SIZES = 6;

/** The modes to choose from: those that the server offers, or those of this client until it has said so. */
export function modes(): readonly { readonly id: string; readonly name: string }[] {
  const ids = offered.value?.map((one) => one.mode) ?? Object.keys(CARDS.value);
  return ids.map((id) => ({ id, name: modeCard(id).short }));
}

/** Whether the server brings this mode along: the client knows nothing of it but what the server says. */
export function isOwn(mode: string): boolean {
  return !(mode in CARDS.value);
}

/** The card of a mode. */
export function modeCard(mode: string): ModeCard {
  const known = CARDS.value[mode];
  if (known) return known;
  const said = offered.value?.find((one) => one.mode === mode);
  const [low, high] = said?.seats ?? [2, 2];
  const sizes = Array.from({ length: Math.min(SIZES, high - low + 1) }, (_, i) => low + i);
  return {
    name: title(mode),
    how: "",
    short: title(mode),
    sizes,
    size: sizes.includes(2) ? 2 : low,
    on: t("modes.playing"),
    bodies: true,
    builds: said?.builds ?? false,
    alone: said ? low === 1 : false,
    practice: false,
    rules: [],
    facts: [],
  };
}

export function modeName(mode: string): string {
  return modeCard(mode).name;
}

/** What a session is called: its host's name and its mode. */
export function sessionTitle(view: { host: string; mode: string; seats: readonly { player: string; name: string }[] }): string {
  const host = view.seats.find((seat) => seat.player === view.host) ?? view.seats[0];
  return host ? `${shortName(host.name)}’s ${modeName(view.mode).toLowerCase()}` : modeName(view.mode);
}
