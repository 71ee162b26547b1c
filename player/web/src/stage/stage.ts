// The stage: the loop that samples the timeline, blends two frames and draws the picture and its overlay. It also
// finds bodies under a pixel. It must never import Preact or use a socket.

import type { Frame, Topology, TopologyBody } from "../wire/frames";
import type { Blow, Out } from "../session/events";
import { blendAffine, blendMixed } from "./affine";
import { canWebGL, drawsInSoftware } from "./browser";
import { FALL_S, Falls } from "./falls";
import { FlatView } from "./flat";
import { Impacts, trianglesOf } from "./impacts";
import type { Box, Disc } from "./labels";
import { distinguish } from "./marks";
import { Overlay } from "./overlay";
import type { PinSpec } from "./overlay";
import type { Point } from "./outline";
import { PLAYER_COLOURS, propColour } from "./palette";
import { Pointers } from "./pointers";
import type { Hand } from "./pointers";
import { Pace } from "./pace";
import type { OwnDrag } from "../session/owndrag";
import { drawnBodies, type Moments } from "../session/timeline";
import type { Drawn, Marks, StageSeat } from "./shown";
import type { CameraView, House, View } from "./view";

/** Without a graphics card the CPU draws every pixel. A plain tier rests so long after each frame [ms], which is every
 * second one of a screen with 60 Hz: as many as the server sends. */
const REST_MS = 20;

/** How long a fall is looked at, from the rim on: the world still has the body for a second of it [s]. */
const SEEN_FALL_S = 0.9 + FALL_S;

/** The tiers of which the overlay draws labels only. */
const isPlain = (tier: string): boolean => tier === "C" || tier === "H";

export class Stage {
  readonly host: HTMLElement;
  readonly overlay = new Overlay();
  view: View;
  tier: string;
  timeline: Moments | null = null;
  topology: Topology | null = null;
  hand: Hand | null = null;
  /** What this page drags, and its seat: drawn before the server has answered. */
  drag: { readonly own: OwnDrag; readonly seat: number } | null = null;
  /** What else to draw; called every frame. */
  draw: () => Drawn = () => ({ aim: null, ring: null, handle: null });
  onTier: (tier: string) => void = () => {};
  /** A blow is seen now, at a pixel of the stage. */
  onStruck: (blow: Blow, at: { x: number; y: number }) => void = () => {};
  /** Mean time of a frame [ms]: all of its JavaScript, and the part before the renderer. */
  frameMs = 0;
  workMs = 0;
  /** The last frames, two numbers each [ms]: all of it, the part before the renderer. For measuring. */
  readonly spent = new Float32Array(2 * 256);
  private spentAt = 0;
  readonly pace = new Pace();
  private rows = new Float32Array(0);
  private active: boolean[] = [];
  private movingBodies: TopologyBody[] = [];
  private seats: readonly StageSeat[] = [];
  private bodiesOfSeat = new Map<number, number[]>();
  private pendingBlows: Blow[] = [];
  private pendingOuts: Out[] = [];
  private readonly impacts = new Impacts();
  private readonly falls = new Falls();
  private seen = { before: -1, after: -1, blend: -1 };
  private dirty = true;
  private last = 0;
  private raf = 0;
  private rest = 0;
  private hidden = false;
  private readonly resizer: ResizeObserver;
  private readonly stop = new AbortController();
  private mode: "dark" | "light" = "dark";
  private readonly still: boolean;
  private readonly flat: boolean;
  private house: House | null = null;

  /** still: a picture only, no pointers. flat: whether a picture from above will do where others are slow. */
  private constructor(host: HTMLElement, view: View, tier: string, still: boolean, flat: boolean) {
    this.host = host;
    this.view = view;
    this.tier = tier;
    this.still = still;
    this.flat = flat;
    host.append(view.element, this.overlay.element);
    this.overlay.plain = isPlain(tier);
    document.addEventListener("visibilitychange", () => this.pace.rest(), { signal: this.stop.signal });
    this.resizer = new ResizeObserver(() => this.measure());
    this.resizer.observe(host);
    this.measure();
    if (!still) new Pointers(this, this.stop.signal);
    this.awaitFrame();
  }

  /** Fetch what a stage needs, before there is a place for it. */
  static preload(tier: string | null): void {
    if ((tier ?? (drawsInSoftware() ? "D" : "A")) !== "D") import("./view3d").catch(() => {}); // `make` reports it
  }

  /** A stage in three dimensions where the browser can and is quick enough, else flat. flat: false where a picture from
   * above will not do: bodies are moved up and down, or there is a gizmo. */
  static async make(host: HTMLElement, options: { still?: boolean; tier?: string | null; flat?: boolean } = {}): Promise<Stage> {
    const { still = false, flat = true } = options;
    const software = drawsInSoftware();
    const wanted = options.tier ?? (software ? (flat ? "D" : "H") : "A");
    if (wanted !== "D" && canWebGL()) {
      try {
        const { View3D } = await import("./view3d");
        const tier = wanted === "A" || wanted === "B" || wanted === "C" || wanted === "H" ? wanted : "A";
        // A tier that was asked for stays; else slow frames take plainer ones.
        return new Stage(host, new View3D(tier, still), tier, still, flat && !options.tier);
      } catch (error) {
        console.warn("no WebGL:", error);
      }
    }
    return new Stage(host, new FlatView(still), "D", still, flat);
  }

  /** Take a topology over as soon as what is drawn is of it. It comes before its first frame: until then the bodies of the
   * one before are drawn. */
  setTopology(topology: Topology): void {
    if (topology === (this.coming ?? this.topology)) return;
    const drawn = this.timeline?.sample(performance.now() / 1000)?.before.version;
    if (drawn !== undefined && drawn === this.topology?.version && drawn !== topology.version) this.coming = topology;
    else this.adopt(topology);
  }
  private coming: Topology | null = null;

  private adopt(topology: Topology): void {
    const moving = topology.bodies.filter((body) => body.kind !== "static");
    this.coming = null;
    this.topology = topology;
    this.falls.goOn(this.movingBodies, moving);
    this.movingBodies = moving;
    this.rows = new Float32Array(12 * moving.length);
    this.active = moving.map(() => false);
    this.bodiesOfSeat = new Map();
    moving.forEach((body, index) => {
      if (body.seat !== null) this.bodiesOfSeat.set(body.seat, [...(this.bodiesOfSeat.get(body.seat) ?? []), index]);
    });
    this.view.setTopology(topology);
    this.view.setTheme(this.mode);
    this.applySeats();
    this.seen = { before: -1, after: -1, blend: -1 };
    this.dirty = true;
  }

  setSeats(seats: readonly StageSeat[]): void {
    distinguish(seats.map((seat) => seat.name));
    this.seats = seats;
    this.applySeats();
    this.dirty = true;
  }

  setTheme(theme: "dark" | "light"): void {
    this.mode = theme;
    this.view.setTheme(theme);
    this.dirty = true;
  }

  setCalm(calm: boolean): void {
    this.overlay.calm = calm;
    this.impacts.calm = calm;
  }

  setWireframe(shown: boolean): void {
    this.view.setWireframe(shown);
    this.seen.before = -1;
    this.dirty = true;
  }

  /** Flash at a contact once the picture has reached its tick. */
  blow(blow: Blow): void {
    this.pendingBlows.push(blow);
    if (this.pendingBlows.length > 16) this.pendingBlows.shift();
  }

  /** Burst a broken body, or let one fall on, once the picture has reached its last tick. */
  out(out: Out): void {
    this.pendingOuts.push(out);
    if (this.pendingOuts.length > 8) this.pendingOuts.shift();
  }

  /** A sign over the body of a seat, for a moment. */
  say(seat: number, sign: string): void {
    const body = this.bodyOf(seat);
    if (body !== null) this.overlay.say(body, sign, performance.now() / 1000);
    this.dirty = true;
  }

  /** Whether a blow or a broken body has not been seen yet. */
  get waits(): boolean {
    return this.pendingBlows.length + this.pendingOuts.length > 0;
  }

  /** The picture goes back to before these: they are seen again, and nothing else of the present is. */
  again(blow: Blow, out: Out | null): void {
    this.overlay.calmDown();
    this.falls.again();
    this.blow(blow);
    if (out) this.out(out);
  }

  touch(): void {
    this.dirty = true;
  }

  home(): void {
    this.view.home(!this.overlay.calm);
    this.dirty = true;
  }

  /** The centre [m] and the pixel radius of a moving body; null when it is not active. */
  whereIs(body: number): { x: number; y: number; z: number; px: number; py: number; radius: number } | null {
    if (!this.active[body] || 12 * body + 12 > this.rows.length) return null;
    const [x, y, z] = [this.rows[12 * body]!, this.rows[12 * body + 1]!, this.rows[12 * body + 2]!];
    const at = this.view.screen(x, y, z);
    const size = this.sizeOf(body);
    const side = this.view.screen(x + size, y, z);
    return { x, y, z, px: at.x, py: at.y, radius: Math.hypot(side.x - at.x, side.y - at.y) };
  }

  /** Keep a body in the middle of the picture; null: the camera stays where it is. */
  follow(body: string | null): void {
    this.followed = body;
    this.found = -1;
    this.dirty = true;
  }
  private followed: string | null = null;
  private found = -1;

  private keepInView(seconds: number): void {
    if (this.followed === null) return;
    const body = this.movingBodies.findIndex((one) => one.id === this.followed);
    if (!this.active[body]) return;
    const fresh = this.found < 0;
    this.found = body;
    if (this.view.follow(this.rows[12 * body]!, this.rows[12 * body + 1]!, this.rows[12 * body + 2]!, this.overlay.calm ? 10 : seconds, fresh)) this.dirty = true;
  }

  /** The first body of a seat, or null. */
  bodyOf(seat: number): number | null {
    return this.bodiesOfSeat.get(seat)?.[0] ?? null;
  }

  /** Take a view that a camera had. */
  look(view: CameraView): void {
    this.view.setCamera(view, !this.overlay.calm);
    this.dirty = true;
  }

  /** Parts of the mat that have cracked and fall soon: their corners over ground. */
  setCracked(parts: readonly (readonly Point[])[]): void {
    this.cracked = parts;
    this.view.setCracked(parts);
    this.dirty = true;
  }
  private cracked: readonly (readonly Point[])[] = [];

  setHouse(house: House | null): void {
    this.house = house;
    this.view.setHouse(house);
    this.dirty = true;
  }

  /** Where a handle of a body is [m]: "centre" or a vertex such as "v3". Null when the body is not active. */
  handleAt(body: string, handle: string): [number, number, number] | null {
    const moving = this.moving();
    const index = moving.findIndex((one) => one.id === body);
    const shape = moving[index];
    if (!shape || !this.active[index]) return null;
    const o = 12 * index;
    const r = this.rows;
    const vertex = handle.startsWith("v") && shape.kind !== "elastic" ? Number(handle.slice(1)) : -1;
    if (vertex < 0 || 3 * vertex + 2 >= shape.vertices.length) return [r[o]!, r[o + 1]!, r[o + 2]!];
    const [x, y, z] = [shape.vertices[3 * vertex]!, shape.vertices[3 * vertex + 1]!, shape.vertices[3 * vertex + 2]!];
    return [0, 1, 2].map((k) => r[o + k]! + x * r[o + 3 + k]! + y * r[o + 6 + k]! + z * r[o + 9 + k]!) as [number, number, number];
  }

  /** The handle under a pixel: of the foremost body at that pixel, the nearest vertex on its front. */
  pick(px: number, py: number, slack: number): { body: string; handle: string; at: [number, number, number] } | null {
    let best: { body: string; handle: string; at: [number, number, number] } | null = null;
    let front = Infinity;
    this.moving().forEach((shape, index) => {
      const where = this.whereIs(index);
      if (!where) return;
      const centre = this.view.screen(where.x, where.y, where.z);
      if (Math.hypot(px - where.px, py - where.py) > where.radius + slack || centre.depth >= front) return;
      const count = shape.kind === "elastic" ? 0 : shape.vertices.length / 3;
      let nearest: { handle: string; at: [number, number, number]; off: number } = { handle: "centre", at: [where.x, where.y, where.z], off: where.radius * 0.9 + slack };
      if (shape.kind === "elastic" && Math.hypot(px - where.px, py - where.py) > nearest.off) return;
      for (let v = 0; v < count; v++) {
        const at = this.handleAt(shape.id, `v${v}`)!;
        const seen = this.view.screen(...at);
        const off = Math.hypot(seen.x - px, seen.y - py) + (seen.depth > centre.depth ? 12 : 0);
        if (off < nearest.off) nearest = { handle: `v${v}`, at, off };
      }
      best = { body: shape.id, handle: nearest.handle, at: nearest.at };
      front = centre.depth;
    });
    return best;
  }

  private moving() {
    return this.movingBodies;
  }

  /** Every active moving body, in metres and in pixels. */
  places(): { id: string; seat: number | null; px: number; py: number; x: number; y: number; z: number }[] {
    const moving = this.topology?.bodies.filter((body) => body.kind !== "static") ?? [];
    return moving.flatMap((body, index) => {
      const at = this.whereIs(index);
      return at ? [{ id: body.id, seat: body.seat, px: at.px, py: at.py, x: at.x, y: at.y, z: at.z }] : [];
    });
  }

  dispose(): void {
    cancelAnimationFrame(this.raf);
    clearTimeout(this.rest);
    this.raf = -1;
    this.stop.abort();
    this.resizer.disconnect();
    this.view.dispose();
    this.overlay.element.remove();
  }

  // -- the loop

  private awaitFrame(): void {
    const ask = (): void => void (this.raf = requestAnimationFrame((at) => this.frame(at)));
    if (drawsInSoftware() && (isPlain(this.tier) || this.tier === "D")) this.rest = window.setTimeout(ask, REST_MS);
    else ask();
  }

  private frame(at: number): void {
    if (this.raf === -1) return;
    this.awaitFrame();
    this.show(at);
  }

  /** Draw now: a stage in the place of another one is not empty until its next frame. */
  begin(): void {
    this.show(performance.now());
    this.last = 0;
  }

  private show(at: number): void {
    const now = at / 1000;
    const interval = this.last ? now - this.last : 0;
    const seconds = Math.min(0.1, interval);
    this.last = now;
    if (this.hidden) return;
    const began = performance.now();
    const moved = this.blend(performance.now() / 1000);
    const drawn = this.draw();
    const shaken = this.impacts.shake(now);
    if (shaken || this.shaken) {
      this.shaken = shaken !== null;
      const by = shaken ? `translate(${shaken.x.toFixed(1)}px, ${shaken.y.toFixed(1)}px)` : "";
      this.view.element.style.transform = by;
      this.overlay.element.style.transform = by;
    }
    if (!moved && !this.dirty && !this.overlay.flashing && !shaken) {
      this.pace.rest();
      return;
    }
    this.dirty = false;
    this.releaseBlows(now);
    this.releaseOuts(now);
    this.falls.track(this.rows, this.active, now, this.timeline?.showsAgain);
    this.impacts.deform(this.rows, now);
    if (this.falls.fall(this.rows, this.active, now)) this.dirty = true;
    for (const bodies of this.bodiesOfSeat.values()) {
      const tips = bodies.length === 1 ? this.falls.tips(bodies[0]!) : null;
      if (tips && !this.overlay.calm && !this.still) this.view.glimpse(...tips, SEEN_FALL_S);
    }
    this.keepInView(seconds);
    this.view.update({ rows: this.rows, active: this.active }, drawn.aim, drawn.ring);
    const work = performance.now() - began;
    this.workMs = this.workMs ? this.workMs * 0.95 + work * 0.05 : work;
    if (this.view.render(seconds)) this.dirty = true;
    this.placePins(drawn.ring);
    // After the picture: a blow is seen in the frame that has it, at its place for the camera of that frame.
    this.overlay.draw(this.view, now, () => this.discs(-1));
    const said = this.overlay.placeBubbles(performance.now() / 1000, (body) => {
      const at = this.whereIs(body);
      return at && { x: at.px, y: at.py - 0.78 * at.radius - 30 };
    });
    if (said) this.dirty = true;
    if (drawn.handle) {
      const p = this.view.screen(drawn.handle.x, drawn.handle.y, drawn.handle.z);
      this.overlay.placeHandle({ x: p.x, y: p.y, text: drawn.handle.text });
    } else this.overlay.placeHandle(null);
    this.overlay.placeHolds(this.view, drawn.holds ?? []);
    this.overlay.placeArrows(this.view, drawn.arrows ?? []);
    const spent = performance.now() - began;
    this.spent[this.spentAt] = spent;
    this.spent[this.spentAt + 1] = work;
    this.spentAt = (this.spentAt + 2) % this.spent.length;
    this.frameMs = this.frameMs ? this.frameMs * 0.95 + spent * 0.05 : spent;
    if (!document.hidden && this.pace.slow(interval, isPlain(this.tier))) this.plainer();
  }

  /** Set `rows` to the moment to draw. Returns whether they changed. */
  private blend(now: number): boolean {
    const moment = this.timeline?.sample(now);
    if (this.coming && moment?.before.version === this.coming.version) this.adopt(this.coming);
    if (!moment || !this.topology || moment.before.version !== this.topology.version) return false;
    const { before, after, blend } = moment;
    const drag = this.ownDrag(before, now);
    if (!drag && !this.impacts.active && before.tick === this.seen.before && after.tick === this.seen.after && blend === this.seen.blend) return this.waits;
    // What is drawn differs from the frames: blend them again next time.
    this.seen = { before: before.tick, after: after.tick, blend: drag || this.impacts.active ? NaN : blend };
    const drawn = drawnBodies(moment);
    if (before.rowCounts) {
      this.view.elastic(before.rows, after.rows, blend, drawn);
      this.active = drawn;
      blendMixed(this.rows, before.rows, after.rows, blend, before.rowCounts, drawn);
      if (drag) this.shift(drag.body, drag.by, before.rowCounts[drag.body] === 4);
      return true;
    }
    for (let body = 0; body < this.active.length && 12 * body + 12 <= before.rows.length; body++) {
      this.active[body] = drawn[body] === true;
      if (drawn[body]) blendAffine(this.rows.subarray(12 * body, 12 * body + 12), before.rows, after.rows, 12 * body, blend);
    }
    if (drag) this.shift(drag.body, drag.by, true);
    return true;
  }

  /** The body that this page drags, and how far it is drawn from where `frame` has it. */
  private ownDrag(frame: Frame, now: number): { body: number; by: readonly number[] } | null {
    const held = this.drag?.own.held ?? null;
    if (!this.drag || held === null) return null;
    const body = this.movingBodies.findIndex((one) => one.id === held);
    return body < 0 ? null : { body, by: this.drag.own.offset(frame.acks[this.drag.seat] ?? 0, now) };
  }

  private shift(body: number, by: readonly number[], affine: boolean): void {
    if (!affine || !this.active[body]) return;
    for (let k = 0; k < 3; k++) this.rows[12 * body + k] = this.rows[12 * body + k]! + by[k]!;
  }

  /** Whether the picture no longer has the body of a seat. It is drawn up to the last frame that has it, which comes before
   * the tick at which it is out. */
  private gone(seat: number): boolean {
    const body = this.bodyOf(seat);
    return body !== null && this.active[body] === false;
  }

  private releaseBlows(now: number): void {
    if (!this.timeline) return;
    this.pendingBlows = this.pendingBlows.filter((blow) => {
      const breaks = this.pendingOuts.some(({ seat, tick, cause }) => cause === "broken" && tick === blow.tick && (seat === blow.a || seat === blow.b) && this.gone(seat));
      if (!breaks && !this.timeline!.passed(blow.tick)) return true;
      this.overlay.flash(blow.point, blow.impulse, now);
      const bodies = [blow.a, blow.b].flatMap((seat) => this.bodiesOfSeat.get(seat)?.slice(0, 1) ?? []);
      this.impacts.struck(blow, bodies, now);
      this.onStruck(blow, this.view.screen(...blow.point));
      this.dirty = true;
      return false;
    });
  }

  private releaseOuts(now: number): void {
    if (!this.timeline) return;
    this.pendingOuts = this.pendingOuts.filter(({ seat, tick, cause }) => {
      if (!this.timeline!.passed(tick) && !(cause === "broken" && this.gone(seat))) return true;
      const body = this.bodiesOfSeat.get(seat)?.[0];
      if (body !== undefined) this.falls.out(body, cause === "fallen", now);
      this.dirty = true;
      if (cause !== "broken") return false;
      const shape = body === undefined ? undefined : this.movingBodies[body];
      if (body === undefined || !shape || shape.kind === "elastic" || 12 * body + 12 > this.rows.length) return false;
      const r = this.rows.subarray(12 * body, 12 * body + 12);
      const triangles = trianglesOf(shape, r, (...at) => this.view.screen(...at));
      const mark = this.seats.find((one) => one.seat === seat)?.mark ?? 0;
      this.overlay.burst(triangles, this.view.screen(r[0]!, r[1]!, r[2]!), PLAYER_COLOURS[mark] ?? PLAYER_COLOURS[0], now);
      this.dirty = true;
      return false;
    });
  }
  private shaken = false;

  /** Where a box near a pixel covers no body and no label: up to the top of the stage. Its centre. */
  clearOf(box: Box): { x: number; y: number } {
    return this.overlay.clear(box, this.discs(-1));
  }

  /** The bodies in sight as discs of pixels, without one. */
  private discs(except: number): Disc[] {
    return this.active.flatMap((_, body) => {
      const at = body === except ? null : this.whereIs(body);
      return at ? [{ x: at.px, y: at.py, radius: 0.7 * at.radius }] : [];
    });
  }

  private placePins(ring: number | null): void {
    this.overlay.unpin();
    const around = (at: { px: number; py: number; radius: number }): Disc => ({ x: at.px, y: at.py, radius: 0.78 * at.radius + 6 });
    for (const { body } of this.marks?.pins ?? []) {
      const at = this.whereIs(body);
      this.overlay.placePin(body, at && around(at));
    }
    const spent: [number, { x: number; y: number }][] = [];
    for (const bodies of this.bodiesOfSeat.values()) {
      for (const body of bodies) {
        const at = this.whereIs(body);
        const place = at && at.y > -0.3 ? null : this.falls.placeOf(body);
        if (place) spent.push([body, this.view.screen(...place)]);
        else if (!at || body === ring || at.y < -0.3) this.overlay.placePin(body, null);
        else if (bodies.length > 1) this.overlay.placePin(body, { x: at.px, y: at.py, radius: 0 });
        else this.overlay.placePin(body, around(at), this.discs(body));
      }
    }
    // Last: where a body was, another one may lie now, and the label next to that names it.
    for (const [body, { x, y }] of spent) this.overlay.placePin(body, { x, y, radius: 0 }, this.discs(body), true);
  }

  private sizeOf(body: number): number {
    const cached = this.sizes.get(body);
    if (cached) return cached;
    const shape = this.topology?.bodies.filter((one) => one.kind !== "static")[body];
    let most = 0.2;
    if (shape) for (let i = 0; i < shape.vertices.length; i += 3) most = Math.max(most, Math.hypot(shape.vertices[i]!, shape.vertices[i + 1]!, shape.vertices[i + 2]!));
    this.sizes.set(body, most);
    return most;
  }
  private sizes = new Map<number, number>();

  /** Take the next plainer tier. */
  private plainer(): void {
    let tier = this.view.plainer();
    if (!tier && this.flat && this.tier !== "D") {
      const view = new FlatView(this.still);
      this.view.element.replaceWith(view.element);
      this.view.dispose();
      this.view = view;
      if (this.topology) view.setTopology(this.topology);
      view.setTheme(this.mode);
      view.setHouse(this.house);
      view.setCracked(this.cracked);
      this.applySeats();
      this.measure();
      tier = "D";
    }
    if (!tier) return;
    this.tier = tier;
    this.overlay.plain = isPlain(tier);
    this.seen.before = -1;
    this.dirty = true;
    this.onTier(tier);
  }

  /** Colours and pins of bodies that are no seat's: of a scene that is built. By the number of the moving body. */
  setMarks(marks: Marks | null): void {
    this.marks = marks;
    this.applySeats();
    this.view.setChosen(marks?.chosen ?? []);
    this.dirty = true;
  }
  private marks: Marks | null = null;

  private applySeats(): void {
    this.sizes.clear();
    if (this.marks) {
      this.view.setColours(this.marks.colours);
      this.overlay.setPins(this.marks.pins.map((pin) => ({ seat: 0, bare: false, ...pin })));
      return;
    }
    const colours: (string | null)[] = this.movingBodies.map((body) => propColour(body.body || body.id));
    const damage: number[] = this.movingBodies.map(() => 0);
    const pins: PinSpec[] = [];
    for (const seat of this.seats) {
      const bodies = this.bodiesOfSeat.get(seat.seat) ?? [];
      for (const body of bodies) {
        colours[body] = PLAYER_COLOURS[seat.mark] ?? null;
        damage[body] = seat.damage ?? 0;
        if (!this.still) pins.push({ body, seat: seat.seat, name: seat.name, mark: seat.mark, bare: bodies.length > 1 });
      }
    }
    this.view.setColours(colours);
    this.view.setDamage(damage);
    this.overlay.setPins(pins);
  }

  private measure(): void {
    const box = this.host.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) {
      this.hidden = true;
      return;
    }
    this.hidden = false;
    this.view.resize(box.width, box.height);
    this.overlay.resize(box.width, box.height);
    // A canvas is empty after its size changed: fill it before the browser shows it.
    if (this.topology) this.view.render(0);
    this.dirty = true;
  }
}
