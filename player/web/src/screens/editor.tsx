// The editor: the waiting screen of a session whose scene its members build together. Loaded only there.

import { computed, effect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, notify } from "../app/store";
import { Builder } from "../session/builder";
import type { Refusal } from "../session/builder";
import type { SessionClient } from "../session/client";
import { fromAngles, freshId } from "../session/edit";
import { PRESETS } from "../session/materials";
import { holderOf } from "../session/scene";
import type { Conflict } from "../session/scene";
import { ShapeStore } from "../session/shapestore";
import type { Seat } from "../session/state";
import { Uploads } from "../session/uploads";
import { Workbench } from "../session/workbench";
import { markOfSeat } from "../stage/palette";
import type { Stage } from "../stage/stage";
import { gap, group, inWords, shortName } from "../text/format";
import { t } from "../text/words";
import { BuildStage } from "../ui/buildstage";
import type { BuildLooks } from "../ui/buildstage";
import { CopyLink, linkToLobby, showLobbyLink } from "../ui/copylink";
import { Mark } from "../ui/marks";
import { steps, useKeys, withKey } from "../ui/keyboard";
import { Icon, useMatch } from "../ui/parts";
import { Chat } from "../ui/talk";
import { Watching } from "../ui/watching";
import type { Recipe, Vec3 } from "../wire/scene";
import { AddTile, BodyList } from "./building";
import type { Holder } from "./building";
import { Tools } from "./buildtools";
import { Inspector } from "./inspector";

/** What a refusal means to a person. */
const SAID = computed((): Readonly<Record<string, readonly [string, string]>> => ({
  too_many_bodies: [t("editor.the-scene-cannot-have-more"), t("editor.remove-some-first")] as const,
  too_many_vertices: [t("editor.the-scene-cannot-have-more-2"), t("editor.remove-bodies-or-make-their")] as const,
  scene_too_large: [t("editor.the-scene-cannot-be-larger"), t("editor.remove-bodies-pins-or-handles")] as const,
  document_too_large: [t("editor.the-description-of-a-body"), t("editor.give-it-fewer-pins-and")] as const,
  scene_empty: [t("editor.a-scene-needs-at-least"), ""] as const,
  not_editable: [t("editor.the-session-has-begun"), t("editor.its-scene-cannot-change-any")] as const,
  body_locked: [t("editor.somebody-else-holds-a-body"), t("editor.try-again-when-they-have")] as const,
  undo_conflict: [t("editor.that-step-is-too-old"), t("editor.only-the-newest-changes-can")] as const,
  nothing_to_undo: [t("editor.there-is-nothing-to-undo"), t("editor.you-can-undo-only-your")] as const,
  bad_joint: [t("editor.a-joint-or-a-pair"), t("editor.someone-else-joined-it-meanwhile")] as const,
  bad_shape: [t("editor.the-server-cannot-make-this"), ""] as const,
}));

export default function Editor({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const bench = useMemo(() => make(client), [client]);
  const uploads = useMemo(() => new Uploads({ put: (file, sent) => api.putMesh(file, client.token, sent), get: (mesh) => api.mesh(mesh) }), [client]);
  const { builder } = bench;
  useEffect(() => {
    client.onScene = (kind, d) => (kind === "mesh" ? uploads.receive(d) : builder.receive(kind, d));
    uploads.onReady = (upload, answer) => {
      if (answer.shape) void bench.add(freshId(new Set(), upload.name.replace(/\.[^.]*$/, "")), answer.shape as unknown as Recipe, "affine", PRESETS.value.find((one) => one.id === "wood")!);
    };
    void builder.open();
    let before = "live";
    const stop = effect(() => {
      const kind = client.link.value.kind;
      if (kind !== before && (kind === "live" || before === "live")) builder.connection(kind === "live");
      before = kind;
    });
    return () => {
      stop();
      client.onScene = () => {};
      bench.dispose();
      builder.dispose();
      bench.shapes.dispose();
      uploads.dispose();
    };
  }, [client]);
  const state = client.state.value;
  const scene = builder.state.value;
  const seats = state.seats;
  const mySeat = client.mySeat;
  const able = scene.editable && mySeat !== null && client.link.value.kind === "live";
  const [mode, setMode] = useState<BuildLooks["mode"]>("move");
  const [wire, setWire] = useState(false);
  const narrow = useMatch("(max-width: 760px)");
  const [snap, setSnap] = useState(false);
  const [place, setPlace] = useState<Vec3 | null>(null);
  const looks = useMemo(() => ({ mode, wire, snap, place }), [mode, wire, snap, place]);
  const stage = useRef<Stage | null>(null);
  const holder = useMemo(
    () =>
      (body: string): Holder => {
        const seat = holderOf(builder.state.value, body);
        if (seat === null || seat === mySeat) return null;
        return { seat, name: seats.find((one) => one.seat === seat)?.name ?? `seat ${seat + 1}` };
      },
    [seats, mySeat, builder],
  );
  const mine = (body: string) => mySeat !== null && holderOf(scene, body) === mySeat;
  const held = bench.chosen.value.flatMap((body) => holder(body.id) ?? [])[0];
  const toggleWire = () => {
    setWire(!wire);
    stage.current?.setWireframe(!wire);
  };
  useEditorKeys(bench, able, { mode: setMode, wire: toggleWire, home: () => stage.current?.home() });
  useEffect(() => {
    Object.assign(window, {
      __edit: {
        bodies: () => builder.bodies.peek(),
        world: () => builder.world.peek(),
        scene: () => ({ version: builder.state.peek().version, busy: builder.busy.peek(), loaded: builder.complete.peek(), conflicts: builder.state.peek().conflicts, locks: [...builder.state.peek().rows].map(([id, row]) => [id, row.lock]) }),
        checked: () => builder.checked.peek(),
        shapes: () => builder.bodies.peek().every((body) => bench.shapes.meshOf(body.shape) !== null),
        places: () => stage.current?.places() ?? [],
        tier: () => stage.current?.tier,
        screen: (x: number, y: number, z: number) => stage.current?.view.screen(x, y, z),
      },
    });
  }, [bench]);
  const bodies = builder.bodies.value.length;
  const drop = async (file: File): Promise<void> => {
    if (!/\.json$/i.test(file.name)) {
      void uploads.add(file);
      return;
    }
    try {
      if (await bench.replace(await file.text())) notify("ok", t("editor.is-loaded", { name: file.name }), t("editor.undo-restores-the-scene-that"));
    } catch (error) {
      notify("bad", t("editor.the-file-cannot-be-opened"), error instanceof Error ? error.message : "");
    }
  };
  // On a phone the stage is small: beside it they cover nothing of the scene.
  const looking = (
    <>
      <button class="btn s sq" aria-label={t("editor.default-camera")} title={withKey(t("editor.default-camera"), "camera")} onClick={() => stage.current?.home()}>
        <Icon name="home" />
      </button>
      <button class="btn s sq" aria-label={t("editor.wireframe")} title={withKey(t("editor.wireframe"), "wire")} aria-pressed={wire} onClick={toggleWire}>
        <Icon name="wire" />
      </button>
    </>
  );
  return (
    <main class={drawer ? "desk editor drawer" : "desk editor"} id="main" tabIndex={-1}>
      <div class="stack left">
        <AddTile bench={bench} uploads={uploads} disabled={!able} place={place} onPlace={setPlace} />
        <BodyList bench={bench} holder={holder} mine={mine} />
      </div>
      <div
        class="stack mid"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          if (able) for (const file of event.dataTransfer?.files ?? []) void drop(file);
        }}
      >
        <Tools bench={bench} able={able && !held} editable={able} mode={mode} onMode={setMode} snap={snap} onSnap={() => setSnap(!snap)} token={client.token} onOpen={(file) => void drop(file)} />
        <BuildStage
          bench={bench}
          looks={looks}
          able={able}
          holder={holder}
          label={t("editor.the-scene-bodies-chosen-comma", { bodies: group(bodies), chosenCount: bench.chosen.value.length })}
          onStage={(made) => {
            stage.current = made;
          }}
        >
          {!narrow && <div class="corner">{looking}</div>}
        </BuildStage>
        <Checked bench={bench}>{narrow && looking}</Checked>
      </div>
      <div class="stack side">
        {scene.conflicts.map((conflict) => (
          <Clash key={conflict.body} bench={bench} conflict={conflict} seats={seats} mySeat={mySeat} />
        ))}
        <Inspector bench={bench} disabled={!able} held={held ? t("editor.holds-this-body-it-is", { name: shortName(held.name) }) : ""} />
        <Watching client={client} />
        <Chat client={client} class="split" />
      </div>
      <Foot client={client} seats={seats} blocked={bench.overlapping.value.size > 0} />
      <p class="vh" role="status">
        {bench.said.value}
      </p>
    </main>
  );
}

function make(client: SessionClient): Workbench {
  const builder = new Builder({
    seat: () => client.mySeat,
    command: (kind, d) => client.command(kind, d),
    list: () => api.scene(client.token),
    body: (body) => api.sceneBody(client.token, body),
    whole: () => api.wholeScene(client.token),
    check: () => api.checkScene(client.token),
  });
  builder.onRefusal = (refusal: Refusal) => {
    const [title, text] = SAID.value[refusal.code] ?? [t("editor.the-server-refused-this"), ""];
    notify(refusal.code.includes("undo") || refusal.code === "body_locked" ? "wash" : "bad", title, text || (refusal.message ? `${refusal.message[0]!.toUpperCase()}${refusal.message.slice(1)}.` : ""));
  };
  return new Workbench(builder, new ShapeStore((recipe) => api.shape(recipe)));
}

// -- keys

function useEditorKeys(bench: Workbench, able: boolean, to: { mode: (mode: BuildLooks["mode"]) => void; wire: () => void; home: () => void }): void {
  const latest = useRef({ bench, able });
  latest.current = { bench, able };
  useEffect(() => {
    const withControl = (event: KeyboardEvent) => {
      const { bench: now, able: can } = latest.current;
      if (!(event.ctrlKey || event.metaKey) || event.altKey || !can) return;
      const at = event.target;
      // In a text field, these keys belong to the field.
      if (at instanceof HTMLInputElement && at.type !== "checkbox" && at.dataset["typing"] !== "false") return;
      const key = event.key.toLowerCase();
      const act = key === "z" ? (event.shiftKey ? () => now.builder.redo() : () => now.builder.undo()) : key === "y" ? () => now.builder.redo() : key === "a" ? () => now.selectAll() : key === "d" ? () => now.duplicate() : null;
      if (!act) return;
      event.preventDefault();
      now.settle();
      void act();
    };
    addEventListener("keydown", withControl);
    return () => removeEventListener("keydown", withControl);
  }, []);
  /** Acts where the key is not that of a control. */
  const outside = (act: (event: KeyboardEvent) => unknown) => (event: KeyboardEvent): unknown => {
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest(".seg, .chips") || (target?.closest(".scroll") && event.key.startsWith("Page"))) return false;
    return act(event);
  };
  const editing = (act: (event: KeyboardEvent) => void) => outside((event) => (able && bench.selected.peek().length ? act(event) : false));
  const turn = (way: number) => editing((event) => bench.nudge([0, 0, 0], fromAngles([0, way * (event.shiftKey ? 1 : 15), 0])));
  useKeys({
    tickback: outside(() => bench.step(-1)),
    tickon: outside(() => bench.step(1)),
    move: outside(() => to.mode("move")),
    turn: outside(() => to.mode("turn")),
    scale: outside(() => to.mode("scale")),
    camera: outside(to.home),
    wire: outside(to.wire),
    ...steps((by, event) => editing(() => bench.nudge(by))(event)),
    turnleft: turn(1),
    turnright: turn(-1),
    copy: editing(() => void bench.duplicate()),
    ground: editing(() => void bench.ground()),
    stack: editing(() => void bench.stack()),
    remove: editing(() => void bench.remove()),
  });
  useEffect(() => {
    const drop = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      if (event.key !== "Escape" || target?.closest(".seg, .chips, select, textarea, input")) return;
      latest.current.bench.cancel();
      latest.current.bench.select([]);
    };
    addEventListener("keydown", drop);
    return () => removeEventListener("keydown", drop);
  }, []);
}

// -- what the server says

function Clash({ bench, conflict, seats, mySeat }: { bench: Workbench; conflict: Conflict; seats: readonly Seat[]; mySeat: number | null }) {
  const who = seats.find((one) => one.seat === conflict.seat && (!conflict.name || one.name === conflict.name));
  const own = conflict.step && who && who.seat === mySeat;
  const name = own ? t("editor.you") : who || conflict.name ? shortName(who?.name ?? conflict.name ?? "") : t("editor.someone");
  const step = conflict.step?.kind === "redo" ? t("editor.redo") : t("editor.undo");
  const world = conflict.body === "world" ? t("editor.the-world") : conflict.body;
  const close = (again: boolean) => bench.builder.resolve(conflict.body, again);
  const [title, text] =
    conflict.code === "body_locked"
      ? [t("editor.holds", { name, world }), t("editor.you-can-change-it-when", { name })]
      : conflict.code === "undo_conflict"
        ? [t("editor.changed-since", { name, world }), t("editor.would-take-that-away-too", { step })]
        : [t("editor.changed-first", { name, world }), conflict.present && conflict.present.document === null ? t("editor.it-was-removed-your-change") : t("editor.you-see-its-present-version")];
  return (
    <div class="note wash" role="alert" data-test="conflict">
      {who && <Mark mark={markOfSeat(who.seat)} name={who.name} size={24} />}
      <p>
        <b>{title}</b> {text}
      </p>
      <span class="sp" />
      {conflict.step && (
        <button class="btn s" onClick={() => close(true)} data-test="skip" title={t("editor.this-step-cannot-be-undone")}>
          {t("editor.the-step-before", { step })}
        </button>
      )}
      {conflict.mine && (
        <button class="btn s" onClick={() => close(true)} data-test="again">
          {conflict.code === "body_locked" ? t("editor.try-again") : t("editor.make-my-change-again")}
        </button>
      )}
      <button class="btn s" onClick={() => close(false)} data-test="keep">
        {conflict.mine ? t("editor.keep-it-as-it-is") : t("editor.close")}
      </button>
    </div>
  );
}

function Checked({ bench, children }: { bench: Workbench; children: ComponentChildren }) {
  const { builder } = bench;
  const answer = builder.checked.value;
  const there = new Set(builder.bodies.value.map((body) => body.id));
  const overlaps = (answer?.overlaps ?? []).filter(([a, b]) => there.has(a) && there.has(b));
  const problems = (answer?.problems ?? []).filter((one) => !one.body || there.has(one.body) || one.body === "world");
  const unchecked = builder.unchecked.value;
  const sent = builder.busy.value;
  return (
    <section class="tile checked" aria-label={t("editor.check")} data-test="check">
      <div class="row">
        <span class="row" role="status">
          {unchecked ? <span class="tag bad">{t("editor.not-checked", { unchecked })}</span> : overlaps.length || problems.length ? <span class="tag bad">{overlaps.length ? (overlaps.length === 1 ? t("editor.two-bodies-overlap") : t("editor.overlaps", { overlapsCount: group(overlaps.length) })) : t("editor.the-scene-cannot-run")}</span> : answer ? <span class="tag run">{t("editor.nothing-touches")}</span> : <span class="tag pause">{t("editor.checking")}</span>}
          {!overlaps.length && answer && answer.smallest_gap !== null && Number.isFinite(answer.smallest_gap) && (
            <span class="small soft">
              {t("editor.smallest-gap")}{" "}<b class="data good">{gap(answer.smallest_gap)}</b>
            </span>
          )}
        </span>
        {overlaps.length > 0 || problems.length > 0 ? (
          <ul class="scroll sp">
            {overlaps.slice(0, 12).map(([a, b]) => (
              <li key={`${a} ${b}`}>
                <button class="btn s" onClick={() => bench.select([b, a])}>
                  {t("editor.and-overlap", { a, b })}
                </button>
              </li>
            ))}
            {problems.slice(0, 12).map((one, i) => (
              <li key={i} class="small">
                {one.body && (
                  <button class="btn s" onClick={() => bench.select([one.body])}>
                    {one.body}
                  </button>
                )}{" "}
                {one.message}
              </li>
            ))}
          </ul>
        ) : (
          <span class="sp" />
        )}
        <span class="small mute">{sent ? t("editor.saving") : builder.checking.value && answer ? t("editor.checking") : ""}</span>
        <span class="data mute" title={t("editor.the-version-of-the-scene")} data-test="version">
          v{builder.state.value.version}
        </span>
        {children}
      </div>
    </section>
  );
}

// -- seats

function Foot({ client, seats, blocked }: { client: SessionClient; seats: readonly Seat[]; blocked: boolean }) {
  const state = client.state.value;
  const mine = seats.find((seat) => seat.seat === client.mySeat) ?? null;
  const starting = state.status === "starting";
  const free = state.size - seats.length;
  return (
    <section class="tile foot" aria-label={t("editor.seats")}>
      <ul class="row who" data-test="seats">
        {seats.map((seat) => (
          <li key={seat.seat} class={seat.connected ? "row" : "row away"}>
            <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={28} />
            <span class="small">
              <b>{seat === mine ? t("editor.you") : shortName(seat.name)}</b>
              <br />
              <span class="mute">{!seat.connected ? t("editor.away") : seat.ready ? t("editor.ready") : t("editor.building")}</span>
            </span>
          </li>
        ))}
        {free > 0 && (
          <li class="row">
            <span class="fr" />
            <span class="small mute">
              {t("editor.free", { free: inWords(free), what: free === 1 ? t("editor.seat") : t("editor.seats-2") })}
            </span>
          </li>
        )}
      </ul>
      <span class="sp" />
      <span class="data code2" data-test="code" aria-label={t("editor.code", { what: [...client.token].join(" ") })}>{`${client.token.slice(0, 4)}\n${client.token.slice(4)}`}</span>
      <CopyLink link={() => linkToLobby(client.token)} onFail={showLobbyLink} class="btn s copy" words="wide" />
      {mine ? (
        <button class={mine.ready ? "btn l" : "btn now l"} aria-pressed={mine.ready} disabled={starting || (blocked && !mine.ready)} onClick={() => void client.command("ready", { ready: !mine.ready })} title={blocked ? t("editor.bodies-overlap") : undefined} data-test="ready">
          {starting ? t("editor.starting") : mine.ready ? t("editor.ready-not-yet") : seats.length > 1 || free > 0 ? t("editor.ready-to-run") : t("editor.run")}
        </button>
      ) : (
        <span class="mute">{t("editor.you-are-watching")}</span>
      )}
    </section>
  );
}
