// The workbench for modes, /playground: two players and the log of all messages side by side. One acts as any seat, with
// controls from the action kinds that the mode offers or with a message of one's own. A server serves it where its
// setting PLAYGROUND allows it.

import { useEffect, useMemo, useState } from "preact/hooks";
import { begin, chosen, problem, seats, send, starting, stop, traffic } from "../app/bench";
import type { SessionClient } from "../session/client";
import type { ActionKind } from "../generated/eventdata";
import { markOfSeat } from "../stage/palette";
import { shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "../ui/marks";
import { StageView } from "../ui/stageview";
import { at } from "../wire/place";
import { modes } from "./modes";

/** Messages that come all the time. */
const STEADY = ["frame", "ping", "pong"];

export function Playground() {
  const { mode, size, params } = chosen.value;
  useEffect(() => {
    document.title = t("playground.tussle-playground");
    return stop;
  }, []);
  const list = seats.value;
  const [shown, setShown] = useState<readonly [number, number]>([0, 1]);
  return (
    <>
      <header class="bar">
        <a class="word" href={at("/")} aria-label={t("playground.tussle-to-the-lobbies")}>
          {[...t("playground.tussle")].map((letter) => (
            <i>{letter}</i>
          ))}
        </a>
        <div class="crumb">
          <b>{t("playground.playground")}</b>
          <span class="data">{list[0]?.token ?? ""}</span>
        </div>
      </header>
      <main class="desk ground" id="main" tabIndex={-1}>
        <form
          class="tile groundbar"
          onSubmit={(event) => {
            event.preventDefault();
            setShown([0, 1]);
            void begin();
          }}
        >
          <h1 class="vh">{t("playground.playground")}</h1>
          <label class="row small">
            {t("playground.mode")}
            <span class="field">
              <input list="modes" value={mode} aria-label={t("playground.mode")} onInput={(event) => (chosen.value = { ...chosen.value, mode: event.currentTarget.value })} data-test="ground-mode" />
            </span>
            <datalist id="modes">
              {modes().map((one) => (
                <option key={one.id} value={one.id} />
              ))}
            </datalist>
          </label>
          <label class="row small">
            {t("playground.seats")}
            <span class="field">
              <input type="number" min={1} max={8} value={size} aria-label={t("playground.seats")} onInput={(event) => (chosen.value = { ...chosen.value, size: Number(event.currentTarget.value) })} data-test="ground-size" />
            </span>
          </label>
          <label class="row small sp">
            {t("playground.params")}
            <span class="field sp">
              <input class="data" value={params} aria-label={t("playground.params-as-json")} onInput={(event) => (chosen.value = { ...chosen.value, params: event.currentTarget.value })} data-test="ground-params" />
            </span>
          </label>
          <button class="btn main" aria-busy={starting.value} data-test="ground-begin">
            {list.length ? t("playground.begin-again") : t("playground.begin")}
          </button>
          {problem.value && (
            <p class="small harm" role="alert" data-test="ground-problem">
              {problem.value}
            </p>
          )}
        </form>
        {[0, 1].map((column) => {
          const client = list[shown[column as 0 | 1]];
          return client ? (
            <Player key={`${column}/${client.token}/${shown[column as 0 | 1]}`} client={client} all={list} column={column} onSeat={(seat) => setShown(column ? [shown[0], seat] : [seat, shown[1]])} />
          ) : (
            <section class="tile blank" key={column} aria-label={t("playground.player", { column: column + 1 })}>
              <p>{column ? t("playground.a-second-player-if-the") : t("playground.begin-a-session-a-guest")}</p>
            </section>
          );
        })}
        <Traffics />
      </main>
    </>
  );
}

function Player({ client, all, column, onSeat }: { client: SessionClient; all: readonly SessionClient[]; column: number; onSeat: (seat: number) => void }) {
  const state = client.state.value;
  const seat = client.mySeat;
  const me = state.seats.find((one) => one.seat === seat);
  const mine = state.turnSeat === seat && state.phase === "acting";
  const lost = client.link.value.kind === "lost" || client.quietSince.value !== null;
  return (
    <section class="tile ground-player" aria-label={t("playground.player", { column: column + 1 })} data-test={`ground-${column}`}>
      <header>
        {me && <Mark mark={markOfSeat(me.seat)} name={me.name} size={22} />}
        <h2>{me ? shortName(me.name) : "…"}</h2>
        <span class="sp" />
        <span class={lost ? "tag bad" : mine ? "tag run" : "tag end"} data-test="ground-turn">{lost ? t("playground.no-answer") : state.phase === "over" ? t("playground.over") : mine ? t("playground.its-turn") : state.status === "running" && state.turnSeat !== null ? t("playground.waits") : state.status}</span>
        <select class="btn s" aria-label={t("playground.seat")} value={String(all.indexOf(client))} onChange={(event) => onSeat(Number(event.currentTarget.value))}>
          {all.map((_, index) => (
            <option key={index} value={index}>
              {t("playground.seat")}{" "}{index + 1}
            </option>
          ))}
        </select>
      </header>
      <StageView client={client} label={t("playground.the-world-of-seat", { column: column + 1 })} still />
      <Acts client={client} kinds={state.brief?.kinds ?? []} on={mine} />
      <Raw client={client} />
    </section>
  );
}

/** Controls from the kinds of action that the mode offers: a field for each number. */
function Acts({ client, kinds, on }: { client: SessionClient; kinds: readonly ActionKind[]; on: boolean }) {
  const [kind, setKind] = useState("");
  const [values, setValues] = useState<Readonly<Record<string, number>>>({});
  const [said, setSaid] = useState("");
  const current = kinds.find((one) => one.kind === kind) ?? kinds[0];
  if (!current) return <p class="small mute in">{t("playground.this-mode-has-offered-no")}</p>;
  const fields = Object.entries(current.fields ?? {});
  const value = (name: string, low: number, high: number): number => values[`${current.kind}.${name}`] ?? Math.max(low, Math.min(high, name === "power" ? 0.6 * high : 0));
  return (
    <form
      class="in acts"
      onSubmit={(event) => {
        event.preventDefault();
        const d = Object.fromEntries(fields.map(([name, { low, high }]) => [name, value(name, low ?? -1, high ?? 1)]));
        void client.command("act", { kind: current.kind, d }).then((answer) => setSaid(answer.ok ? t("playground.tick", { tick: answer.tick ?? "–" }) : `${answer.error.code}: ${answer.error.message}`));
      }}
    >
      <select class="btn s" aria-label={t("playground.kind")} value={current.kind} onChange={(event) => setKind(event.currentTarget.value)}>
        {kinds.map((one) => (
          <option key={one.kind} value={one.kind}>
            {one.kind}
          </option>
        ))}
      </select>
      {fields.map(([name, { low, high }]) => (
        <label class="row small" key={name}>
          {name}
          <span class="field">
            <input type="number" step="any" min={low ?? undefined} max={high ?? undefined} value={value(name, low ?? -1, high ?? 1)} onInput={(event) => setValues({ ...values, [`${current.kind}.${name}`]: Number(event.currentTarget.value) })} />
          </span>
        </label>
      ))}
      <button class="btn s main" disabled={!on} data-test="ground-act">
        {t("playground.act")}
      </button>
      <span class="small mute" role="status">
        {said}
      </span>
    </form>
  );
}

function Raw({ client }: { client: SessionClient }) {
  const [type, setType] = useState("chat");
  const [data, setData] = useState('{"text": "hello"}');
  const [said, setSaid] = useState("");
  return (
    <form
      class="in acts"
      onSubmit={(event) => {
        event.preventDefault();
        void send(client, type, data).then(setSaid);
      }}
    >
      <span class="field">
        <input aria-label={t("playground.type-of-the-message")} value={type} onInput={(event) => setType(event.currentTarget.value)} data-test="ground-type" />
      </span>
      <span class="field sp">
        <input class="data" aria-label={t("playground.data-as-json")} value={data} onInput={(event) => setData(event.currentTarget.value)} data-test="ground-data" />
      </span>
      <button class="btn s" data-test="ground-send">
        {t("playground.send")}
      </button>
      <span class="small mute" role="status" data-test="ground-said">
        {said}
      </span>
    </form>
  );
}

function Traffics() {
  const [steady, setSteady] = useState(false);
  const [only, setOnly] = useState(-1);
  const all = traffic.value;
  const rows = useMemo(() => all.filter((one) => (steady || !STEADY.includes(one.type)) && (only < 0 || one.seat === only)).slice(-200).reverse(), [all, steady, only]);
  return (
    <section class="tile ground-log" aria-label={t("playground.messages")}>
      <header>
        <h2>{t("playground.messages")}</h2>
        <span class="sp" />
        <select class="btn s" aria-label={t("playground.of-which-seat")} value={String(only)} onChange={(event) => setOnly(Number(event.currentTarget.value))}>
          <option value="-1">{t("playground.every-seat")}</option>
          {seats.value.map((_, index) => (
            <option key={index} value={index}>
              {t("playground.seat")}{" "}{index + 1}
            </option>
          ))}
        </select>
      </header>
      <label class="check small ground-steady">
        <input type="checkbox" checked={steady} onChange={(event) => setSteady(event.currentTarget.checked)} />
        {t("playground.frames-and-pings")}
      </label>
      <ol class="scroll grow" tabIndex={0} data-test="ground-log">
        {rows.map((one) => (
          <li key={one.n}>
            <details>
              <summary class="data">
                {(one.at / 1000).toFixed(2)} · {one.seat + 1} {one.way === "out" ? "→" : "←"} {one.type}
              </summary>
              <pre class="data">{pretty(one.text)}</pre>
            </details>
          </li>
        ))}
      </ol>
    </section>
  );
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}
