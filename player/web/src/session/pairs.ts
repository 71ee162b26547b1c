// Pairs of bodies with contact of their own, and the joints and pairs that name a body. Pure.

import type { Pair, Raw, World } from "../wire/scene";

const joins = (pair: Pair, a: string, b: string): boolean => (pair.a === a && pair.b === b) || (pair.a === b && pair.b === a);

export const pairOf = (pairs: readonly Pair[], a: string, b: string): Pair => pairs.find((one) => joins(one, a, b)) ?? { a, b };

/** A document of a pair without what has its default; null if nothing is left of it. */
function trimmedPair({ a, b, collide = true, friction = null, restitution = null }: Pair): Pair | null {
  if (collide && friction === null && restitution === null) return null;
  return { a, b, ...(collide ? {} : { collide }), ...(friction === null ? {} : { friction }), ...(restitution === null ? {} : { restitution }) };
}

/** The pairs with this one instead of the one of its bodies; without it if it says nothing. */
export function withPair(pairs: readonly Pair[], pair: Pair): Pair[] {
  const next = trimmedPair(pair);
  const at = pairs.findIndex((one) => joins(one, pair.a, pair.b));
  if (at < 0) return next ? [...pairs, next] : [...pairs];
  return pairs.flatMap((one, i) => (i === at ? (next ?? []) : one));
}

const named = (one: Raw, bodies: ReadonlySet<string>): boolean => [one["a"], one["b"]].some((name) => typeof name === "string" && bodies.has(name));

/** The world without the joints and pairs of bodies that go; the same world if there are none. */
export function withoutBodies(world: World, bodies: ReadonlySet<string>): World {
  const joints = world.joints.filter((one) => !named(one, bodies));
  const pairs = world.pairs.filter((one) => !named(one as unknown as Raw, bodies));
  return joints.length < world.joints.length || pairs.length < world.pairs.length ? { ...world, joints, pairs } : world;
}

/** The world after a body got another name; the same world if no joint and no pair names it. */
export function withName(world: World, old: string, name: string): World {
  if (withoutBodies(world, new Set([old])) === world) return world;
  const renamed = <T extends object>(one: T): T => ({ ...one, ...((one as Raw)["a"] === old ? { a: name } : {}), ...((one as Raw)["b"] === old ? { b: name } : {}) });
  return { ...world, joints: world.joints.map(renamed), pairs: world.pairs.map(renamed) };
}
