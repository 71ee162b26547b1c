import { describe, expect, it } from "vitest";
import { contactTone, vibrationMs } from "../src/session/tones";
import { BURST_S, Impacts, burstPath, fragmentsOf, shakeOf, squashOf, stretch, trianglesOf } from "../src/stage/impacts";
import type { Triangle } from "../src/stage/impacts";

const POSE = Float32Array.from([1, 2, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1]);

it("a mesh at a pose has its triangles on the screen", () => {
  const shape = { vertices: [0, 0, 0, 1, 0, 0, 0, 2, 0], faces: [0, 1, 2, 2, 1, 0] };
  const turned = [1, 2, 3, 0, 1, 0, -1, 0, 0, 0, 0, 1];
  const found = trianglesOf(shape, turned, (x, y, z) => ({ x: 10 * x + z, y: 10 * y }));
  expect(found).toEqual([[13, 20, 13, 30, -7, 20], [-7, 20, 13, 30, 13, 20]]);
});

describe("a blow", () => {
  it("squashes along its normal, swells across it, and leaves the place", () => {
    const rows = POSE.slice();
    stretch(rows, 0, [1, 0, 0], 0.2);
    expect([...rows].map((value) => Math.round(value * 1e6) / 1e6)).toEqual([1, 2, 3, 0.8, 0, 0, 0, 1.1, 0, 0, 0, 1.1]);
  });

  it("squashes only the bodies that it struck, and these are as they were after a quarter of a second", () => {
    const impacts = new Impacts();
    impacts.struck({ impulse: 40, normal: [0, 1, 0] }, [1], 10);
    const rows = Float32Array.from([...POSE, ...POSE]);
    impacts.deform(rows, 10);
    expect([...rows.subarray(0, 12)]).toEqual([...POSE]);
    expect(rows[12 + 7]).toBeLessThan(0.9);
    const later = Float32Array.from([...POSE, ...POSE]);
    impacts.deform(later, 10.25);
    expect([...later]).toEqual([...POSE, ...POSE]);
    expect(impacts.active).toBe(false);
  });

  it("shakes the picture the more the harder it is, and weak ones do not", () => {
    expect(shakeOf(5)).toBe(0);
    expect(shakeOf(100)).toBeGreaterThan(shakeOf(20));
    expect(shakeOf(1e6)).toBe(7);
    expect(squashOf(0)).toBe(0);
    expect(squashOf(1e6)).toBe(0.22);
    const impacts = new Impacts();
    impacts.struck({ impulse: 60, normal: [1, 0, 0] }, [], 0);
    const moved = Array.from({ length: 20 }, (_, i) => impacts.shake(i / 60)).filter((one) => one !== null);
    expect(moved.length).toBeGreaterThan(8);
    for (const { x, y } of moved) expect(Math.hypot(x, y)).toBeLessThanOrEqual(7 * Math.SQRT2);
    expect(impacts.shake(0.3)).toBeNull();
  });

  it("does nothing to a calm picture", () => {
    const impacts = new Impacts();
    impacts.calm = true;
    impacts.struck({ impulse: 500, normal: [1, 0, 0] }, [0], 0);
    expect(impacts.active).toBe(false);
    expect(impacts.shake(0.01)).toBeNull();
  });
});

describe("a broken body", () => {
  const triangles: Triangle[] = Array.from({ length: 200 }, (_, i) => [i, 0, i + 1, 0, i, 1]);

  it("flies apart in at most 48 of its triangles, and is gone at the end", () => {
    const fragments = fragmentsOf(triangles);
    expect(fragments).toHaveLength(48);
    expect(fragmentsOf(triangles.slice(0, 5))).toEqual(triangles.slice(0, 5));
    const first = burstPath([[0, 0, 3, 0, 0, 3]], { x: -5, y: 1 }, 0);
    expect(first).toBe("M0.0 0.0L3.0 0.0L0.0 3.0Z");
    const end = burstPath([[0, 0, 3, 0, 0, 3]], { x: -5, y: 1 }, BURST_S);
    const corners = end.slice(1, -1).split("L");
    expect(new Set(corners).size).toBe(1);
    expect(corners[0]).not.toBe("1.0 1.0");
  });
});

it("a broken body throws no triangle that is seen from its edge", () => {
  const [faced, edge, point]: Triangle[] = [[0, 0, 1, 0, 0, 1], [0, 0, 40, 0, 20, 1], [3, 3, 3, 3, 3, 3]];
  expect(fragmentsOf([edge!, faced!, point!])).toEqual([faced]);
});

describe("the tone of a blow", () => {
  it("is higher for light and stiff bodies, louder for hard blows, and always within what one can hear", () => {
    const tone = contactTone(20, 10, 1e6);
    expect(contactTone(20, 2, 1e6).hertz).toBeGreaterThan(tone.hertz);
    expect(contactTone(20, 10, 1e8).hertz).toBeGreaterThan(tone.hertz);
    expect(contactTone(200, 10, 1e6).level).toBeGreaterThan(tone.level);
    for (const odd of [contactTone(0, 0, 0), contactTone(1e9, 1e-9, 1e15), contactTone(-1, 1e9, 1)]) {
      expect(odd.hertz).toBeGreaterThanOrEqual(60);
      expect(odd.hertz).toBeLessThanOrEqual(900);
      expect(odd.level).toBeGreaterThanOrEqual(0.05);
      expect(odd.level).toBeLessThanOrEqual(1);
    }
  });

  it("shakes a phone for 80 ms at most, and not for a touch", () => {
    expect(vibrationMs(4)).toBe(0);
    expect(vibrationMs(30)).toBeGreaterThan(vibrationMs(8));
    expect(vibrationMs(1e6)).toBe(80);
  });
});
