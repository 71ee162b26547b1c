// Pins of a body: vertices that are held, or move as prescribed. The vertices of a pin that moves are in no other pin.

import type { Keyframe, Motion, Pin, Vec3 } from "../wire/scene";

const moves = (pin: Pin): boolean => pin.motion !== undefined;

/** The pins after a click on a vertex: it is held, or it is let go of whatever pin it is in. */
export function togglePin(pins: readonly Pin[], vertex: number): Pin[] {
  const moving = pins.filter(moves);
  const held = new Set(pins.filter((pin) => !moves(pin)).flatMap((pin) => pin.vertices));
  if (moving.some((pin) => pin.vertices.includes(vertex))) {
    return pins.map((pin) => ({ ...pin, vertices: pin.vertices.filter((one) => one !== vertex) })).filter((pin) => pin.vertices.length);
  }
  if (!held.delete(vertex)) held.add(vertex);
  return [...(held.size ? [{ vertices: [...held].sort((a, b) => a - b) }] : []), ...moving];
}

/** The pins with one more that holds vertices, but for those that move. */
export function holdVertices(pins: readonly Pin[], vertices: readonly number[]): Pin[] {
  const taken = new Set(pins.filter(moves).flatMap((pin) => pin.vertices));
  const free = vertices.filter((one) => !taken.has(one));
  return free.length ? [...pins, { vertices: free }] : [...pins];
}

/** What a pin begins with when it is made to move. */
export const STRAIGHT: Motion = { velocity: [0, 0.5, 0], until: 2 };
/** Most keyframes of a motion (lobby/rules/motions.py). */
export const MOST_KEYS = 64;

export type Course = "held" | "straight" | "keys";

export const courseOf = (pin: Pin): Course => (!pin.motion ? "held" : pin.motion.keys?.length ? "keys" : "straight");

/** The pins with one that moves, or is held again. Its vertices leave the other pins, as those of a moving one must. */
export function withMotion(pins: readonly Pin[], number: number, motion: Motion | null): Pin[] {
  const own = pins[number]!.vertices;
  return pins.flatMap((pin, i) => {
    if (i === number) return [motion ? { vertices: own, motion } : { vertices: own }];
    const vertices = motion ? pin.vertices.filter((one) => !own.includes(one)) : pin.vertices;
    return vertices.length ? [{ ...pin, vertices }] : [];
  });
}

/** The pins with another kind of motion of one: keyframes go where the straight motion went. */
export function withCourse(pins: readonly Pin[], number: number, course: Course): Pin[] {
  const { velocity = [0, 0, 0], spin = 0, until = 2, axis, keys } = pins[number]!.motion ?? STRAIGHT;
  const kept = axis ? { axis } : {};
  if (course === "held") return withMotion(pins, number, null);
  if (course === "straight") {
    const { time, offset = [0, 0, 0], angle = 0 } = keys?.[0] ?? { time: until, offset: velocity.map((v) => v * until) as unknown as Vec3, angle: spin * until };
    return withMotion(pins, number, { ...kept, velocity: offset.map((x) => x / time) as unknown as Vec3, ...(angle ? { spin: angle / time } : {}), until: time });
  }
  return withMotion(pins, number, { ...kept, keys: keys?.length ? keys : [{ time: until, offset: velocity.map((v) => v * until) as unknown as Vec3, ...(spin ? { angle: spin * until } : {}) }] });
}

/** Keyframes with one more, a second after the last one and at the same place. */
export function withNextKey(keys: readonly Keyframe[]): Keyframe[] {
  const last = keys.at(-1);
  return [...keys, last ? { ...last, time: last.time + 1 } : { time: 1 }];
}

/** Whether the keyframes begin again. A motion that does ends where it began: with one more keyframe if it does not. */
export function withRepeat(motion: Motion, repeat: boolean): Partial<Motion> {
  const keys = motion.keys ?? [];
  const { offset = [0, 0, 0], angle = 0, time = 0 } = keys.at(-1) ?? {};
  const back = Math.hypot(...offset) <= 1e-9 && Math.abs(Math.sin(angle / 2)) <= 1e-9;
  return { repeat, keys: repeat && !back ? [...keys, { time: time + 1 }] : keys };
}

/** A keyframe at another time: the keys stay in order. */
export const inOrder = (keys: readonly Keyframe[]): Keyframe[] => [...keys].sort((a, b) => a.time - b.time);

/** A mirrored motion. flip: of displacements; axial: of axes, about which the angle keeps its sense. */
export function mirroredMotion(motion: Motion, flip: (v: Vec3) => Vec3, axial: (v: Vec3) => Vec3): Motion {
  const { velocity, axis, keys } = motion;
  return {
    ...motion,
    ...(velocity ? { velocity: flip(velocity) } : {}),
    axis: axial(axis ?? [0, 1, 0]),
    ...(keys ? { keys: keys.map((key) => (key.offset ? { ...key, offset: flip(key.offset) } : key)) } : {}),
  };
}
