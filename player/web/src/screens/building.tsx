// The lists of the editor: what can be added, mesh files that are processed, and the bodies with who holds each.

import { useEffect, useRef, useState } from "preact/hooks";
import { bodies as catalogue, readyMeshes, theme } from "../app/store";
import { madeShape } from "../session/edit";
import { PRESETS, likeness } from "../session/materials";
import { SHAPES } from "../session/shapes";
import { MESH_FILES } from "../session/uploads";
import type { Upload, Uploads } from "../session/uploads";
import type { Workbench } from "../session/workbench";
import { PROP, markOfSeat } from "../stage/palette";
import { fixed, group } from "../text/format";
import { t } from "../text/words";
import { Mark } from "../ui/marks";
import { Icon, Segmented } from "../ui/parts";
import { portraits } from "../ui/portraits";
import type { Body, Kind, Vec3 } from "../wire/scene";
import { kindName, shapeOf } from "./inspector";

type Source = "catalogue" | "shapes" | "mesh";
export type Holder = { readonly name: string; readonly seat: number } | null;

export function AddTile({ bench, uploads, disabled, place, onPlace }: { bench: Workbench; uploads: Uploads; disabled: boolean; place: Vec3 | null; onPlace: (place: Vec3 | null) => void }) {
  const [source, setSource] = useState<Source>("shapes");
  const waiting = uploads.list.value.filter((one) => one.state !== "ready").length;
  return (
    <section class="tile add" aria-label={t("building.add-a-body")}>
      <header>
        <h2>{t("building.add")}</h2>
        <span class="sp" />
        <Segmented
          label={t("building.what-to-add")}
          tight
          value={source}
          onChoose={setSource}
          options={[
            { value: "shapes", text: t("building.shapes") },
            { value: "catalogue", text: t("building.bodies") },
            { value: "mesh", text: waiting ? t("building.mesh-2", { waiting }) : t("building.mesh") },
          ]}
        />
      </header>
      {source === "shapes" ? <Shapes bench={bench} disabled={disabled} /> : source === "catalogue" ? <Catalogue bench={bench} disabled={disabled} /> : <Meshes bench={bench} uploads={uploads} disabled={disabled} place={place} onPlace={onPlace} />}
    </section>
  );
}

function Shapes({ bench, disabled }: { bench: Workbench; disabled: boolean }) {
  const material = (kind: Kind) => PRESETS.value.find((one) => one.id === (kind === "elastic" ? "jelly" : kind === "static" ? "stone" : "wood"))!;
  return (
    <div class="shapes scroll" data-test="shapes">
      {Object.entries(SHAPES.value).map(([id, card]) => (
        <button key={id} disabled={disabled} onClick={() => void bench.add(card.name, madeShape(id), card.body, material(card.body))} data-test={`add-${id}`}>
          <ShapeIcon kind={id} />
          {card.name}
        </button>
      ))}
    </div>
  );
}

/** A small drawing of each shape, from the front or from above. */
const DRAWN: Readonly<Record<string, string>> = {
  box: "M4 8 12 4l8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8",
  sphere: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM4.5 12c3 3 12 3 15 0",
  capsule: "M8 8a4 4 0 0 1 8 0v8a4 4 0 0 1-8 0zM8 9c2 2 6 2 8 0",
  lathe: "M5 7c0-2 14-2 14 0v10c0 2-14 2-14 0zM5 7c0 2 14 2 14 0",
  torus: "M12 6c5 0 9 2.500 9 6s-4 6-9 6-9-2.500-9-6 4-6 9-6zM8.500 12c1.500-1.600 5.500-1.600 7 0M7.500 11c2 2.400 7 2.400 9 0",
  pebble: "M3.500 13c0-4 5-6 9.500-6s8 3 8 6-4 5-9 5-8.500-1-8.500-5z",
  tetra: "M12 4 20 18 4 18zM12 4l2 14",
  gear: "m10 4 .6 2.200h2.800L14 4l3 1.300-.6 2.300 1.800 1.800 2.400-.6L21 12l-2.200.8-.6 2.600 1.600 1.700-2.300 2.200-2-1.200-2 .9L13 21h-3l-.6-2-2.200-.9-2 1.200-2.200-2.300 1.500-1.700L4 12.800 3 12l.6-3.200 2.300.6 1.700-1.800L7 5.300zM12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5z",
  star: "m12 3 2.500 6 6.500.500-5 4.200 1.600 6.300-5.600-3.500L6.400 20 8 13.700 3 9.500 9.500 9z",
  nut: "M8 5h8l4 7-4 7H8l-4-7zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  ell: "M5 4h6v10h8v6H5z",
  cross: "M9 4h6v5h5v6h-5v5H9v-5H4V9h5z",
  crescent: "M16 4a9 9 0 1 0 4 11 6.500 6.500 0 1 1-4-11z",
  blob: "M5 16c0-3 2-5 5-5 0-1-1-1.500-1-3a3.500 3.500 0 0 1 7 0l3 1-2.500 1.500c2 1 3.500 2.500 3.500 5C20 18.500 16 20 12 20s-7-1-7-4z",
  block: "M4 8 12 4l8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8M8 6l8 4v8M16 6l-8 4v8",
  ball: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 4v16M4 12h16M6.500 6.500l11 11M17.500 6.500l-11 11",
  slab: "m3 11 9-4 9 4-9 4zM3 11v3l9 4 9-4v-3M12 15v3",
  platform: "m3 11 3-3h12l3 3-3 3H6zM3 11l2 5h14l2-5M6 14v2M18 14v2",
  bowl: "M3 8c0 2.500 18 2.500 18 0-.5 7-4 10-9 10S3.500 15 3 8zM3 8c0-2.500 18-2.500 18 0",
};

function ShapeIcon({ kind }: { kind: string }) {
  return (
    <svg class="shape" viewBox="0 0 24 24" aria-hidden="true">
      <path d={DRAWN[kind] ?? ""} />
    </svg>
  );
}

function Catalogue({ bench, disabled }: { bench: Workbench; disabled: boolean }) {
  const list = catalogue.value;
  const images = portraits(list.map((body) => body.id), PROP, theme.value).value;
  return (
    <div class="palette scroll" data-test="catalogue">
      {list.map((body) => (
        <button
          key={body.id}
          disabled={disabled}
          onClick={() => {
            const material = { density: body.density, stiffness: body.stiffness, poisson: 0.4, friction: body.friction ?? 0.4, damping: 0 };
            void bench.add(body.id, { kind: body.kind, params: body.params }, "affine", likeness(material), material);
          }}
        >
          {images.get(body.id) ? <img src={images.get(body.id)} alt="" /> : <span class="noimg" />}
          {body.name}
        </button>
      ))}
    </div>
  );
}

/** The ready meshes of the catalogue. They are soft at first: each has tetrahedra. */
function Ready({ bench, disabled }: { bench: Workbench; disabled: boolean }) {
  const list = readyMeshes.value;
  const images = portraits(
    list.map((one) => one.id),
    PROP,
    theme.value,
    (id) => {
      const one = list.find((mesh) => mesh.id === id)!;
      return bench.shapes.load({ kind: one.kind, params: one.params });
    },
  ).value;
  const jelly = PRESETS.value.find((one) => one.id === "jelly")!;
  return (
    <div class="palette" data-test="ready-meshes">
      {list.map((mesh) => (
        <button key={mesh.id} disabled={disabled} title={t("building.vertices", { vertices: group(mesh.vertices) })} onClick={() => void bench.add(mesh.id, { kind: mesh.kind, params: mesh.params }, "elastic", jelly)} data-test={`add-${mesh.id}`}>
          {images.get(mesh.id) ? <img src={images.get(mesh.id)} alt="" /> : <span class="noimg" />}
          {mesh.name}
        </button>
      ))}
    </div>
  );
}

function Meshes({ bench, uploads, disabled, place, onPlace }: { bench: Workbench; uploads: Uploads; disabled: boolean; place: Vec3 | null; onPlace: (place: Vec3 | null) => void }) {
  const field = useRef<HTMLInputElement>(null);
  return (
    <div class="meshes scroll">
      <button class="btn s" disabled={disabled} onClick={() => field.current?.click()} data-test="mesh">
        <Icon name="plus" />
        {t("building.choose-a-mesh-file")}
      </button>
      <input
        ref={field}
        type="file"
        class="vh"
        tabIndex={-1}
        aria-label={t("building.mesh-file")}
        accept={MESH_FILES}
        multiple
        onChange={(event) => {
          for (const file of event.currentTarget.files ?? []) void uploads.add(file);
          event.currentTarget.value = "";
        }}
      />
      <p class="small mute">{t("building.stl-obj-ply-vtk-msh")}</p>
      <ul aria-live="polite" data-test="uploads">
        {uploads.list.value.map((one) => (
          <UploadRow key={one.key} upload={one} onClose={() => uploads.drop(one.key)} place={place} onPlace={onPlace} />
        ))}
      </ul>
      <Ready bench={bench} disabled={disabled} />
    </div>
  );
}

function UploadRow({ upload, onClose, place, onPlace }: { upload: Upload; onClose: () => void; place: Vec3 | null; onPlace: (place: Vec3 | null) => void }) {
  const { state, answer } = upload;
  const share = state === "sending" ? upload.share : (answer?.percent ?? 0) / 100;
  const word = state === "sending" ? `sending ${Math.round(100 * share)} %` : state === "queued" ? "queued" : state === "working" ? `checking ${Math.round(100 * share)} %` : state === "ready" ? "ready" : "refused";
  const wrong = state === "refused" ? (answer?.place ?? null) : null;
  const shown = wrong !== null && place !== null && wrong.every((value, i) => value === place[i]);
  return (
    <li class="up">
      <div class="row small">
        <b class="clip">{upload.name}</b>
        <span class="sp" />
        <span class={state === "refused" ? "tag bad" : state === "ready" ? "tag run" : "tag pause"}>{word}</span>
        <button
          class="btn ghost s sq"
          aria-label={t("building.close", { name: upload.name })}
          onClick={() => {
            if (shown) onPlace(null);
            onClose();
          }}
        >
          <Icon name="cross" />
        </button>
      </div>
      {(state === "sending" || state === "working" || state === "queued") && <progress max={1} value={state === "queued" ? 0 : share} aria-label={`${upload.name}: ${word}`} />}
      {state === "refused" && (
        <p class="small harm" role="alert">
          {upload.problem || answer?.message?.replace(/^mesh\.\w+: /, "") || answer?.reason || t("building.the-file-is-not-a")}
        </p>
      )}
      {wrong && (
        <button class="btn s" aria-pressed={shown} onClick={() => onPlace(shown ? null : wrong)}>
          {t("building.show-where")}{" "}
          <span class="data">
            {wrong.map((value) => fixed(value, 2)).join(" ")} m
          </span>
        </button>
      )}
      {state === "ready" && answer && <p class="data mute">{t("building.vertices-2", { group: group(answer.vertices ?? 0), what: answer.tetrahedra ? t("building.tetrahedra", { tetrahedra: group(answer.tetrahedra) }) : "" })}</p>}
    </li>
  );
}

export function BodyList({ bench, holder, mine }: { bench: Workbench; holder: (body: string) => Holder; mine: (body: string) => boolean }) {
  const { builder } = bench;
  const list = builder.bodies.value;
  const { limits } = builder.state.value;
  const selected = new Set(bench.selected.value);
  const vertices = builder.checked.value?.vertices ?? builder.state.value.used.vertices;
  return (
    <section class="tile grow bodylist" aria-label={t("building.bodies-of-the-scene")}>
      <header>
        <h2>{t("building.bodies")}</h2>
        <span class="sp" />
        <span class="data mute" data-test="count">
          {group(list.length)}
          {limits.bodies ? t("building.of", { bodies: group(limits.bodies) }) : ""}
        </span>
      </header>
      <ul class="scroll" data-test="bodies">
        <li>
          <button class="bl" aria-pressed={!selected.size} onClick={() => bench.select([])}>
            <i class="sw world" aria-hidden="true" />
            <span class="nm">{t("building.the-world")}</span>
            <span class="small mute">{t("building.gravity-floor-walls")}</span>
          </button>
        </li>
        {list.map((body) => (
          <BodyRow key={body.id} body={body} bench={bench} chosen={selected.has(body.id)} other={holder(body.id)} mine={mine(body.id)} />
        ))}
        {builder.complete.value && !list.length && <li class="small mute empty">{t("building.the-scene-is-empty-add")}</li>}
      </ul>
      {vertices !== undefined && (
        <p class="data mute foot2">
          {t("building.vertices-3", { vertices: group(vertices), what: limits.vertices ? t("building.of-2", { vertices: group(limits.vertices) }) : "" })}
        </p>
      )}
    </section>
  );
}

/** Such as "Stiff gear" or "Soft ball". */
function whatIs(body: Body): string {
  const [kind, shape] = [kindName(body.kind), shapeOf(body.shape)];
  return shape.startsWith(`${kind} `) ? shape : `${kind} ${shape.toLowerCase()}`;
}

function BodyRow({ body, bench, chosen, other, mine }: { body: Body; bench: Workbench; chosen: boolean; other: Holder; mine: boolean }) {
  const overlaps = bench.overlapping.value.get(body.id);
  const row = useRef<HTMLLIElement>(null);
  // Scrolls the list only: where it has its whole height, as on a phone, the page stays.
  useEffect(() => {
    const [here, list] = [row.current?.getBoundingClientRect(), row.current?.parentElement];
    const around = list?.getBoundingClientRect();
    if (!chosen || !here || !list || !around) return;
    list.scrollTop += Math.max(0, here.bottom - around.bottom) - Math.max(0, around.top - here.top);
  }, [chosen]);
  const colour = body.kind === "static" ? "#6E807A" : likeness(body.material).colour;
  return (
    <li ref={row}>
      <button class={overlaps ? "bl bad" : "bl"} aria-pressed={chosen} onClick={(event) => bench.select([body.id], event.shiftKey || event.ctrlKey || event.metaKey)} data-body={body.id}>
        <i class="sw" style={{ background: colour }} aria-hidden="true" />
        <span class="nm">{body.id}</span>
        <span class="small mute">{overlaps ? <span class="harm">{t("building.overlaps", { overlaps: overlaps.join(", ") })}</span> : whatIs(body)}</span>
        {other ? (
          <span class="who" title={t("building.holds-it", { name: other.name })}>
            <Mark mark={markOfSeat(other.seat)} name={other.name} size={22} />
            <span class="vh">{t("building.held-by", { name: other.name })}</span>
          </span>
        ) : mine ? (
          <span class="who small mute">{t("building.yours")}</span>
        ) : null}
      </button>
    </li>
  );
}
