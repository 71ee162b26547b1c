// The sandbox: put bodies on the mat, take hold of them anywhere and pull, together. The tether and the cursor are drawn
// at once; the body follows the server.

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { bodies, busy, newFrom, now, notify, theme } from "../app/store";
import type { SessionClient } from "../session/client";
import type { Lease, Sandbox } from "../session/sandbox";
import type { SessionState } from "../session/state";
import { title } from "../session/wording";
import { PROP, markOfSeat } from "../stage/palette";
import type { Hold } from "../stage/overlay";
import type { Stage } from "../stage/stage";
import { fixed, gap, group, shortName } from "../text/format";
import { OwnDrag } from "../session/owndrag";
import type { Point } from "../session/owndrag";
import { t } from "../text/words";
import { Mark } from "../ui/marks";
import { keyNames, steps, useKeys } from "../ui/keyboard";
import { Icon, useMatch } from "../ui/parts";
import { portraits } from "../ui/portraits";
import { StageView } from "../ui/stageview";
import { Chat, Log } from "../ui/talk";
import { Watching } from "../ui/watching";
import { expose } from "../ui/probe";

/** Between two targets of a drag [ms]: the server takes 30 a second. */
const MOVE_MS = 34;
/** A target that does not move is sent again this often, so that the seat keeps its lease [ms]. */
const KEEP_MS = 2500;
const LONG_PRESS_MS = 180;

export function SandboxScreen({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const state = client.state.value;
  const box = state.box;
  const seat = client.mySeat;
  const host = seat !== null && box.members[0] === seat;
  const [wire, setWire] = useState(false);
  const narrow = useMatch("(max-width: 760px)");
  const stage = useRef<Stage | null>(null);
  const hands = useHands(client, stage);
  const act = (kind: string, d: Record<string, unknown> = {}) =>
    void client.command("act", { kind, d }).then((answer) => {
      if (!answer.ok) notify("bad", t("sandbox.the-server-refused-this"), `${answer.error.message}.`);
    });
  const toggleWire = () => {
    setWire(!wire);
    stage.current?.setWireframe(!wire);
  };
  useKeys({
    camera: () => stage.current?.home(),
    wire: toggleWire,
    pause: () => host && act("freeze", { state: box.frozen ? "off" : "on" }),
    ...steps((by, event) => (event.target instanceof HTMLInputElement ? false : hands.nudge(by))), // of the body that is held
  });
  useEffect(() => {
    const letGo = (event: KeyboardEvent) => {
      if (event.key === "Escape") hands.letGo();
    };
    addEventListener("keydown", letGo);
    return () => removeEventListener("keydown", letGo);
  }, [hands]);
  const refusal = box.refusal;
  useEffect(() => {
    if (!refusal || refusal.seat !== seat) return;
    notify("bad", refusal.code === "would_touch" ? t("sandbox.there-is-no-room-there") : t("sandbox.the-server-refused-this"), refusal.code === "would_touch" ? t("sandbox.try-again-it-drops-at") : `${refusal.message}.`);
  }, [refusal?.v]);
  // On a phone the stage is small: beside it the button covers nothing of the box.
  const home = (
    <button class="btn s sq" aria-label={t("sandbox.default-camera")} onClick={() => stage.current?.home()}>
      <Icon name="home" />
    </button>
  );
  return (
    <main class={drawer ? "desk sandbox drawer" : "desk sandbox"} id="main" tabIndex={-1}>
      <h1 class="vh">{t("sandbox.sandbox")}</h1>
      <div class="stack left">
        <Palette client={client} box={box} stage={stage} onSpawn={(body, position) => act("spawn", { body, position })} disabled={seat === null} />
      </div>
      <div class="stack">
        <section class="tile bench-tools" aria-label={t("sandbox.tools")}>
          {host && (
            <button class="btn s" aria-pressed={box.frozen} onClick={() => act("freeze", { state: box.frozen ? "off" : "on" })} data-test="freeze">
              {box.frozen ? t("sandbox.go-on") : t("sandbox.pause")}
            </button>
          )}
          <button class="btn s" aria-pressed={wire} onClick={toggleWire}>
            <Icon name="wire" />
            {t("sandbox.wireframe")}
          </button>
          {narrow && home}
          <button class="btn s" onClick={() => void newFrom({ like: { session: client.token } })} aria-busy={busy.value === "new-from"} title={t("sandbox.a-new-session-that-begins")} data-test="new-from">
            <Icon name="plus" />
            {t("sandbox.new-from-this")}
          </button>
          <span class="sp" />
          {host && (
            <>
              <button class="btn s" onClick={() => act("mark")}>
                {t("sandbox.remember")}
              </button>
              <button class="btn s" disabled={!box.marked} onClick={() => act("undo")}>
                {t("sandbox.undo")}
              </button>
              <button class="btn s" onClick={() => act("reset")} data-test="reset">
                {t("sandbox.reset")}
              </button>
            </>
          )}
        </section>
        <StageView client={client} flat={false} label={t("sandbox.the-sandbox-bodies-held", { bodiesCount: box.bodies.length, leasesCount: box.leases.length })} onStage={hands.onStage}>
          {!narrow && <div class="corner">{home}</div>}
        </StageView>
        {host && (
          <section class="tile bench-tools" aria-label={t("sandbox.gravity")} style={{ padding: "6px 16px" }}>
            <label class="row small soft" style={{ flex: 1 }}>
              {t("sandbox.gravity")}
              <input type="range" style={{ flex: 1, maxWidth: "320px" }} min={0} max={20} step={0.1} value={box.gravity} onChange={(event) => act("gravity", { strength: Number(event.currentTarget.value) })} />
              <span class="data">{fixed(box.gravity, 1)} m/s²</span>
            </label>
          </section>
        )}
      </div>
      <div class="stack side">
        <Live client={client} state={state} />
        <Handles client={client} state={state} box={box} hands={hands} onRemove={(body) => act("remove", { body })} />
        <Watching client={client} />
        <Log client={client} />
        <Chat client={client} class="split" />
      </div>
    </main>
  );
}

// -- dragging

interface Hands {
  readonly onStage: (made: Stage | null) => void;
  /** Take a body at its centre, as a pointer would. */
  readonly hold: (body: string) => void;
  /** Move what is held by (x, y, z) [m]; false if nothing is. */
  readonly nudge: (by: Point) => boolean;
  readonly letGo: () => void;
}

function useHands(client: SessionClient, stage: { current: Stage | null }): Hands {
  return useMemo(() => {
    let held: { body: string; handle: string; depth: Point; target: Point } | null = null;
    let hovered: { body: string; handle: string } | null = null;
    let sent = 0;
    let timer = 0;
    const own = new OwnDrag();
    const now = () => performance.now() / 1000;
    const sendTarget = (force: boolean) => {
      clearTimeout(timer);
      if (!held) return;
      const wait = MOVE_MS - (performance.now() - sent);
      if (wait > 0 && !force) {
        timer = window.setTimeout(() => sendTarget(true), wait);
        return;
      }
      sent = performance.now();
      const id = client.fire("act", { kind: "move", d: { target: [...held.target] } });
      if (id !== null) own.sent(id);
      timer = window.setTimeout(() => sendTarget(true), KEEP_MS);
    };
    const letGo = () => {
      clearTimeout(timer);
      if (!held) return;
      held = null;
      own.release(now());
      void client.command("act", { kind: "release", d: {} });
      stage.current?.touch();
    };
    const take = (made: Stage, found: { body: string; handle: string; at: Point }, delay_ms: number) => {
      const mine = { body: found.body, handle: found.handle, depth: found.at, target: found.at };
      held = mine;
      hovered = null;
      const grab = () => {
        if (held !== mine) return;
        own.grab(found.body, found.at, now());
        if (client.mySeat !== null) made.drag = { own, seat: client.mySeat };
        void client.command("act", { kind: "grab", d: { body: found.body, handle: found.handle } }).then((answer) => {
          if (!answer.ok) {
            notify("bad", t("sandbox.is-not-yours-to-hold", { body: title(found.body) }), `${answer.error.message}.`);
            // On a slow or lost line the answer may come when the hand has let go and taken another body.
            if (held && held !== mine) return;
            held = null;
            own.cancel();
          } else if (held === mine) sendTarget(true);
        });
      };
      if (delay_ms) window.setTimeout(grab, delay_ms);
      else grab();
    };
    const hold = (body: string) => {
      const at = stage.current?.handleAt(body, "centre");
      if (!stage.current || !at || client.mySeat === null) return;
      letGo();
      take(stage.current, { body, handle: "centre", at }, 0);
    };
    const moveTo = (to: Point) => {
      if (!held) return;
      held.target = [to[0], Math.max(0.05, to[1]), to[2]];
      own.move(held.target);
      sendTarget(false);
      stage.current?.touch();
    };
    const nudge = (by: Point): boolean => {
      if (!held) return false;
      moveTo([held.target[0] + by[0], held.target[1] + by[1], held.target[2] + by[2]]);
      return true;
    };
    const onStage = (made: Stage | null): void => {
      stage.current = made;
      if (!made) {
        letGo();
        return;
      }
      made.hand = {
        hover: (px, py) => {
          const found = client.mySeat === null ? null : made.pick(px, py, 4);
          if (found?.body === hovered?.body && found?.handle === hovered?.handle) return;
          hovered = found;
          made.host.style.cursor = found ? "grab" : "";
          made.touch();
        },
        down: (px, py, touch) => {
          const found = client.mySeat === null ? null : made.pick(px, py, touch ? 18 : 6);
          if (!found) return false;
          take(made, found, touch ? LONG_PRESS_MS : 0);
          return true;
        },
        move: (px, py) => {
          if (!held) return;
          const at = made.view.beside(px, py, held.depth);
          if (!at) return;
          moveTo(at);
        },
        up: letGo,
        cancel: letGo,
      };
      made.draw = () => {
        const state = client.state.value;
        // Others hold the body: the hand waits, and moves nothing.
        if (client.mySeat !== null && state.box.queue.includes(client.mySeat)) own.cancel();
        const holds: Hold[] = [];
        for (const lease of state.box.leases) {
          const mine = lease.seat === client.mySeat;
          if (mine && !held) continue;
          const at = made.handleAt(lease.body, lease.handle);
          const seat = state.seats.find((one) => one.seat === lease.seat);
          if (at) holds.push({ at, to: mine ? held!.target : null, mark: markOfSeat(lease.seat), name: shortName(seat?.name ?? "") });
        }
        if (held && !state.box.leases.some((lease) => lease.seat === client.mySeat)) {
          const at = made.handleAt(held.body, held.handle);
          if (at) holds.push({ at, to: held.target, mark: null, name: "" });
        }
        if (hovered && !held) {
          const at = made.handleAt(hovered.body, hovered.handle);
          if (at) holds.push({ at, to: null, mark: null, name: "" });
        }
        return { aim: null, ring: null, handle: null, holds };
      };
      expose(client, made);
    };
    return { onStage, hold, nudge, letGo };
  }, [client]);
}

// -- what can be put on the mat

function Palette({ client, box, stage, onSpawn, disabled }: { client: SessionClient; box: Sandbox; stage: { current: Stage | null }; onSpawn: (body: string, position: number[]) => void; disabled: boolean }) {
  const list = bodies.value;
  const known = new Map(list.map((body) => [body.id, body.name]));
  const offered = box.catalogue.length ? box.catalogue : list.map((body) => body.id);
  const images = portraits(offered, PROP, theme.value).value;
  const spawn = (body: string) => {
    // A random place over the middle with room around it, by the last frame.
    const places = stage.current?.places() ?? [];
    let best: number[] = [0, 1.2, 0];
    let room = -1;
    for (let i = 0; i < 40; i++) {
      const [angle, reach] = [Math.random() * 2 * Math.PI, Math.random() * Math.min(1.2, box.side / 2 - 0.6)];
      const spot = [reach * Math.cos(angle), 0.7 + 0.05 * i, reach * Math.sin(angle)];
      const near = Math.min(9, ...places.map((place) => Math.hypot(place.x - spot[0]!, place.y - spot[1]!, place.z - spot[2]!)));
      if (near > room) [best, room] = [spot, near];
      if (near > 0.8) break;
    }
    onSpawn(body, best);
  };
  const put = (index: number) => (): false | void => {
    const body = offered[index];
    return body && !disabled ? spawn(body) : false;
  };
  useKeys({ body1: put(0), body2: put(1), body3: put(2), body4: put(3), body5: put(4), body6: put(5) });
  void client;
  return (
    <section class="tile grow" aria-label={t("sandbox.put-on-the-mat")}>
      <header>
        <h2>{t("sandbox.put-on-the-mat")}</h2>
        <span class="sp" />
        <span class="data mute">{t("sandbox.of-24", { bodiesCount: box.bodies.length })}</span>
      </header>
      <div class="palette scroll" data-test="palette">
        {offered.map((id) => (
          <button key={id} onClick={() => spawn(id)} disabled={disabled || box.bodies.length >= 24}>
            {images.get(id) ? <img src={images.get(id)} alt="" /> : <span class="noimg" />}
            {known.get(id) ?? title(id)}
          </button>
        ))}
      </div>
      <p class="small mute" style={{ padding: "8px 16px 14px" }}>
        {t("sandbox.press")}<span class="wide">{t("sandbox.or-use")}{" "}<span class="kbd">{keyNames("body1")}</span>{" "}{t("sandbox.to")}{" "}<span class="kbd">{keyNames("body6")}</span></span>{t("sandbox.pull-any-body-by-the")}
      </p>
    </section>
  );
}

// -- measures

interface Sample {
  readonly at: number;
  readonly gap: number;
  readonly contacts: number;
}

const SPAN_MS = 10_000;

function Live({ client, state }: { client: SessionClient; state: SessionState }) {
  const samples = useMemo(() => signal<readonly Sample[]>([]), [client]);
  const telemetry = client.telemetry.value;
  useEffect(() => {
    if (!telemetry) return;
    const at = performance.now();
    samples.value = [...samples.value.filter((one) => at - one.at < SPAN_MS), { at, gap: telemetry.gap, contacts: telemetry.contacts }];
  }, [telemetry]);
  const list = samples.value;
  const most = Math.max(10, ...list.map((one) => one.contacts));
  const floor = 1e-6;
  const scaled = (value: number) => (Math.log10(Math.max(floor, Math.min(0.01, value))) - Math.log10(floor)) / (Math.log10(0.01) - Math.log10(floor));
  return (
    <section class="tile" aria-label={t("sandbox.live")}>
      <header>
        <h1>{t("sandbox.live")}</h1>
        <span class="sp" />
        <span class="data mute">{t("sandbox.last-10-s")}</span>
      </header>
      <div class="meter">
        <div class="row small soft">
          {t("sandbox.contacts")}
          <span class="sp" />
          <b>{telemetry ? group(telemetry.contacts) : "–"}</b>
        </div>
        <Spark list={list} value={(one) => one.contacts / most} colour="var(--signal-ink)" />
      </div>
      <div class="meter">
        <div class="row small soft">
          {t("sandbox.gap-smallest-so-far")}{" "}{telemetry ? gap(telemetry.smallest) : "–"}
          <span class="sp" />
          <b class="good">{telemetry ? gap(telemetry.gap) : "–"}</b>
        </div>
        <Spark list={list} value={(one) => scaled(one.gap)} colour="var(--ok)" />
        <p class="small mute">{t("sandbox.the-bottom-line-is-zero")}</p>
      </div>
      <div class="meter row small mute">
        <span class="data" data-test="tick">{t("sandbox.tick")}{" "}{telemetry ? group(telemetry.tick) : "–"}</span>
        <span class="sp" />
        <span class="data">{telemetry ? t("sandbox.kb-frame", { fixed: fixed(telemetry.bytes / 1024, 1) }) : ""}</span>
        {state.box.frozen && <span class="tag pause">{t("sandbox.paused")}</span>}
      </div>
    </section>
  );
}

function Spark({ list, value, colour }: { list: readonly Sample[]; value: (sample: Sample) => number; colour: string }) {
  const end = list.at(-1)?.at ?? 0;
  const points = list.map((one) => `${(1000 * (1 - (end - one.at) / SPAN_MS)).toFixed(1)} ${(42 - 40 * Math.max(0, Math.min(1, value(one)))).toFixed(1)}`);
  const line = points.length > 1 ? `M${points.join("L")}` : "";
  const first = points[0]?.split(" ")[0] ?? "0";
  return (
    <svg class="spark" viewBox="0 0 1000 44" preserveAspectRatio="none" aria-hidden="true">
      {line && <path class="area" d={`${line}L1000 43L${first} 43Z`} style={{ fill: colour }} />}
      <path d={line} style={{ stroke: colour }} />
      <path d="M0 43H1000" style={{ stroke: "var(--line-strong)" }} />
    </svg>
  );
}

function Handles({ client, state, box, hands, onRemove }: { client: SessionClient; state: SessionState; box: Sandbox; hands: Hands; onRemove: (body: string) => void }) {
  void now.value;
  const tick = client.telemetry.value?.tick ?? 0;
  const left = (lease: Lease) => Math.max(0, (lease.until - tick) * client.step.value);
  const [chosen, choose] = useState<string | null>(null);
  return (
    <section class="tile" aria-label={t("sandbox.handles")} style={{ maxHeight: "27%" }}>
      <header>
        <h2>{t("sandbox.handles")}</h2>
        <span class="sp" />
        <span class="data mute">
          {t("sandbox.of-held", { leasesCount: box.leases.length, capacity: box.capacity })}
        </span>
      </header>
      <ul class="scroll" style={{ paddingBottom: "8px" }} data-test="handles" tabIndex={0}>
        {box.bodies.map((body) => {
          const held = box.leases.filter((lease) => lease.body === body.id);
          const mine = held.some((lease) => lease.seat === client.mySeat);
          const holder = state.seats.find((seat) => seat.seat === held[0]?.seat);
          return (
            <li class={mine ? "hold me" : "hold"} key={body.id} data-handle={body.id}>
              {holder ? <Mark mark={markOfSeat(holder.seat)} name={holder.name} size={22} /> : <span class="fr" style={{ margin: "0 5px" }} />}
              <button class="link" style={{ textDecoration: "none", color: "var(--ink)" }} onClick={() => choose(chosen === body.id ? null : body.id)} aria-expanded={chosen === body.id}>
                <b>{title(body.id)}</b>
              </button>
              {chosen === body.id && client.mySeat !== null && (mine || !held.length) ? (
                <span class="row">
                  <button class="btn s" onClick={() => (mine ? hands.letGo() : hands.hold(body.id))} title={t("sandbox.by-keys", { keys: keyNames("west", "east", "far", "near", "lift", "lower") })} data-test="hold">
                    {mine ? t("sandbox.let-go") : t("sandbox.hold")}
                  </button>
                  {!mine && (
                    <button class="btn s" onClick={() => onRemove(body.id)} data-test="take-away">
                      {t("sandbox.take-away")}
                    </button>
                  )}
                </span>
              ) : (
                <span class="data mute">{mine ? t("sandbox.you") : held[0] ? `${fixed(left(held[0]), 1)} s` : t("sandbox.free")}</span>
              )}
            </li>
          );
        })}
      </ul>
      {box.queue.length > 0 && <p class="small mute" style={{ padding: "0 16px 12px" }}>{t("sandbox.waiting-for-a-slot", { queueCount: box.queue.length })}</p>}
    </section>
  );
}
