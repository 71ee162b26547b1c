// What a person does to a scene: which bodies are chosen, a gesture that is going on, and the actions of the tools. It
// joins the builder (documents), the meshes of the shapes (sizes) and edit.ts (geometry). It must never touch the page.

import { batch, computed, signal } from "@preact/signals";
import type { ReadonlySignal, Signal } from "@preact/signals";
import { t } from "../text/words";
import { WORLD_ID, readWorld, same, writeBody, writeWorld } from "../wire/scene";
import type { Body, Kind, Quat, Raw, Recipe, Vec3, World } from "../wire/scene";
import type { Builder, Change } from "./builder";
import { AXES, arrayOf, copyOf, extentOf, extentOfAll, freshId, gapOf, groundedAt, madeBody, mirrored, neat3, stacked, stepAlong, times, topBelow, unit, walls, wrongName } from "./edit";
import type { Axis, Extent } from "./edit";
import type { Preset } from "./materials";
import { withName, withoutBodies } from "./pairs";
import { togglePin } from "./pins";
import { scaled } from "./shapes";
import type { ShapeStore } from "./shapestore";

/** A pose that a gesture gives a body before it is an edit. */
export interface MovedPose {
  readonly position: Vec3;
  readonly rotation: Quat;
  readonly scale: Vec3;
}

/** A body is let go when it was not changed for this long [ms]. */
const IDLE_MS = 12_000;
/** Key presses this close to one another are one edit [ms]. */
const PAUSE_MS = 350;
const FLOOR = "floor";
const FLOOR_SIZE: readonly number[] = [7, 0.3, 7];
/** What the sandbox gives its floor. */
const FLOOR_MATERIAL = { density: 1000, stiffness: 1e6, poisson: 0.4, friction: 0.5, damping: 0 };
export const MOST_COPIES = 64;

export class Workbench {
  readonly builder: Builder;
  readonly shapes: ShapeStore;
  readonly selected: Signal<readonly string[]> = signal([]);
  /** The chosen bodies that are there, the last chosen one last. */
  readonly chosen: ReadonlySignal<readonly Body[]>;
  readonly moved: Signal<ReadonlyMap<string, MovedPose>> = signal(new Map());
  /** For a screen reader: what the last action did. */
  readonly said: Signal<string> = signal("");
  /** The body of each overlap that the last check found. */
  readonly overlapping: ReadonlySignal<ReadonlyMap<string, readonly string[]>>;
  /** The body that the others stand on: the one called floor, else the widest fixed slab that is level. */
  readonly floor: ReadonlySignal<Body | null>;
  /** What a click on a vertex of the chosen body does: hold it in place, or make it a handle. */
  readonly picking: Signal<"pins" | "handles" | null> = signal(null);
  private pauseTimer = 0;
  private readonly idle = new Map<string, number>();

  constructor(builder: Builder, shapes: ShapeStore) {
    this.builder = builder;
    this.shapes = shapes;
    this.chosen = computed(() => {
      const bodies = new Map(builder.bodies.value.map((body) => [body.id, body]));
      return this.selected.value.flatMap((id) => bodies.get(id) ?? []);
    });
    this.floor = computed(() => {
      const area = (body: Body): number => {
        const size = body.shape.params["size"];
        return body.kind === "static" && ["slab", "box"].includes(body.shape.kind) && Array.isArray(size) && body.rotation[0] === 1 ? Number(size[0]) * Number(size[2]) : 0;
      };
      const bodies = builder.bodies.value;
      return bodies.find((body) => body.id === FLOOR) ?? bodies.filter((body) => area(body) > 0).sort((a, b) => area(b) - area(a))[0] ?? null;
    });
    this.overlapping = computed(() => {
      const found = new Map<string, string[]>();
      const there = new Set(builder.bodies.value.map((body) => body.id));
      for (const [a, b] of builder.checked.value?.overlaps ?? []) {
        if (!there.has(a) || !there.has(b)) continue;
        found.set(a, [...(found.get(a) ?? []), b]);
        found.set(b, [...(found.get(b) ?? []), a]);
      }
      return found;
    });
  }

  dispose(): void {
    clearTimeout(this.pauseTimer);
    for (const timer of this.idle.values()) clearTimeout(timer);
  }

  // -- choosing

  select(ids: readonly string[], more = false): void {
    this.settle();
    const before = this.selected.peek();
    const next = more ? (ids.every((id) => before.includes(id)) ? before.filter((id) => !ids.includes(id)) : [...before.filter((id) => !ids.includes(id)), ...ids]) : ids;
    this.selected.value = next;
    for (const id of before) if (!next.includes(id)) this.letGo(id);
    if (next.length !== 1 || !before.includes(next[0]!)) this.picking.value = null;
  }

  selectAll(): void {
    this.select(this.builder.bodies.peek().filter((body) => body !== this.floor.peek()).map((body) => body.id));
  }

  /** The next body in the list, or the one before. */
  step(by: number): void {
    const bodies = this.builder.bodies.peek();
    if (!bodies.length) return;
    const at = bodies.findIndex((body) => body.id === this.selected.peek().at(-1));
    const next = bodies[(at < 0 ? (by > 0 ? 0 : bodies.length - 1) : at + by + bodies.length) % bodies.length]!;
    this.select([next.id]);
    this.said.value = t("workbench.is-chosen", { id: next.id });
  }

  private letGo(id: string): void {
    clearTimeout(this.idle.get(id));
    this.idle.delete(id);
    this.builder.release(id);
  }

  /** A body was used: it stays locked for a while. */
  private used(id: string): void {
    clearTimeout(this.idle.get(id));
    this.idle.set(id, setTimeout(() => this.letGo(id), IDLE_MS) as unknown as number);
  }

  /** Take hold of the chosen bodies. */
  async hold(): Promise<boolean> {
    const held = await Promise.all(this.selected.peek().map((id) => this.builder.hold(id)));
    for (const id of this.selected.peek()) this.used(id);
    return held.every(Boolean);
  }

  // -- sizes

  extentOf(body: Body): Extent | null {
    const mesh = this.shapes.meshOf(body.shape);
    return mesh && extentOf(body, mesh.vertices);
  }

  private get gap(): number {
    return gapOf(this.builder.world.peek());
  }

  private others(group: readonly Body[]): Extent[] {
    const ids = new Set(group.map((body) => body.id));
    return this.builder.bodies.peek().flatMap((body) => (ids.has(body.id) ? [] : (this.extentOf(body) ?? [])));
  }

  get taken(): Set<string> {
    return new Set([...this.builder.documents.peek().keys(), WORLD_ID]);
  }

  /** A place on the floor where nothing is, near the middle; on top of what is there if the floor is full. */
  private freePlace(extent: Extent): Vec3 {
    const floorBody = this.floor.peek();
    const floor = floorBody && this.extentOf(floorBody);
    const others = this.builder.bodies.peek().flatMap((body) => (body === floorBody ? [] : (this.extentOf(body) ?? [])));
    const ground = floor ? floor.high[1] : 0;
    const [wide, deep] = [extent.high[0] - extent.low[0], extent.high[2] - extent.low[2]];
    const middle = [0, 1, 2].map((k) => (extent.low[k]! + extent.high[k]!) / 2) as unknown as Vec3;
    const at = (x: number, z: number): Extent => ({ low: [x - wide / 2 - this.gap, 0, z - deep / 2 - this.gap], high: [x + wide / 2 + this.gap, 0, z + deep / 2 + this.gap] });
    const inside = (one: Extent) => !floor || (one.low[0] > floor.low[0] && one.high[0] < floor.high[0] && one.low[2] > floor.low[2] && one.high[2] < floor.high[2]);
    const rise = ground + this.gap - extent.low[1];
    for (let ring = 0; ring < 12; ring++) {
      const count = Math.max(1, 8 * ring);
      for (let i = 0; i < count; i++) {
        const angle = (2 * Math.PI * i) / count + 0.3;
        const [x, z] = [0.3 * ring * Math.cos(angle), 0.3 * ring * Math.sin(angle)];
        const spot = at(x, z);
        if (inside(spot) && topBelow(spot, others, -Infinity) === -Infinity) return neat3([x - middle[0], rise + 1e-6, z - middle[2]]);
      }
    }
    return neat3([-middle[0], topBelow(at(0, 0), others, ground) + this.gap - extent.low[1] + 1e-6, -middle[2]]);
  }

  // -- actions

  private async commit(changes: readonly Change[], said: string): Promise<boolean> {
    if (!changes.length) return true;
    const done = await this.builder.commit(changes);
    if (changes.some((one) => one.body === WORLD_ID)) this.builder.release(WORLD_ID);
    for (const { body, document } of changes) if (document && this.selected.peek().includes(body)) this.used(body);
    if (done) this.said.value = said;
    return done;
  }

  /** Put a new body on the floor. */
  async add(name: string, shape: Recipe, kind: Kind, preset: Preset, material = preset.material): Promise<void> {
    const mesh = await this.shapes.load(shape);
    if (!mesh) {
      this.builder.onRefusal({ code: "bad_shape", message: this.shapes.problemOf(shape) ?? "", retryAfter: null });
      return;
    }
    const id = freshId(this.taken, name);
    const made = { ...madeBody(id, shape, kind, preset, [0, 0, 0]), material };
    const body = { ...made, position: this.freePlace(extentOf(made, mesh.vertices)) };
    const adding = this.commit([{ body: id, document: writeBody(body) }], t("workbench.is-on-the-floor", { id }));
    this.select([id]);
    await adding;
  }

  remove(): Promise<boolean> {
    const group = this.chosen.peek();
    this.cancel();
    const left = withoutBodies(this.builder.world.peek(), new Set(group.map((body) => body.id)));
    const removing = this.commit([...group.map((body) => ({ body: body.id, document: null })), ...this.worldAfter(left)], group.length === 1 ? t("workbench.is-removed", { id: group[0]!.id }) : t("workbench.bodies-are-removed", { groupCount: group.length }));
    this.selected.value = [];
    return removing;
  }

  /** Change the chosen bodies. */
  change(how: (body: Body) => Body, said = ""): Promise<boolean> {
    this.settle();
    return this.write(this.chosen.peek().map(how), said);
  }

  /** Give a body another name, as one step. */
  async rename(old: string, name: string): Promise<boolean> {
    this.settle();
    const document = this.builder.documents.peek().get(old);
    if (!document || wrongName(this.taken, name)) return false;
    const world = withName(this.builder.world.peek(), old, name);
    const renaming = this.commit([{ body: old, document: null }, { body: name, document: { ...document, id: name } }, ...this.worldAfter(world)], t("workbench.is-called-now", { old, name }));
    this.select([name]);
    const done = await renaming;
    if (!done && this.selected.peek().includes(name)) this.select([old]);
    return done;
  }

  /** Hold a vertex in place, or let it go; or make it a handle, or none. Its number is that of the document. */
  pick(vertex: number): void {
    const name = `vertex-${vertex}`;
    void this.change((body) => {
      if (this.picking.peek() === "handles") {
        const others = body.handles.filter((one) => one.id !== name);
        return { ...body, handles: others.length < body.handles.length ? others : [...others, { id: name, vertices: [vertex] }] };
      }
      return { ...body, pins: togglePin(body.pins, vertex) };
    });
  }

  private write(bodies: readonly Body[], said: string): Promise<boolean> {
    const known = this.builder.documents.peek();
    const changes = bodies.map((body) => ({ body: body.id, document: writeBody(body) })).filter((one) => !same(one.document, known.get(one.body)));
    return this.commit(changes, said);
  }

  /** The change of the world beside one of bodies: its joints and pairs follow them. */
  private worldAfter(world: World): Change[] {
    return world === this.builder.world.peek() ? [] : [{ body: WORLD_ID, document: writeWorld(world) }];
  }

  changeWorld(how: (world: World) => World): Promise<boolean> {
    const document = writeWorld(how(this.builder.world.peek()));
    return this.commit([{ body: WORLD_ID, document }], "");
  }

  private async place(made: readonly Body[], said: string): Promise<void> {
    const adding = this.commit(made.map((body) => ({ body: body.id, document: writeBody(body) })), said);
    this.select(made.map((body) => body.id));
    await adding;
  }

  private extents(group: readonly Body[]): Extent[] | null {
    const extents = group.map((body) => this.extentOf(body));
    return extents.every((one) => one !== null) ? extents : null;
  }

  /** How far copies of the chosen bodies stand apart along an axis without touching [m]. */
  spacing(axis: Axis): number {
    const all = extentOfAll(this.extents(this.chosen.value) ?? []);
    return all ? stepAlong(all, axis, gapOf(this.builder.world.value)) : 0.5;
  }

  /** Copies beside the chosen bodies, to the side where there is room. */
  async duplicate(): Promise<void> {
    const group = this.chosen.peek();
    const all = extentOfAll(this.extents(group) ?? []);
    if (!group.length || !all) return;
    const others = this.others([]);
    const free = AXES.filter((axis) => axis !== "y")
      .flatMap((axis) => [1, -1].map((sign) => ({ axis, by: sign * stepAlong(all, axis, this.gap) })))
      .find(({ axis, by }) => {
        const k = AXES.indexOf(axis);
        const moved = (v: Vec3): Vec3 => v.map((value, i) => value + (i === k ? by : 0)) as unknown as Vec3;
        const spot = { low: moved(all.low), high: moved(all.high) };
        return !others.some((one) => [0, 1, 2].every((i) => one.low[i]! < spot.high[i]! && one.high[i]! > spot.low[i]!));
      }) ?? { axis: "y" as const, by: stepAlong(all, "y", this.gap) };
    const used = this.taken;
    const made = group.map((body) => {
      const id = freshId(used, body.id);
      used.add(id);
      return copyOf(body, id, AXES.map((one) => (one === free.axis ? free.by : 0)) as unknown as Vec3);
    });
    await this.place(made, made.length === 1 ? t("workbench.is-a-copy", { id: made[0]!.id }) : t("workbench.copies", { madeCount: made.length }));
  }

  async array(count: number, axis: Axis, step: number): Promise<void> {
    const made = arrayOf(this.chosen.peek(), Math.min(MOST_COPIES, count), axis, step, this.taken);
    await this.place(made, t("workbench.copies-along", { madeCount: made.length, axis }));
  }

  async mirror(axis: Axis): Promise<void> {
    const used = this.taken;
    const made = this.chosen.peek().map((body) => {
      const id = freshId(used, body.id);
      used.add(id);
      return mirrored(body, id, axis);
    });
    await this.place(made, t("workbench.mirrored-across-0", { axis }));
  }

  /** Lower or raise the chosen bodies onto what is below them, a gap above it. */
  ground(): Promise<boolean> {
    const group = this.chosen.peek();
    const extents = this.extents(group);
    const all = extentOfAll(extents ?? []);
    if (!extents || !all) return Promise.resolve(false);
    const below = this.others(group).filter((one) => one.high[1] <= all.low[1] + 1e-6 || one.high[1] <= (all.low[1] + all.high[1]) / 2);
    return this.write(groundedAt(group, extents, topBelow(all, below, 0), this.gap), t("workbench.on-the-ground"));
  }

  /** The chosen bodies in a pile over the lowest one; a single one onto everything under and over it. */
  stack(): Promise<boolean> {
    const group = this.chosen.peek();
    const extents = this.extents(group);
    const all = extentOfAll(extents ?? []);
    if (!extents || !all) return Promise.resolve(false);
    const made = group.length === 1 ? groundedAt(group, extents, topBelow(all, this.others(group), 0), this.gap) : stacked(group, extents, this.gap);
    return this.write(made, t("workbench.stacked-with-a-gap"));
  }

  /** Add a floor where there is none. */
  addFloor(): Promise<boolean> {
    const body: Body = { ...madeBody(FLOOR, { kind: "slab", params: { size: FLOOR_SIZE } }, "static", { id: "", name: "", colour: "", material: FLOOR_MATERIAL }, [0, 0, 0]) };
    return this.commit([{ body: FLOOR, document: writeBody(body) }], t("workbench.the-floor-is-added"));
  }

  /** Four walls around the floor. */
  async addWalls(height: number): Promise<boolean> {
    const floor = this.floor.peek();
    const mesh = floor && (await this.shapes.load(floor.shape));
    if (!floor || !mesh) return false;
    const made = walls(extentOf(floor, mesh.vertices), height, this.gap, floor.material, this.taken);
    return this.commit(made.map((body) => ({ body: body.id, document: writeBody(body) })), t("workbench.walls", { madeCount: made.length }));
  }

  /** Replace the scene with a whole document. Throws Error if it is not one. */
  replace(text: string): Promise<boolean> {
    let whole: Raw;
    try {
      whole = JSON.parse(text) as Raw;
    } catch {
      throw new Error("The file is not JSON.");
    }
    const bodies = whole?.["bodies"];
    if (whole?.["schema"] !== "tussle-scene/1" || !Array.isArray(bodies) || !bodies.every((one: unknown) => typeof (one as Raw | null)?.["id"] === "string")) throw new Error("The file is not a scene of schema tussle-scene/1.");
    this.cancel();
    this.selected.value = [];
    const wanted = new Map((bodies as Raw[]).map((one) => [String(one["id"]), one]));
    const known = this.builder.documents.peek();
    const removed = [...known.keys()].filter((id) => id !== WORLD_ID && !wanted.has(id)).map((body) => ({ body, document: null }));
    const written = [...wanted].map(([body, document]) => ({ body, document }));
    const changes = [...removed, ...written, { body: WORLD_ID, document: writeWorld(readWorld(whole)) }].filter((one) => !same(one.document, known.get(one.body)));
    return this.commit(changes, t("workbench.the-scene-of-the-file")).finally(() => {
      for (const { body } of changes) this.builder.release(body);
    });
  }

  // -- gestures

  /** Poses while something is dragged; shown only on this page. */
  show(moved: ReadonlyMap<string, MovedPose>): void {
    this.moved.value = moved;
  }

  /** Move the chosen bodies by keys: one edit when the keys rest. */
  nudge(by: Vec3, turn: Quat | null = null): void {
    const moved = new Map(this.moved.peek());
    for (const body of this.chosen.peek()) {
      const pose = moved.get(body.id) ?? { position: body.position, rotation: body.rotation, scale: [1, 1, 1] };
      moved.set(body.id, { ...pose, position: neat3(pose.position.map((value, i) => value + by[i]!) as unknown as Vec3), rotation: turn ? unit(times(turn, pose.rotation)) : pose.rotation });
    }
    if (!moved.size) return;
    this.moved.value = moved;
    void this.hold();
    clearTimeout(this.pauseTimer);
    this.pauseTimer = setTimeout(() => this.settle(), PAUSE_MS) as unknown as number;
  }

  /** Make the gesture an edit. */
  settle(): void {
    clearTimeout(this.pauseTimer);
    const moved = this.moved.peek();
    if (!moved.size) return;
    const bodies = this.builder.bodies.peek().flatMap((body) => {
      const pose = moved.get(body.id);
      if (!pose) return [];
      const larger = pose.scale.some((value) => Math.abs(value - 1) > 1e-6);
      return [{ ...body, position: neat3(pose.position), rotation: unit(pose.rotation), shape: larger ? scaled(body.shape, pose.scale) : body.shape }];
    });
    batch(() => {
      void this.write(bodies, "");
      this.moved.value = new Map();
    });
  }

  /** Take the gesture back. */
  cancel(): void {
    clearTimeout(this.pauseTimer);
    if (this.moved.peek().size) this.moved.value = new Map();
  }
}
