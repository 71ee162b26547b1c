// Bodies that are out: one that went over the rim falls on in the picture, and where any was last is kept, so that its
// mark stays there. The world no longer has them. Pure: the time is an argument.

/** How long a fall goes on [s], and what pulls it down [m/s²]. */
export const FALL_S = 1.3;
const GRAVITY = 9.81;
/** The fastest that a body is taken to be when it goes out [m/s]: a frame that is missing would make it faster. */
const FASTEST = 8;

/** A body that the world no longer has and that was lower than this has fallen [m]: its event may come frames later. */
const LOW = -0.3;

/** A body whose middle is lower than this goes over the rim [m]: no body lies so on a mat. */
const OVER = -0.02;

/** How high above the mat the picture from above is taken [m]. */
const ABOVE = 4;

/** How large a body at a height is in a picture from above, against one on the mat or over it. */
export const sunk = (y: number): number => (y < 0 ? ABOVE / (ABOVE - y) : 1);

/** How far a picture of a half width moves to show a point [m]: not at all for a point in it, and no farther than `most`. */
export const reaching = (at: number, half: number, most: number): number => Math.sign(at) * Math.min(most, Math.max(0, Math.abs(at) - half));

interface Fall {
  readonly rows: Float32Array;
  readonly velocity: readonly [number, number, number];
  readonly born: number;
}

export class Falls {
  private before = new Map<number, { readonly rows: Float32Array; readonly at: number; readonly velocity: readonly [number, number, number] }>();
  private falls = new Map<number, Fall>();
  private readonly places = new Map<number, readonly [number, number, number]>();
  /** The bodies that were seen to go over the rim. */
  private readonly over = new Set<number>();

  /** Another world: nothing of the last one is left. */
  clear(): void {
    this.before.clear();
    this.falls.clear();
    this.places.clear();
    this.over.clear();
  }

  /** Where a body is when it is first seen to go over the rim, long before the world says that it is out; else null. */
  tips(body: number): readonly [number, number, number] | null {
    const rows = this.before.get(body)?.rows;
    if (!rows || rows[1]! >= OVER) this.over.delete(body);
    else if (!this.over.has(body)) {
      this.over.add(body);
      return [rows[0]!, rows[1]!, rows[2]!];
    }
    return null;
  }

  /** The past is shown again: nothing falls in it yet. The places stay, for the present. */
  again(): void {
    this.falls.clear();
  }

  /** Other bodies are drawn. Where parts of the mat fell, these come behind the others: the places stay. */
  goOn(before: readonly { readonly id: string }[], bodies: readonly { readonly id: string }[]): void {
    if (before.length > 0 && before.every(({ id }, i) => id === bodies[i]?.id)) this.again();
    else this.clear();
  }

  /** What is drawn now, 12 numbers for each body. again: it is the past, shown again, where a body that is out may be on the
   * mat. */
  track(rows: Float32Array, active: readonly boolean[], now: number, again = false): void {
    for (let body = 0; body < active.length && 12 * body + 12 <= rows.length; body++) {
      if (this.falls.has(body)) continue;
      if (!active[body]) {
        const last = this.before.get(body);
        if (last && last.rows[1]! < LOW) this.falls.set(body, { rows: last.rows, velocity: last.velocity, born: last.at });
        continue;
      }
      if (!again) this.places.delete(body);
      const here = rows.slice(12 * body, 12 * body + 12);
      const last = this.before.get(body);
      const seconds = last ? now - last.at : 0;
      const velocity = last && seconds > 1e-4 ? ([0, 1, 2].map((k) => clamp((here[k]! - last.rows[k]!) / seconds)) as [number, number, number]) : (last?.velocity ?? [0, 0, 0]);
      this.before.set(body, { rows: here, at: now, velocity });
    }
  }

  /** A body is out; fallen: over the rim. Returns where it was, or null if it was never seen. */
  out(body: number, fallen: boolean, now: number): readonly [number, number, number] | null {
    const last = this.before.get(body);
    if (!last) return null;
    const place = [last.rows[0]!, Math.max(0, last.rows[1]!), last.rows[2]!] as const;
    this.places.set(body, place);
    if (fallen && !this.falls.has(body)) this.falls.set(body, { rows: last.rows, velocity: last.velocity, born: now });
    return place;
  }

  /** Where a body that is out was last [m], or null. */
  placeOf(body: number): readonly [number, number, number] | null {
    return this.places.get(body) ?? null;
  }

  /** Put the bodies that fall into what is drawn. Returns whether any does. */
  fall(rows: Float32Array, active: boolean[], now: number): boolean {
    for (const [body, { rows: from, velocity, born }] of this.falls) {
      const age = now - born;
      if (age >= FALL_S || age < 0) {
        this.falls.delete(body);
        this.before.delete(body);
        active[body] = false;
        continue;
      }
      rows.set(from, 12 * body);
      for (let k = 0; k < 3; k++) rows[12 * body + k] = from[k]! + velocity[k]! * age - (k === 1 ? 0.5 * GRAVITY * age * age : 0);
      active[body] = true;
    }
    return this.falls.size > 0;
  }
}

const clamp = (speed: number): number => Math.max(-FASTEST, Math.min(FASTEST, speed));
