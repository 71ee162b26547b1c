import { afterEach, describe, expect, it, vi } from "vitest";
import { Builder } from "../src/session/builder";
import type { BuilderPort } from "../src/session/builder";
import { extentOf, fromAngles, gapOf } from "../src/session/edit";
import { PRESETS } from "../src/session/materials";
import { ShapeStore, surfaceOf } from "../src/session/shapestore";
import { Uploads } from "../src/session/uploads";
import { Workbench } from "../src/session/workbench";
import { ScenePicture } from "../src/stage/picture";
import type { ShapeMesh } from "../src/session/shapestore";
import { Refused } from "../src/wire/calls";
import { SCHEMA_HASH } from "../src/wire/messages";
import type { MeshView } from "../src/wire/answers";
import type { Raw, Recipe, Vec3 } from "../src/wire/scene";

const FACES = [0, 2, 1, 1, 2, 3, 4, 5, 6, 5, 7, 6, 0, 1, 4, 1, 5, 4, 2, 6, 3, 3, 6, 7, 0, 4, 2, 2, 4, 6, 1, 3, 5, 3, 7, 5];

/** A box as the server makes it: a slab has its top at y = 0. */
function boxOf(recipe: Recipe): { vertices: number[]; faces: number[] } {
  const [x, y, z] = (recipe.params["size"] as number[]).map((size) => size / 2) as [number, number, number];
  const drop = recipe.kind === "slab" ? -y : 0;
  const vertices = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((i) => [i & 1 ? x : -x, (i & 2 ? y : -y) + drop, i & 4 ? z : -z]);
  return { vertices, faces: FACES };
}

function topologyOf(recipe: Recipe): ArrayBuffer {
  const { vertices, faces } = boxOf(recipe);
  const head = new TextEncoder().encode(JSON.stringify({ schema: SCHEMA_HASH, bodies: [{ id: "shape", kind: "affine", vertices: 8, faces: 12 }] }));
  const padded = (head.length + 3) & ~3;
  const data = new ArrayBuffer(8 + padded + 4 * vertices.length + 2 * faces.length);
  const view = new DataView(data);
  view.setUint8(0, 2);
  view.setUint32(4, head.length, true);
  new Uint8Array(data, 8).set(head);
  vertices.forEach((value, i) => view.setFloat32(8 + padded + 4 * i, value, true));
  faces.forEach((value, i) => view.setUint16(8 + padded + 4 * vertices.length + 2 * i, value, true));
  return data;
}

async function opened(...documents: Raw[]) {
  const docs = new Map<string, Raw>(documents.map((one) => [String(one["id"]), one]));
  const sent: { kind: string; d: Record<string, unknown> }[] = [];
  let version = 1;
  const port: BuilderPort = {
    seat: () => 0,
    command: async (kind, d = {}) => {
      sent.push({ kind, d });
      if (kind === "lock") return { ok: true, d: { lock: 1 } };
      if (kind !== "edit") return { ok: true, d: {} };
      version++;
      const edits = d["edits"] as Record<string, unknown>[];
      return { ok: true, d: { version, bodies: edits.map((edit) => ({ body: edit["body"], version: edit["remove"] ? 0 : Number(edit["base"]) + 1, sha256: `${version}` })) } };
    },
    list: async () => ({ version, editable: true, world: { body: "world", version: 1, sha256: "", lock: null }, bodies: [...docs.keys()].map((body) => ({ body, version: 1, sha256: "", lock: null })), limits: {}, used: {} }),
    body: async (body) => ({ body, version: 1, sha256: "", document: docs.get(body) ?? {} }),
    whole: async () => ({ bodies: [...docs.values()] }),
    check: async () => ({ version, ok: false, vertices: 0, overlaps: [["box", "crate"], ["box", "gone"]], problems: [], smallest_gap: null }),
  };
  const builder = new Builder(port);
  const shapes = new ShapeStore(async (recipe) => topologyOf(recipe));
  const bench = new Workbench(builder, shapes);
  await builder.open();
  await Promise.all(builder.bodies.value.map((body) => shapes.load(body.shape)));
  return { bench, builder, shapes, sent, edits: () => sent.filter((one) => one.kind === "edit").map((one) => one.d["edits"] as Record<string, unknown>[]) };
}

const floor: Raw = { id: "floor", kind: "static", shape: { kind: "slab", params: { size: [4, 0.3, 4] } }, material: { density: 1000 } };
const box = (id: string, at: Vec3): Raw => ({ id, shape: { kind: "box", params: { size: [0.2, 0.2, 0.2] } }, material: { density: 600 }, position: at });
const WOOD = PRESETS.value[1]!;

afterEach(() => vi.useRealTimers());

describe("Workbench", () => {
  it("adds bodies where there is room, none touching another", async () => {
    const { bench, builder, shapes } = await opened(floor);
    for (let i = 0; i < 12; i++) await bench.add("Box", { kind: "box", params: { size: [0.3, 0.3, 0.3] } }, "affine", WOOD);
    const bodies = builder.bodies.value;
    expect(bodies.map((body) => body.id).slice(1, 4)).toEqual(["box", "box-2", "box-3"]);
    const boxes = bodies.map((body) => extentOf(body, shapes.meshOf(body.shape)!.vertices));
    for (const [i, a] of boxes.entries()) for (const b of boxes.slice(i + 1)) expect(Math.max(...[0, 1, 2].map((k) => Math.max(a.low[k]! - b.high[k]!, b.low[k]! - a.high[k]!)))).toBeGreaterThan(0.01);
    expect(bench.selected.value).toEqual(["box-12"]);
  });

  it("holds a body from the first change on, and lets go when another one is chosen", async () => {
    const { bench, sent } = await opened(floor, box("box", [0, 1, 0]), box("crate", [1, 1, 0]));
    bench.select(["box"]);
    await bench.change((body) => ({ ...body, position: [0, 2, 0] }));
    expect(sent.map((one) => one.kind)).toEqual(["lock", "edit"]);
    bench.select(["crate"]);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(sent.at(-1)).toEqual({ kind: "unlock", d: { body: "box", lock: 1 } });
    bench.dispose();
  });

  it("lets go of a body that was not used for a while", async () => {
    const { bench, sent } = await opened(box("box", [0, 1, 0]));
    vi.useFakeTimers();
    bench.select(["box"]);
    await bench.hold();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(sent.map((one) => one.kind)).toEqual(["lock", "unlock"]);
    expect(bench.selected.value).toEqual(["box"]);
  });

  it("makes one edit of many key presses, and none of a gesture that is taken back", async () => {
    const { bench, builder, edits } = await opened(floor, box("box", [0, 1, 0]));
    bench.select(["box"]);
    vi.useFakeTimers();
    for (let i = 0; i < 3; i++) bench.nudge([0.05, 0, 0]);
    bench.nudge([0, 0, 0], fromAngles([0, 15, 0]));
    expect(edits()).toEqual([]);
    expect(bench.moved.value.get("box")?.position).toEqual([0.15, 1, 0]);
    await vi.advanceTimersByTimeAsync(1000);
    expect(edits()).toHaveLength(1);
    expect(edits()[0]![0]!["delta"]).toEqual({ position: [0.15, 1, 0], rotation: [...fromAngles([0, 15, 0])] });
    bench.nudge([1, 0, 0]);
    bench.cancel();
    await vi.advanceTimersByTimeAsync(1000);
    expect(edits()).toHaveLength(1);
    expect(builder.bodies.value[1]!.position).toEqual([0.15, 1, 0]);
    bench.dispose();
  });

  it("scales a body by the parameters of its shape", async () => {
    const { bench, edits } = await opened(box("box", [0, 1, 0]));
    bench.select(["box"]);
    bench.show(new Map([["box", { position: [0, 1, 0], rotation: [1, 0, 0, 0], scale: [2, 1, 1] }]]));
    bench.settle();
    await vi.waitFor(() => expect(edits()).toHaveLength(1));
    expect(edits()[0]![0]!["delta"]).toEqual({ shape: { kind: "box", params: { size: [0.4, 0.2, 0.2] } } });
    bench.dispose();
  });

  it("puts a body on the ground, on another one, and a copy beside it, each with a gap", async () => {
    const { bench, builder, shapes } = await opened(floor, box("box", [0, 1, 0]), box("crate", [0.05, 2, 0]));
    const gap = gapOf(builder.world.value);
    const extent = (id: string) => {
      const body = builder.bodies.value.find((one) => one.id === id)!;
      return extentOf(body, shapes.meshOf(body.shape)!.vertices);
    };
    bench.select(["box"]);
    await bench.ground();
    expect(extent("box").low[1]).toBeCloseTo(gap, 5);
    bench.select(["crate"]);
    await bench.stack();
    expect(extent("crate").low[1] - extent("box").high[1]).toBeCloseTo(gap, 5);
    await bench.duplicate();
    expect(bench.selected.value).toEqual(["crate-2"]);
    expect(Math.abs(extent("crate-2").low[0] - extent("crate").low[0])).toBeGreaterThanOrEqual(0.2 + gap - 1e-6);
    await bench.array(3, "y", bench.spacing("y"));
    expect(builder.bodies.value.map((body) => body.id)).toEqual(["floor", "box", "crate", "crate-2", "crate-3", "crate-4"]);
    bench.dispose();
  });

  it("opens a file as one step, and refuses what is not a scene", async () => {
    const { bench, builder, edits } = await opened(floor, box("box", [0, 1, 0]));
    expect(() => bench.replace("{")).toThrow("not JSON");
    expect(() => bench.replace('{"schema": "other/1", "bodies": []}')).toThrow("tussle-scene/1");
    expect(() => bench.replace('{"schema": "tussle-scene/1", "bodies": [3]}')).toThrow("tussle-scene/1");
    await bench.replace(JSON.stringify({ schema: "tussle-scene/1", gravity: [0, -1.62, 0], bodies: [floor, box("crate", [0, 1, 0])] }));
    expect(builder.bodies.value.map((body) => body.id)).toEqual(["floor", "crate"]);
    expect(builder.world.value.gravity).toEqual([0, -1.62, 0]);
    expect(edits()).toHaveLength(1);
  });

  it("keeps the joints, pairs and integrator of a scene when another number of the world changes", async () => {
    const { bench, builder, edits } = await opened(floor);
    const joints = [{ id: "pin", kind: "ball", a: "crate", anchor: [0, 1, 0] }];
    const pairs = [{ a: "crate", b: "floor", friction: 0.9 }];
    await bench.replace(JSON.stringify({ schema: "tussle-scene/1", integrator: "bdf2", joints, pairs, bodies: [floor, box("crate", [0, 1, 0])] }));
    await bench.changeWorld((world) => ({ ...world, gravity: [0, 0, 0] }));
    expect([builder.world.value.joints, builder.world.value.pairs, builder.world.value.integrator]).toEqual([joints, pairs, "bdf2"]);
    await bench.rename("crate", "case");
    expect([builder.world.value.joints[0]!["a"], builder.world.value.pairs[0]!.a]).toEqual(["case", "case"]);
    bench.select(["case"]);
    await bench.remove();
    expect(edits().at(-1)!.map((edit) => edit["body"])).toEqual(["case", "world"]);
    expect([builder.world.value.joints, builder.world.value.pairs]).toEqual([[], []]);
  });

  it("names the overlaps of bodies that are there", async () => {
    const { bench, builder } = await opened(box("box", [0, 1, 0]), box("crate", [0, 1.1, 0]));
    await vi.waitFor(() => expect(builder.checked.value).not.toBeNull(), { timeout: 3000 });
    expect(bench.overlapping.value).toEqual(new Map([["box", ["crate"]], ["crate", ["box"]]]));
  });
});

describe("ShapeStore", () => {
  it("asks once for a shape, again while the server is away, and keeps a refusal", async () => {
    vi.useFakeTimers();
    let asked = 0;
    const store = new ShapeStore(async (recipe) => {
      asked++;
      if (recipe.kind === "bad") throw new Refused("bad_scene", "no shape is called bad", 422);
      if (asked === 1) throw new Refused("offline", "", 0);
      return topologyOf(recipe);
    });
    const cube = { kind: "box", params: { size: [1, 1, 1] } };
    expect(store.meshOf(cube)).toBeNull();
    const loading = store.load({ kind: "box", params: { size: [1, 1, 1] } });
    await vi.advanceTimersByTimeAsync(3000);
    expect((await loading)?.volume).toBeCloseTo(1);
    expect([asked, store.meshOf(cube)?.faces.length]).toEqual([2, 36]);
    expect(await store.load({ kind: "bad", params: {} })).toBeNull();
    expect(store.problemOf({ kind: "bad", params: {} })).toBe("no shape is called bad");
    expect(asked).toBe(3);
  });
});

describe("names and vertices", () => {
  it("renames a body in one step, and not to a name that is taken or wrong", async () => {
    const { bench, builder, sent } = await opened(floor, box("box", [0, 1, 0]));
    bench.select(["box"]);
    for (const name of ["floor", "world", "Box", "-", "a".repeat(49), ""]) expect(await bench.rename("box", name)).toBe(false);
    expect(sent.some(({ kind }) => kind === "edit")).toBe(false);
    expect(await bench.rename("box", "brick")).toBe(true);
    const edits = sent.filter(({ kind }) => kind === "edit").map(({ d }) => d["edits"] as { body: string; remove?: boolean; document?: Raw }[]);
    expect(edits.length).toBe(1);
    expect(edits[0]!.map(({ body, remove }) => [body, remove ?? false])).toEqual([["box", true], ["brick", false]]);
    expect(edits[0]![1]!.document!["id"]).toBe("brick");
    expect(bench.selected.value).toEqual(["brick"]);
    expect(builder.bodies.value.map(({ id }) => id)).toEqual(["floor", "brick"]);
  });

  it("holds single vertices and makes them handles, and takes them back", async () => {
    const { bench, builder } = await opened(floor, box("box", [0, 1, 0]));
    const now = () => builder.bodies.value.find(({ id }) => id === "box")!;
    bench.select(["box"]);
    bench.picking.value = "pins";
    bench.pick(6);
    bench.pick(2);
    expect(now().pins).toEqual([{ vertices: [2, 6] }]);
    bench.pick(6);
    bench.picking.value = "handles";
    bench.pick(3);
    expect([now().pins, now().handles]).toEqual([[{ vertices: [2] }], [{ id: "vertex-3", vertices: [3] }]]);
    bench.pick(3);
    bench.select(["box", "floor"]);
    expect([now().handles, bench.picking.value]).toEqual([[], null]);
  });
});

describe("surfaceOf", () => {
  it("leaves out the vertices inside, and knows the numbers of the others in documents", () => {
    const inside = 4;
    const corners = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
    const vertices = new Float32Array([...corners.slice(0, 6), 0.2, 0.2, 0.2, ...corners.slice(6)]);
    const mesh = surfaceOf(vertices, new Uint32Array([0, 3, 1, 0, 1, inside, 0, inside, 3, 1, 3, inside]));
    expect([...mesh.vertices]).toEqual(corners);
    expect([...mesh.numbers]).toEqual([0, 1, 3, 4]);
    expect([...mesh.faces]).toEqual([0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3]);
    expect([mesh.total, Number(mesh.volume.toFixed(4))]).toEqual([5, 0.1667]);
  });
});

describe("ScenePicture", () => {
  const meshOf = (recipe: Recipe): ShapeMesh => {
    const { vertices, faces } = boxOf(recipe);
    return surfaceOf(new Float32Array(vertices), new Uint32Array(faces));
  };

  it("draws the floor as the mat and everything else by its pose, and keeps its meshes while bodies move", async () => {
    const { builder } = await opened(floor, box("box", [0, 1, 0]), { ...floor, id: "wall", shape: { kind: "slab", params: { size: [0.1, 1, 4] } }, position: [2, 1, 0] });
    const picture = new ScenePicture();
    expect(picture.set(builder.bodies.value, meshOf)).toBe(true);
    expect(picture.shown).toEqual(["box", "wall"]);
    expect(picture.topology!.bodies.map((body) => [body.id, body.kind])).toEqual([["box", "affine"], ["wall", "rail"], ["floor", "static"]]);
    expect([...picture.sample()!.before.rows.slice(0, 6)]).toEqual([0, 1, 0, 1, 0, 0]);
    const moved = new Map([["box", { position: [1, 2, 3] as Vec3, rotation: [1, 0, 0, 0] as const, scale: [2, 1, 1] as Vec3 }]]);
    expect(picture.set(builder.bodies.value, meshOf, moved)).toBe(false);
    expect([...picture.sample()!.before.rows.slice(0, 6)]).toEqual([1, 2, 3, 2, 0, 0]);
    expect(picture.set(builder.bodies.value.slice(0, 2), meshOf)).toBe(true);
    // A floor that is turned is no mat.
    expect(picture.set(builder.bodies.value.map((body) => ({ ...body, rotation: fromAngles([0, 0, 20]) })), meshOf)).toBe(true);
    expect(picture.shown).toEqual(["floor", "box", "wall"]);
  });
});

describe("Uploads", () => {
  it("follow a file until it is ready or refused", async () => {
    vi.useFakeTimers();
    const states: MeshView["state"][] = ["working", "ready"];
    const uploads = new Uploads({
      put: async (file, sent) => {
        sent(0.5);
        if (file.name === "big.stl") throw new Error("the file is too large");
        return { mesh: "m1", state: "queued" };
      },
      get: async () => ({ mesh: "m1", state: states.shift()!, percent: 40, shape: { kind: "mesh", params: { sha256: "r1" } } }),
    });
    const ready: string[] = [];
    uploads.onReady = (_, answer) => ready.push(String((answer.shape?.["params"] as Record<string, unknown>)["sha256"]));
    const sending = uploads.add(new File(["solid"], "bunny.stl"));
    await vi.advanceTimersByTimeAsync(10);
    uploads.receive({ mesh: "m1", state: "working", percent: 12 });
    expect(uploads.list.value[0]).toMatchObject({ name: "bunny.stl", state: "working", answer: { percent: 12 } });
    await vi.advanceTimersByTimeAsync(3000);
    await sending;
    expect(ready).toEqual(["r1"]);
    states.push("ready");
    const again = uploads.add(new File(["solid"], "bunny.stl"));
    await vi.advanceTimersByTimeAsync(2000);
    await again;
    expect(ready).toEqual(["r1", "r1"]);
    uploads.drop(uploads.list.value[1]!.key);
    await uploads.add(new File(["x"], "big.stl"));
    expect(uploads.list.value[1]).toMatchObject({ state: "refused", problem: "the file is too large" });
    uploads.drop(uploads.list.value[0]!.key);
    expect(uploads.list.value).toHaveLength(1);
  });
});
