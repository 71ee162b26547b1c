// The numbers of what is chosen in the editor: of one body, of several, or of the world when nothing is chosen.

import { useState } from "preact/hooks";
import { readyMeshes } from "../app/store";
import { SIDES, kindsOf, sideOf, withKind, wrongName } from "../session/edit";
import type { Side } from "../session/edit";
import { fromAngles, toAngles } from "../session/edit";
import { PRESETS, presetOf } from "../session/materials";
import { MESH_SCALE, SHAPES, meshOfScale, meshScale, shapeName } from "../session/shapes";
import type { ShapeField } from "../session/shapes";
import type { Workbench } from "../session/workbench";
import { group, plural } from "../text/format";
import { NumberField, VectorField, shortNumber } from "../ui/fields";
import { Icon } from "../ui/parts";
import { DEFAULT_WORLD } from "../wire/scene";
import type { Body, Element, Integrator, Kind, Material, Recipe, Vec3, World } from "../wire/scene";
import { PairFields, PairList } from "./pairfields";
import { PickButton, PinFields, numbersOf } from "./pinfields";

const KINDS: Readonly<Record<Kind, readonly [string, string]>> = {
  affine: ["Stiff", "moves and turns as one, hardly bends"],
  elastic: ["Soft", "bends everywhere"],
  static: ["Fixed", "never moves"],
  rail: ["On a rail", "moves back and forth or turns by itself"],
};

/** What a shape is called; a ready mesh by its own name. */
export function shapeOf(recipe: Recipe): string {
  const ready = recipe.kind === "mesh" ? readyMeshes.value.find((one) => one.params.sha256 === recipe.params["sha256"]) : undefined;
  return ready?.name ?? shapeName(recipe);
}

export const kindName = (kind: Kind): string => KINDS[kind][0];

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
    <section class="tile grow inspector" aria-label={one ? `Numbers of ${one.id}` : chosen.length ? "Numbers of the chosen bodies" : "The world"} data-test="inspector">
      <header>
        <h1 class="nm">{one ? one.id : chosen.length ? `${chosen.length} bodies` : "The world"}</h1>
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
          <span class="lb">Kind</span>
          <select class="btn s" value={body.kind} disabled={off} onChange={(event) => void bench.change((old) => withKind(old, event.currentTarget.value as Kind))} data-test="kind">
            {kinds.map((kind) => (
              <option key={kind} value={kind}>
                {KINDS[kind][0]}: {KINDS[kind][1]}
              </option>
            ))}
          </select>
        </label>
        <VectorField label="Position" unit="m" value={moved?.position ?? body.position} disabled={off} onBegin={begin} onCommit={(position) => set({ position })} test="position" />
        <VectorField label="Turn" unit="°" value={toAngles(moved?.rotation ?? body.rotation)} step={5} disabled={off} onBegin={begin} onCommit={(angles) => set({ rotation: fromAngles(angles) })} test="turn" />
      </div>
      <ShapeFields bench={bench} body={body} off={off} />
      <Substance bench={bench} bodies={[body]} off={off} />
      {body.kind === "rail" && body.rail && (
        <div class="sect" role="group" aria-label="Rail">
          <h2>Rail</h2>
          <VectorField label="Amplitude" unit="m" value={body.rail.amplitude} disabled={off} onBegin={begin} onCommit={(amplitude) => set({ rail: { ...body.rail!, amplitude } })} />
          <div class="two">
            <NumberField label="Frequency" unit="1/s" low={0} value={body.rail.frequency} disabled={off} onBegin={begin} onCommit={(frequency) => set({ rail: { ...body.rail!, frequency } })} />
            <NumberField label="Phase" unit="rad" value={body.rail.phase} step={0.1} disabled={off} onBegin={begin} onCommit={(phase) => set({ rail: { ...body.rail!, phase } })} />
          </div>
          <VectorField label="Axis" value={body.rail.axis} step={1} disabled={off} onBegin={begin} onCommit={(axis) => Math.hypot(...axis) > 0 && set({ rail: { ...body.rail!, axis } })} />
          <NumberField label="Spin" unit="rad/s" step={0.1} value={body.rail.spin} disabled={off} onBegin={begin} onCommit={(spin) => set({ rail: { ...body.rail!, spin } })} />
        </div>
      )}
      {!still && (
        <details class="sect">
          <summary>Motion at the start</summary>
          <VectorField label="Velocity" unit="m/s" value={body.velocity} step={0.1} disabled={off} onBegin={begin} onCommit={(velocity) => set({ velocity })} />
          <VectorField label="Spin" unit="rad/s" value={body.spin} step={0.1} disabled={off} onBegin={begin} onCommit={(spin) => set({ spin })} />
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
      <span class="lb">Name</span>
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
  const card = SHAPES[body.shape.kind];
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
    <div class="sect" role="group" aria-label="Shape">
      <h2>{shapeOf(body.shape)}</h2>
      {card?.fields.filter((one) => one.kind === "lengths" || one.kind === "counts").map(field)}
      <div class="two">{card?.fields.filter((one) => one.kind !== "lengths" && one.kind !== "counts").map(field)}</div>
      {body.shape.kind === "mesh" && (
        <NumberField label="Scale" low={1 / MESH_SCALE} high={MESH_SCALE} step={0.1} value={meshScale(body.shape)} disabled={off} onBegin={begin} onCommit={(scale) => void bench.change((old) => ({ ...old, shape: meshOfScale(old.shape, scale) }))} test="shape-scale" />
      )}
      {problem && (
        <p class="small harm" role="alert">
          {problem}
        </p>
      )}
      <p class="data mute">{mesh ? `${group(mesh.total)} vertices · ${shortNumber(Number(mesh.volume.toPrecision(3)))} m³ · ${shortNumber(Number((mesh.volume * body.material.density).toPrecision(3)))} kg` : problem ? "" : "Loading the shape …"}</p>
    </div>
  );
}

const NUMBERS: readonly { readonly key: Exclude<keyof Material, "element">; readonly label: string; readonly unit?: string; readonly low: number; readonly high: number; readonly step: number }[] = [
  { key: "density", label: "Density", unit: "kg/m³", low: 1, high: 3e4, step: 50 },
  { key: "stiffness", label: "Stiffness", unit: "Pa", low: 100, high: 1e12, step: 1e5 },
  { key: "poisson", label: "Poisson", low: 0, high: 0.499, step: 0.01 },
  { key: "friction", label: "Friction µ", low: 0, high: 10, step: 0.05 },
  { key: "damping", label: "Damping", unit: "1/s", low: 0, high: 1000, step: 0.1 },
  { key: "restitution", label: "Restitution", low: 0, high: 1, step: 0.05 },
];

function Substance({ bench, bodies, off }: { bench: Workbench; bodies: readonly Body[]; off: boolean }) {
  const presets = bodies.map((body) => presetOf(body.material));
  const same = presets.every((one) => one === presets[0]) ? presets[0] : null;
  const begin = () => void bench.hold();
  return (
    <div class="sect" role="group" aria-label="Material">
      <h2>Material</h2>
      <div class="chips" role="radiogroup" aria-label="Material">
        {PRESETS.map((preset) => (
          <button key={preset.id} class="chip" role="radio" aria-checked={same === preset} disabled={off} onClick={() => void bench.change((body) => ({ ...body, material: { ...preset.material, ...(body.material.element ? { element: body.material.element } : {}) } }), `${preset.name}.`)} data-test={`material-${preset.id}`}>
            <i style={{ background: preset.colour }} aria-hidden="true" />
            {preset.name}
          </button>
        ))}
      </div>
      <div class="two">
        {NUMBERS.map(({ key, ...rest }) => {
          if (key === "restitution" && bodies.some((body) => body.kind === "elastic")) return null;
          const values = bodies.map((body) => body.material[key] ?? 0);
          return values.every((one) => one === values[0]) ? <NumberField key={key} {...rest} value={values[0]!} disabled={off} onBegin={begin} onCommit={(value) => void bench.change((body) => ({ ...body, material: { ...body.material, [key]: value } }))} test={`material-${key}`} /> : null;
        })}
      </div>
      {bodies.every((body) => body.kind === "elastic" && (body.material.element ?? "linear") === (bodies[0]!.material.element ?? "linear")) && (
        <label class="pick">
          <span class="lb">Elements</span>
          <select class="btn s" value={bodies[0]!.material.element ?? "linear"} disabled={off} onChange={(event) => void bench.change((body) => ({ ...body, material: { ...body.material, element: event.currentTarget.value as Element } }))} data-test="material-element">
            <option value="linear">Linear: cheaper, too stiff on coarse meshes</option>
            <option value="averaged">Averaged: bends as it should</option>
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
      <summary>Handles{body.handles.length ? `: ${body.handles.map((one) => one.id).join(", ")}` : ""}</summary>
      <p class="small mute">{body.handles.length ? "Players pull the body by these." : "Without any, players pull the body by its centre and its vertices."}</p>
      <ul>
        {body.handles.map((handle) => (
          <li class="row small" key={handle.id}>
            <b>{handle.id}</b>
            <span class="mute">{plural(handle.vertices.length, "vertex", "vertices")}</span>
            <span class="sp" />
            <button class="btn ghost s sq" aria-label={`Remove the handle ${handle.id}`} disabled={off} onClick={() => set(body.handles.filter((one) => one !== handle))}>
              <Icon name="cross" />
            </button>
          </li>
        ))}
      </ul>
      <div class="row">
        <select class="btn s" aria-label="Side of the new handle" value={side} disabled={off} onChange={(event) => setSide(event.currentTarget.value as Side | "all")}>
          {[...SIDES, "all"].map((one) => (
            <option key={one} value={one}>
              {one === "all" ? "the whole body" : one}
            </option>
          ))}
        </select>
        <button class="btn s" disabled={off || !mesh} onClick={add}>
          Add a handle
        </button>
      </div>
      {mesh && <PickButton bench={bench} what="handles" off={off} />}
    </details>
  );
}

const PULLS: readonly (readonly [string, number])[] = [
  ["Earth", 9.81],
  ["Mars", 3.71],
  ["Moon", 1.62],
  ["None", 0],
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
      <div class="sect" role="group" aria-label="Gravity">
        <h2>Gravity</h2>
        <div class="chips" role="radiogroup" aria-label="Gravity">
          {PULLS.map(([name, pull]) => (
            <button key={name} class="chip" role="radio" aria-checked={world.gravity[0] === 0 && world.gravity[2] === 0 && world.gravity[1] === (pull ? -pull : 0)} disabled={off} onClick={() => set({ gravity: [0, pull ? -pull : 0, 0] })}>
              {name}
            </button>
          ))}
        </div>
        <VectorField label="Gravity" unit="m/s²" step={0.1} low={-20} high={20} value={world.gravity} disabled={off} onCommit={(gravity) => set({ gravity })} test="gravity" />
      </div>
      <div class="sect" role="group" aria-label="Floor and walls">
        <h2>Floor and walls</h2>
        <div class="row wrap">
          {floor ? (
            <button class="btn s" onClick={() => bench.select([floor.id])}>
              Choose the floor
            </button>
          ) : (
            <button class="btn s" disabled={off} onClick={() => void bench.addFloor()}>
              Add a floor
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
              Remove the walls
            </button>
          )}
        </div>
        {floor && walls.length < 4 && (
          <div class="row">
            <NumberField label="Height of walls" unit="m" low={0.1} high={20} step={0.1} value={height} onCommit={setHeight} disabled={off} />
            <button class="btn s" disabled={off} onClick={() => void bench.addWalls(height)} data-test="walls">
              Add walls
            </button>
          </div>
        )}
      </div>
      <details class="sect">
        <summary>Contact and steps</summary>
        <div class="two">
          <NumberField label="Contact begins at" unit="m" low={1e-4} high={0.2} step={0.001} value={world.dhat} disabled={off} onCommit={(dhat) => set({ dhat })} />
          <NumberField label="Time step" unit="s" low={1 / 240} high={0.1} step={0.001} value={world.dt} disabled={off} onCommit={(dt) => set({ dt })} />
          <NumberField label="Friction speed (0: automatic)" unit="m/s" low={0} high={10} value={world.friction_speed} disabled={off} onCommit={(friction_speed) => set({ friction_speed })} />
          <NumberField label="Contact mass (0: automatic)" unit="kg" low={0} high={1e6} step={1} value={world.contact_mass} disabled={off} onCommit={(contact_mass) => set({ contact_mass })} />
          <NumberField label="Tolerance (0: automatic)" unit="m/s" low={0} high={10} step={0.001} value={world.tolerance} disabled={off} onCommit={(tolerance) => set({ tolerance })} />
          <NumberField label="Most iterations" whole low={1} high={100} value={world.max_iterations} disabled={off} onCommit={(max_iterations) => set({ max_iterations })} />
        </div>
        <label class="pick">
          <span class="lb">Integrator</span>
          <select class="btn s" value={world.integrator} disabled={off} onChange={(event) => set({ integrator: event.currentTarget.value as Integrator })} data-test="integrator">
            <option value="implicit_euler">Implicit Euler: damps motion</option>
            <option value="bdf2">BDF2: keeps motion</option>
          </select>
        </label>
        <button class="link" disabled={off} onClick={() => set({ ...DEFAULT_WORLD, name: world.name, gravity: world.gravity, pairs: world.pairs, joints: world.joints })}>
          Back to the defaults
        </button>
      </details>
      <PairList bench={bench} off={off} />
      <p class="small mute sect">Choose a body in the list or in the view to see its numbers.</p>
    </>
  );
}
