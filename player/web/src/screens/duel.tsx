// The duel: players, the turn's clock, the mat, the aim, what happened. Aim by pulling back from one's body, by keys,
// or by the ruler; the same aim is drawn on the mat, read in numbers and sent.

import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { busy, leave, now, rematch, tell } from "../app/store";
import { firstAim, fullSpeed, nudged, pulled, PULL, takes, TICK, toAction } from "../session/aim";
import type { Aim } from "../session/aim";
import type { SessionClient } from "../session/client";
import { order } from "../session/state";
import type { Seat, SessionState } from "../session/state";
import { title } from "../session/words";
import { markOfSeat } from "../stage/palette";
import type { Drawn, Stage } from "../stage/stage";
import { fixed, gap, group, ordinal, shortName } from "../ui/format";
import { Mark } from "../ui/marks";
import { Icon, Ruler, Segmented, useKeys } from "../ui/parts";
import { StageView } from "../ui/stageview";
import { Chat, Log, secondsLeft } from "../ui/talk";

const LABELS: Record<string, string> = { launch: "Launch", spin: "Spin", hop: "Hop", brace: "Brace" };

export function Duel({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const state = client.state.value;
  const seat = client.mySeat;
  const act = useAim(client, state, seat);
  return (
    <main class={drawer ? "desk duel drawer" : "desk duel"} id="main" tabIndex={-1}>
      <div class="stack players">
        <Players client={client} state={state} />
        {state.phase !== "over" && <section class="tile wide" aria-label="Next turns">
          <header>
            <h2>Next turns</h2>
          </header>
          <ol class="in row" style={{ flexDirection: "row", flexWrap: "wrap" }}>
            {order(state).map((one, index) => (
              <li class="row" key={one.seat} title={shortName(one.name)}>
                {index > 0 && <span class="mute" aria-hidden="true">›</span>}
                <Mark mark={markOfSeat(one.seat)} name={one.name} size={28} />
                <span class="vh">{shortName(one.name)}</span>
              </li>
            ))}
          </ol>
        </section>}
        <Measures client={client} />
      </div>
      <div class="stack mid">
        {state.phase === "over" ? <Over client={client} state={state} /> : <Clock client={client} state={state} />}
        <StageView client={client} label={stageLabel(state, seat)} class={act.yours ? "aiming" : ""} onStage={act.onStage}>
          <div class="corner">
            <button class="btn s sq" aria-label="Default camera" title="Default camera, 0" onClick={() => act.stage.current?.home()}>
              <Icon name="home" />
            </button>
            <button class="btn s sq" aria-label="Wireframe" title="Wireframe, W" aria-pressed={act.wire} onClick={act.toggleWire}>
              <Icon name="wire" />
            </button>
          </div>
        </StageView>
        {seat !== null && state.phase !== "over" && <AimTile client={client} state={state} act={act} />}
      </div>
      <div class="stack side">
        <Log client={client} />
        <Chat client={client} class="split" />
      </div>
    </main>
  );
}

function stageLabel(state: SessionState, seat: number | null): string {
  const where = state.seats.filter((one) => !one.out).map((one) => `${shortName(one.name)} ${one.health === null ? "" : Math.round(one.health)}`);
  const turn = state.turnSeat === seat && seat !== null && state.phase === "acting" ? "Your turn. Arrow keys aim, Enter launches. " : "";
  return `${turn}The mat. ${where.join(", ")}`;
}

// -- players

function Players({ client, state }: { client: SessionClient; state: SessionState }) {
  return (
    <section class="tile pl" aria-label="Players">
      <header>
        <h2>Players</h2>
        <span class="sp" />
        <span class="data mute">{state.round ? `round ${state.round}` : ""}</span>
      </header>
      <ul data-test="players">
        {state.seats.map((seat) => (
          <PlayerCard key={seat.seat} seat={seat} mine={seat.seat === client.mySeat} turn={state.turnSeat === seat.seat && state.phase !== "over"} acting={state.phase === "acting"} />
        ))}
      </ul>
    </section>
  );
}

function PlayerCard({ seat, mine, turn, acting }: { seat: Seat; mine: boolean; turn: boolean; acting: boolean }) {
  const full = seat.full ?? seat.health ?? 1;
  const health = seat.health ?? full;
  const share = Math.max(0, Math.min(1, health / full));
  const lost = Math.min(1 - share, seat.lost / full);
  const classes = ["pc", turn ? "turn" : "", turn && mine && acting ? "now" : "", seat.out ? "out" : "", seat.connected || seat.kind === "bot" ? "" : "away"].join(" ");
  return (
    <li class={classes} aria-current={turn ? "true" : undefined}>
      <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={34} />
      <div class="pb">
        <div class="row">
          <h3>{shortName(seat.name)}</h3>
          <span class="small mute">{seat.out ? (seat.place ? `${ordinal(seat.place)} place` : "out") : !seat.connected ? "away" : `${title(seat.body)}${mine ? ", you" : ""}${seat.braced ? ", braced" : ""}`}</span>
          <span class="sp" />
          <span class="data">{seat.health === null ? "" : Math.ceil(health)}</span>
        </div>
        <div class="hp" role="meter" aria-valuemin={0} aria-valuemax={Math.round(full)} aria-valuenow={Math.ceil(health)} aria-label={`Health of ${shortName(seat.name)}`}>
          <i style={{ width: `${100 * share}%`, background: `var(--p${markOfSeat(seat.seat) + 1})`, boxShadow: "inset 0 0 0 1px var(--mark-line)" }} />
          {lost > 0.004 && <b style={{ left: `${100 * share}%`, width: `${100 * lost}%` }} />}
        </div>
      </div>
    </li>
  );
}

function Measures({ client }: { client: SessionClient }) {
  const told = client.telemetry.value;
  const hz = Math.round(1 / client.step.value);
  return (
    <section class="tile grow wide" aria-label="Measures">
      <span class="sp" />
      <div class="in">
        <dl class="kv">
          <dt>Tick</dt>
          <dd data-test="tick">{told ? group(told.tick) : "–"}</dd>
          <dt>Step</dt>
          <dd>1/{hz} s</dd>
          <dt>Contacts</dt>
          <dd>{told ? group(told.contacts) : "–"}</dd>
          <dt>Smallest gap</dt>
          <dd class="good">{told ? gap(told.gap) : "–"}</dd>
        </dl>
        <p class="small mute">The gap has never been zero.</p>
      </div>
    </section>
  );
}

// -- clock

function Clock({ client, state }: { client: SessionClient; state: SessionState }) {
  const mine = state.turnSeat !== null && state.turnSeat === client.mySeat;
  const actor = state.seats.find((seat) => seat.seat === state.turnSeat);
  const left = !state.turnEndsAt || client.paused.value !== null ? null : state.pausedAt ? (state.turnEndsAt - state.pausedAt) / 1000 : Math.max(0, secondsLeft(client, state.turnEndsAt));
  const total = state.turnTotalS || 20;
  const acting = state.phase === "acting" && left !== null;
  const who = state.phase === "settling" ? "Settling" : acting ? (mine ? "Your turn" : `${shortName(actor?.name ?? "")}’s turn`) : "In motion";
  const [last, setLast] = useState(false);
  useEffect(() => setLast(acting && mine && left !== null && left <= 5), [acting, mine, left !== null && left <= 5]);
  return (
    <section class={last ? "tile clock cl last" : "tile clock cl"} aria-label="Turn clock">
      <span class="who" data-test="turn">
        {who}
      </span>
      <Ruler ticks={Math.max(10, Math.min(60, Math.round(total) * 3))} at={acting ? 1 - left / total : null} needle={acting ? (mine ? "now" : "other") : null} />
      <span class="t" role="timer" aria-label={left === null ? "no turn clock" : `${Math.ceil(left)} seconds left`}>
        {acting ? (
          <>
            {left.toFixed(1)}
            <small>s</small>
          </>
        ) : (
          "–"
        )}
      </span>
      <span class="vh" aria-live="assertive">
        {acting && mine ? "Your turn" : ""}
        {last ? ", five seconds left" : ""}
      </span>
    </section>
  );
}

// -- aim

type Sent = null | { readonly tick: number | null };

interface Act {
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

function useAim(client: SessionClient, state: SessionState, seat: number | null): Act {
  const stage = useRef<Stage | null>(null);
  const aim = useMemo(() => signal<Aim>({ kind: "launch", azimuth: 0, elevation: 0, power: 0.66 }), [client]);
  const pull = useMemo(() => signal<{ x: number; z: number } | null>(null), [client]);
  const [sent, setSent] = useState<Sent>(null);
  const [wire, setWire] = useState(false);
  const yours = seat !== null && state.phase === "acting" && state.turnSeat === seat && client.link.value.kind === "live";
  const kinds = state.brief?.kinds ?? [];
  const full = fullSpeed(state.brief, seat ?? 0, aim.value.kind);
  const turnKey = `${state.round}/${state.turn}/${state.turnSeat}`;
  const live = useRef({ yours, sent, full, kinds });
  live.current = { yours, sent, full, kinds };

  useEffect(() => {
    setSent(null);
    pull.value = null;
    if (yours && state.brief) aim.value = firstAim(state.brief, seat!);
  }, [turnKey, yours]);

  const launch = () => {
    const { yours, sent, kinds } = live.current;
    if (!yours || sent) return;
    setSent({ tick: null });
    pull.value = null;
    void client.command("act", toAction(aim.value, kinds)).then((answer) => {
      if (answer.ok) setSent({ tick: answer.tick });
      else {
        setSent(null);
        tell("bad", "Not sent.", `${answer.error.message}.`);
      }
    });
  };

  const onStage = (made: Stage | null) => {
    stage.current = made;
    if (!made) return;
    let holding: { x: number; z: number; y: number } | null = null;
    const before = { aim: aim.value };
    const own = () => (seat === null ? null : made.whereIs(made.bodyOf(seat) ?? -1));
    made.draw = (): Drawn => {
      const { yours, sent, full } = live.current;
      const at = yours && !sent ? own() : null;
      if (!at) return { aim: null, ring: null, handle: null };
      const now = aim.value;
      if (now.kind === "brace") return { aim: null, ring: seat, handle: null };
      const speed = now.power * full;
      const azimuth = (now.azimuth * Math.PI) / 180;
      const length = speed / PULL;
      return {
        ring: seat,
        aim: { x: at.x, y: at.y, z: at.z, azimuth, elevation: (elevationOf(now) * Math.PI) / 180, length, step: TICK / PULL, pulling: pull.value !== null },
        handle: pull.value ? { x: at.x - Math.cos(azimuth) * length, y: at.y, z: at.z - Math.sin(azimuth) * length, text: `${fixed(speed, 1)} m/s` } : null,
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
          aim.value = pulled(aim.value, dx, dz, live.current.full);
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

  useKeys((event) => {
    if (event.key === "0") stage.current?.home();
    else if (event.key.toLowerCase() === "w") toggleWire();
    if (!live.current.yours || live.current.sent) return;
    const target = event.target as HTMLElement | null;
    const inControl = target instanceof HTMLElement && (target.closest(".seg, input, .say, [role=radiogroup]") !== null);
    if (event.key === "Escape") stage.current?.hand?.cancel();
    else if (event.key === "Enter" && !(target instanceof HTMLButtonElement)) {
      event.preventDefault();
      launch();
    } else if (/^[1-9]$/.test(event.key)) {
      const kind = live.current.kinds[Number(event.key) - 1];
      if (kind) aim.value = { ...aim.value, kind: kind.kind };
    } else if (!inControl && !target?.closest(".scroll")) {
      const next = nudged(aim.value, event.key, event.shiftKey, live.current.full);
      if (next) {
        event.preventDefault();
        aim.value = next;
      }
    }
    stage.current?.touch();
  });

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

/** For tests: what a person would see and measure. */
export function expose(client: SessionClient, stage: Stage): void {
  Object.assign(window, {
    __test: {
      places: () => stage.places(),
      tick: () => client.telemetry.value?.tick ?? null,
      rtt: () => client.rtt.value,
      frameMs: () => stage.frameMs,
      workMs: () => stage.workMs,
      spent: () => [...stage.spent],
      fps: () => stage.fps,
      tier: () => stage.tier,
      state: () => client.state.value,
      seat: () => client.mySeat,
      link: () => ({ ...client.link.value, url: client.address }),
      heard: () => client.heard,
      drop: () => client.drop(),
      screen: (x: number, y: number, z: number) => stage.view.screen(x, y, z),
      flash: (impulse: number) => stage.overlay.flash([0, 0.2, 0], impulse, performance.now() / 1000),
    },
  });
}

function AimTile({ client, state, act }: { client: SessionClient; state: SessionState; act: Act }) {
  const { aim, yours, sent, full } = act;
  const kinds = state.brief?.kinds ?? [];
  const kind = kinds.find((one) => one.kind === aim.kind);
  const speed = aim.power * full;
  const mine = state.seats.find((seat) => seat.seat === client.mySeat);
  const mass = state.brief?.masses[client.mySeat ?? 0] ?? 0;
  const moves = aim.kind !== "brace";
  const on = yours && !sent;
  return (
    <section class={on ? "tile aim" : "tile aim idle"} aria-label="Aim" data-test="aim">
      <div class="kinds">
        <Segmented label="What to do" value={aim.kind} options={(kinds.length ? kinds : [{ kind: "launch" }, { kind: "spin" }, { kind: "hop" }, { kind: "brace" }]).map((one, index) => ({ value: one.kind, text: LABELS[one.kind] ?? one.kind, title: `${(one as { note?: string }).note ?? ""} (${index + 1})` }))} onChoose={(next) => act.set({ ...aim, kind: next })} />
        <span class="small mute note1">{mine?.out ? "Your body is off the mat. You can stay and watch." : (kind?.note ?? "")}</span>
        {takes(kind, "elevation") && (
          <label class="small soft" title="Page up, page down">
            Rise
            <input type="range" min={0} max={60} step={1} value={aim.elevation} disabled={!on} onInput={(event) => act.set({ ...aim, elevation: Number(event.currentTarget.value) })} />
            <span class="data" style={{ minWidth: "30px" }}>{Math.round(aim.elevation)}°</span>
          </label>
        )}
      </div>
      <div class="pow">
        <div class="row small soft" style={{ marginBottom: "6px" }}>
          <span>Power</span>
          <span class="sp" />
          <span class="wide mute">{on && moves ? "Pull back from your body and let go" : ""}</span>
        </div>
        <div style={{ position: "relative" }}>
          <Ruler ticks={Math.max(5, Math.round(full / 0.1))} at={null} />
          <span class="fill" style={{ width: `${moves ? 100 * aim.power : 0}%` }} />
        </div>
        <input type="range" aria-label="Power" aria-valuetext={`${fixed(speed, 1)} metres per second`} min={0} max={1} step={0.01} value={aim.power} disabled={!on || !moves} onInput={(event) => act.set({ ...aim, power: Number(event.currentTarget.value) })} />
      </div>
      <div class="reads">
        <span class="rd">
          <b>{moves ? fixed(speed, 1) : "–"}</b>
          <span>m/s</span>
        </span>
        <span class="rd">
          <b data-test="bearing">{moves ? `${fixed(aim.azimuth, 1)}°` : "–"}</b>
          <span>bearing</span>
        </span>
        <span class="rd wide">
          <b>{moves ? fixed(0.5 * mass * speed * speed, 0) : "–"}</b>
          <span>J</span>
        </span>
      </div>
      <div class="go">
        <button class={yours ? "btn now l" : "btn l"} disabled={!on} onClick={act.launch} data-test="launch">
          {sent ? (sent.tick === null ? "Sent" : `Tick ${group(sent.tick)}`) : (LABELS[aim.kind] ?? "Act")}
        </button>
      </div>
    </section>
  );
}

// -- the end

function Over({ client, state }: { client: SessionClient; state: SessionState }) {
  void now.value;
  const result = state.result;
  const winner = state.seats.find((seat) => seat.seat === result?.winner);
  const mine = state.seats.find((seat) => seat.seat === client.mySeat);
  const heading =
    state.status === "failed"
      ? `The solver stopped at tick ${group(state.tick)}`
      : winner
        ? winner === mine
          ? "You are the last one standing"
          : `${shortName(winner.name)} is the last one standing`
        : state.status === "timed_out"
          ? "The lobby closed"
          : "A draw";
  const places = [...state.seats].sort((a, b) => (a.place ?? 9) - (b.place ?? 9));
  return (
    <section class="tile over cl" aria-label="Result" data-test="over" aria-live="assertive">
      <h1>{heading}</h1>
      <ol class="row">
        {places.map((seat) => (
          <li class="row small" key={seat.seat}>
            <span class="data mute">{seat.place ?? "–"}</span>
            <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={22} />
            <span class="vh">{shortName(seat.name)}</span>
            <span class="data" title="Damage dealt">
              {seat.score ? fixed(seat.score, 0) : ""}
            </span>
          </li>
        ))}
      </ol>
      <span class="sp" />
      <button class={client.role === "player" ? "btn now" : "btn"} onClick={() => void rematch(state.mode, state.size, mine?.body ?? null)} aria-busy={busy.value === "find"} data-test="again">
        {client.role === "player" ? "Play again" : "Find me a seat"}
      </button>
      <button class="btn" onClick={leave}>
        Back to lobbies
      </button>
    </section>
  );
}
