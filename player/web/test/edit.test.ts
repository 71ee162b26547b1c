import { describe, expect, it } from "vitest";
import { AXES, arrayOf, extentOf, freshId, fromAngles, groundedAt, kindsOf, madeBody, madeShape, mirrored, parseNumber, sideOf, stacked, stepAlong, toAngles, topBelow, turned, unit, walls, withKind } from "../src/session/edit";
import { PRESETS, likeness, presetOf } from "../src/session/materials";
import { pairOf, withName, withPair, withoutBodies } from "../src/session/pairs";
import { courseOf, holdVertices, inOrder, togglePin, withCourse, withMotion, withNextKey, withRepeat } from "../src/session/pins";
import { SHAPES, canScale, meshOfScale, scaled } from "../src/session/shapes";
import { deltaOf, readBody, readWorld, writeBody, writeWorld } from "../src/wire/scene";
import type { Body, Motion, Pin, Vec3 } from "../src/wire/scene";

const WOOD = PRESETS.value[1]!;
const CUBE = [-0.1, -0.1, -0.1, 0.1, 0.1, 0.1, 0.1, -0.1, -0.1, -0.1, 0.1, -0.1, -0.1, -0.1, 0.1, 0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, 0.1];
const cube = (id: string, at: Vec3): Body => madeBody(id, madeShape("box"), "affine", WOOD, at);

describe("documents", () => {
  it("leave out what has its default and read it back", () => {
    const body = { ...cube("box", [0, 1, 0]), pins: [{ vertices: [] }] };
    const raw = writeBody(body);
    expect(raw).toEqual({ id: "box", shape: { kind: "box", params: { size: [0.3, 0.3, 0.3] } }, material: { density: 600, stiffness: 2e7, poisson: 0.3, friction: 0.45, damping: 0.1 }, position: [0, 1, 0], pins: [{ vertices: [] }] });
    expect(readBody(raw)).toEqual(body);
    expect(writeWorld({ ...readWorld({}), gravity: [0, -1.62, 0] })).toEqual({ gravity: [0, -1.62, 0] });
    expect(readWorld({ schema: "tussle-scene/1", bodies: [], dt: 1 / 30 }).dt).toBe(1 / 30);
  });

  it("differ by a delta, in which null is the default", () => {
    const before = writeBody(cube("box", [0, 1, 0]));
    expect(deltaOf(before, writeBody(cube("box", [0, 2, 0])))).toEqual({ position: [0, 2, 0] });
    // The server sorts the names.
    const material = Object.fromEntries(Object.entries(before["material"] as object).sort());
    expect(deltaOf({ ...before, material }, writeBody(cube("box", [0, 2, 0])))).toEqual({ position: [0, 2, 0] });
    expect(deltaOf(before, writeBody(cube("box", [0, 0, 0])))).toEqual({ position: null });
  });
});

describe("rotations", () => {
  it("are the same as angles and back", () => {
    for (const angles of [[0, 0, 0], [30, -40, 110], [0, 90, 20], [-170, 12, 3]] as Vec3[]) {
      const q = fromAngles(angles);
      const again = fromAngles(toAngles(q));
      again.forEach((value, i) => expect(value).toBeCloseTo(q[i]!, 5));
    }
    const [x, y, z] = turned(fromAngles([0, 90, 0]), [1, 0, 0]);
    expect([x, y, z].map((value) => Math.round(value * 1e6))).toEqual([0, 0, -1e6]);
    expect(unit([-2, 0, 0, 0])).toEqual([1, 0, 0, 0]);
    expect(unit([0, 0, 0, 0])).toEqual([1, 0, 0, 0]);
  });
});

describe("places", () => {
  const gap = 0.015;

  it("align to the ground with a gap that is never smaller, however the body is turned", () => {
    for (const angles of [[0, 0, 0], [45, 0, 0], [10, 20, 30]] as Vec3[]) {
      const body = { ...cube("box", [1, 3, 2]), rotation: fromAngles(angles) };
      const [down] = groundedAt([body], [extentOf(body, CUBE)], 0, gap);
      const low = extentOf(down!, CUBE).low[1];
      expect(low).toBeGreaterThanOrEqual(gap - 1e-9);
      expect(low).toBeLessThan(gap + 2e-6);
      expect(down!.position[0]).toBe(1);
    }
  });

  it("stack in the order of their heights over the lowest one, each a gap above the next", () => {
    const bodies = [cube("c", [2, 3, 0]), cube("a", [0, 0.2, 0]), cube("b", [0.5, 1, 1])];
    const made = stacked(bodies, bodies.map((body) => extentOf(body, CUBE)), gap);
    expect(made.map((body) => body.id)).toEqual(["a", "b", "c"]);
    for (let i = 1; i < made.length; i++) {
      const between = extentOf(made[i]!, CUBE).low[1] - extentOf(made[i - 1]!, CUBE).high[1];
      expect(between).toBeGreaterThanOrEqual(gap - 1e-9);
      expect(between).toBeLessThan(gap + 1e-5);
      expect(made[i]!.position[0]).toBeCloseTo(0);
      expect(made[i]!.position[2]).toBeCloseTo(0);
    }
  });

  it("keep the whole gap where heights are no round numbers", () => {
    const third = CUBE.map((value) => value / 3);
    const bodies = [0.1, 0.7000004, 1.3000003, 2.1000001].map((y, i) => cube(`b${i}`, [0, y, 0]));
    for (const small of [0.003, 0.0100003, 0.0123457]) {
      const made = stacked(bodies, bodies.map((body) => extentOf(body, third)), small);
      for (let i = 1; i < made.length; i++) expect(extentOf(made[i]!, third).low[1] - extentOf(made[i - 1]!, third).high[1]).toBeGreaterThanOrEqual(small - 1e-9);
      for (const body of bodies) {
        const [down] = groundedAt([body], [extentOf(body, third)], 0, small);
        expect(extentOf(down!, third).low[1]).toBeGreaterThanOrEqual(small - 1e-9);
      }
    }
  });

  it("mirror and repeat a rail with its motion, and keep pins and handles", () => {
    const rail = { amplitude: [0.5, 0.2, 0.1] as Vec3, frequency: 0.25, phase: 0.3, axis: [0.6, 0.8, 0] as Vec3, spin: 2 };
    const body = { ...cube("box", [1, 2, 3]), rail, pins: [{ vertices: [0, 3] }], handles: [{ id: "grip", vertices: [5] }] };
    const image = mirrored(body, "box-2", "x", 4);
    expect(image.position).toEqual([7, 2, 3]);
    // A displacement is reversed along the mirror's axis; an axis of rotation keeps that part and reverses the others.
    expect(image.rail).toEqual({ ...rail, amplitude: [-0.5, 0.2, 0.1], axis: [0.6, -0.8, 0] });
    const [copy] = arrayOf([body], 2, "z", 0.5, new Set(["box"]));
    expect(copy).toEqual({ ...body, id: "box-2", position: [1, 2, 3.5] });
    expect(readBody(writeBody(image))).toEqual(image);
  });

  it("keep pins that move: read, written, mirrored, and beside a pin that holds", () => {
    const motion: Motion = { velocity: [1, 2, 0], until: 2, axis: [0.6, 0.8, 0] };
    const body = { ...cube("box", [1, 2, 3]), pins: [{ vertices: [0] }, { vertices: [3, 4], motion }] };
    expect(readBody(writeBody(body))).toEqual(body);
    expect(mirrored(body, "box-2", "x").pins).toEqual([{ vertices: [0] }, { vertices: [3, 4], motion: { velocity: [-1, 2, 0], until: 2, axis: [0.6, -0.8, 0] } }]);
    const keys: Motion = { keys: [{ time: 1, offset: [1, 0, 0] }, { time: 2 }] };
    expect(mirrored({ ...body, pins: [{ vertices: [3], motion: keys }] }, "box-2", "x").pins[0]!.motion).toEqual({ axis: [0, -1, 0], keys: [{ time: 1, offset: [-1, 0, 0] }, { time: 2 }] });
    expect(togglePin(body.pins, 7)).toEqual([{ vertices: [0, 7] }, body.pins[1]]);
    expect(togglePin(body.pins, 4)).toEqual([{ vertices: [0] }, { vertices: [3], motion }]);
    expect(holdVertices(body.pins, [3, 5])).toEqual([...body.pins, { vertices: [5] }]);
  });

  it("find the highest thing over the same ground", () => {
    const [one, other] = [extentOf(cube("a", [0, 0.5, 0]), CUBE), extentOf(cube("b", [5, 9, 0]), CUBE)];
    expect(topBelow(extentOf(cube("c", [0.05, 3, 0]), CUBE), [one, other], 0)).toBeCloseTo(0.6);
    expect(topBelow(extentOf(cube("c", [1, 3, 0]), CUBE), [one, other], 0)).toBe(0);
  });

  it("are repeated in an array whose copies do not touch, with names of their own", () => {
    const box = cube("box", [0, 0.2, 0]);
    for (const axis of AXES) {
      const step = stepAlong(extentOf(box, CUBE), axis, gap);
      const made = arrayOf([box], 4, axis, step, new Set(["box", "box-3"]));
      expect(made.map((body) => body.id)).toEqual(["box-2", "box-4", "box-5"]);
      const k = AXES.indexOf(axis);
      expect(extentOf(made[0]!, CUBE).low[k]! - extentOf(box, CUBE).high[k]!).toBeGreaterThanOrEqual(gap - 1e-9);
    }
  });

  it("are mirrored with their turn and their motion", () => {
    const body = { ...cube("box", [1, 2, 3]), rotation: fromAngles([0, 30, 0]), velocity: [1, 2, 3] as Vec3, spin: [1, 2, 3] as Vec3 };
    const image = mirrored(body, "box-2", "x");
    expect(image.position).toEqual([-1, 2, 3]);
    expect(image.velocity).toEqual([-1, 2, 3]);
    expect(image.spin).toEqual([1, -2, -3]);
    // The image of a point that the body carries is the point that the image carries.
    const [x, y, z] = turned(body.rotation, [0.1, 0.2, 0.3]);
    const other = turned(image.rotation, [-0.1, 0.2, 0.3]);
    [-x, y, z].forEach((value, i) => expect(other[i]).toBeCloseTo(value, 6));
    expect(mirrored(image, "box", "x")).toEqual(body);
  });

  it("have walls around the floor that touch neither it nor one another", () => {
    const floor = { low: [-3, -0.3, -3] as Vec3, high: [3, 0, 3] as Vec3 };
    const made = walls(floor, 1, gap, WOOD.material, new Set());
    expect(made.map((body) => body.id)).toEqual(["wall-left", "wall-right", "wall-back", "wall-front"]);
    const boxes = made.map((body) => {
      const [x, y, z] = body.shape.params["size"] as number[];
      return { low: [body.position[0] - x! / 2, body.position[1] - y!, body.position[2] - z! / 2], high: [body.position[0] + x! / 2, body.position[1], body.position[2] + z! / 2] };
    });
    for (const [i, a] of boxes.entries()) {
      expect(a.low[1]! - floor.high[1]).toBeGreaterThanOrEqual(gap - 1e-9);
      for (const b of boxes.slice(i + 1)) expect(Math.max(...[0, 1, 2].map((k) => Math.max(a.low[k]! - b.high[k]!, b.low[k]! - a.high[k]!)))).toBeGreaterThanOrEqual(gap - 1e-9);
    }
    expect(walls(floor, 1, gap, WOOD.material, new Set(["wall-left"]))).toHaveLength(3);
  });

  it("name the vertices of a side", () => {
    expect(sideOf(CUBE, "top").map((i) => CUBE[3 * i + 1])).toEqual([0.1, 0.1, 0.1, 0.1]);
    expect(sideOf(CUBE, "left").every((i) => CUBE[3 * i] === -0.1)).toBe(true);
  });
});

describe("names and numbers", () => {
  it("are free, and names of bodies", () => {
    expect(freshId(new Set(), "Soft block")).toBe("soft-block");
    expect(freshId(new Set(["box"]), "box")).toBe("box-2");
    expect(freshId(new Set(["box-2", "box-3"]), "box-2")).toBe("box-4");
    expect(freshId(new Set(), "world")).toBe("world-2");
    expect(freshId(new Set(), "___")).toBe("body");
  });

  it("are read as people type them", () => {
    expect([parseNumber("1,5"), parseNumber(" −2 "), parseNumber("1e-3"), parseNumber(""), parseNumber("a"), parseNumber("1/0")]).toEqual([1.5, -2, 0.001, null, null, null]);
  });
});

describe("shapes and materials", () => {
  it("are scaled along their own axes", () => {
    expect(scaled(madeShape("box"), [2, 1, 0.5]).params["size"]).toEqual([0.6, 0.3, 0.15]);
    expect(scaled(madeShape("capsule"), [1, 2, 1]).params).toMatchObject({ radius: 0.12, length: 0.6 });
    expect(scaled(madeShape("lathe"), [2, 1, 2]).params["profile"]).toEqual([[0.32, -0.2], [0.32, 0.2]]);
    expect(scaled(madeShape("sphere"), [8, 1, 1]).params["radius"]).toBe(0.4);
    for (const kind of Object.keys(SHAPES.value)) expect(scaled(madeShape(kind), [1, 1, 1]).params).toEqual(SHAPES.value[kind]!.params);
    expect(canScale({ kind: "carpet", params: {} })).toBe(false);
  });
  it("from a file get a factor of their size", () => {
    const mesh = { kind: "mesh", params: { sha256: "ab" } };
    expect(canScale(mesh)).toBe(true);
    expect(scaled(mesh, [1, 1, 1])).toEqual(mesh);
    expect(scaled(mesh, [0.1, 0.1, 0.1]).params).toEqual({ sha256: "ab", scale: 0.1 });
    expect(scaled(scaled(mesh, [0.1, 0.1, 0.1]), [10, 10, 10])).toEqual(mesh);
    expect(meshOfScale(mesh, 1e9).params["scale"]).toBe(1e4);
  });

  it("name a material by its numbers", () => {
    for (const preset of PRESETS.value) expect(presetOf(preset.material)).toBe(preset);
    expect(presetOf({ ...WOOD.material, friction: 0.5 })).toBeNull();
    expect(likeness({ ...WOOD.material, density: 650 }).id).toBe("wood");
  });

  it("give a kind what belongs to it", () => {
    const rail = withKind({ ...cube("box", [0, 0, 0]), velocity: [1, 0, 0], pins: [{ vertices: [] }] }, "rail");
    expect(rail.rail).not.toBeNull();
    expect([rail.velocity, rail.pins]).toEqual([[0, 0, 0], []]);
    const lively = { ...cube("box", [0, 0, 0]), material: { ...WOOD.material, restitution: 0.5 } };
    expect(writeBody(lively)["material"]).toEqual({ ...WOOD.material, restitution: 0.5 });
    expect(writeBody({ ...lively, material: { ...WOOD.material, restitution: 0 } })).toEqual(writeBody(cube("box", [0, 0, 0])));
    expect(withKind(lively, "static").material.restitution).toBe(0.5);
    expect(withKind(lively, "elastic").material).toEqual(WOOD.material);
    const soft = { ...cube("box", [0, 0, 0]), kind: "elastic" as const, material: { ...WOOD.material, element: "averaged" as const } };
    expect(readBody(writeBody(soft)).material.element).toBe("averaged");
    expect(writeBody({ ...soft, material: { ...WOOD.material, element: "linear" } })["material"]).toEqual(WOOD.material);
    expect(withKind(soft, "affine").material).toEqual(WOOD.material);
    expect(withKind(rail, "affine").rail).toBeNull();
    expect(kindsOf(madeShape("block"))[0]).toBe("elastic");
    expect(kindsOf(madeShape("box"))).not.toContain("elastic");
  });
});

describe("Pins", () => {
  const pins: readonly Pin[] = [{ vertices: [0, 1] }, { vertices: [1, 2] }];

  it("are made to move, and held again, and no vertex that moves is in two", () => {
    const moving = withCourse(pins, 1, "straight");
    expect(moving).toEqual([{ vertices: [0] }, { vertices: [1, 2], motion: { velocity: [0, 0.5, 0], until: 2 } }]);
    expect(moving.map(courseOf)).toEqual(["held", "straight"]);
    expect(withMotion(moving, 1, { velocity: [1, 0, 0], until: 3 })[1]!.motion).toEqual({ velocity: [1, 0, 0], until: 3 });
    expect(withCourse(moving, 1, "held")).toEqual([{ vertices: [0] }, { vertices: [1, 2] }]);
    expect(withCourse([{ vertices: [1] }, { vertices: [1, 2] }], 1, "straight")).toHaveLength(1);
  });

  it("go the same way by keyframes as straight, and back", () => {
    const straight: Pin[] = [{ vertices: [4], motion: { velocity: [1, 0, -2], spin: 0.5, until: 2, axis: [1, 0, 0] } }];
    const keyed = withCourse(straight, 0, "keys");
    expect(keyed[0]!.motion).toEqual({ axis: [1, 0, 0], keys: [{ time: 2, offset: [2, 0, -4], angle: 1 }] });
    expect(courseOf(keyed[0]!)).toBe("keys");
    expect(withCourse(keyed, 0, "straight")).toEqual(straight);
  });

  it("have keyframes in order of time, and come home before they begin again", () => {
    const keys = withNextKey([{ time: 2, offset: [1, 0, 0] }]);
    expect(keys).toEqual([{ time: 2, offset: [1, 0, 0] }, { time: 3, offset: [1, 0, 0] }]);
    expect(inOrder([{ time: 3 }, { time: 1 }]).map((key) => key.time)).toEqual([1, 3]);
    expect(withRepeat({ keys }, true)).toEqual({ repeat: true, keys: [...keys, { time: 4 }] });
    expect(withRepeat({ keys: [{ time: 1, angle: 2 * Math.PI }] }, true).keys).toHaveLength(1);
    expect(withRepeat({ keys }, false)).toEqual({ repeat: false, keys });
  });
});

describe("Pairs", () => {
  const world = readWorld({ joints: [{ id: "pin", kind: "ball", a: "box", anchor: [0, 1, 0] }], pairs: [{ a: "box", b: "crate", friction: 0.9 }], integrator: "bdf2" });

  it("are found in either order, and gone when they say nothing", () => {
    expect(pairOf(world.pairs, "crate", "box").friction).toBe(0.9);
    expect(withPair(world.pairs, { a: "crate", b: "box", friction: null, restitution: 0.5 })).toEqual([{ a: "crate", b: "box", restitution: 0.5 }]);
    expect(withPair(world.pairs, { a: "crate", b: "box", friction: null, collide: true })).toEqual([]);
    expect(withPair([], { a: "crate", b: "box", collide: false })).toEqual([{ a: "crate", b: "box", collide: false }]);
  });

  it("and joints follow the names of bodies, and go with them", () => {
    expect(withName(world, "box", "case").joints[0]!["a"]).toBe("case");
    expect(withName(world, "crate", "case").pairs[0]!.b).toBe("case");
    expect(withName(world, "ball", "case")).toBe(world);
    expect(withoutBodies(world, new Set(["crate"]))).toEqual({ ...world, pairs: [] });
    expect(withoutBodies(world, new Set(["box"]))).toEqual({ ...world, pairs: [], joints: [] });
    expect(withoutBodies(world, new Set(["ball"]))).toBe(world);
  });
});
