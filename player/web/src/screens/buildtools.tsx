// The tools of the editor: gizmos, undo, copies, files, and new lobbies that begin with a scene.

import { useRef, useState } from "preact/hooks";
import { api, busy, newFrom, notify, templates } from "../app/store";
import { keepTemplate, ownKey, ownTemplates } from "../app/templates";
import { AXES } from "../session/edit";
import type { Axis } from "../session/edit";
import { MOST_COPIES } from "../session/workbench";
import type { Workbench } from "../session/workbench";
import { t } from "../text/words";
import type { BuildLooks } from "../ui/buildstage";
import { NumberField } from "../ui/fields";
import { withKey } from "../ui/keyboard";
import { Icon, Segmented } from "../ui/parts";
import type { Raw } from "../wire/scene";

export function Tools({ bench, able, editable, mode, onMode, snap, onSnap, token, onOpen }: { bench: Workbench; able: boolean; editable: boolean; mode: BuildLooks["mode"]; onMode: (mode: BuildLooks["mode"]) => void; snap: boolean; onSnap: () => void; token: string; onOpen: (file: File) => void }) {
  const [more, setMore] = useState<"array" | "mirror" | "save" | "new" | null>(null);
  const file = useRef<HTMLInputElement>(null);
  const chosen = bench.chosen.value.length;
  const none = !able || !chosen;
  return (
    <section class="tile tools2" aria-label={t("buildtools.tools")}>
      <div class="bench-tools">
        <Segmented
          label={t("buildtools.the-handles-in-the-view")}
          tight
          value={mode}
          onChoose={onMode}
          options={[
            { value: "move", text: t("buildtools.move"), title: withKey(t("buildtools.move"), "move") },
            { value: "turn", text: t("buildtools.turn"), title: withKey(t("buildtools.turn"), "turn") },
            { value: "scale", text: t("buildtools.scale"), title: withKey(t("buildtools.scale"), "scale") },
          ]}
        />
        <button class="btn s" aria-pressed={snap} onClick={onSnap} title={t("buildtools.steps-of-5-cm-and")}>
          {t("buildtools.steps")}
        </button>
        <span class="bar2" />
        <button class="btn s sq" aria-label={t("buildtools.undo")} disabled={!editable} onClick={() => { bench.settle(); void bench.builder.undo(); }} title={t("buildtools.undo-your-last-change-ctrl")} data-test="undo">
          <Icon name="undo" />
        </button>
        <button class="btn s sq" aria-label={t("buildtools.redo")} disabled={!editable} onClick={() => { bench.settle(); void bench.builder.redo(); }} title={t("buildtools.redo-your-last-undone-change")} data-test="redo">
          <Icon name="redo" />
        </button>
        <span class="bar2" />
        <button class="btn s" disabled={none} onClick={() => void bench.duplicate()} title={withKey(t("buildtools.copy"), "copy")} data-test="copy">
          {t("buildtools.copy")}
        </button>
        <button class="btn s" disabled={none} aria-pressed={more === "array"} onClick={() => setMore(more === "array" ? null : "array")} data-test="array">
          {t("buildtools.array")}
        </button>
        <button class="btn s" disabled={none} aria-pressed={more === "mirror"} onClick={() => setMore(more === "mirror" ? null : "mirror")}>
          {t("buildtools.mirror")}
        </button>
        <button class="btn s" disabled={none} onClick={() => void bench.ground()} title={withKey(t("buildtools.down-onto-what-is-below"), "ground")} data-test="ground">
          {t("buildtools.ground")}
        </button>
        <button class="btn s" disabled={none} onClick={() => void bench.stack()} title={withKey(t("buildtools.on-top-without-touching"), "stack")} data-test="stack">
          {t("buildtools.stack")}
        </button>
        <button class="btn s" disabled={none} onClick={() => void bench.remove()} title={t("buildtools.remove-delete")} data-test="remove">
          {t("buildtools.remove")}
        </button>
        <span class="sp" />
        <button class="btn s" aria-pressed={more === "new"} onClick={() => setMore(more === "new" ? null : "new")} data-test="new">
          {t("buildtools.new")}
        </button>
        <button class="btn s" aria-pressed={more === "save"} onClick={() => setMore(more === "save" ? null : "save")} data-test="save">
          {t("buildtools.save")}
        </button>
        <button class="btn s" disabled={!editable} onClick={() => file.current?.click()}>
          {t("buildtools.open")}
        </button>
        <input
          ref={file}
          type="file"
          class="vh"
          tabIndex={-1}
          aria-label={t("buildtools.scene-file")}
          accept=".json,application/json"
          data-test="open-file"
          onChange={(event) => {
            const chosenFile = event.currentTarget.files?.[0];
            event.currentTarget.value = "";
            if (chosenFile) onOpen(chosenFile);
          }}
        />
      </div>
      {more === "array" && !none && <ArrayRow bench={bench} onDone={() => setMore(null)} />}
      {more === "save" && <SaveRow bench={bench} token={token} onDone={() => setMore(null)} />}
      {more === "new" && <NewRow token={token} />}
      {more === "mirror" && !none && (
        <div class="bench-tools line" role="group" aria-label={t("buildtools.mirror")}>
          <span class="small soft">{t("buildtools.a-mirror-image-across")}</span>
          {(["x", "z"] as const).map((axis) => (
            <button
              key={axis}
              class="btn s"
              onClick={() => {
                void bench.mirror(axis);
                setMore(null);
              }}
            >
              {axis} = 0
            </button>
          ))}
        </div>
      )}
    </section>
  );
}

/** A new lobby that begins with this scene, or with a template. */
function NewRow({ token }: { token: string }) {
  const [wanted, setWanted] = useState("");
  const begin = async () => {
    const own = ownTemplates.value.find((one) => ownKey(one.name) === wanted);
    try {
      await newFrom(own ? { scene: own.scene } : wanted ? { template: wanted } : { scene: JSON.stringify(await api.wholeScene(token)) });
    } catch (error) {
      notify("bad", t("buildtools.the-scene-cannot-be-read"), error instanceof Error ? error.message : "");
    }
  };
  return (
    <form
      class="bench-tools line"
      aria-label={t("buildtools.new")}
      onSubmit={(event) => {
        event.preventDefault();
        void begin();
      }}
    >
      <select class="btn s" aria-label={t("buildtools.begin-with")} value={wanted} onChange={(event) => setWanted(event.currentTarget.value)} data-test="new-template">
        <option value="">{t("buildtools.this-scene")}</option>
        {templates.value.map((one) => (
          <option key={one.id} value={one.id}>
            {one.name}
          </option>
        ))}
        {ownTemplates.value.length > 0 && (
          <optgroup label={t("buildtools.yours")}>
            {ownTemplates.value.map((one) => (
              <option key={one.name} value={ownKey(one.name)}>
                {one.name}
              </option>
            ))}
          </optgroup>
        )}
      </select>
      <button class="btn s main" aria-busy={busy.value === "new-from"} title={t("buildtools.a-new-lobby-for-you")} data-test="new-from">
        {t("buildtools.new-from-this")}
      </button>
    </form>
  );
}

function SaveRow({ bench, token, onDone }: { bench: Workbench; token: string; onDone: () => void }) {
  const [name, setName] = useState(bench.builder.world.peek().name || t("buildtools.my-scene"));
  const whole = async (use: (scene: Raw) => void) => {
    try {
      use(await api.wholeScene(token));
      onDone();
    } catch (error) {
      notify("bad", t("buildtools.the-scene-cannot-be-saved"), error instanceof Error ? error.message : "");
    }
  };
  const keep = () =>
    whole((scene) => {
      keepTemplate(name, scene);
      notify("ok", t("buildtools.is-a-template", { name: name.trim() }), t("buildtools.this-browser-lists-it-for"));
    });
  const download = () =>
    whole((scene) => {
      const url = URL.createObjectURL(new Blob([`${JSON.stringify(scene, null, 1)}\n`], { type: "application/json" }));
      Object.assign(document.createElement("a"), { href: url, download: t("buildtools.json", { replace: name.trim().replace(/[^\w-]+/g, "-") || t("buildtools.scene") }) }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10_000);
    });
  return (
    <form
      class="bench-tools line"
      aria-label={t("buildtools.save")}
      onSubmit={(event) => {
        event.preventDefault();
        void keep();
      }}
    >
      <label class="num name">
        <span class="lb">{t("buildtools.name")}</span>
        <input autocomplete="off" maxLength={60} value={name} onInput={(event) => setName(event.currentTarget.value)} data-test="save-name" />
      </label>
      <button class="btn s main" disabled={!name.trim()} data-test="save-template">
        {t("buildtools.keep-as-a-template")}
      </button>
      <button type="button" class="btn s" onClick={() => void download()} title={t("buildtools.for-this-editor-tussle-simulate")} data-test="save-file">
        {t("buildtools.download-the-file")}
      </button>
    </form>
  );
}

function ArrayRow({ bench, onDone }: { bench: Workbench; onDone: () => void }) {
  const [count, setCount] = useState(4);
  const [axis, setAxis] = useState<Axis>("x");
  const [step, setStep] = useState<number | null>(null);
  const least = bench.spacing(axis);
  return (
    <form
      class="bench-tools line"
      aria-label={t("buildtools.array")}
      onSubmit={(event) => {
        event.preventDefault();
        void bench.array(count, axis, step ?? least);
        onDone();
      }}
    >
      <NumberField label={t("buildtools.total")} whole low={2} high={MOST_COPIES} value={count} onCommit={setCount} test="array-count" />
      <Segmented label={t("buildtools.along")} tight value={axis} onChoose={setAxis} options={AXES.map((one) => ({ value: one, text: one }))} />
      <NumberField label={t("buildtools.apart")} unit="m" low={-20} high={20} value={step ?? least} onCommit={setStep} />
      <button class="btn s main" data-test="array-make">
        {t("buildtools.make")}{" "}{count - 1}
      </button>
      {step !== null && Math.abs(step) < least && <span class="small harm">{t("buildtools.below-m-they-touch", { least })}</span>}
    </form>
  );
}
