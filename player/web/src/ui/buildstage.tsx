// The stage of a scene that is built: bodies by their documents, a gizmo at the chosen one, and a hand that chooses and
// slides bodies over the floor.

import { effect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { calm, theme } from "../app/store";
import { wantedTier } from "../app/settings";
import { neat3, turned, unit } from "../session/edit";
import { likeness } from "../session/materials";
import type { MovedPose, Workbench } from "../session/workbench";
import { canScale } from "../session/shapes";
import { ScenePicture } from "../stage/picture";
import { markOfSeat } from "../stage/palette";
import { Stage } from "../stage/stage";
import type { Marks } from "../stage/shown";
import type { Gizmo, GizmoMode } from "../stage/view";
import { shortName } from "../text/format";
import type { Body, Vec3 } from "../wire/scene";

export interface BuildLooks {
  readonly mode: GizmoMode;
  readonly wire: boolean;
  /** Gestures go in steps of 5 cm and 15 degrees. */
  readonly snap: boolean;
  /** The place of the fault in a refused mesh [m]. */
  readonly place: Vec3 | null;
}

interface Props {
  bench: Workbench;
  looks: BuildLooks;
  label: string;
  /** Whether this page may change the scene. */
  able: boolean;
  /** The name and seat of who holds a body, other than this page. */
  holder: (body: string) => { readonly name: string; readonly seat: number } | null;
  onStage: (stage: Stage | null) => void;
  children?: ComponentChildren;
}

/** Chosen vertices that are shown at once. */
const MOST_SHOWN = 64;
/** A click this near to a vertex chooses it [px]. */
const NEAR = 22;
/** ... and not farther than this behind the nearest one of the camera [m]. */
const FRONT = 0.08;
const STEP = 0.05;
const OVERLAP = "#FF8168";
/** A pointer that moved less is a click [px]. */
const CLICK = 5;

export function BuildStage({ bench, looks, label, able, holder, onStage, children }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const now = useRef({ looks, able, holder });
  now.current = { looks, able, holder };
  const redraw = useRef<() => void>(() => {});
  useEffect(() => {
    let stage: Stage | null = null;
    let gizmo: Gizmo | null = null;
    let stopped = false;
    const stops: (() => void)[] = [];
    void Stage.make(host.current!, { tier: wantedTier.peek(), flat: false }).then(async (made) => {
      if (stopped) {
        made.dispose();
        return;
      }
      stage = made;
      const picture = new ScenePicture();
      made.timeline = picture;
      const primary = (): Body | null => bench.chosen.value.at(-1) ?? null;
      const placeGizmo = () => {
        const body = primary();
        const free = body && !bench.picking.value && now.current.able && !now.current.holder(body.id) && picture.shown.includes(body.id);
        const pose = body && bench.moved.value.get(body.id);
        const mode = now.current.looks.mode;
        gizmo?.place(free && (mode !== "scale" || canScale(body.shape)) ? { position: pose?.position ?? body.position, rotation: pose?.rotation ?? body.rotation, scale: pose?.scale ?? [1, 1, 1] } : null, mode, now.current.looks.snap ? STEP : null);
      };
      const marksNow = (bodies: ReadonlyMap<string, Body>): Marks => {
        const chosen = new Set(bench.selected.value);
        const overlaps = bench.overlapping.value;
        return {
          colours: picture.shown.map((id) => (overlaps.has(id) ? OVERLAP : colourOf(bodies.get(id)))),
          pins: picture.shown.flatMap((id, body) => {
            const other = now.current.holder(id);
            return other ? [{ body, name: shortName(other.name), mark: markOfSeat(other.seat) }] : [];
          }),
          chosen: picture.shown.flatMap((id, body) => (chosen.has(id) ? [body] : [])),
        };
      };
      const show = () => {
        void bench.shapes.changed.value;
        void bench.builder.state.value;
        const list = bench.builder.bodies.value;
        if (picture.set(list, (shape) => bench.shapes.meshOf(shape), bench.moved.value) && picture.topology) made.setTopology(picture.topology);
        made.setMarks(marksNow(new Map(list.map((body) => [body.id, body]))));
        placeGizmo();
      };
      redraw.current = show;
      stops.push(
        effect(() => made.setTheme(theme.value)),
        effect(() => made.setCalm(calm.value)),
        effect(show),
      );
      made.draw = () => {
        const body = primary();
        const ring = body ? picture.shown.indexOf(body.id) : -1;
        const at = now.current.looks.place;
        const picked = body && bench.picking.value ? (bench.picking.value === "pins" ? body.pins : body.handles).flatMap((one) => one.vertices) : [];
        return { aim: null, ring: ring < 0 ? null : ring, handle: null, arrows: [...(at ? [at] : []), ...(body ? placesOf(bench, body, picked.slice(0, MOST_SHOWN)) : [])].map((to) => ({ kind: "contact" as const, from: leaning(to, to === at ? 0.6 : 0.12), to })) };
      };
      made.hand = handOf(bench, made, picture, () => gizmo, () => now.current);
      onStage(made);
      const handles = await made.view.gizmo();
      if (stopped) handles?.dispose();
      else {
        gizmo = handles;
        placeGizmo();
        made.touch();
      }
    });
    return () => {
      stopped = true;
      onStage(null);
      for (const stop of stops) stop();
      gizmo?.dispose();
      stage?.dispose();
    };
  }, [bench]);
  useEffect(() => redraw.current(), [looks, able, holder]);
  return (
    <div class="stage" ref={host} role="application" aria-label={label} tabIndex={0} data-test="stage">
      {children}
    </div>
  );
}

/** Where an arrow that points at a place begins: above it, and beside it, because the flat view looks straight down. */
function leaning(to: Vec3, height: number): Vec3 {
  return [to[0] + height / 2, to[1] + height, to[2] + height / 2];
}

/** Where vertices of a body are in the world, by their numbers in the document. */
function placesOf(bench: Workbench, body: Body, numbers: readonly number[]): Vec3[] {
  const mesh = bench.shapes.meshOf(body.shape);
  if (!mesh) return [];
  const at = new Map<number, number>();
  mesh.numbers.forEach((number, i) => at.set(number, i));
  const pose = bench.moved.peek().get(body.id) ?? body;
  return numbers.flatMap((number) => {
    const i = at.get(number);
    if (i === undefined) return [];
    const place = turned(pose.rotation, [mesh.vertices[3 * i]!, mesh.vertices[3 * i + 1]!, mesh.vertices[3 * i + 2]!]);
    return [[place[0] + pose.position[0], place[1] + pose.position[1], place[2] + pose.position[2]] as const];
  });
}

/** The vertex of a body under a pointer, by its number in the document: the nearest one of those in front. */
function vertexAt(bench: Workbench, stage: Stage, body: Body, px: number, py: number): number | null {
  const numbers = [...(bench.shapes.meshOf(body.shape)?.numbers ?? [])];
  const near = placesOf(bench, body, numbers).flatMap((place, i) => {
    const at = stage.view.screen(...place);
    const away = Math.hypot(at.x - px, at.y - py);
    return at.visible && away < NEAR ? [{ number: numbers[i]!, depth: at.depth, away }] : [];
  });
  const front = Math.min(...near.map((one) => one.depth));
  return near.filter((one) => one.depth <= front + FRONT).sort((a, b) => a.away - b.away)[0]?.number ?? null;
}

function colourOf(body: Body | undefined): string {
  return body && body.kind !== "static" ? likeness(body.material).colour : "#6E807A";
}

interface Now {
  readonly looks: BuildLooks;
  readonly able: boolean;
  readonly holder: Props["holder"];
}

type Drag =
  | { readonly kind: "gizmo"; readonly from: ReadonlyMap<string, MovedPose>; readonly first: string }
  | { readonly kind: "slide"; readonly from: ReadonlyMap<string, MovedPose>; readonly plane: number; readonly start: readonly [number, number]; began: boolean; readonly px: number; readonly py: number };

function handOf(bench: Workbench, stage: Stage, picture: ScenePicture, gizmo: () => Gizmo | null, now: () => Now): NonNullable<Stage["hand"]> {
  let drag: Drag | null = null;
  let pressed: { readonly px: number; readonly py: number } | null = null;
  const poses = (): Map<string, MovedPose> => new Map(bench.chosen.peek().map((body) => [body.id, bench.moved.peek().get(body.id) ?? { position: body.position, rotation: body.rotation, scale: [1, 1, 1] }]));
  const free = () => now().able && bench.selected.peek().every((id) => !now().holder(id));
  const snapped = (value: number) => (now().looks.snap ? Math.round(value / STEP) * STEP : value);
  const end = (taken: boolean) => {
    if (drag?.kind === "gizmo") gizmo()?.up();
    const began = drag?.kind === "gizmo" || drag?.began;
    drag = null;
    if (began && taken) bench.settle();
    else bench.cancel();
    stage.touch();
  };
  /** Take hold of what is dragged; without it, that drag ends. The answer may come when another one has begun. */
  const hold = (of: Drag) => void bench.hold().then((held) => !held && drag === of && end(false));
  // A press beside all bodies orbits the camera; when it did not move, it lets go of what was chosen.
  stage.host.addEventListener("click", (event) => {
    if (!pressed || (event.target instanceof Element && event.target.closest("button, select"))) return;
    const box = stage.host.getBoundingClientRect();
    if (Math.hypot(event.clientX - box.left - pressed.px, event.clientY - box.top - pressed.py) < CLICK) bench.select([]);
    pressed = null;
  });
  let more = false;
  stage.host.addEventListener("pointerdown", (event) => (more = event.shiftKey || event.ctrlKey || event.metaKey), { capture: true });
  return {
    hover: (px, py) => {
      const over = gizmo()?.hover(px, py) ?? false;
      stage.host.style.cursor = over ? "move" : stage.view.bodyAt(px, py) !== null ? "pointer" : "";
      stage.touch();
    },
    down: (px, py, touch) => {
      pressed = null;
      const first = bench.chosen.peek().at(-1);
      if (first && bench.picking.peek() && free()) {
        const vertex = vertexAt(bench, stage, first, px, py);
        if (vertex !== null) bench.pick(vertex);
        return vertex !== null;
      }
      if (first && free() && gizmo()?.down(px, py)) {
        drag = { kind: "gizmo", from: poses(), first: first.id };
        hold(drag);
        return true;
      }
      const index = stage.view.bodyAt(px, py);
      const id = index === null ? null : (picture.shown[index] ?? null);
      if (id === null) {
        pressed = { px, py };
        return false;
      }
      const was = bench.selected.peek().includes(id);
      if (more) {
        bench.select([id], true);
        return true;
      }
      if (!was) bench.select([id]);
      // A finger chooses first and moves with the next touch, so that it can turn the camera anywhere.
      if ((touch && !was) || !free()) return true;
      const body = bench.chosen.peek().find((one) => one.id === id)!;
      const start = stage.view.ground(px, py, body.position[1]);
      if (start) drag = { kind: "slide", from: poses(), plane: body.position[1], start, began: false, px, py };
      return true;
    },
    move: (px, py) => {
      if (drag?.kind === "gizmo") {
        const pose = gizmo()?.move(px, py);
        const from = drag.from.get(drag.first);
        if (!pose || !from) return;
        const by = pose.position.map((value, i) => value - from.position[i]!);
        const next = new Map<string, MovedPose>();
        for (const [id, one] of drag.from) {
          if (id === drag.first) next.set(id, { position: neat3(pose.position), rotation: unit(pose.rotation), scale: pose.scale });
          else if (now().looks.mode === "move") next.set(id, { ...one, position: neat3(one.position.map((value, i) => value + by[i]!) as unknown as Vec3) });
        }
        bench.show(next);
        stage.touch();
      } else if (drag?.kind === "slide") {
        if (!drag.began && Math.hypot(px - drag.px, py - drag.py) < CLICK) return;
        if (!drag.began) {
          drag.began = true;
          hold(drag);
        }
        const at = stage.view.ground(px, py, drag.plane);
        if (!at) return;
        const [dx, dz] = [at[0] - drag.start[0], at[1] - drag.start[1]];
        bench.show(new Map([...drag.from].map(([id, one]) => [id, { ...one, position: neat3([snapped(one.position[0] + dx), one.position[1], snapped(one.position[2] + dz)]) }])));
        stage.touch();
      }
    },
    up: () => end(true),
    cancel: () => end(false),
  };
}
