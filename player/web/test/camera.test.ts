import { describe, expect, it } from "vitest";
import { Camera } from "../src/stage/camera";

const SHEET = [[-4, -1], [4, -1], [4, 1], [-4, 1]] as const;

/** Whether the camera looks along the sheet, which lies along x, at the end of these aspects. */
function along(first: number, ...later: number[]): boolean {
  const camera = new Camera();
  camera.setAspect(first);
  camera.setCorners(SHEET);
  for (const aspect of later) camera.setAspect(aspect);
  const { position, target } = camera.view;
  return Math.abs(position[0] - target[0]) > Math.abs(position[2] - target[2]);
}

describe("the home view of a long sheet", () => {
  it("looks along it on a tall picture and across it on a wide one", () => {
    expect(along(0.7)).toBe(true);
    expect(along(2.2)).toBe(false);
    expect(along(2.2, 0.7)).toBe(true);
    expect(along(0.7, 2.2)).toBe(false);
  });

  it("does not turn when a banner makes the picture a little less high, or is gone again", () => {
    const aspects = Array.from({ length: 40 }, (_, i) => 0.9 + 0.03 * i);
    expect(aspects.filter((aspect) => along(aspect) !== along(aspect, 1.1 * aspect) || along(aspect) !== along(aspect, 1.1 * aspect, aspect))).toEqual([]);
    expect(aspects.some((aspect) => along(aspect)) && aspects.some((aspect) => !along(aspect))).toBe(true);
  });
});
