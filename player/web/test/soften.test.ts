import { describe, expect, it } from "vitest";
import meshes from "../src/generated/bodies.json";
import { normalsOf, soften } from "../src/stage/soften";

const known = meshes as unknown as Record<string, [number[], number[]]>;

describe("soften", () => {
  it.each(Object.keys(known))("%s: a closed mesh of few thousand triangles, hardly larger than what collides", (id) => {
    const [positions, indices] = known[id]!;
    const soft = soften({ positions: new Float32Array(positions), indices: new Uint32Array(indices) });
    expect(soft.indices.length / 3).toBeLessThanOrEqual(7000);
    expect(soft.indices.length).toBeGreaterThan(indices.length);
    const uses = new Map<string, number>();
    for (let i = 0; i < soft.indices.length; i += 3) {
      for (let e = 0; e < 3; e++) {
        const edge = `${soft.indices[i + e]}>${soft.indices[i + ((e + 1) % 3)]}`;
        uses.set(edge, (uses.get(edge) ?? 0) + 1);
      }
    }
    const open = [...uses].filter(([edge, count]) => count !== 1 || !uses.has(edge.split(">").reverse().join(">")));
    expect(open).toEqual([]);
    for (let axis = 0; axis < 3; axis++) {
      const reach = (list: ArrayLike<number>) => Math.max(...Array.from({ length: list.length / 3 }, (_, i) => Math.abs(list[3 * i + axis]!)));
      expect(reach(soft.positions)).toBeLessThan(reach(positions) + 0.004);
      expect(reach(soft.positions)).toBeGreaterThan(reach(positions) * 0.6);
    }
    expect(normalsOf(soft).every(Number.isFinite)).toBe(true);
  });
});
