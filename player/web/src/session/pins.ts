// Pins of a body: vertices that are held, or move as the document says. The editor makes pins that hold; it keeps those
// that move, and their vertices are in no other pin.

import type { Pin, Raw, Vec3 } from "../wire/scene";

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

/** A mirrored motion. flip: of displacements; axial: of axes, about which the angle keeps its sense. */
export function mirroredMotion(motion: Raw, flip: (v: Vec3) => Vec3, axial: (v: Vec3) => Vec3): Raw {
  const { velocity, axis, keys } = motion as { velocity?: Vec3; axis?: Vec3; keys?: readonly { readonly offset?: Vec3 }[] };
  return {
    ...motion,
    ...(velocity ? { velocity: flip(velocity) } : {}),
    axis: axial(axis ?? [0, 1, 0]),
    ...(keys ? { keys: keys.map((key) => (key.offset ? { ...key, offset: flip(key.offset) } : key)) } : {}),
  };
}
