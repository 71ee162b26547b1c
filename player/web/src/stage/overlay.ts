// Drawn over the picture in pixels: names, impact flashes with their impulse, the pull's handle. Plain DOM, moved by
// transform each frame, without Preact.

import { measured } from "../text/units";
import { BURST_S, burstPath, fragmentsOf } from "./impacts";
import type { Triangle } from "./impacts";
import { clearOf, inside, nextTo } from "./labels";
import type { Box, Disc, Side } from "./labels";
import { initial, markSvg } from "./marks";
import type { View } from "./view";

const NS = "http://www.w3.org/2000/svg";
const RAYS = 14;
const DUST = 9;
const FLASH_S = 0.42;
const LABEL_S = 1.2;
/** How long a sign stays over a body [s]. */
const BUBBLE_S = 2.5;
/** The size of a label of a blow, and the height of a pin [px]. */
const LABEL_WIDTH = 80;
const LABEL_HEIGHT = 25;
const PIN_HEIGHT = 26;
/** Below this a contact is not shown [N s]. */
const QUIET = 1;

export interface PinSpec {
  readonly body: number;
  readonly seat: number;
  readonly name: string;
  readonly mark: number;
  /** One of several bodies of a seat: its mark lies on it, without a name. */
  readonly bare: boolean;
}

/** A handle that is held (mark and name), or only pointed at (mark null), and where it is pulled to. */
export interface Hold {
  readonly at: readonly [number, number, number];
  readonly to: readonly [number, number, number] | null;
  readonly mark: number | null;
  readonly name: string;
}

/** An arrow from a point [m] to another, with a class of the style sheet. */
export interface Arrow {
  readonly from: readonly [number, number, number];
  readonly to: readonly [number, number, number];
  readonly kind: "velocity" | "contact";
}

interface Flash {
  readonly point: readonly [number, number, number];
  readonly born: number;
  readonly impulse: number;
  readonly rays: SVGPathElement;
  readonly dust: SVGPathElement;
  readonly label: HTMLElement;
}

interface Burst {
  readonly fragments: readonly Triangle[];
  readonly centre: { readonly x: number; readonly y: number };
  readonly born: number;
  readonly path: SVGPathElement;
}

export class Overlay {
  readonly element = document.createElement("div");
  private readonly svg = document.createElementNS(NS, "svg");
  /** The boxes of the pins of this picture. */
  private pinned: Box[] = [];
  private pins = new Map<number, HTMLElement>();
  /** How wide each pin is [px], once that was asked. */
  private readonly widths = new Map<number, number>();
  private size = { width: 0, height: 0 };
  private flashes: Flash[] = [];
  private bursts: Burst[] = [];
  private readonly handle = document.createElement("div");
  private readonly handleLabel = document.createElement("span");
  calm = false;
  /** A plain tier: labels only. */
  plain = false;

  constructor() {
    this.element.className = "overlay";
    this.element.setAttribute("aria-hidden", "true");
    this.svg.setAttribute("class", "rays");
    this.handle.className = "pull";
    this.handle.append(this.handleLabel);
    this.handle.hidden = true;
    this.element.append(this.svg, this.handle);
  }

  /** The size of the stage [px], in which all labels stay. */
  resize(width: number, height: number): void {
    this.size = { width, height };
    this.widths.clear();
  }

  /** Pins that stay as they were keep their place: this is called between two pictures. A new one is hidden until it is
   * placed. */
  setPins(specs: readonly PinSpec[]): void {
    const before = new Map(this.pins);
    this.pins.clear();
    this.widths.clear();
    for (const spec of specs) {
      const says = JSON.stringify([spec.mark, spec.name, spec.bare]);
      const same = before.get(spec.body);
      if (same?.dataset["says"] === says) {
        before.delete(spec.body);
        this.pins.set(spec.body, same);
        continue;
      }
      const pin = document.createElement("div");
      pin.dataset["says"] = says;
      pin.style.visibility = "hidden";
      pin.className = spec.bare ? "pin bare" : "pin";
      pin.innerHTML = markSvg(spec.mark, spec.name, spec.bare ? 20 : 18);
      if (!spec.bare) {
        const text = document.createElement("span");
        text.textContent = spec.name;
        pin.append(text);
      }
      this.element.append(pin);
      this.pins.set(spec.body, pin);
    }
    for (const pin of before.values()) pin.remove();
  }

  /** Place the pin of a body at what it names; null hides it. A radius of 0: the pin points there. bodies: the others, which
   * it keeps clear of. spent: the body is out, and this is where it was. */
  placePin(body: number, at: Disc | null, bodies: readonly Disc[] = [], spent = false): void {
    const pin = this.pins.get(body);
    if (!pin) return;
    pin.style.visibility = at ? "visible" : "hidden";
    pin.classList.toggle("spent", spent);
    if (!at) return;
    let place: Box = { x: at.x, y: at.y, width: 0, height: 0 };
    let side: Side = "beside";
    if (!pin.classList.contains("bare")) {
      const width = this.widths.get(body) ?? pin.offsetWidth;
      this.widths.set(body, width);
      ({ box: place, side } = nextTo(at, { width, height: PIN_HEIGHT }, bodies, this.pinned, this.size));
      this.pinned.push(place);
    }
    pin.dataset["side"] = side;
    const [edge, own] = side === "above" ? [place.height / 2, "-100%"] : side === "below" ? [-place.height / 2, "0"] : [0, "-50%"];
    pin.style.transform = `translate(${place.x.toFixed(1)}px, ${(place.y + edge).toFixed(1)}px) translate(-50%, ${own})`;
  }

  /** Where a box, moved up, covers neither a body nor a pin of this picture. */
  clear(box: Box, bodies: readonly Disc[]): Box {
    return inside(clearOf(box, -1, bodies, this.pinned), this.size);
  }

  /** A sign over a body for a moment, in place of the one before. */
  say(body: number, sign: string, now: number): void {
    this.bubbles.get(body)?.element.remove();
    const element = document.createElement("div");
    element.className = "bubble";
    element.textContent = sign;
    this.element.append(element);
    this.bubbles.set(body, { element, until: now + BUBBLE_S });
  }
  private readonly bubbles = new Map<number, { readonly element: HTMLElement; readonly until: number }>();

  /** Move the signs to their bodies. where: the top of a body in pixels; null: not in sight. Returns whether any is left. */
  placeBubbles(now: number, where: (body: number) => { x: number; y: number } | null): boolean {
    for (const [body, { element, until }] of this.bubbles) {
      const at = now < until ? where(body) : null;
      if (at) element.style.transform = `translate(${at.x.toFixed(1)}px, ${at.y.toFixed(1)}px) translate(-50%, -100%)`;
      else {
        element.remove();
        this.bubbles.delete(body);
      }
    }
    return this.bubbles.size > 0;
  }

  /** Begin to place the pins of another picture. */
  unpin(): void {
    this.pinned = [];
  }

  flash(point: readonly [number, number, number], impulse: number, now: number): void {
    if (impulse < QUIET) return;
    const rays = document.createElementNS(NS, "path");
    const dust = document.createElementNS(NS, "path");
    dust.setAttribute("class", "dust");
    const label = document.createElement("div");
    label.className = "impulse";
    label.style.transform = "translate(-999px, 0)"; // until the next frame places it
    label.textContent = measured("impulse", impulse);
    this.svg.append(dust, rays);
    this.element.append(label);
    this.flashes.push({ point, born: now, impulse, rays, dust, label });
    while (this.flashes.length > 8) this.drop(this.flashes[0]!);
  }

  /** Whether a blow is shown, or fragments fly. */
  get flashing(): boolean {
    return this.flashes.length > 0 || this.bursts.length > 0;
  }

  /** Whether fragments of a body are flying. */
  get bursting(): boolean {
    return this.bursts.length > 0;
  }

  /** A body bursts along its triangles, in its colour. A calm picture does without. */
  burst(triangles: readonly Triangle[], centre: { x: number; y: number }, colour: string, now: number): void {
    if (this.calm || !triangles.length) return;
    const path = document.createElementNS(NS, "path");
    path.setAttribute("class", "fragments");
    path.style.fill = colour;
    this.svg.append(path);
    this.bursts.push({ fragments: fragmentsOf(triangles), centre, born: now, path });
  }

  /** The pull's handle at a pixel with its speed, or null. */
  placeHandle(at: { x: number; y: number; text: string } | null): void {
    this.handle.hidden = at === null;
    if (!at) return;
    this.handle.style.transform = `translate(${at.x.toFixed(1)}px, ${at.y.toFixed(1)}px)`;
    if (this.handleLabel.textContent !== at.text) this.handleLabel.textContent = at.text;
  }

  placeArrows(view: View, arrows: readonly Arrow[]): void {
    while (this.arrows.length < arrows.length) {
      const path = document.createElementNS(NS, "path");
      this.svg.append(path);
      this.arrows.push(path);
    }
    this.arrows.forEach((path, i) => {
      const arrow = arrows[i];
      path.setAttribute("visibility", arrow ? "visible" : "hidden");
      if (!arrow) return;
      const [a, b] = [view.screen(...arrow.from), view.screen(...arrow.to)];
      const length = Math.hypot(b.x - a.x, b.y - a.y);
      const head = Math.min(10, 0.5 * length);
      const [c, s] = length ? [(b.x - a.x) / length, (b.y - a.y) / length] : [1, 0];
      const wing = (side: number): string => `M${b.x.toFixed(1)} ${b.y.toFixed(1)}L${(b.x - head * c + side * 0.6 * head * s).toFixed(1)} ${(b.y - head * s - side * 0.6 * head * c).toFixed(1)}`;
      path.setAttribute("class", `arrow ${arrow.kind}`);
      path.setAttribute("d", length < 3 ? "" : `M${a.x.toFixed(1)} ${a.y.toFixed(1)}L${b.x.toFixed(1)} ${b.y.toFixed(1)}${wing(1)}${wing(-1)}`);
    });
  }
  private readonly arrows: SVGPathElement[] = [];

  placeHolds(view: View, holds: readonly Hold[]): void {
    while (this.holds.length < holds.length) {
      const group = document.createElementNS(NS, "g");
      group.innerHTML = '<path class="tether"/><circle class="grip" r="9"/><circle class="cursor" r="5"/><text class="holder"/>';
      this.svg.append(group);
      this.holds.push(group);
    }
    this.holds.forEach((group, i) => {
      const hold = holds[i];
      group.setAttribute("visibility", hold ? "visible" : "hidden");
      if (!hold) return;
      const at = view.screen(...hold.at);
      const to = hold.to ? view.screen(...hold.to) : null;
      group.style.color = hold.mark === null ? "var(--raised)" : `var(--p${hold.mark + 1})`;
      const [tether, grip, cursor, holder] = group.children as unknown as [SVGPathElement, SVGCircleElement, SVGCircleElement, SVGTextElement];
      holder.textContent = hold.mark === null ? "" : initial(hold.name);
      holder.setAttribute("x", at.x.toFixed(1));
      holder.setAttribute("y", (at.y + 3.6).toFixed(1));
      tether.setAttribute("d", to ? `M${at.x.toFixed(1)} ${at.y.toFixed(1)}L${to.x.toFixed(1)} ${to.y.toFixed(1)}` : "");
      grip.setAttribute("cx", at.x.toFixed(1));
      grip.setAttribute("cy", at.y.toFixed(1));
      grip.setAttribute("class", hold.mark === null ? "grip free" : "grip");
      cursor.setAttribute("visibility", to ? "inherit" : "hidden");
      if (to) {
        cursor.setAttribute("cx", to.x.toFixed(1));
        cursor.setAttribute("cy", to.y.toFixed(1));
      }
    });
  }
  private readonly holds: SVGGElement[] = [];

  /** Move the flashes and fragments on. */
  draw(view: View, now: number, bodies: () => readonly Disc[]): void {
    this.bursts = this.bursts.filter(({ fragments, centre, born, path }) => {
      const age = now - born;
      if (age < BURST_S) path.setAttribute("d", burstPath(fragments, centre, age));
      else path.remove();
      return age < BURST_S;
    });
    const labels: Box[] = [...this.pinned];
    const discs = this.flashes.length ? bodies() : [];
    for (const flash of [...this.flashes]) {
      const age = now - flash.born;
      if (age > FLASH_S + LABEL_S) {
        this.drop(flash);
        continue;
      }
      const at = view.screen(...flash.point);
      const size = 12 + 16 * Math.log10(Math.max(1, flash.impulse));
      if (age < FLASH_S && !this.calm && !this.plain) {
        const t = age / FLASH_S;
        let d = "";
        for (let i = 0; i < RAYS; i++) {
          const angle = (2 * Math.PI * i) / RAYS + 0.2;
          const long = size * (i % 2 ? 0.62 : 1) * (0.55 + 0.65 * t);
          const from = size * (0.25 + 0.75 * t);
          const [c, s] = [Math.cos(angle), Math.sin(angle)];
          d += `M${(at.x + c * from).toFixed(1)} ${(at.y + s * from).toFixed(1)}L${(at.x + c * (from + long * (1 - t))).toFixed(1)} ${(at.y + s * (from + long * (1 - t))).toFixed(1)}`;
        }
        flash.rays.setAttribute("d", d);
        flash.rays.setAttribute("opacity", String(1 - t * t));
        let puffs = "";
        for (let i = 0; i < DUST; i++) {
          const angle = 2.4 * i + flash.point[0];
          const reach = size * (0.3 + 1.5 * t) * (0.6 + 0.4 * Math.abs(Math.sin(5 * i)));
          puffs += `M${(at.x + Math.cos(angle) * reach).toFixed(1)} ${(at.y + Math.sin(angle) * reach * 0.7).toFixed(1)}h0`;
        }
        flash.dust.setAttribute("d", puffs);
        flash.dust.style.strokeWidth = (2 + 9 * t).toFixed(1);
        flash.dust.setAttribute("opacity", String(0.5 * (1 - t)));
      } else {
        flash.rays.setAttribute("d", "");
        flash.dust.setAttribute("d", "");
      }
      const label = inside(clearOf({ x: at.x, y: at.y + size + 18, width: LABEL_WIDTH, height: LABEL_HEIGHT }, 1, discs, labels), this.size);
      labels.push(label);
      flash.label.style.transform = `translate(${label.x.toFixed(1)}px, ${label.y.toFixed(1)}px) translate(-50%, -50%)`;
      flash.label.style.opacity = String(Math.min(1, (FLASH_S + LABEL_S - age) / 0.2));
    }
  }

  /** Take away all flashes and fragments. */
  calmDown(): void {
    for (const flash of [...this.flashes]) this.drop(flash);
    for (const { path } of this.bursts) path.remove();
    this.bursts = [];
  }

  private drop(flash: Flash): void {
    flash.rays.remove();
    flash.dust.remove();
    flash.label.remove();
    this.flashes = this.flashes.filter((other) => other !== flash);
  }
}
