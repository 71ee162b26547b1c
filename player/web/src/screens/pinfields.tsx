// The pins of a body in the editor: which vertices are held, and how those move that do.

import { computed } from "@preact/signals";
import { SIDES, sideOf } from "../session/edit";
import { MOST_KEYS, courseOf, holdVertices, inOrder, withCourse, withMotion, withNextKey, withRepeat } from "../session/pins";
import type { Course } from "../session/pins";
import type { ShapeMesh } from "../session/shapestore";
import type { Workbench } from "../session/workbench";
import { t } from "../text/words";
import { NumberField, VectorField } from "../ui/fields";
import { Icon } from "../ui/parts";
import type { Body, Keyframe, Motion } from "../wire/scene";

/** Switches the view to choosing vertices. */
export function PickButton({ bench, what, off }: { bench: Workbench; what: "pins" | "handles"; off: boolean }) {
  const on = bench.picking.value === what;
  return (
    <>
      <button class="btn s" aria-pressed={on} disabled={off} onClick={() => (bench.picking.value = on ? null : what)} data-test={`pick-${what}`}>
        {on ? t("pinfields.done") : t("pinfields.choose-vertices-in-the-view")}
      </button>
      {on && <p class="small mute">{what === "pins" ? t("pinfields.click-a-vertex-of-the") : t("pinfields.click-a-vertex-of-the-2")}</p>}
    </>
  );
}

/** The numbers that vertices of a surface have in documents. */
export const numbersOf = (mesh: ShapeMesh, vertices: readonly number[]): number[] => vertices.map((i) => mesh.numbers[i]!);

export function PinFields({ bench, body, off }: { bench: Workbench; body: Body; off: boolean }) {
  const mesh = bench.shapes.meshOf(body.shape);
  const whole = body.pins.some((pin) => !pin.vertices.length);
  const count = body.pins.reduce((sum, pin) => sum + pin.vertices.length, 0);
  const set = (pins: Body["pins"]) => void bench.change((old) => ({ ...old, pins }));
  return (
    <details class="sect">
      <summary>{t("pinfields.pins")}{whole ? t("pinfields.the-whole-body") : count ? `: ${t("pinfields.vertex", { n: count })}` : ""}</summary>
      <label class="check small">
        <input type="checkbox" checked={whole} disabled={off} onChange={(event) => set(event.currentTarget.checked ? [{ vertices: [] }] : [])} data-test="pin-whole" />
        {t("pinfields.hold-the-whole-body-in")}
      </label>
      {!whole && mesh && (
        <div class="row wrap" role="group" aria-label={t("pinfields.hold-a-side")}>
          <span class="small soft">{t("pinfields.hold-a-side")}</span>
          {SIDES.map((side) => (
            <button key={side} class="btn s" disabled={off} onClick={() => set(holdVertices(body.pins, numbersOf(mesh, sideOf(mesh.vertices, side))))}>
              {side}
            </button>
          ))}
        </div>
      )}
      {!whole && mesh && <PickButton bench={bench} what="pins" off={off} />}
      {!whole && body.pins.map((_, number) => <MotionFields key={number} pins={body.pins} number={number} off={off} onBegin={() => void bench.hold()} set={set} />)}
      {(whole || count > 0) && (
        <button class="link" disabled={off} onClick={() => set([])}>
          {t("pinfields.remove-the-pins")}
        </button>
      )}
    </details>
  );
}

const COURSES = computed((): Readonly<Record<Course, string>> => ({ held: t("pinfields.held-in-place"), straight: t("pinfields.moves-straight"), keys: t("pinfields.follows-keyframes") }));

interface MotionProps {
  pins: Body["pins"];
  number: number;
  off: boolean;
  onBegin: () => void;
  set: (pins: Body["pins"]) => void;
}

/** How one pin moves. A whole body that moves is a rail. */
function MotionFields({ pins, number, off, onBegin, set }: MotionProps) {
  const pin = pins[number]!;
  const motion = pin.motion;
  const common = { disabled: off, onBegin };
  const change = (by: Partial<Motion>) => set(withMotion(pins, number, { ...motion, ...by }));
  const test = `pin-${number}`;
  return (
    <div class="pinmove" role="group" aria-label={t("pinfields.pin-of", { verticesCount: t("pinfields.vertex", { n: pin.vertices.length }) })}>
      <label class="pick">
        <span class="lb">{t("pinfields.vertex", { n: pin.vertices.length })}</span>
        <select class="btn s" value={courseOf(pin)} disabled={off} onChange={(event) => set(withCourse(pins, number, event.currentTarget.value as Course))} data-test={`${test}-course`}>
          {Object.entries(COURSES.value).map(([course, words]) => (
            <option key={course} value={course}>
              {words}
            </option>
          ))}
        </select>
      </label>
      {motion && courseOf(pin) === "straight" && (
        <>
          <VectorField label={t("pinfields.velocity")} unit="m/s" step={0.1} value={motion.velocity ?? [0, 0, 0]} {...common} onCommit={(velocity) => change({ velocity })} test={`${test}-velocity`} />
          <div class="two">
            <NumberField label={t("pinfields.spin")} unit="rad/s" step={0.1} value={motion.spin ?? 0} {...common} onCommit={(spin) => change({ spin })} test={`${test}-spin`} />
            <NumberField label={t("pinfields.until")} unit="s" low={1e-3} step={0.1} value={motion.until ?? 0} {...common} onCommit={(until) => change({ until })} test={`${test}-until`} />
          </div>
        </>
      )}
      {motion && courseOf(pin) === "keys" && <KeyFields motion={motion} off={off} onBegin={onBegin} change={change} test={test} />}
      {motion && <VectorField label={t("pinfields.axis-of-the-turn")} step={1} value={motion.axis ?? [0, 1, 0]} {...common} onCommit={(axis) => Math.hypot(...axis) > 0 && change({ axis })} test={`${test}-axis`} />}
    </div>
  );
}

function KeyFields({ motion, off, onBegin, change, test }: { motion: Motion; off: boolean; onBegin: () => void; change: (by: Partial<Motion>) => void; test: string }) {
  const keys = motion.keys!;
  const edit = (i: number, by: Partial<Keyframe>) => change({ keys: inOrder(keys.map((key, k) => (k === i ? { ...key, ...by } : key))) });
  const taken = (i: number) => new Set(keys.filter((_, k) => k !== i).map((key) => key.time));
  const common = { disabled: off, onBegin };
  return (
    <>
      {keys.map((key, i) => (
        <div key={key.time} class="keyframe" role="group" aria-label={t("pinfields.keyframe", { i: i + 1 })}>
          <div class="two">
            <NumberField label={t("pinfields.time")} unit="s" low={1e-3} step={0.1} value={key.time} {...common} onCommit={(time) => !taken(i).has(time) && edit(i, { time })} test={`${test}-key-${i}-time`} />
            <NumberField label={t("pinfields.angle")} unit="rad" step={0.1} value={key.angle ?? 0} {...common} onCommit={(angle) => edit(i, { angle })} test={`${test}-key-${i}-angle`} />
          </div>
          <VectorField label={t("pinfields.offset")} unit="m" value={key.offset ?? [0, 0, 0]} {...common} onCommit={(offset) => edit(i, { offset })} test={`${test}-key-${i}-offset`} />
          {keys.length > 1 && (
            <button class="btn ghost s sq" aria-label={t("pinfields.remove-keyframe", { i: i + 1 })} disabled={off} onClick={() => change({ keys: keys.filter((_, k) => k !== i) })}>
              <Icon name="cross" />
            </button>
          )}
        </div>
      ))}
      <div class="row wrap">
        <button class="btn s" disabled={off || keys.length >= MOST_KEYS} onClick={() => change({ keys: withNextKey(keys) })} data-test={`${test}-add-key`}>
          {t("pinfields.add-a-keyframe")}
        </button>
        <label class="check small">
          <input type="checkbox" checked={motion.repeat ?? false} disabled={off} onChange={(event) => change(withRepeat(motion, event.currentTarget.checked))} data-test={`${test}-repeat`} />
          {t("pinfields.again-and-again")}
        </label>
      </div>
    </>
  );
}
