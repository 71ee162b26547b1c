import { describe, expect, it } from "vitest";
import { bearing, firstAim, fullSpeed, nudged, pulled, toAction, wrap } from "../src/session/aim";
import { readBrief } from "../src/session/events";
import { code, gap, group, minutes, parseCode } from "../src/text/format";

const brief = readBrief({
  seat: 0,
  positions: [[0, 0.2, 0], [1, 0.2, 1], [0, 0.2, -0.5]],
  alive: [true, true, false],
  speeds: [4, 4, 4],
  rules: { spin_speed: 0.8, hop_speed: 0.55 },
});
const kinds = [
  { kind: "launch", fields: { azimuth: { low: -360, high: 360 }, elevation: { low: 0, high: 60 }, power: { low: 0, high: 1 } } },
  { kind: "brace" },
];

describe("aim", () => {
  it("begins at the nearest living foe", () => {
    expect(firstAim(brief, 0).azimuth).toBeCloseTo(45);
  });
  it("begins with a launch, and in a mode without one with the first kind that it has", () => {
    const of = (...names: string[]) => firstAim(readBrief({ seat: 0, actions: { kinds: names.map((kind) => ({ kind })) } }), 0).kind;
    expect([of("brace", "launch"), of("flick"), of("flick", "spin"), of()]).toEqual(["launch", "flick", "flick", "launch"]);
  });
  it("points away from the pull; 1 m is 3.5 m/s, capped", () => {
    const aim = firstAim(brief, 0);
    expect(pulled(aim, -1, 0, 4)).toMatchObject({ azimuth: 0, power: 0.875, spin: 0 });
    expect(pulled(aim, 0, 3, 4)).toMatchObject({ azimuth: 270, power: 1, spin: 0 });
  });
  it("turns by 2 and 0.2 degrees and pushes by 0.1 m/s", () => {
    const aim = { kind: "launch", azimuth: 1, elevation: 0, power: 0.5, spin: 0 };
    expect(nudged(aim, "left", false, 4).azimuth).toBe(359);
    expect(nudged(aim, "right", true, 4).azimuth).toBe(1.2);
    expect(nudged(aim, "stronger", false, 4).power).toBeCloseTo(0.525);
    expect(nudged(aim, "rise", false, 4).elevation).toBe(5);
  });
  it("sends what the kind takes and no more", () => {
    expect(toAction({ kind: "launch", azimuth: 12.5, elevation: 80, power: 0.9, spin: 0 }, kinds)).toEqual({ kind: "launch", d: { azimuth: 12.5, elevation: 60, power: 0.9 } });
    expect(toAction({ kind: "brace", azimuth: 1, elevation: 2, power: 3, spin: 0 }, kinds)).toEqual({ kind: "brace", d: {} });
  });
  it("keeps to a fan of bearings, finely, and turns the stone by the keys that raise a body", () => {
    const slide = { kind: "launch", fields: { azimuth: { low: -10, high: 10 }, power: { low: 0, high: 1 }, spin: { low: -6, high: 6 } } };
    const aim = { kind: "launch", azimuth: 359.5, elevation: 0, power: 0.5, spin: 5.8 };
    expect(bearing(aim.azimuth, slide)).toBe(-0.5);
    expect(nudged(aim, "left", false, 4, slide).azimuth).toBe(359);
    expect(nudged({ ...aim, azimuth: 350.2 }, "left", false, 4, slide).azimuth).toBe(350);
    expect(nudged(aim, "rise", false, 4, slide)).toMatchObject({ spin: 6, elevation: 0 });
    expect(pulled(aim, -1, 1, 4, slide).azimuth).toBe(350);
    expect(toAction(aim, [slide])).toEqual({ kind: "launch", d: { azimuth: -0.5, power: 0.5, spin: 5.8 } });
    expect(fullSpeed(readBrief({ rules: { speed: 4.2 } }), 1, "launch")).toBe(4.2);
  });
  it("knows each kind's speed", () => {
    expect(["launch", "spin", "hop", "brace"].map((kind) => fullSpeed(brief, 0, kind))).toEqual([4, 3.2, 2.2, 0]);
    expect(wrap(-90)).toBe(270);
  });
});

describe("format", () => {
  it("groups thinly, keeps a gap above zero, reads codes and links", () => {
    expect(group(-12345)).toBe("−12\u2009345");
    expect(gap(0.00041)).toBe("0.41 mm");
    expect(gap(3e-7)).toBe("0.3 µm");
    expect(gap(3e-12)).toBe("0.0030 nm");
    expect(gap(Infinity)).toBe("none near");
    expect([minutes(72), minutes(3725)]).toEqual(["1:12", "1:02:05"]);
    expect(parseCode("K7QM 2xpv")).toBe("k7qm2xpv");
    expect(parseCode("http://x/#/s/k7qm2xpv")).toBe("k7qm2xpv");
    expect(code("k7qm2xpv")).toBe("K7QM 2XPV");
  });
});
