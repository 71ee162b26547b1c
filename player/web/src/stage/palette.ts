// The colours of the world and of its players; the chrome's are in style/tokens.css.

export const PLAYER_COLOURS = ["#F58220", "#8ED6FF", "#D63A2B", "#F6F1E4", "#A487FF", "#C6DB4A", "#3B62E8", "#34C2A0"] as const;

/** Marks in the order of seats. Red and cobalt, the darkest on the mat, come last. */
const GIVEN = [0, 1, 4, 3, 5, 7, 2, 6] as const;

/** The mark (0 to 7: colour and shape) of a seat. */
export function markOfSeat(seat: number): number {
  return GIVEN[((seat % 8) + 8) % 8]!;
}

/** The mark of a player without a seat: always the same for one player. */
export function markOfPlayer(player: string): number {
  let hash = 0;
  for (const char of player) hash = (hash * 31 + char.charCodeAt(0)) >>> 0;
  return GIVEN[hash % 6]!;
}

/** The mark of everybody who watches: a grey eye, which no seat has. */
export const OBSERVER_MARK = 8;

/** The colours of bodies without a seat: stone, oak, slate; never a player's colour. */
export const PROP = "#8FA39B";
const PROPS = [PROP, "#B9A88C", "#9FB0BC", "#C7C2B4"] as const;

/** The catalogue id of parts of the mat that have broken off. */
export const RIM = "rim";

export function propColour(id: string): string {
  if (id === RIM) return WORLD.dark.mat;
  let hash = 0;
  for (const char of id) hash = (hash * 31 + char.charCodeAt(0)) >>> 0;
  return PROPS[hash % PROPS.length]!;
}

export const SIGNAL = "#FFC94A";
export const INK = "#12211D";

export interface WorldTheme {
  readonly bench: string;
  readonly mat: string;
  readonly rule: string;
  readonly edge: string;
  readonly key: number;
  readonly sky: string;
  readonly floor: string;
  readonly fill: number;
  readonly environment: number;
  readonly drop: number;
}

export const WORLD: Record<"dark" | "light", WorldTheme> = {
  dark: { bench: "#0C1413", mat: "#1B5A4E", rule: "#CFEDE2", edge: "#123D35", key: 2.3, sky: "#DDF3EC", floor: "#16302A", fill: 0.5, environment: 0.34, drop: 0.5 },
  light: { bench: "#E4EAE7", mat: "#236556", rule: "#E9FBF4", edge: "#174A3F", key: 2.45, sky: "#FFFFFF", floor: "#8FA39B", fill: 0.95, environment: 0.42, drop: 0.16 },
};
