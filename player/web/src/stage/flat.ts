// The stage in two dimensions (tier D): the mat from above on a 2D canvas, bodies as their outlines, with the same aim.
// It needs no WebGL, and it is quick where there is no graphics card: the browser then draws it on the CPU at once.

import type { Topology, TopologyBody } from "../wire/frames";
import { drawsInSoftware } from "./browser";
import { CRACK, DARKEST, cracksOf, cracksShown, jagged } from "./cracks";
import type { Crack } from "./cracks";
import { reaching, sunk } from "./falls";
import { arenaOf, hull, middleOf, outlineOf } from "./outline";
import type { Point } from "./outline";
import { INK, PROP, SIGNAL, WORLD } from "./palette";
import type { AimPicture, House, Poses, ScreenPoint, View } from "./view";

const WALL = "#6E807A";

interface FlatBody {
  readonly body: TopologyBody;
  /** Where its eyes are, in its own coordinates [m]; none of a body without a seat. */
  readonly eyes: readonly (readonly [number, number, number])[];
  readonly eye: number;
  colour: string;
  /** Its outline over ground; empty: it is not shown. */
  outline: readonly Point[];
  seen: readonly Point[];
  /** How large it is drawn: less than 1 below the mat. */
  size: number;
  /** The share of its health that is lost, its cracks in its own coordinates, and over ground. */
  damage: number;
  readonly cracks: readonly Crack[];
  split: readonly (readonly Point[])[];
}

/** A mat is turned upright where it is drawn so much larger then, and back where it is larger again. */
const UPRIGHT = 1.25;

/** The picture moves no farther than this to show a body beyond the rim [m], and how fast: the share of the way that is
 * left falls by a factor of e within this time [s]. */
const FOLLOWED = 1;
const FOLLOWING_S = 0.075;
/** What is kept between a body's middle and the side of the picture [m]. */
const MARGIN = 0.35;
/** A body that is drawn smaller than this is lower than the mat is thick. */
const UNDER = 0.93;

export class FlatView implements View {
  readonly element = document.createElement("canvas");
  private readonly context: CanvasRenderingContext2D;
  private bodies: FlatBody[] = [];
  private walls: readonly (readonly Point[])[] = [];
  private outline: readonly Point[] = [];
  private chosen: readonly number[] = [];
  private theme: "dark" | "light" = "dark";
  private size = { width: 1, height: 1 };
  private ratio = 1;
  private scale = 100;
  private house: House | null = null;
  /** What is in the middle of the picture: of the mat at rest, and nearer to a body that goes over the rim. */
  private middle = { x: 0, z: 0 };
  private rest = { x: 0, z: 0 };
  /** Half the lengths of the mat [m]: a body within them moves no picture. */
  private half = { x: 0, z: 0 };
  /** Whether x grows upwards and z to the right: a long mat on a tall stage. */
  private upright = false;
  private aim: AimPicture | null = null;
  private ring: Point | null = null;
  private cracked: readonly (readonly Point[])[] = [];

  private readonly still: boolean;

  /** still: the picture stays where it is, whatever falls. */
  constructor(still = false) {
    this.still = still;
    this.element.className = "flat";
    this.context = this.element.getContext("2d", { willReadFrequently: drawsInSoftware() })!;
  }

  corners(): readonly Point[] {
    return this.outline;
  }

  setTopology(topology: Topology): void {
    const arena = arenaOf(topology.bodies);
    this.outline = arena ? outlineOf(arena).corners : [];
    this.walls = topology.bodies.filter((body) => body.kind === "static" && body !== arena).map((body) => hull(pairs(body.vertices)));
    this.bodies = topology.bodies.filter((body) => body.kind !== "static").map((body) => ({ body, ...eyesOf(body), colour: PROP, outline: [], seen: [], size: 1, damage: 0, cracks: cracksOf(greatest(body.vertices, 0), greatest(body.vertices, 2)), split: [] }));
    this.resize(this.size.width, this.size.height);
  }

  setHouse(house: House | null): void {
    this.house = house;
  }

  setColours(colours: readonly (string | null)[]): void {
    this.bodies.forEach((one, i) => (one.colour = colours[i] ?? PROP));
  }

  setDamage(damage: readonly number[]): void {
    this.bodies.forEach((one, i) => (one.damage = damage[i] ?? 0));
  }

  setCracked(parts: readonly (readonly Point[])[]): void {
    this.cracked = parts;
  }

  setTheme(theme: "dark" | "light"): void {
    this.theme = theme;
  }

  setWireframe(): void {
    // nothing to show in it
  }

  setChosen(bodies: readonly number[]): void {
    this.chosen = bodies;
  }

  bodyAt(px: number, py: number): number | null {
    const [x, z] = this.ground(px, py);
    // The last one is drawn on top.
    for (let i = this.bodies.length - 1; i >= 0; i--) if (isInside(this.bodies[i]!.outline, x, z)) return i;
    return null;
  }

  async gizmo(): Promise<null> {
    return null;
  }

  elastic(a: Float32Array, b: Float32Array, t: number, active: readonly boolean[]): void {
    let at = 0;
    this.bodies.forEach((one, i) => {
      const count = one.body.kind === "elastic" ? one.body.vertices.length / 3 : 4;
      if (one.body.kind === "elastic") {
        const points: Point[] = [];
        for (let k = 3 * at; k < 3 * (at + count) && active[i]; k += 3) points.push([a[k]! + (b[k]! - a[k]!) * t, a[k + 2]! + (b[k + 2]! - a[k + 2]!) * t]);
        one.outline = points.length ? hull(points) : [];
      }
      at += count;
    });
  }

  update(poses: Poses, aim: AimPicture | null, ring: number | null): void {
    this.bodies.forEach((one, i) => {
      if (one.body.kind === "elastic") return;
      const at = 12 * i;
      const shown = (poses.active[i] ?? false) && at + 12 <= poses.rows.length;
      one.outline = [];
      one.seen = [];
      one.split = [];
      if (!shown) return;
      const r = poses.rows;
      const place = (x: number, y: number, z: number): Point => [r[at]! + x * r[at + 3]! + y * r[at + 6]! + z * r[at + 9]!, r[at + 2]! + x * r[at + 5]! + y * r[at + 8]! + z * r[at + 11]!];
      const flat: Point[] = [];
      const { vertices } = one.body;
      for (let k = 0; k < vertices.length; k += 3) flat.push(place(vertices[k]!, vertices[k + 1]!, vertices[k + 2]!));
      one.outline = hull(flat);
      one.size = sunk(r[at + 1]!);
      one.seen = one.eyes.map(([x, y, z]) => place(x, y, z));
      one.split = one.cracks.slice(0, cracksShown(one.damage)).map((crack) => crack.map(([x, z]) => place(x, 0, z)));
    });
    this.aim = aim;
    this.ring = ring !== null && poses.active[ring] ? [poses.rows[12 * ring]!, poses.rows[12 * ring + 2]!] : null;
  }

  /** Move the picture towards the bodies that are beyond it. Returns whether it still moves. */
  private lean(seconds: number): boolean {
    const to = { x: 0, z: 0 };
    const [width, height] = [this.size.width / 2 / this.scale, this.size.height / 2 / this.scale];
    const [halfX, halfZ] = this.upright ? [height, width] : [width, height];
    for (const { outline, size } of this.still ? [] : this.bodies) {
      if (!outline.length) continue;
      const at = middleOf(outline);
      const [x, z] = [reaching((at.x - this.rest.x) * size, Math.max(this.half.x, halfX - MARGIN), FOLLOWED), reaching((at.z - this.rest.z) * size, Math.max(this.half.z, halfZ - MARGIN), FOLLOWED)];
      if (Math.abs(x) > Math.abs(to.x)) to.x = x;
      if (Math.abs(z) > Math.abs(to.z)) to.z = z;
    }
    const [x, z] = [this.rest.x + to.x - this.middle.x, this.rest.z + to.z - this.middle.z];
    const still = document.documentElement.dataset["motion"] === "less" || Math.hypot(x, z) < 0.004;
    const share = 1 - Math.exp(-seconds / FOLLOWING_S);
    this.middle = still ? this.middle : { x: this.middle.x + share * x, z: this.middle.z + share * z };
    return !still;
  }

  render(seconds: number): boolean {
    const moves = this.lean(seconds);
    const g = this.context;
    const k = this.scale * this.ratio;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.element.width, this.element.height);
    const [width, height] = [this.element.width / 2, this.element.height / 2];
    if (this.upright) g.setTransform(0, -k, k, 0, width - this.middle.z * k, height + this.middle.x * k);
    else g.setTransform(k, 0, 0, k, width - this.middle.x * k, height - this.middle.z * k);
    g.lineJoin = "round";
    g.lineCap = "round";
    // What falls goes under the mat and away from the eye.
    const below = (one: FlatBody): boolean => one.size < UNDER;
    this.bodies.forEach((one, i) => below(one) && this.drawBody(g, one, this.chosen.includes(i)));
    this.drawMat(g);
    for (const wall of this.walls) this.fill(wall, WALL, INK, 0.02);
    this.bodies.forEach((one, i) => below(one) || this.drawBody(g, one, this.chosen.includes(i)));
    this.drawAim(g);
    return moves;
  }

  private drawBody(g: CanvasRenderingContext2D, one: FlatBody, marked: boolean): void {
    if (!one.outline.length) return;
    g.save();
    const { x, z } = this.rest;
    g.translate(x, z);
    g.scale(one.size, one.size);
    g.translate(-x, -z);
    g.globalAlpha = one.size;
    this.fill(one.outline, one.colour, marked ? SIGNAL : INK, marked ? 0.04 : 0.02);
    if (one.damage > 0) this.scar(g, one);
    for (const [px, pz] of one.seen) {
      this.dot(px, pz, one.eye, "#FFFFFF");
      this.dot(px, pz, one.eye * 0.55, INK);
    }
    g.restore();
  }

  /** Darker, and split, the more of its health a body has lost. */
  private scar(g: CanvasRenderingContext2D, one: FlatBody): void {
    g.save();
    this.trace(one.outline);
    g.clip();
    g.globalAlpha = DARKEST * one.damage;
    g.fillStyle = INK;
    g.fill();
    g.globalAlpha = 0.85;
    g.strokeStyle = INK;
    g.lineWidth = 0.014;
    for (const line of one.split) {
      g.beginPath();
      line.forEach(([x, z], i) => (i ? g.lineTo(x, z) : g.moveTo(x, z)));
      g.stroke();
    }
    g.restore();
  }

  private drawMat(g: CanvasRenderingContext2D): void {
    if (!this.outline.length) return;
    const world = WORLD[this.theme];
    this.fill(this.outline, world.mat, world.edge, 0.05);
    g.strokeStyle = g.fillStyle = world.rule;
    const house = this.house;
    if (house) {
      [...house.rings].reverse().forEach((radius, i) => {
        g.beginPath();
        g.arc(house.x, 0, radius, 0, 2 * Math.PI);
        g.globalAlpha = i % 2 ? 1 : 0.4;
        g.fillStyle = i % 2 ? world.mat : world.rule;
        g.fill();
        g.globalAlpha = 1;
        g.lineWidth = 0.012;
        g.stroke();
      });
      g.globalAlpha = 0.5;
      g.lineWidth = 0.014;
      this.lines([[0, 0, house.x, 0], [0, -0.8, 0, 0.8]]);
    } else {
      g.save();
      this.trace(this.outline);
      g.clip();
      g.globalAlpha = 0.3;
      g.lineWidth = 0.008;
      this.lines(this.grid());
      g.restore();
    }
    g.globalAlpha = 1;
    for (const part of this.cracked) {
      g.globalAlpha = 0.5;
      g.fillStyle = INK;
      this.trace(part);
      g.fill();
      g.globalAlpha = 1;
      g.strokeStyle = CRACK;
      g.lineWidth = 0.025;
      g.beginPath();
      jagged(part[0]!, part[1]!).forEach(([x, z], i) => (i ? g.lineTo(x, z) : g.moveTo(x, z)));
      g.stroke();
    }
  }

  private drawAim(g: CanvasRenderingContext2D): void {
    if (this.ring) {
      g.beginPath();
      g.arc(...this.ring, 0.4, 0, 2 * Math.PI);
      g.strokeStyle = SIGNAL;
      g.lineWidth = 0.03;
      g.stroke();
    }
    const aim = this.aim;
    if (!aim) return;
    const [dx, dz] = [Math.cos(aim.azimuth), Math.sin(aim.azimuth)];
    const [x, z] = [aim.x + dx * aim.length, aim.z + dz * aim.length];
    g.strokeStyle = SIGNAL;
    g.lineWidth = 0.05;
    this.lines([[aim.x, aim.z, x, z], [x - 0.12 * dx + 0.08 * dz, z - 0.12 * dz - 0.08 * dx, x, z], [x - 0.12 * dx - 0.08 * dz, z - 0.12 * dz + 0.08 * dx, x, z]]);
  }

  private trace(points: readonly Point[]): void {
    this.context.beginPath();
    points.forEach(([x, z], i) => (i ? this.context.lineTo(x, z) : this.context.moveTo(x, z)));
    this.context.closePath();
  }

  private fill(points: readonly Point[], colour: string, edge: string, width: number): void {
    this.trace(points);
    Object.assign(this.context, { fillStyle: colour, strokeStyle: edge, lineWidth: width });
    this.context.fill();
    this.context.stroke();
  }

  private dot(x: number, z: number, radius: number, colour: string): void {
    this.context.beginPath();
    this.context.arc(x, z, radius, 0, 2 * Math.PI);
    this.context.fillStyle = colour;
    this.context.fill();
  }

  private lines(list: readonly (readonly [number, number, number, number])[]): void {
    this.context.beginPath();
    for (const [a, b, c, d] of list) {
      this.context.moveTo(a, b);
      this.context.lineTo(c, d);
    }
    this.context.stroke();
  }

  /** Lines half a metre apart over the whole mat, one metre on a large one. */
  private grid(): [number, number, number, number][] {
    const [xs, zs] = [this.outline.map(([x]) => x), this.outline.map(([, z]) => z)];
    const [west, east, north, south] = [Math.min(...xs), Math.max(...xs), Math.min(...zs), Math.max(...zs)];
    const step = Math.max(east - west, south - north) > 6 ? 1 : 0.5;
    const found: [number, number, number, number][] = [];
    for (let i = Math.ceil(west / step); i * step < east; i++) found.push([i * step, north, i * step, south]);
    for (let i = Math.ceil(north / step); i * step < south; i++) found.push([west, i * step, east, i * step]);
    return found;
  }

  resize(width: number, height: number): void {
    this.size = { width, height };
    this.ratio = Math.min(window.devicePixelRatio || 1, drawsInSoftware() ? 1 : 2);
    const [w, h] = [Math.max(1, Math.round(width * this.ratio)), Math.max(1, Math.round(height * this.ratio))];
    if (this.element.width !== w || this.element.height !== h) Object.assign(this.element, { width: w, height: h });
    const middle = this.outline.length ? middleOf(this.outline) : { x: 0, z: 0 };
    const reach = (axis: 0 | 1, from: number) => Math.max(0.5, ...this.outline.map((corner) => Math.abs(corner[axis] - from)));
    this.middle = this.rest = middle;
    this.half = { x: reach(0, middle.x), z: reach(1, middle.z) };
    const [along, across] = [2.16 * this.half.x, 2.16 * this.half.z];
    const [lying, standing] = [Math.min(width / along, height / across), Math.min(width / across, height / along)];
    this.upright = standing > (this.upright ? 1 : UPRIGHT) * lying;
    this.scale = this.upright ? standing : lying;
  }

  screen(x: number, y: number, z: number): ScreenPoint {
    const [a, b] = this.upright ? [z - this.middle.z, this.middle.x - x] : [x - this.middle.x, z - this.middle.z];
    return { x: this.size.width / 2 + a * this.scale, y: this.size.height / 2 + b * this.scale, visible: true, depth: -y };
  }

  ground(px: number, py: number): readonly [number, number] {
    const [a, b] = [(px - this.size.width / 2) / this.scale, (py - this.size.height / 2) / this.scale];
    return this.upright ? [this.middle.x - b, this.middle.z + a] : [this.middle.x + a, this.middle.z + b];
  }

  beside(px: number, py: number, at: readonly [number, number, number]): readonly [number, number, number] {
    const [x, z] = this.ground(px, py);
    return [x, at[1], z];
  }

  orbit(): void {}
  pan(): void {}
  zoom(): void {}
  home(): void {}
  setCamera(): void {}
  glimpse(): void {}

  follow(): boolean {
    return false;
  }

  cameraView(): null {
    return null;
  }

  plainer(): string | null {
    return null;
  }

  dispose(): void {
    this.element.remove();
  }
}

/** Two eyes on the soft side, local +x, of a body that is a seat's. */
function eyesOf(body: TopologyBody): Pick<FlatBody, "eyes" | "eye"> {
  if (body.seat === null) return { eyes: [], eye: 0 };
  const [x, z] = [greatest(body.vertices, 0), greatest(body.vertices, 2)];
  return { eyes: [-1, 1].map((side) => [0.62 * x, 0, 0.34 * side * z] as const), eye: 0.16 * Math.min(x, z) };
}

function greatest(vertices: ArrayLike<number>, axis: number): number {
  let most = 0;
  for (let i = axis; i < vertices.length; i += 3) most = Math.max(most, vertices[i]!);
  return most;
}

function pairs(vertices: ArrayLike<number>): Point[] {
  return Array.from({ length: vertices.length / 3 }, (_, i) => [vertices[3 * i]!, vertices[3 * i + 2]!] as const);
}

/** Whether a point is inside a convex outline, whichever way it turns. */
export function isInside(outline: readonly Point[], x: number, z: number): boolean {
  let sign = 0;
  for (let i = 0; i < outline.length; i++) {
    const [ax, az] = outline[i]!;
    const [bx, bz] = outline[(i + 1) % outline.length]!;
    const turn = Math.sign((bx - ax) * (z - az) - (bz - az) * (x - ax));
    if (turn && sign && turn !== sign) return false;
    sign ||= turn;
  }
  return outline.length > 2;
}
