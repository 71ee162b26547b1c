// The waiting lobby: seats, a body to choose, the code to ask someone in, ready.

import qrcode from "qrcode-generator";
import type { ComponentType } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { SKILLS } from "../app/skills";
import { api, bodies, busy, fill, now, theme, wantedBody, wantedSkill } from "../app/store";
import type { SessionClient } from "../session/client";
import { num } from "../session/events";
import type { Data } from "../session/events";
import type { Seat } from "../session/state";
import { title } from "../session/wording";
import { PLAYER_COLOURS, markOfSeat } from "../stage/palette";
import { CopyLink, linkToLobby, showLobbyLink } from "../ui/copylink";
import { secondsLeft } from "../ui/countdown";
import { inWords, minutes, plural, shortName } from "../text/format";
import { measured } from "../text/units";
import { Mark } from "../ui/marks";
import { Ruler } from "../ui/parts";
import { PlayerName } from "../ui/playername";
import { SeriesScore } from "../ui/series";
import { Sketch } from "../ui/sketch";
import { Chat } from "../ui/talk";
import { Watching } from "../ui/watching";
import { portraits } from "../ui/portraits";
import type { BodyEntry } from "../wire/api";
import type { HeldSeat } from "../wire/messages";
import { modeCard, modeName } from "./modes";

type Screen = ComponentType<{ client: SessionClient; drawer: boolean }>;

/** The editor where the members build the scene together, else the seats and the rules. */
export function Waiting({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const { mode, forked } = client.state.value;
  const may = modeCard(mode).builds && !forked;
  const [Editor, setEditor] = useState<Screen | null>(null);
  const [builds, setBuilds] = useState(may);
  useEffect(() => {
    let stopped = false;
    if (!may) {
      setBuilds(false);
      return undefined;
    }
    setBuilds(true);
    void Promise.all([api.scene(client.token), import("./editor")]).then(
      ([scene, made]) => {
        if (stopped) return;
        if (scene.editable) setEditor(() => made.default);
        else setBuilds(false);
      },
      () => !stopped && setBuilds(false), // the server has no editor of scenes, or the session began meanwhile
    );
    return () => {
      stopped = true;
    };
  }, [client, may]);
  if (Editor) return <Editor client={client} drawer={drawer} />;
  if (!builds) return <Lobby client={client} drawer={drawer} />;
  return (
    <main class="desk" id="main" tabIndex={-1}>
      <div class="tile blank">
        <h1>Opening the scene</h1>
        <p>Everyone here builds it together.</p>
      </div>
    </main>
  );
}

function Lobby({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const state = client.state.value;
  const mine = state.seats.find((seat) => seat.seat === client.mySeat) ?? null;
  const card = modeCard(state.mode);
  const facts: (readonly [string, string])[] = [...card.facts, ...chosen(state.mode, state.params)];
  const ready = state.seats.filter((seat) => seat.ready).length;
  return (
    <main class={drawer ? "desk waiting drawer" : "desk waiting"} id="main" tabIndex={-1}>
      <div class="stack seats">
        <section class="tile" aria-label="Seats">
          <header>
            <h1>{state.series ? `Rematch, match ${state.series.match}` : state.size ? plural(state.size, "seat") : "… seats"}</h1>
            <span class="sp" />
            <span class="small mute">{ready} ready</span>
          </header>
          <ul data-test="seats">
            {Array.from({ length: state.size }, (_, index) => {
              const seat = state.seats.find((one) => one.seat === index);
              return seat ? <SeatRow key={index} seat={seat} mine={seat === mine} host={seat.player === state.host} bodies={card.bodies} /> : <FreeRow key={index} client={client} held={state.held.find((one) => one.seat === index) ?? null} />;
            })}
          </ul>
          <SeriesScore state={state} />
          {mine && mine.player === state.host && state.seats.length < state.size && <Fill token={client.token} />}
        </section>
        <section class="tile wide" aria-label="Rules">
          <header>
            <h2>Rules</h2>
          </header>
          <div class="in">
            <dl class="kv">
              <dt>Mode</dt>
              <dd>{modeName(state.mode).toLowerCase()}</dd>
              {facts.map(([name, value]) => [
                <dt key={name}>{name}</dt>,
                <dd key={`${name}v`}>{value}</dd>,
              ])}
            </dl>
          </div>
        </section>
        <Watching client={client} />
        <section class="tile grow wide" aria-label="Hint">
          <div class="in rules" style={{ paddingTop: "14px" }}>
            <p class="small mute">{card.bodies ? "Every body has a soft side, the one with the eyes: blows there count 1.6 times, on the back 0.4 times." : "In this mode there is no body to choose."}</p>
          </div>
        </section>
      </div>
      {card.bodies ? (
        <section class="tile" aria-label="Bodies">
          <header>
            <h1>{mine ? "Choose a body" : "Bodies on this mat"}</h1>
            <span class="sp" />
            {mine && <span class="small mute wide">Arrow keys choose, Enter is ready</span>}
          </header>
          <Bodies client={client} mine={mine} seats={state.seats} />
        </section>
      ) : (
        <section class="tile" aria-label={card.how || card.name}>
          <header>
            <h1>{card.name}</h1>
          </header>
          <ol class="in rules big scroll" tabIndex={0}>
            {card.rules.map((line, index) => (
              <li key={line}>
                <span class="data mute">{index + 1}</span>
                <span>{line}</span>
              </li>
            ))}
          </ol>
          <Sketch mode={state.mode} />
        </section>
      )}
      <div class="stack side">
        <Invite token={client.token} />
        <Chat client={client} class="grow" />
      </div>
      <Foot client={client} mine={mine} />
    </main>
  );
}

/** The parameters that the host chose, with the mode's defaults. */
function chosen(mode: string, params: Data): (readonly [string, string])[] {
  if (mode === "duel") {
    return [
      ["Turn", `${num(params, "turn_s", 20)} s`],
      ["Turns each, at most", String(num(params, "rounds", 15))],
      ["Rounds", num(params, "rounds_to_win", 0) > 1 ? `best of ${2 * num(params, "rounds_to_win", 1) - 1}` : Object.keys(params).length ? "one" : "best of 3 between people"],
    ];
  }
  if (mode === "curling") {
    return [
      ["Turn", `${num(params, "turn_s", 20)} s`],
      ["Ends", String(num(params, "ends", 3))],
      ["Stones each", String(num(params, "stones", 4))],
    ];
  }
  return [];
}

function SeatRow({ seat, mine, host, bodies }: { seat: Seat; mine: boolean; host: boolean; bodies: boolean }) {
  return (
    <li class={`st ${mine ? "me" : ""} ${seat.connected ? "" : "away"}`}>
      <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={34} />
      <div>
        <h2 class="h3">
          <PlayerName who={seat} after={mine ? ", you" : ""} />
        </h2>
        <span class="small mute">
          {[bodies ? title(seat.body) : "", host ? "hosts" : "", seat.kind === "bot" ? (seat.fills ? "makes room for people" : "") : ""].filter(Boolean).join(" · ")}
        </span>
      </div>
      {!seat.connected ? <span class="tag end">Away</span> : seat.ready ? <span class="tag run">Ready</span> : <span class="tag pause">{bodies ? "Choosing" : "Not yet"}</span>}
    </li>
  );
}

/** Bots for the free seats; only the host may ask. */
function Fill({ token }: { token: string }) {
  return (
    <div class="row" style={{ padding: "10px 16px 14px" }}>
      <select class="btn s" aria-label="How bots play" value={wantedSkill.value} onChange={(event) => (wantedSkill.value = event.currentTarget.value)} data-test="skill">
        {SKILLS.map((skill) => (
          <option key={skill.value} value={skill.value}>
            {skill.text}
          </option>
        ))}
      </select>
      <button class="btn s main" style={{ flex: 1 }} onClick={() => void fill(token)} aria-busy={busy.value === "fill"} data-test="fill">
        Fill with bots
      </button>
    </div>
  );
}

/** held: of a rematch, for whom the seat is kept, and until when. */
function FreeRow({ client, held }: { client: SessionClient; held: HeldSeat | null }) {
  void now.value;
  const left = held ? secondsLeft(client, held.until) : 0;
  return (
    <li class="st" data-test={left > 0 ? "held" : undefined}>
      <span class="fr" />
      <div>
        <h2 class="h3 mute">{held && left > 0 ? `Held for ${shortName(held.name)}` : "Free seat"}</h2>
        <span class="small mute">{left > 0 ? `for ${minutes(left)}, then for anyone` : "Share the code, or wait for someone"}</span>
      </div>
    </li>
  );
}

function Bodies({ client, mine, seats }: { client: SessionClient; mine: Seat | null; seats: readonly Seat[] }) {
  const colour = PLAYER_COLOURS[markOfSeat(mine?.seat ?? 0)]!;
  const list = bodies.value;
  const images = portraits(list.map((body) => body.id), colour, theme.value).value;
  const most = useMemo(
    () => ({
      mass: Math.max(...list.map((body) => body.computed.mass)),
      speed: Math.max(...list.map((body) => body.speed)),
      health: Math.max(...list.map((body) => body.health)),
    }),
    [list],
  );
  const choose = (body: string) => {
    wantedBody.value = body;
    void client.command("choose", { body });
  };
  const readyNow = (event: KeyboardEvent) => {
    if (event.key === "Enter" && mine) {
      event.preventDefault();
      void client.command("ready", { ready: true });
    }
  };
  return (
    <div class="bodies scroll" role={mine ? "radiogroup" : "group"} aria-label="Bodies" onKeyDown={readyNow} data-test="bodies">
      {list.map((body) => (
        <BodyCard key={body.id} body={body} image={images.get(body.id) ?? null} most={most} chosen={mine?.body === body.id} others={seats.filter((seat) => seat.body === body.id && seat !== mine)} disabled={!mine} onChoose={choose} />
      ))}
    </div>
  );
}

function BodyCard({ body, image, most, chosen, others, disabled, onChoose }: { body: BodyEntry; image: string | null; most: { mass: number; speed: number; health: number }; chosen: boolean; others: readonly Seat[]; disabled: boolean; onChoose: (body: string) => void }) {
  const facts: [string, string, number][] = [
    ["mass", measured("mass", body.computed.mass), body.computed.mass / most.mass],
    ["speed", measured("speed", body.speed), body.speed / most.speed],
    ["health", String(body.health), body.health / most.health],
  ];
  return (
    <label class="bc">
      {!disabled && <input type="radio" name="body" class="vh" checked={chosen} onChange={() => onChoose(body.id)} aria-label={`${body.name}. ${body.character}`} />}
      {others.length > 0 && (
        <span class="who">
          {others.map((seat) => (
            <Mark key={seat.seat} mark={markOfSeat(seat.seat)} name={seat.name} size={20} />
          ))}
        </span>
      )}
      {image ? <img src={image} alt="" width={196} height={118} /> : <span class="noimg" />}
      <span class="nm">{body.name}</span>
      <span class="small mute tx">{body.character}</span>
      <dl class="facts">
        {facts.map(([name, value, share]) => [
          <dt key={name}>{name}</dt>,
          <dd key={`${name}v`} class="data">
            {value}
          </dd>,
          <dd key={`${name}m`} class="m" aria-hidden="true">
            <i style={{ width: `${Math.round(100 * share ** 2)}%` }} />
          </dd>,
        ])}
      </dl>
    </label>
  );
}

function Invite({ token }: { token: string }) {
  const link = linkToLobby(token);
  const svg = useMemo(() => {
    const code = qrcode(0, "M");
    code.addData(link);
    code.make();
    const count = code.getModuleCount();
    let d = "";
    for (let y = 0; y < count; y++) for (let x = 0; x < count; x++) if (code.isDark(y, x)) d += `M${x} ${y}h1v1h-1z`;
    return { count, d };
  }, [link]);
  return (
    <section class="tile" aria-label="Invite someone">
      <header>
        <h2>Invite someone</h2>
      </header>
      <div class="in row" style={{ flexDirection: "row", gap: "16px" }}>
        <div class="qr">
          <svg viewBox={`0 0 ${svg.count} ${svg.count}`} role="img" aria-label="The link as a QR code" shape-rendering="crispEdges">
            <path d={svg.d} fill="#12211D" />
          </svg>
        </div>
        <div class="col" style={{ flex: 1, justifyContent: "space-between", alignSelf: "stretch" }}>
          <span class="codebig" data-test="code" aria-label={`Code ${[...token].join(" ")}`}>{`${token.slice(0, 4)}\n${token.slice(4)}`}</span>
          <CopyLink link={() => link} onFail={showLobbyLink} />
        </div>
      </div>
    </section>
  );
}

function Foot({ client, mine }: { client: SessionClient; mine: Seat | null }) {
  void now.value;
  const state = client.state.value;
  const closesAt = state.closesAt || state.openedAt;
  const left = Math.max(0, secondsLeft(client, closesAt));
  const total = Math.max(1, (closesAt - state.openedAt) / 1000);
  const free = state.size - state.seats.length;
  const starting = state.status === "starting";
  const body = bodies.value.find((one) => one.id === mine?.body)?.name ?? title(mine?.body ?? "");
  return (
    <section class="tile foot" aria-label="Ready">
      <div class="col" style={{ flex: 1 }}>
        <p>
          <b>{starting ? "The session is starting." : free > 0 && state.held.length >= free ? `Waiting for ${state.held.map((one) => shortName(one.name)).join(", ")}.` : free > 0 ? `${inWords(free)} ${free === 1 ? "seat is" : "seats are"} free.` : `Starts when ${state.size === 2 ? "both" : `all ${inWords(state.size).toLowerCase()}`} are ready.`}</b>{" "}
          {!starting && state.closesAt > 0 && (
            <span class="soft">
              The lobby times out in <span class="data">{minutes(left)}</span>
            </span>
          )}
        </p>
        <Ruler ticks={60} at={1 - left / total} needle={null} />
      </div>
      {mine ? (
        <button class={mine.ready ? "btn l" : "btn now l"} aria-pressed={mine.ready} disabled={starting} onClick={() => void client.command("ready", { ready: !mine.ready })} data-test="ready">
          {starting ? "Starting" : mine.ready ? "Ready. Not yet?" : (modeCard(state.mode).bodies ? `Ready as ${body}` : "Ready")}
        </button>
      ) : (
        <span class="mute">You are watching.</span>
      )}
    </section>
  );
}
