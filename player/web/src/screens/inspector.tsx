// The numbers of what is chosen in the editor: of one body, of several, or of the world when nothing is chosen.

import { computed } from "@preact/signals";
import { useState } from "preact/hooks";
import { readyMeshes } from "../app/store";
import { SIDES, kindsOf, sideOf, withKind, wrongName } from "../session/edit";
import type { Side } from "../session/edit";
import { fromAngles, toAngles } from "../session/edit";
import { PRESETS, presetOf } from "../session/materials";
import { MESH_SCALE, SHAPES, meshOfScale, meshScale, shapeName } from "../session/shapes";
import type { ShapeField } from "../session/shapes";
import type { Workbench } from "../session/workbench";
import { group } from "../text/format";
import { t } from "../text/words";
import { NumberField, VectorField, shortNumber } from "../ui/fields";
import { Icon } from "../ui/parts";
import { DEFAULT_WORLD } from "../wire/scene";
import type { Body, Element, Integrator, Kind, Material, Recipe, Vec3, World } from "../wire/scene";
import { PairFields, PairList } from "./pairfields";
import { PickButton, PinFields, numbersOf } from "./pinfields";

const KINDS = computed((): Readonly<Record<Kind, readonly [string, string]>> => ({
  affine: [t("inspector.stiff"), t("inspector.moves-and-turns-as-one")] as const,
  elastic: [t("inspector.soft"), t("inspector.bends-everywhere")] as const,
  static: [t("inspector.fixed"), t("inspector.never-moves")] as const,
  rail: [t("inspector.on-a-rail"), t("inspector.moves-back-and-forth-or")] as const,
}));

/** What a shape is called; a ready mesh by its own name. */
export function shapeOf(recipe: Recipe): string {
  const ready = recipe.kind === "mesh" ? readyMeshes.value.find((one) => one.params.sha256 === recipe.params["sha256"]) : undefined;
  return ready?.name ?? shapeName(recipe);
}

export const kindName = (kind: Kind): string => KINDS.value[kind][0];

interface Props {
  bench: Workbench;
  /** Why the chosen body cannot be changed, or "". */
  held: string;
  disabled: boolean;
}

export function Inspector({ bench, held, disabled }: Props) {
  const chosen = bench.chosen.value;
  const one = chosen.length === 1 ? chosen[0]! : null;
  const off = disabled || held !== "";
  return (
    <section class="tile grow inspector" aria-label={one ? t("inspector.numbers-of", { id: one.id }) : chosen.length ? t("inspector.numbers-of-the-chosen-bodies") : t("inspector.the-world")} data-test="inspector">
      <header>
        <h1 class="nm">{one ? one.id : chosen.length ? t("inspector.bodies", { chosenCount: chosen.length }) : t("inspector.the-world")}</h1>
        <span class="sp" />
        {one && <span class="small mute">{shapeOf(one.shape)}</span>}
      </header>
      {held && (
        <p class="small held" data-test="held">
          {held}
        </p>
      )}
      <div class="scroll fields" tabIndex={-1}>
        {one ? <OneBody bench={bench} body={one} off={off} /> : chosen.length ? <Substance bench={bench} bodies={chosen} off={off} /> : <WorldFields bench={bench} off={disabled} />}
        {chosen.length === 2 && <PairFields bench={bench} bodies={[chosen[0]!, chosen[1]!]} off={disabled} />}
      </div>
    </section>
  );
}

function OneBody({ bench, body, off }: { bench: Workbench; body: Body; off: boolean }) {
  void bench.shapes.changed.value;
  const moved = bench.moved.value.get(body.id);
  const begin = () => void bench.hold();
  const set = (change: Partial<Body>) => void bench.change((old) => ({ ...old, ...change }));
  const kinds = kindsOf(body.shape);
  const still = body.kind === "static" || body.kind === "rail";
  return (
    <>
      <div class="sect">
        <NameField key={body.id} bench={bench} body={body} off={off} />
        <label class="pick">
          <span class="lb">{t("inspector.kind")}</span>
          <select class="btn s" value={body.kind} disabled={off} onChange={(event) => void bench.change((old) => withKind(old, event.currentTarget.value as Kind))} data-test="kind">
            {kinds.map((kind) => (
              <option key={kind} value={kind}>
                {KINDS.value[kind][0]}: {KINDS.value[kind][1]}
              </option>
            ))}
          </select>
        </label>
        <VectorField label={t("inspector.position")} unit="m" value={moved?.position ?? body.position} disabled={off} onBegin={begin} onCommit={(position) => set({ position })} test="position" />
        <VectorField label={t("inspector.turn")} unit="°" value={toAngles(moved?.rotation ?? body.rotation)} step={5} disabled={off} onBegin={begin} onCommit={(angles) => set({ rotation: fromAngles(angles) })} test="turn" />
      </div>
      <ShapeFields bench={bench} body={body} off={off} />
      <Substance bench={bench} bodies={[body]} off={off} />
      {body.kind === "rail" && body.rail && (
        <div class="sect" role="group" aria-label={t("inspector.rail")}>
          <h2>{t("inspector.rail")}</h2>
          <VectorField label={t("inspector.amplitude")} unit="m" value={body.rail.amplitude} disabled={off} onBegin={begin} onCommit={(amplitude) => set({ rail: { ...body.rail!, amplitude } })} />
          <div class="two">
            <NumberField label={t("inspector.frequency")} unit="1/s" low={0} value={body.rail.frequency} disabled={off} onBegin={begin} onCommit={(frequency) => set({ rail: { ...body.rail!, frequency } })} />
            <NumberField label={t("inspector.phase")} unit="rad" value={body.rail.phase} step={0.1} disabled={off} onBegin={begin} onCommit={(phase) => set({ rail: { ...body.rail!, phase } })} />
          </div>
          <VectorField label={t("inspector.axis")} value={body.rail.axis} step={1} disabled={off} onBegin={begin} onCommit={(axis) => Math.hypot(...axis) > 0 && set({ rail: { ...body.rail!, axis } })} />
          <NumberField label={t("inspector.spin")} unit="rad/s" step={0.1} value={body.rail.spin} disabled={off} onBegin={begin} onCommit={(spin) => set({ rail: { ...body.rail!, spin } })} />
        </div>
      )}
      {!still && (
        <details class="sect">
          <summary>{t("inspector.motion-at-the-start")}</summary>
          <VectorField label={t("inspector.velocity")} unit="m/s" value={body.velocity} step={0.1} disabled={off} onBegin={begin} onCommit={(velocity) => set({ velocity })} />
          <VectorField label={t("inspector.spin")} unit="rad/s" value={body.spin} step={0.1} disabled={off} onBegin={begin} onCommit={(spin) => set({ spin })} />
        </details>
      )}
      {!still && <PinFields bench={bench} body={body} off={off} />}
      {body.kind !== "static" && <HandleFields bench={bench} body={body} off={off} />}
    </>
  );
}

function NameField({ bench, body, off }: { bench: Workbench; body: Body; off: boolean }) {
  const [draft, setDraft] = useState<string | null>(null);
  const wrong = draft === null || draft === body.id ? "" : wrongName(bench.taken, draft);
  const take = () => {
    if (draft !== null && draft !== body.id && !wrong) void bench.rename(body.id, draft);
    setDraft(null);
  };
  return (
    <label class={wrong ? "num bad" : "num"}>
      <span class="lb">{t("inspector.name")}</span>
      <input
        autocomplete="off"
        spellcheck={false}
        maxLength={48}
        value={draft ?? body.id}
        disabled={off}
        aria-invalid={wrong !== ""}
        data-test="name"
        onInput={(event) => setDraft(event.currentTarget.value)}
        onBlur={take}
        onKeyDown={(event) => {
          if (event.key === "Enter") take();
          else if (event.key === "Escape") {
            event.stopPropagation();
            setDraft(null);
          }
        }}
      />
      {wrong && (
        <span class="small harm" role="alert">
          {wrong}
        </span>
      )}
    </label>
  );
}

function ShapeFields({ bench, body, off }: { bench: Workbench; body: Body; off: boolean }) {
  const card = SHAPES.value[body.shape.kind];
  const mesh = bench.shapes.meshOf(body.shape);
  const problem = bench.shapes.problemOf(body.shape);
  const begin = () => void bench.hold();
  const set = (name: string, value: unknown) => void bench.change((old) => ({ ...old, shape: { kind: old.shape.kind, params: { ...old.shape.params, [name]: value } } }));
  const field = (one: ShapeField) => {
    const value = body.shape.params[one.name];
    const common = { label: one.label, low: one.low, high: one.high, disabled: off, onBegin: begin };
    if (one.kind === "lengths" || one.kind === "counts") {
      return Array.isArray(value) ? <VectorField key={one.name} {...common} {...(one.kind === "lengths" ? { unit: "m" } : { step: 1, whole: true })} value={value as unknown as Vec3} onCommit={(next) => set(one.name, next)} test={`shape-${one.name}`} /> : null;
    }
    // A parameter that the document leaves out has its default on the server.
    return typeof value === "number" ? <NumberField key={one.name} {...common} unit={one.kind === "length" ? "m" : undefined} whole={one.kind === "count"} step={one.kind === "count" ? 1 : 0.01} value={value} onCommit={(next) => set(one.name, next)} test={`shape-${one.name}`} /> : null;
  };
  return (
    <div class="sect" role="group" aria-label={t("inspector.shape")}>
      <h2>{shapeOf(body.shape)}</h2>
      {card?.fields.filter((one) => one.kind === "lengths" || one.kind === "counts").map(field)}
      <div class="two">{card?.fields.filter((one) => one.kind !== "lengths" && one.kind !== "counts").map(field)}</div>
      {body.shape.kind === "mesh" && (
        <NumberField label={t("inspector.scale")} low={1 / MESH_SCALE} high={MESH_SCALE} step={0.1} value={meshScale(body.shape)} disabled={off} onBegin={begin} onCommit={(scale) => void bench.change((old) => ({ ...old, shape: meshOfScale(old.shape, scale) }))} test="shape-scale" />
      )}
      {problem && (
        <p class="small harm" role="alert">
          {problem}
        </p>
      )}
      <p class="data mute">{mesh ? t("inspector.vertices-m-kg", { total: group(mesh.total), toPrecision: shortNumber(Number(mesh.volume.toPrecision(3))), toPrecision2: shortNumber(Number((mesh.volume * body.material.density).toPrecision(3))) }) : problem ? "" : t("inspector.loading-the-shape")}</p>
    </div>
  );
}

const NUMBERS = computed((): readonly { readonly key: Exclude<keyof Material, "element">; readonly label: string; readonly unit?: string; readonly low: number; readonly high: number; readonly step: number }[] => [
  { key: "density", label: t("inspector.density"), unit: "kg/m³", low: 1, high: 3e4, step: 50 },
  { key: "stiffness", label: t("inspector.stiffness"), unit: t("inspector.pa"), low: 100, high: 1e12, step: 1e5 },
  { key: "poisson", label: t("inspector.poisson"), low: 0, high: 0.499, step: 0.01 },
  { key: "friction", label: t("inspector.friction"), low: 0, high: 10, step: 0.05 },
  { key: "damping", label: t("inspector.damping"), unit: "1/s", low: 0, high: 1000, step: 0.1 },
  { key: "restitution", label: t("inspector.restitution"), low: 0, high: 1, step: 0.05 },
]);

function Substance({ bench, bodies, off }: { bench: Workbench; bodies: readonly Body[]; off: boolean }) {
  const presets = bodies.map((body) => presetOf(body.material));
  const same = presets.every((one) => one === presets[0]) ? presets[0] : null;
  const begin = () => void bench.hold();
  return (
    <div class="sect" role="group" aria-label={t("inspector.material")}>
      <h2>{t("inspector.material")}</h2>
      <div class="chips" role="radiogroup" aria-label={t("inspector.material")}>
        {PRESETS.value.map((preset) => (
          <button key={preset.id} class="chip" role="radio" aria-checked={same === preset} disabled={off} onClick={() => void bench.change((body) => ({ ...body, material: { ...preset.material, ...(body.material.element ? { element: body.material.element } : {}) } }), `${preset.name}.`)} data-test={`material-${preset.id}`}>
            <i style={{ background: preset.colour }} aria-hidden="true" />
            {preset.name}
          </button>
        ))}
      </div>
      <div class="two">
        {NUMBERS.value.map(({ key, ...rest }) => {
          if (key === "restitution" && bodies.some((body) => body.kind === "elastic")) return null;
          const values = bodies.map((body) => body.material[key] ?? 0);
          return values.every((one) => one === values[0]) ? <NumberField key={key} {...rest} value={values[0]!} disabled={off} onBegin={begin} onCommit={(value) => void bench.change((body) => ({ ...body, material: { ...body.material, [key]: value } }))} test={`material-${key}`} /> : null;
        })}
      </div>
      {bodies.every((body) => body.kind === "elastic" && (body.material.element ?? "linear") === (bodies[0]!.material.element ?? "linear")) && (
        <label class="pick">
          <span class="lb">{t("inspector.elements")}</span>
          <select class="btn s" value={bodies[0]!.material.element ?? "linear"} disabled={off} onChange={(event) => void bench.change((body) => ({ ...body, material: { ...body.material, element: event.currentTarget.value as Element } }))} data-test="material-element">
            <option value="linear">{t("inspector.linear-cheaper-too-stiff-on")}</option>
            <option value="averaged">{t("inspector.averaged-bends-as-it-should")}</option>
          </select>
        </label>
      )}
    </div>
  );
}

function HandleFields({ bench, body, off }: { bench: Workbench; body: Body; off: boolean }) {
  const [side, setSide] = useState<Side | "all">("top");
  const mesh = bench.shapes.meshOf(body.shape);
  const set = (handles: Body["handles"]) => void bench.change((old) => ({ ...old, handles }));
  const add = () => {
    if (!mesh) return;
    const vertices = side === "all" ? Array.from({ length: mesh.total }, (_, i) => i) : numbersOf(mesh, sideOf(mesh.vertices, side));
    set([...body.handles.filter((one) => one.id !== side), { id: side, vertices }]);
  };
  return (
    <details class="sect">
      <summary>{t("inspector.handles", { what: body.handles.length ? `: ${body.handles.map((one) => one.id).join(", ")}` : "" })}</summary>
      <p class="small mute">{body.handles.length ? t("inspector.players-pull-the-body-by") : t("inspector.without-any-players-pull-the")}</p>
      <ul>
        {body.handles.map((handle) => (
          <li class="row small" key={handle.id}>
            <b>{handle.id}</b>
            <span class="mute">{t("inspector.vertex", { n: handle.vertices.length })}</span>
            <span class="sp" />
            <button class="btn ghost s sq" aria-label={t("inspector.remove-the-handle", { id: handle.id })} disabled={off} onClick={() => set(body.handles.filter((one) => one !== handle))}>
              <Icon name="cross" />
            </button>
          </li>
        ))}
      </ul>
      <div class="row">
        <select class="btn s" aria-label={t("inspector.side-of-the-new-handle")} value={side} disabled={off} onChange={(event) => setSide(event.currentTarget.value as Side | "all")}>
          {[...SIDES, "all"].map((one) => (
            <option key={one} value={one}>
              {one === "all" ? t("inspector.the-whole-body") : one}
            </option>
          ))}
        </select>
        <button class="btn s" disabled={off || !mesh} onClick={add}>
          {t("inspector.add-a-handle")}
        </button>
      </div>
      {mesh && <PickButton bench={bench} what="handles" off={off} />}
    </details>
  );
}

const pulls = (): readonly (readonly [string, number])[] => [
  [t("inspector.earth"), 9.81],
  [t("inspector.mars"), 3.71],
  [t("inspector.moon"), 1.62],
  [t("inspector.no-gravity"), 0],
];

function WorldFields({ bench, off }: { bench: Workbench; off: boolean }) {
  const world = bench.builder.world.value;
  const [height, setHeight] = useState(1);
  const bodies = bench.builder.bodies.value;
  const floor = bench.floor.value;
  const walls = bodies.filter((body) => body.id.startsWith("wall-"));
  const set = (change: Partial<World>) => void bench.changeWorld((old) => ({ ...old, ...change }));
  return (
    <>
      <div class="sect" role="group" aria-label={t("inspector.gravity")}>
        <h2>{t("inspector.gravity")}</h2>
        <div class="chips" role="radiogroup" aria-label={t("inspector.gravity")}>
          {pulls().map(([name, pull]) => (
            <button key={name} class="chip" role="radio" aria-checked={world.gravity[0] === 0 && world.gravity[2] === 0 && world.gravity[1] === (pull ? -pull : 0)} disabled={off} onClick={() => set({ gravity: [0, pull ? -pull : 0, 0] })}>
              {name}
            </button>
          ))}
        </div>
        <VectorField label={t("inspector.gravity")} unit="m/s²" step={0.1} low={-20} high={20} value={world.gravity} disabled={off} onCommit={(gravity) => set({ gravity })} test="gravity" />
      </div>
      <div class="sect" role="group" aria-label={t("inspector.floor-and-walls")}>
        <h2>{t("inspector.floor-and-walls")}</h2>
        <div class="row wrap">
          {floor ? (
            <button class="btn s" onClick={() => bench.select([floor.id])}>
              {t("inspector.choose-the-floor")}
            </button>
          ) : (
            <button class="btn s" disabled={off} onClick={() => void bench.addFloor()}>
              {t("inspector.add-a-floor")}
            </button>
          )}
          {walls.length > 0 && (
            <button
              class="btn s"
              disabled={off}
              onClick={() => {
                bench.select(walls.map((body) => body.id));
                void bench.remove();
              }}
            >
              {t("inspector.remove-the-walls")}
            </button>
          )}
        </div>
        {floor && walls.length < 4 && (
          <div class="row">
            <NumberField label={t("inspector.height-of-walls")} unit="m" low={0.1} high={20} step={0.1} value={height} onCommit={setHeight} disabled={off} />
            <button class="btn s" disabled={off} onClick={() => void bench.addWalls(height)} data-test="walls">
              {t("inspector.add-walls")}
            </button>
          </div>
        )}
      </div>
      <details class="sect">
        <summary>{t("inspector.contact-and-steps")}</summary>
        <div class="two">
          <NumberField label={t("inspector.contact-begins-at")} unit="m" low={1e-4} high={0.2} step={0.001} value={world.dhat} disabled={off} onCommit={(dhat) => set({ dhat })} />
          <NumberField label={t("inspector.time-step")} unit="s" low={1 / 240} high={0.1} step={0.001} value={world.dt} disabled={off} onCommit={(dt) => set({ dt })} />
          <NumberField label={t("inspector.friction-speed-0-automatic")} unit="m/s" low={0} high={10} value={world.friction_speed} disabled={off} onCommit={(friction_speed) => set({ friction_speed })} />
          <NumberField label={t("inspector.contact-mass-0-automatic")} unit="kg" low={0} high={1e6} step={1} value={world.contact_mass} disabled={off} onCommit={(contact_mass) => set({ contact_mass })} />
          <NumberField label={t("inspector.tolerance-0-automatic")} unit="m/s" low={0} high={10} step={0.001} value={world.tolerance} disabled={off} onCommit={(tolerance) => set({ tolerance })} />
          <NumberField label={t("inspector.most-iterations")} whole low={1} high={100} value={world.max_iterations} disabled={off} onCommit={(max_iterations) => set({ max_iterations })} />
        </div>
        <label class="pick">
          <span class="lb">{t("inspector.integrator")}</span>
          <select class="btn s" value={world.integrator} disabled={off} onChange={(event) => set({ integrator: event.currentTarget.value as Integrator })} data-test="integrator">
            <option value="implicit_euler">{t("inspector.implicit-euler-damps-motion")}</option>
            <option value="bdf2">{t("inspector.bdf2-keeps-motion")}</option>
          </select>
        </label>
        <button class="link" disabled={off} onClick={() => set({ ...DEFAULT_WORLD, name: world.name, gravity: world.gravity, pairs: world.pairs, joints: world.joints })}>
          {t("inspector.back-to-the-defaults")}
        </button>
      </details>
      <PairList bench={bench} off={off} />
      <p class="small mute sect">{t("inspector.choose-a-body-in-the")}</p>
    </>
  );
}
