// How a blow sounds, and for how long it shakes a phone. Pure.

export interface Tone {
  readonly hertz: number;
  /** 0 to 1. */
  readonly level: number;
  readonly seconds: number;
}

/** The tone of a contact. impulse [N s], mass [kg] of the lighter body, stiffness [Pa] of the softer one. */
export function contactTone(impulse: number, mass: number, stiffness: number): Tone {
  const pitch = 190 * Math.pow(Math.max(stiffness, 1) / 1e6, 0.16) * Math.cbrt(10 / Math.max(mass, 0.1));
  return {
    hertz: Math.max(60, Math.min(900, pitch)),
    level: Math.max(0.05, Math.min(1, Math.log10(1 + Math.max(0, impulse)) / 2.2)),
    seconds: 0.1 + 0.16 * Math.min(1, Math.max(0, impulse) / 60),
  };
}

/** How long a phone vibrates for a blow on one's own body [ms]; 0: not at all. */
export function vibrationMs(impulse: number): number {
  return impulse < 5 ? 0 : Math.round(Math.min(80, 14 + 26 * Math.log10(impulse / 5)));
}
