// The parts of the mat that have cracked, from a turn's brief. Pure.

/** A corner over ground (x, z) [m]. */
type Corner = readonly [number, number];

/** The corners of each cracked side's part: its inner line first, then the rim. sides: the distance of every side from the
 * centre; rim: where a side is once it has fallen [m]. */
export function crackedParts(sides: readonly number[], cracked: readonly number[], rim: number): Corner[][] {
  const n = sides.length;
  const turn = (2 * Math.PI) / n;
  return cracked
    .filter((side) => side >= 0 && side < n && sides[side]! > rim && rim > 0)
    .map((side) => {
      // Along the side k, at a distance from the centre, to where the line of a neighbour crosses it.
      const reach = (distance: number, neighbour: number): number => (sides[(neighbour + n) % n]! - distance * Math.cos(turn)) / Math.sin(turn);
      const [x, z] = [Math.cos(turn * side), Math.sin(turn * side)];
      const corner = (distance: number, along: number): Corner => [distance * x - along * z, distance * z + along * x];
      const outer = sides[side]!;
      return [corner(rim, -reach(rim, side - 1)), corner(rim, reach(rim, side + 1)), corner(outer, reach(outer, side + 1)), corner(outer, -reach(outer, side - 1))];
    });
}
