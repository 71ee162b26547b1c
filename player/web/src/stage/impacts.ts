// What a blow does to the picture, and to nothing else: a struck body is squashed for a moment, the picture shakes, and
// the triangles of a broken body fly apart. All of it grows with the logarithm of the impulse. Pure: the time is an
// argument. A calm picture (prefers-reduced-motion) does none of it.

const SQUASH_S = 0.22;
/** How fast a squashed body comes back, and how fast it swings [s]. */
const SQUASH_DECAY = 0.06;
const SQUASH_SWING = 0.13;
const SQUASH_MOST = 0.22;
const SHAKE_S = 0.3;
/** Blows below this do not shake the picture [N s], and the most it moves [px]. */
const SHAKE_FROM = 12;
const SHAKE_MOST = 7;
/** Fragments of a broken body, how long they fly [s], how fast [px/s], and what pulls them down [px/s²]. */
const FRAGMENTS = 48;
/** A triangle whose height is less than this share of its longest side is a line. */
const LINE = 0.06;
export const BURST_S = 0.9;
const BURST_SPEED = 230;
const BURST_FALL = 420;

export interface Struck {
  readonly impulse: number;
  readonly normal: readonly [number, number, number];
}

/** Share by which a body is shorter along the blow at once: 0.1 for each factor of ten of the impulse [N s]. */
export function squashOf(impulse: number): number {
  return Math.min(SQUASH_MOST, 0.1 * Math.log10(1 + Math.max(0, impulse)));
}

/** Amplitude of the shake [px]. */
export function shakeOf(impulse: number): number {
  return impulse < SHAKE_FROM ? 0 : Math.min(SHAKE_MOST, 5 * Math.log10(impulse / SHAKE_FROM) + 1.5);
}

/** Stretch the axes of a body's pose, 12 numbers from ``at``, by ``-share`` along a unit vector and by half of it across. */
export function stretch(rows: Float32Array, at: number, normal: readonly [number, number, number], share: number): void {
  for (let axis = 3; axis < 12; axis += 3) {
    const o = at + axis;
    const along = rows[o]! * normal[0] + rows[o + 1]! * normal[1] + rows[o + 2]! * normal[2];
    for (let k = 0; k < 3; k++) rows[o + k] = rows[o + k]! * (1 + share / 2) - normal[k]! * along * 1.5 * share;
  }
}

export class Impacts {
  calm = false;
  private squashed: { body: number; normal: readonly [number, number, number]; share: number; born: number }[] = [];
  private quake = { born: -1, size: 0 };

  /** A blow between two bodies is seen at ``now`` [s]. */
  struck({ impulse, normal }: Struck, bodies: readonly number[], now: number): void {
    if (this.calm) return;
    const share = squashOf(impulse);
    if (share > 0.02) for (const body of bodies) this.squashed = [...this.squashed.filter((one) => one.body !== body), { body, normal, share, born: now }];
    const size = shakeOf(impulse);
    if (size > this.left(now)) this.quake = { born: now, size };
  }

  /** Whether a body is squashed now. */
  get active(): boolean {
    return this.squashed.length > 0;
  }

  /** Squash the bodies in the poses that were just blended. */
  deform(rows: Float32Array, now: number): void {
    this.squashed = this.squashed.filter((one) => now - one.born < SQUASH_S);
    for (const { body, normal, share, born } of this.squashed) {
      const age = now - born;
      if (12 * body + 12 <= rows.length) stretch(rows, 12 * body, normal, share * Math.exp(-age / SQUASH_DECAY) * Math.cos((2 * Math.PI * age) / SQUASH_SWING));
    }
  }

  private left(now: number): number {
    const age = now - this.quake.born;
    return age < 0 || age >= SHAKE_S ? 0 : this.quake.size * (1 - age / SHAKE_S) ** 2;
  }

  /** By how much the picture is moved now [px]; null when it does not shake. */
  shake(now: number): { x: number; y: number } | null {
    const size = this.left(now);
    if (size < 0.2) return null;
    const age = now - this.quake.born;
    return { x: size * Math.sin(age * 91), y: size * Math.cos(age * 73) };
  }
}

export type Triangle = readonly [number, number, number, number, number, number];

/** The triangles of a body in pixels: its mesh at the pose of 12 numbers, on the screen. */
export function trianglesOf(shape: { readonly vertices: ArrayLike<number>; readonly faces: ArrayLike<number> }, r: ArrayLike<number>, screen: (x: number, y: number, z: number) => { x: number; y: number }): Triangle[] {
  const corner = (v: number): [number, number] => {
    const [x, y, z] = [shape.vertices[3 * v]!, shape.vertices[3 * v + 1]!, shape.vertices[3 * v + 2]!];
    const at = screen(r[0]! + x * r[3]! + y * r[6]! + z * r[9]!, r[1]! + x * r[4]! + y * r[7]! + z * r[10]!, r[2]! + x * r[5]! + y * r[8]! + z * r[11]!);
    return [at.x, at.y];
  };
  return Array.from({ length: Math.floor(shape.faces.length / 3) }, (_, i) => [...corner(shape.faces[3 * i]!), ...corner(shape.faces[3 * i + 1]!), ...corner(shape.faces[3 * i + 2]!)] as const);
}

/** At most FRAGMENTS of the triangles of a body, taken evenly of those that are not seen from their edge: these are lines.
 * triangles: corners in pixels. */
export function fragmentsOf(triangles: readonly Triangle[]): Triangle[] {
  const faced = triangles.filter(([ax, ay, bx, by, cx, cy]) => {
    const longest = Math.max(Math.hypot(bx - ax, by - ay), Math.hypot(cx - bx, cy - by), Math.hypot(ax - cx, ay - cy));
    return Math.abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) > LINE * longest * longest;
  });
  const step = Math.max(1, faced.length / FRAGMENTS);
  return Array.from({ length: Math.min(FRAGMENTS, faced.length) }, (_, i) => faced[Math.floor(i * step)]!);
}

/** The fragments at an age [s], as one SVG path: each flies away from ``centre``, turns and falls. */
export function burstPath(fragments: readonly Triangle[], centre: { x: number; y: number }, age: number): string {
  const fade = Math.max(0, 1 - age / BURST_S);
  return fragments
    .map((one, i) => {
      const [mx, my] = [(one[0] + one[2] + one[4]) / 3, (one[1] + one[3] + one[5]) / 3];
      const angle = Math.atan2(my - centre.y, mx - centre.x) + 0.7 * Math.sin(12.9898 * i);
      const speed = BURST_SPEED * (0.45 + 0.55 * Math.abs(Math.sin(78.233 * i + 1)));
      const [x, y] = [mx + Math.cos(angle) * speed * age, my + Math.sin(angle) * speed * age + 0.5 * BURST_FALL * age * age];
      const turn = 9 * age * Math.sin(3.7 * i);
      const [c, s] = [fade * Math.cos(turn), fade * Math.sin(turn)];
      const corner = (px: number, py: number): string => `${(x + c * (px - mx) - s * (py - my)).toFixed(1)} ${(y + s * (px - mx) + c * (py - my)).toFixed(1)}`;
      return `M${corner(one[0], one[1])}L${corner(one[2], one[3])}L${corner(one[4], one[5])}Z`;
    })
    .join("");
}
