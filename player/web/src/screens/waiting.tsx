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
import { t } from "../text/words";
import { CopyLink, linkToLobby, showLobbyLink } from "../ui/copylink";
import { secondsLeft } from "../ui/countdown";
import { inWords, minutes, shortName } from "../text/format";
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
        <h1>{t("waiting.opening-the-scene")}</h1>
        <p>{t("waiting.everyone-here-builds-it-together")}</p>
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
        <section class="tile" aria-label={t("waiting.seats")}>
          <header>
            <h1>{state.series ? t("waiting.rematch-match", { match: state.series.match }) : state.size ? t("waiting.seat", { n: state.size }) : t("waiting.seats-2")}</h1>
            <span class="sp" />
            <span class="small mute">{t("waiting.ready-2", { ready })}</span>
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
        <section class="tile wide" aria-label={t("waiting.rules")}>
          <header>
            <h2>{t("waiting.rules")}</h2>
          </header>
          <div class="in">
            <dl class="kv">
              <dt>{t("waiting.mode")}</dt>
              <dd>{modeName(state.mode).toLowerCase()}</dd>
              {facts.map(([name, value]) => [
                <dt key={name}>{name}</dt>,
                <dd key={`${name}v`}>{value}</dd>,
              ])}
            </dl>
          </div>
        </section>
        <Watching client={client} />
        <section class="tile grow wide" aria-label={t("waiting.hint")}>
          <div class="in rules" style={{ paddingTop: "14px" }}>
            <p class="small mute">{card.bodies ? t("waiting.every-body-has-a-soft") : t("waiting.in-this-mode-there-is")}</p>
          </div>
        </section>
      </div>
      {card.bodies ? (
        <section class="tile" aria-label={t("waiting.bodies")}>
          <header>
            <h1>{mine ? t("waiting.choose-a-body") : t("waiting.bodies-on-this-mat")}</h1>
            <span class="sp" />
            {mine && <span class="small mute wide">{t("waiting.arrow-keys-choose-enter-is")}</span>}
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
      [t("waiting.turn"), `${num(params, "turn_s", 20)} s`],
      [t("waiting.turns-each-at-most"), String(num(params, "rounds", 15))],
      [t("waiting.bouts"), num(params, "rounds_to_win", 0) > 1 ? t("waiting.best-of", { rounds_to_win: 2 * num(params, "rounds_to_win", 1) - 1 }) : Object.keys(params).length ? "one" : t("waiting.best-of-3-between-people")],
    ];
  }
  if (mode === "curling") {
    return [
      [t("waiting.turn"), `${num(params, "turn_s", 20)} s`],
      [t("waiting.ends"), String(num(params, "ends", 3))],
      [t("waiting.stones-each"), String(num(params, "stones", 4))],
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
          {[bodies ? title(seat.body) : "", host ? "hosts" : "", seat.kind === "bot" ? (seat.fills ? t("waiting.makes-room-for-people") : "") : ""].filter(Boolean).join(" · ")}
        </span>
      </div>
      {!seat.connected ? <span class="tag end">{t("waiting.away")}</span> : seat.ready ? <span class="tag run">{t("waiting.ready")}</span> : <span class="tag pause">{bodies ? t("waiting.choosing") : t("waiting.not-yet")}</span>}
    </li>
  );
}

/** Bots for the free seats; only the host may ask. */
function Fill({ token }: { token: string }) {
  return (
    <div class="row" style={{ padding: "10px 16px 14px" }}>
      <select class="btn s" aria-label={t("waiting.how-bots-play")} value={wantedSkill.value} onChange={(event) => (wantedSkill.value = event.currentTarget.value)} data-test="skill">
        {SKILLS.value.map((skill) => (
          <option key={skill.value} value={skill.value}>
            {skill.text}
          </option>
        ))}
      </select>
      <button class="btn s main" style={{ flex: 1 }} onClick={() => void fill(token)} aria-busy={busy.value === "fill"} data-test="fill">
        {t("waiting.fill-with-bots")}
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
        <h2 class="h3 mute">{held && left > 0 ? t("waiting.held-for", { name: shortName(held.name) }) : t("waiting.free-seat")}</h2>
        <span class="small mute">{left > 0 ? t("waiting.for-then-for-anyone", { left: minutes(left) }) : t("waiting.share-the-code-or-wait")}</span>
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
    <div class="bodies scroll" role={mine ? "radiogroup" : "group"} aria-label={t("waiting.bodies")} onKeyDown={readyNow} data-test="bodies">
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
    <section class="tile" aria-label={t("waiting.invite-someone")}>
      <header>
        <h2>{t("waiting.invite-someone")}</h2>
      </header>
      <div class="in row" style={{ flexDirection: "row", gap: "16px" }}>
        <div class="qr">
          <svg viewBox={`0 0 ${svg.count} ${svg.count}`} role="img" aria-label={t("waiting.the-link-as-a-qr")} shape-rendering="crispEdges">
            <path d={svg.d} fill="#12211D" />
          </svg>
        </div>
        <div class="col" style={{ flex: 1, justifyContent: "space-between", alignSelf: "stretch" }}>
          <span class="codebig" data-test="code" aria-label={t("waiting.code", { what: [...token].join(" ") })}>{`${token.slice(0, 4)}\n${token.slice(4)}`}</span>
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
    <section class="tile foot" aria-label={t("waiting.ready")}>
      <div class="col" style={{ flex: 1 }}>
        <p>
          <b>{starting ? t("waiting.the-session-is-starting") : free > 0 && state.held.length >= free ? t("waiting.waiting-for", { held: state.held.map((one) => shortName(one.name)).join(", ") }) : free > 0 ? t("waiting.free", { free: inWords(free), what: free === 1 ? t("waiting.seat-is") : t("waiting.seats-are") }) : t("waiting.starts-when-are-ready", { what: state.size === 2 ? t("waiting.both") : t("waiting.all", { size: inWords(state.size).toLowerCase() }) })}</b>{" "}
          {!starting && state.closesAt > 0 && (
            <span class="soft">
              {t("waiting.the-lobby-times-out-in")}{" "}<span class="data">{minutes(left)}</span>
            </span>
          )}
        </p>
        <Ruler ticks={60} at={1 - left / total} needle={null} />
      </div>
      {mine ? (
        <button class={mine.ready ? "btn l" : "btn now l"} aria-pressed={mine.ready} disabled={starting} onClick={() => void client.command("ready", { ready: !mine.ready })} data-test="ready">
          {starting ? t("waiting.starting") : mine.ready ? t("waiting.ready-not-yet") : (modeCard(state.mode).bodies ? t("waiting.ready-as", { body }) : t("waiting.ready"))}
        </button>
      ) : (
        <span class="mute">{t("waiting.you-are-watching")}</span>
      )}
    </section>
  );
}
