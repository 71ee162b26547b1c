// The aim of your own body in your turn, by a pull, by keys or by the ruler. The same aim is drawn on the mat, shown in
// numbers and sent.

import { computed, signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Act as Key } from "../app/keys";
import { notify } from "../app/store";
import { bearing, firstAim, fullSpeed, LAUNCH, NUDGES, nudged, pulled, PULL, takes, TICK, toAction } from "../session/aim";
import type { Aim, Nudge } from "../session/aim";
import type { SessionClient } from "../session/client";
import type { ActionKind } from "../generated/eventdata";
import type { SessionState } from "../session/state";
import { title } from "../session/wording";
import type { Drawn } from "../stage/shown";
import type { Stage } from "../stage/stage";
import { fixed, group } from "../text/format";
import { amount, measured, unitOf } from "../text/units";
import { t } from "../text/words";
import { keyNames, useKeys, withKey } from "./keyboard";
import type { Handlers } from "./keyboard";
import { Icon, Ruler, Segmented } from "./parts";
import { expose } from "./probe";

const LABELS = computed((): Readonly<Record<string, string>> => ({ launch: t("aiming.launch"), spin: t("aiming.spin"), hop: t("aiming.hop"), brace: t("aiming.brace") }));

type Sent = null | { readonly tick: number | null };

export interface Act {
  readonly aim: Aim;
  readonly yours: boolean;
  readonly sent: Sent;
  readonly full: number;
  readonly pulling: boolean;
  readonly wire: boolean;
  readonly stage: { current: Stage | null };
  set(aim: Aim): void;
  launch(): void;
  toggleWire(): void;
  onStage(stage: Stage | null): void;
}

/** body: returns the number of the body that the seat aims, or null. */
export function useAim(client: SessionClient, state: SessionState, seat: number | null, body: (stage: Stage) => number | null): Act {
  const stage = useRef<Stage | null>(null);
  const aim = useMemo(() => signal<Aim>({ kind: LAUNCH, azimuth: 0, elevation: 0, power: 0.66, spin: 0 }), [client]);
  const pull = useMemo(() => signal<{ x: number; z: number } | null>(null), [client]);
  const [sent, setSent] = useState<Sent>(null);
  const [wire, setWire] = useState(false);
  const yours = seat !== null && state.phase === "acting" && state.turnSeat === seat && client.link.value.kind === "live";
  const kinds = state.brief?.kinds ?? [];
  const full = fullSpeed(state.brief, seat ?? 0, aim.value.kind);
  const turnKey = `${state.round}/${state.turn}/${state.turnSeat}`;
  const live = useRef({ yours, sent, full, kinds, body, turnKey });
  live.current = { yours, sent, full, kinds, body, turnKey };

  useEffect(() => {
    setSent(null);
    pull.value = null;
    if (yours && state.brief) aim.value = firstAim(state.brief, seat!);
  }, [turnKey, yours]);

  const launch = () => {
    const { yours, sent, kinds, turnKey } = live.current;
    if (!yours || sent) return;
    setSent({ tick: null });
    pull.value = null;
    void client.command("act", toAction(aim.value, kinds)).then((answer) => {
      // After a lost connection the answer may come in a later turn, which has no action yet.
      const present = live.current.turnKey === turnKey;
      if (answer.ok && present) setSent({ tick: answer.tick });
      else if (!answer.ok) {
        if (present) setSent(null);
        notify("bad", t("aiming.not-sent"), `${answer.error.message}.`);
      }
    });
  };

  const onStage = (made: Stage | null) => {
    stage.current = made;
    if (!made) return;
    let holding: { x: number; z: number; y: number } | null = null;
    const before = { aim: aim.value };
    const own = () => made.whereIs(live.current.body(made) ?? -1);
    made.draw = (): Drawn => {
      const { yours, sent, full, body } = live.current;
      const at = yours && !sent ? own() : null;
      if (!at) return { aim: null, ring: null, handle: null };
      const now = aim.value;
      const ring = body(made);
      if (now.kind === "brace") return { aim: null, ring, handle: null };
      const speed = now.power * full;
      const azimuth = (now.azimuth * Math.PI) / 180;
      const length = speed / PULL;
      return {
        ring,
        aim: { x: at.x, y: at.y, z: at.z, azimuth, elevation: (elevationOf(now) * Math.PI) / 180, length, step: TICK / PULL, pulling: pull.value !== null },
        handle: pull.value ? { x: at.x - Math.cos(azimuth) * length, y: at.y, z: at.z - Math.sin(azimuth) * length, text: measured("speed", speed) } : null,
      };
    };
    made.hand = {
      down: (px, py, touch) => {
        const { yours, sent } = live.current;
        const at = own();
        if (!yours || sent || !at || aim.value.kind === "brace") return false;
        if (Math.hypot(px - at.px, py - at.py) > Math.max(touch ? 44 : 28, at.radius * 1.3)) return false;
        holding = { x: at.x, z: at.z, y: at.y };
        before.aim = aim.value;
        return true;
      },
      move: (px, py) => {
        if (!holding) return;
        const ground = made.view.ground(px, py, holding.y);
        if (!ground) return;
        const [dx, dz] = [ground[0] - holding.x, ground[1] - holding.z];
        // Back on the body: nothing is pulled, letting go cancels.
        if (Math.hypot(dx, dz) < 0.16) {
          pull.value = null;
          aim.value = before.aim;
        } else {
          const { full, kinds } = live.current;
          aim.value = pulled(aim.value, dx, dz, full, kinds.find((one) => one.kind === aim.value.kind));
          pull.value = { x: ground[0], z: ground[1] };
        }
        made.touch();
      },
      up: () => {
        const armed = pull.value !== null;
        holding = null;
        pull.value = null;
        if (armed) launch();
      },
      cancel: () => {
        holding = null;
        pull.value = null;
        aim.value = before.aim;
        made.touch();
      },
    };
    expose(client, made);
  };

  const toggleWire = () => {
    setWire(!wire);
    stage.current?.setWireframe(!wire);
  };

  /** A key that changes the aim, in one's own turn. */
  const aiming = (change: (event: KeyboardEvent) => false | void) => (event: KeyboardEvent): false | void => {
    if (!live.current.yours || live.current.sent || change(event) === false) return false;
    stage.current?.touch();
    return undefined;
  };
  const nudge = (to: Nudge) =>
    aiming((event) => {
      // Rows of choices, sliders and lists have these keys themselves.
      if (event.target instanceof Element && event.target.closest(".seg, input, .say, [role=radiogroup], .scroll")) return false;
      const { full, kinds } = live.current;
      aim.value = nudged(aim.value, to, event.shiftKey, full, kinds.find((one) => one.kind === aim.value.kind));
      return undefined;
    });
  const choose = (index: number) =>
    aiming(() => {
      const kind = live.current.kinds[index];
      if (!kind) return false;
      aim.value = { ...aim.value, kind: kind.kind };
      return undefined;
    });
  const nudges = Object.fromEntries(NUDGES.map((to) => [to, nudge(to)])) as Handlers;
  const choices = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`kind${index + 1}`, choose(index)])) as Handlers;
  useKeys({ camera: () => stage.current?.home(), wire: toggleWire, launch: aiming(launch), ...nudges, ...choices });
  useEffect(() => {
    const cancel = (event: KeyboardEvent) => {
      if (event.key === "Escape") stage.current?.hand?.cancel();
    };
    addEventListener("keydown", cancel);
    return () => removeEventListener("keydown", cancel);
  }, []);

  useEffect(() => stage.current?.touch());

  return {
    aim: aim.value,
    yours,
    sent,
    full,
    pulling: pull.value !== null,
    wire,
    stage,
    set: (next) => {
      aim.value = next;
      stage.current?.touch();
    },
    launch,
    toggleWire,
    onStage,
  };
}

function elevationOf(aim: Aim): number {
  return aim.kind === "hop" ? 70 : aim.elevation;
}

export function StageButtons({ act }: { act: Act }) {
  return (
    <div class="corner">
      <button class="btn s sq" aria-label={t("aiming.default-camera")} title={withKey(t("aiming.default-camera"), "camera")} onClick={() => act.stage.current?.home()}>
        <Icon name="home" />
      </button>
      <button class="btn s sq" aria-label={t("aiming.wireframe")} title={withKey(t("aiming.wireframe"), "wire")} aria-pressed={act.wire} onClick={act.toggleWire}>
        <Icon name="wire" />
      </button>
    </div>
  );
}

export function AimTile({ client, state, act, labels = LABELS.value, pull = t("aiming.pull-back-from-your-body") }: { client: SessionClient; state: SessionState; act: Act; labels?: Readonly<Record<string, string>>; pull?: string }) {
  const { aim, yours, sent, full } = act;
  const kinds = state.brief?.kinds ?? [];
  const kind = kinds.find((one) => one.kind === aim.kind);
  const offered: readonly ActionKind[] = kinds.length ? kinds : Object.keys(labels).map((name) => ({ kind: name }));
  const speed = aim.power * full;
  const mine = state.seats.find((seat) => seat.seat === client.mySeat);
  const mass = state.brief?.masses[client.mySeat ?? 0] ?? 0;
  const moves = aim.kind !== "brace";
  const on = yours && !sent;
  return (
    <section class={on ? "tile aim" : "tile aim idle"} aria-label={t("aiming.aim")} data-test="aim">
      <div class="kinds">
        {offered.length > 1 && <Segmented label={t("aiming.what-to-do")} value={aim.kind} options={offered.map((one, index) => ({ value: one.kind, text: labels[one.kind] ?? one.kind, title: index < 9 ? `${one.note ?? ""} (${keyNames(`kind${index + 1}` as Key)})` : (one.note ?? "") }))} onChoose={(next) => act.set({ ...aim, kind: next })} />}
        <span class="small mute note1">{mine?.out ? t("aiming.your-body-is-off-the") : (kind?.note ?? "")}</span>
        {takes(kind, "elevation") && (
          <label class="small soft" title={keyNames("rise", "sink")}>
            {t("aiming.rise")}
            <input type="range" min={0} max={60} step={1} value={aim.elevation} disabled={!on} onInput={(event) => act.set({ ...aim, elevation: Number(event.currentTarget.value) })} />
            <span class="data" style={{ minWidth: "30px" }}>{Math.round(aim.elevation)}°</span>
          </label>
        )}
        {takes(kind, "spin") && (
          <label class="small soft" title={keyNames("rise", "sink")}>
            {t("aiming.spin")}
            <input type="range" min={kind?.fields?.["spin"]?.low ?? -6} max={kind?.fields?.["spin"]?.high ?? 6} step={0.5} value={aim.spin} disabled={!on} onInput={(event) => act.set({ ...aim, spin: Number(event.currentTarget.value) })} />
            <span class="data" style={{ minWidth: "66px" }}>{fixed(aim.spin, 1)} rad/s</span>
          </label>
        )}
      </div>
      <div class="pow">
        <div class="row small soft" style={{ marginBottom: "6px" }}>
          <span>{t("aiming.power")}</span>
          <span class="sp" />
          <span class="mute">{on && moves ? pull : ""}</span>
        </div>
        <div style={{ position: "relative" }}>
          <Ruler ticks={Math.max(5, Math.round(full / 0.1))} at={null} />
          <span class="fill" style={{ width: `${moves ? 100 * aim.power : 0}%` }} />
        </div>
        <input type="range" aria-label={t("aiming.power")} aria-valuetext={measured("speed", speed)} min={0} max={1} step={0.01} value={aim.power} disabled={!on || !moves} onInput={(event) => act.set({ ...aim, power: Number(event.currentTarget.value) })} />
      </div>
      <div class="reads">
        <span class="rd">
          <b>{moves ? amount("speed", speed) : "–"}</b>
          <span>{unitOf("speed")}</span>
        </span>
        <span class="rd">
          <b data-test="bearing">{moves ? `${fixed(bearing(aim.azimuth, kind), 1)}°` : "–"}</b>
          <span>{t("aiming.bearing")}</span>
        </span>
        {mass > 0 && (
          <span class="rd wide">
            <b>{moves ? amount("energy", 0.5 * mass * speed * speed, 0) : "–"}</b>
            <span>{unitOf("energy")}</span>
          </span>
        )}
      </div>
      <div class="go">
        <button class={yours ? "btn now l" : "btn l"} disabled={!on} onClick={act.launch} data-test="launch">
          {sent ? (sent.tick === null ? t("aiming.sent") : t("aiming.tick", { tick: group(sent.tick) })) : (labels[aim.kind] ?? title(aim.kind))}
        </button>
      </div>
    </section>
  );
}
