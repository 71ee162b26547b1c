import { describe, expect, it } from "vitest";
import { crackedParts } from "../src/session/rim";
import { cracksOf, cracksShown, jagged } from "../src/stage/cracks";
import { insideBy } from "../src/stage/outline";

const APOTHEM = 1.8 * Math.cos(Math.PI / 8);
const WHOLE: number[] = Array.from({ length: 8 }, () => APOTHEM);

describe("the cracked parts of the mat", () => {
  it("reach from where a fallen side is to the corners of the rim", () => {
    const [part] = crackedParts(WHOLE, [2], 1.25);
    const corners = part!.map(([x, z]) => [Number(x.toFixed(3)), Number(z.toFixed(3))]);
    // Side 2 is towards +z: its corners are those of the octagon at 67.5 and 112.5 degrees.
    expect(corners).toEqual([[1.102, 1.25], [-1.102, 1.25], [-0.689, 1.663], [0.689, 1.663]]);
  });

  it("end where a neighbour has fallen", () => {
    const sides = [...WHOLE];
    sides[1] = sides[3] = 1.25;
    const [part] = crackedParts(sides, [2], 1.25);
    expect(part![0]![0]).toBeCloseTo((1.25 - 1.25 * Math.SQRT1_2) / Math.SQRT1_2, 6);
  });

  it("are none without a rim, or where the side has fallen", () => {
    expect(crackedParts([], [2], 1.25)).toEqual([]);
    expect(crackedParts(WHOLE, [2], 0)).toEqual([]);
    expect(crackedParts(Array(8).fill(1.25), [2], 1.25)).toEqual([]);
    expect(crackedParts(WHOLE, [9, -1], 1.25)).toEqual([]);
  });

  it("break off along a jagged line between their inner corners", () => {
    const line = jagged([-1, 0], [1, 0]);
    expect([line[0], line.at(-1)]).toEqual([[-1, 0], [1, 0]]);
    expect(line.length).toBeGreaterThan(8);
    expect(Math.max(...line.map(([, z]) => Math.abs(z)))).toBeLessThan(0.05);
    expect(line.some(([, z]) => Math.abs(z) > 0.005)).toBe(true);
  });
});

describe("the cracks of a body", () => {
  it("are more, the more it has lost, and none in one that is nearly whole", () => {
    expect([0, 0.05, 0.1, 0.5, 1].map(cracksShown)).toEqual([0, 0, 1, 4, 7]);
  });

  it("begin at its edge and end inside", () => {
    const square = [[-0.2, -0.2], [0.2, -0.2], [0.2, 0.2], [-0.2, 0.2]] as const;
    for (const crack of cracksOf(0.2, 0.2)) expect(insideBy(square, ...crack.at(-1)!)).toBeGreaterThan(0.1);
  });
});
