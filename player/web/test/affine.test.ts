import { describe, expect, it } from "vitest";
import { blendAffine, mapNormal } from "../src/stage/affine";

/** Rows that turn by `angle` about y and stretch x by `s`. */
function turned(angle: number, s = 1, centre: [number, number, number] = [0, 0, 0]): Float32Array {
  const [c, n] = [Math.cos(angle), Math.sin(angle)];
  return new Float32Array([...centre, s * c, 0, -s * n, 0, 1, 0, n, 0, c]);
}

describe("blendAffine", () => {
  it("is a lerp for small steps", () => {
    const out = new Float32Array(12);
    blendAffine(out, turned(0, 1, [0, 0, 0]), turned(0.05, 1.2, [2, 0, 0]), 0, 0.5);
    expect(out[0]).toBeCloseTo(1);
    expect(out[3]).toBeCloseTo((1 + 1.2 * Math.cos(0.05)) / 2, 5);
  });

  it.each([0.4, 1.2, 2.5, 3.1])("keeps the size through a turn of %f rad", (angle) => {
    const out = new Float32Array(12);
    blendAffine(out, turned(0), turned(angle), 0, 0.5);
    const want = turned(angle / 2);
    for (let i = 3; i < 12; i++) expect(out[i]).toBeCloseTo(want[i]!, 4);
  });

  it("blends stretch apart from rotation", () => {
    const out = new Float32Array(12);
    blendAffine(out, turned(0, 1), turned(1, 1.4), 0, 0.5);
    expect(Math.hypot(out[3]!, out[4]!, out[5]!)).toBeCloseTo(1.2, 4);
  });

  it("meets both ends", () => {
    const out = new Float32Array(12);
    const [a, b] = [turned(0.3, 1.1), turned(2.2, 0.9)];
    blendAffine(out, a, b, 0, 0);
    expect([...out]).toEqual([...a]);
    blendAffine(out, a, b, 0, 1);
    out.forEach((value, i) => expect(value).toBeCloseTo(b[i]!, 6));
  });
});

describe("mapNormal", () => {
  it("stays at right angles to the surface under shear", () => {
    // r1 = x, r2 = y + 0.8 x, r3 = z: a shear of the plane z = 0 and of the plane x = 0
    const rows = new Float32Array([1, 0, 0, 0.8, 1, 0, 0, 0, 1]);
    const map = (p: [number, number, number]) => [0, 1, 2].map((j) => p[0] * rows[j]! + p[1] * rows[3 + j]! + p[2] * rows[6 + j]!);
    const normal = mapNormal(rows, 0, [1, 0, 0]);
    for (const tangent of [map([0, 1, 0]), map([0, 0, 1])]) {
      expect(normal.reduce((sum, value, i) => sum + value * tangent[i]!, 0)).toBeCloseTo(0, 6);
    }
  });
});
