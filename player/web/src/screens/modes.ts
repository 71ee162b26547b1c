// The modes: names, sizes, and the rules in a few lines.

import { shortName } from "../text/format";

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

const CARDS: Readonly<Record<string, ModeCard>> = {
  duel: {
    name: "Duel",
    how: "Rules of the duel",
    short: "Duel",
    sizes: [2, 3, 4, 6],
    size: 2,
    on: "on the mat",
    bodies: true,
    builds: false,
    alone: false,
    practice: true,
    rules: [
      "Pull back from your body and let go: it flies the other way.",
      "A blow does damage by its impulse, in N·s. The side with the eyes is soft.",
      "Or spin it, hop to another place, or brace to take less damage.",
      "A body that leaves the mat or has no health is out. The last one wins.",
      "From round 5 on two sides of the mat fall before each round. They crack a round before.",
    ],
    facts: [
      ["Mat", "octagon, 3.6 m"],
      ["Friction", "μ 0.4"],
      ["Step", "1/60 s"],
    ],
  },
  curling: {
    name: "Curling",
    how: "Rules of curling",
    short: "Curling",
    sizes: [2, 3, 4],
    size: 2,
    on: "on the sheet",
    bodies: false,
    builds: false,
    alone: false,
    practice: true,
    rules: [
      "Pull back from your stone and let go: it slides down the sheet.",
      "A stone that rests short of the first metre, or goes over the edge, is lost.",
      "The first three throws of an end must not push another player’s stone off.",
      "Nearest to the button scores: one point for each stone nearer than the others’ best.",
    ],
    facts: [
      ["Sheet", "8 × 2 m"],
      ["Friction", "μ 0.1"],
      ["Full speed", "4.2 m/s"],
      ["Stone", "18.8 kg"],
    ],
  },
  sandbox: {
    name: "Sandbox",
    how: "Rules of the sandbox",
    short: "Sandbox",
    sizes: [1, 2, 4, 8],
    size: 2,
    on: "in the box",
    bodies: false,
    builds: true,
    alone: true,
    practice: false,
    rules: [
      "Take any body by the point you touch, and pull.",
      "One player at a time holds a point; several may hold one body.",
      "Put bodies on the mat, stack them, take them away.",
      "The host pauses, resets and sets gravity. Nobody wins.",
    ],
    facts: [
      ["Step", "1/30 s"],
      ["Held points, at most", "8"],
      ["Bodies, at most", "128"],
    ],
  },
  "spring-damper": {
    name: "Spring-damper",
    how: "What the spring shows",
    short: "Spring",
    sizes: [1, 3, 6],
    size: 1,
    on: "at the rig",
    bodies: false,
    builds: false,
    alone: true,
    practice: false,
    rules: [
      "A mass on a spring with a damper: start it where you like.",
      "One solver steps the velocity, the other the position, over two streams.",
      "Both are plotted on top of the closed form of the scheme.",
    ],
    facts: [["Step", "0.1 s"]],
  },
};

export const MODES: readonly { readonly id: string; readonly name: string }[] = Object.entries(CARDS).map(([id, card]) => ({ id, name: card.short }));

/** The card of a mode. A mode that this client does not know gets an empty one. */
export function modeCard(mode: string): ModeCard {
  // Whether an own mode of the server builds its scene, the server says.
  return CARDS[mode] ?? { ...CARDS["duel"]!, builds: true, name: mode, how: "", short: mode, rules: [], facts: [], practice: false };
}

export function modeName(mode: string): string {
  return modeCard(mode).name;
}

/** What a session is called: its host's name and its mode. */
export function sessionTitle(view: { host: string; mode: string; seats: readonly { player: string; name: string }[] }): string {
  const host = view.seats.find((seat) => seat.player === view.host) ?? view.seats[0];
  return host ? `${shortName(host.name)}’s ${modeName(view.mode).toLowerCase()}` : modeName(view.mode);
}
