// The stage without WebGL (tier D): the mat from above as SVG, bodies as their outlines, with the same aim.

import type { Topology, TopologyBody } from "../wire/frames";
import { arenaOf, middleOf, outlineOf } from "./outline";
import type { Point } from "./outline";
import { PROP, SIGNAL, WORLD } from "./palette";
import type { AimPicture, House, Poses, ScreenPoint, View } from "./view";

const NS = "http://www.w3.org/2000/svg";

function make<K extends keyof SVGElementTagNameMap>(name: K, attributes: Record<string, string>, parent?: Element): SVGElementTagNameMap[K] {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

export class FlatView implements View {
  readonly element = make("svg", { "aria-hidden": "true", class: "flat" });
  private readonly mat = make("g", {}, this.element);
  private readonly shapes = make("g", {}, this.element);
  private readonly arrow = make("g", { fill: "none", stroke: SIGNAL, "stroke-width": "0.05", "stroke-linecap": "round" }, this.element);
  private readonly ring = make("circle", { fill: "none", stroke: SIGNAL, "stroke-width": "0.02" }, this.element);
  private static made = 0;
  private readonly clip = `mat-${++FlatView.made}`;
  private bodies: { body: TopologyBody; path: SVGPathElement; points: number[] }[] = [];
  private outline: readonly Point[] = [];
  private theme: "dark" | "light" = "dark";
  private size = { width: 1, height: 1 };
  private scale = 100;
  private house: House | null = null;
  private middle = { x: 0, z: 0 };

  corners(): readonly Point[] {
    return this.outline;
  }

  setTopology(topology: Topology): void {
    const arena = arenaOf(topology.bodies);
    this.outline = arena ? outlineOf(arena).corners : [];
    this.shapes.replaceChildren();
    for (const body of topology.bodies) {
      if (body.kind === "static" && body !== arena) make("path", { d: `M${hullPath(groundPoints(body))}Z`, fill: "#6E807A", stroke: "#12211D", "stroke-width": "0.02" }, this.shapes);
    }
    this.bodies = topology.bodies
      .filter((body) => body.kind !== "static")
      .map((body) => ({ body, points: [...body.vertices], path: make("path", { fill: PROP, stroke: "#12211D", "stroke-width": "0.02", "stroke-linejoin": "round" }, this.shapes) }));
    this.drawMat();
    this.resize(this.size.width, this.size.height);
  }

  private drawMat(): void {
    const world = WORLD[this.theme];
    this.mat.replaceChildren();
    if (!this.outline.length) return;
    make("path", { d: `M${this.outline.map((point) => point.join(" ")).join("L")}Z`, fill: world.mat, stroke: world.edge, "stroke-width": "0.05" }, this.mat);
    const house = this.house;
    if (house) {
      [...house.rings].reverse().forEach((radius, i) => {
        make("circle", { cx: String(house.x), cy: "0", r: String(radius), fill: i % 2 ? world.mat : world.rule, "fill-opacity": i % 2 ? "1" : "0.4", stroke: world.rule, "stroke-width": "0.012" }, this.mat);
      });
      make("path", { d: `M0 0H${house.x}M0 -0.8V0.8`, stroke: world.rule, "stroke-width": "0.014", opacity: "0.5", fill: "none" }, this.mat);
      return;
    }
    make("path", { d: this.grid(), stroke: world.rule, "stroke-width": "0.008", opacity: "0.3", fill: "none", "clip-path": `url(#${this.clip})` }, this.mat);
    make("path", { d: `M${this.outline.map((point) => point.join(" ")).join("L")}Z` }, make("clipPath", { id: this.clip }, this.mat));
  }

  /** Lines half a metre apart over the whole mat, one metre on a large one. */
  private grid(): string {
    const [xs, zs] = [this.outline.map(([x]) => x), this.outline.map(([, z]) => z)];
    const [west, east, north, south] = [Math.min(...xs), Math.max(...xs), Math.min(...zs), Math.max(...zs)];
    const step = Math.max(east - west, south - north) > 6 ? 1 : 0.5;
    const lines: string[] = [];
    for (let i = Math.ceil(west / step); i * step < east; i++) lines.push(`M${i * step} ${north}V${south}`);
    for (let i = Math.ceil(north / step); i * step < south; i++) lines.push(`M${west} ${i * step}H${east}`);
    return lines.join("");
  }

  setHouse(house: House | null): void {
    this.house = house;
    if (this.outline.length) this.drawMat();
  }

  setColours(colours: readonly (string | null)[]): void {
    this.bodies.forEach(({ path }, i) => path.setAttribute("fill", colours[i] ?? PROP));
  }

  setTheme(theme: "dark" | "light"): void {
    this.theme = theme;
    if (this.outline.length) this.drawMat();
  }

  setWireframe(): void {
    // nothing to show in it
  }

  setChosen(bodies: readonly number[]): void {
    this.bodies.forEach(({ path }, i) => {
      path.setAttribute("stroke", bodies.includes(i) ? SIGNAL : "#12211D");
      path.setAttribute("stroke-width", bodies.includes(i) ? "0.04" : "0.02");
    });
  }

  bodyAt(px: number, py: number): number | null {
    const [x, z] = this.ground(px, py);
    // The last one is drawn on top.
    for (let i = this.bodies.length - 1; i >= 0; i--) if (this.bodies[i]!.path.isPointInFill(new DOMPoint(x, z))) return i;
    return null;
  }

  async gizmo(): Promise<null> {
    return null;
  }

  elastic(): void {
    // elastic bodies are drawn by no mode that this view serves
  }

  update(poses: Poses, aim: AimPicture | null, ring: number | null): void {
    this.bodies.forEach(({ path, points }, i) => {
      const at = 12 * i;
      const shown = (poses.active[i] ?? false) && at + 12 <= poses.rows.length;
      path.setAttribute("visibility", shown ? "visible" : "hidden");
      if (!shown) return;
      const r = poses.rows;
      const flat: Point[] = [];
      for (let k = 0; k < points.length; k += 3) {
        const [x, y, z] = [points[k]!, points[k + 1]!, points[k + 2]!];
        flat.push([
          r[at]! + x * r[at + 3]! + y * r[at + 6]! + z * r[at + 9]!,
          r[at + 2]! + x * r[at + 5]! + y * r[at + 8]! + z * r[at + 11]!,
        ]);
      }
      path.setAttribute("d", `M${hullPath(flat)}Z`);
    });
    this.arrow.replaceChildren();
    if (aim) {
      const [dx, dz] = [Math.cos(aim.azimuth), Math.sin(aim.azimuth)];
      const [x, z] = [aim.x + dx * aim.length, aim.z + dz * aim.length];
      make("path", { d: `M${aim.x} ${aim.z}L${x} ${z}M${x - 0.12 * dx + 0.08 * dz} ${z - 0.12 * dz - 0.08 * dx}L${x} ${z}L${x - 0.12 * dx - 0.08 * dz} ${z - 0.12 * dz + 0.08 * dx}` }, this.arrow);
    }
    this.ring.setAttribute("visibility", ring !== null && poses.active[ring] ? "visible" : "hidden");
    if (ring !== null) {
      this.ring.setAttribute("cx", String(poses.rows[12 * ring]));
      this.ring.setAttribute("cy", String(poses.rows[12 * ring + 2]));
      this.ring.setAttribute("r", "0.4");
    }
  }

  render(): boolean {
    return false;
  }

  resize(width: number, height: number): void {
    this.size = { width, height };
    const middle = this.outline.length ? middleOf(this.outline) : { x: 0, z: 0 };
    const reach = (axis: 0 | 1, from: number) => 1.08 * Math.max(0.5, ...this.outline.map((corner) => Math.abs(corner[axis] - from)));
    this.middle = middle;
    this.scale = Math.min(width / (2 * reach(0, middle.x)), height / (2 * reach(1, middle.z)));
    this.element.setAttribute("viewBox", [middle.x - width / 2 / this.scale, middle.z - height / 2 / this.scale, width / this.scale, height / this.scale].join(" "));
  }

  screen(x: number, y: number, z: number): ScreenPoint {
    return { x: this.size.width / 2 + (x - this.middle.x) * this.scale, y: this.size.height / 2 + (z - this.middle.z) * this.scale, visible: true, depth: -y };
  }

  ground(px: number, py: number): readonly [number, number] {
    return [this.middle.x + (px - this.size.width / 2) / this.scale, this.middle.z + (py - this.size.height / 2) / this.scale];
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

function groundPoints(body: TopologyBody): Point[] {
  return Array.from({ length: body.vertices.length / 3 }, (_, i) => [body.vertices[3 * i]!, body.vertices[3 * i + 2]!] as const);
}

function hullPath(points: Point[]): string {
  const sorted = points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const chain = (list: Point[]): Point[] => {
    const out: Point[] = [];
    for (const p of list) {
      while (out.length > 1) {
        const [a, b] = [out.at(-2)!, out.at(-1)!];
        if ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]) > 0) break;
        out.pop();
      }
      out.push(p);
    }
    return out.slice(0, -1);
  };
  return [...chain(sorted), ...chain([...sorted].reverse())].map(([x, z]) => `${x.toFixed(3)} ${z.toFixed(3)}`).join("L");
}
