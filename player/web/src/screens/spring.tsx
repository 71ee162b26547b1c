// The spring-damper: the mass on its way, and a button that begins a run twice: in this session, and over the two solver
// processes that meet over streams. Both are plotted as they go, on top of the closed form.

import { computed } from "@preact/signals";
import { useCallback, useEffect, useState } from "preact/hooks";
import { api, busy, newRig, notify } from "../app/store";
import type { SessionClient } from "../session/client";
import { oscillates, path, streamed, withPoll } from "../session/spring";
import type { Scheme, Streamed } from "../session/spring";
import { fixed } from "../text/format";
import { t } from "../text/words";
import { CopyLink } from "../ui/copylink";
import { NumberField, shortNumber } from "../ui/fields";
import { Plot } from "../ui/plot";
import { StageView } from "../ui/stageview";
import { Chat, Log } from "../ui/talk";
import { Refused } from "../wire/calls";
import type { Stage } from "../stage/stage";
import { expose } from "../ui/probe";

const WIDTH = 800;
const HEIGHT = 240;
/** The largest start that the server takes, in m and m/s. */
const REACH = 1e6;
/** The numbers of the scheme as the form offers them. */
const NUMBERS = computed(() => [
  { key: "m", label: t("spring.mass-m"), unit: "kg", low: 1e-6, high: 1e6, step: 0.1 },
  { key: "k", label: t("spring.stiffness-k"), unit: "N/m", low: 1e-6, high: 1e6, step: 0.1 },
  { key: "zeta", label: t("spring.damping-ratio"), unit: "", low: 0, high: 0.999, step: 0.01 },
  { key: "h", label: t("spring.step-h"), unit: "s", low: 1e-4, high: 0.1, step: 0.01 },
  { key: "cycles", label: t("spring.steps-n"), unit: "", low: 1, high: 100_000, step: 100 },
] as const);
/** Between two polls of the streams [ms]. */
const POLL_MS = 250;

/** The newest run that was begun over the streams here, followed to its end. */
function useStreams(): [Streamed | null, (name: string, start: { x: number; v: number }) => Promise<void>] {
  const [run, setRun] = useState<Streamed | null>(null);
  const id = run?.id ?? "";
  useEffect(() => {
    if (!id) return;
    let stopped = false;
    let timer = 0;
    let after = "";
    const look = async (): Promise<void> => {
      let done = false;
      try {
        const seen = await api.pollSpring(id, after);
        if (stopped) return;
        after = seen.after;
        done = seen.done;
        setRun((now) => now && withPoll(now, seen));
      } catch (error) {
        // The store has forgotten the run. Else the server is away: the next look goes on where this one would have.
        done = error instanceof Refused && error.status === 404;
      }
      if (!stopped && !done) timer = window.setTimeout(() => void look(), POLL_MS);
    };
    void look();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, [id]);
  const begin = async (name: string, start: { x: number; v: number }): Promise<void> => {
    setRun(streamed(await api.startSpring(name, start.x, start.v), name, start));
  };
  return [run, begin];
}

/** The numbers of the session's scheme, to begin another session with others. They are fixed in a session. */
function Rig({ scheme }: { scheme: Scheme }) {
  const [draft, setDraft] = useState<Scheme>(scheme);
  const changed = NUMBERS.value.some(({ key }) => draft[key] !== scheme[key]);
  const omega = Math.sqrt(draft.k / draft.m);
  return (
    <section class="tile stack rig" aria-label={t("spring.the-rig")}>
      <h2>{t("spring.the-rig")}</h2>
      <div class="numbers">
        {NUMBERS.value.map(({ key, label, unit, low, high, step }) => (
          <NumberField key={key} label={label} unit={unit} value={draft[key]} low={low} high={high} step={step} whole={key === "cycles"} onCommit={(value) => setDraft({ ...draft, [key]: value })} test={`rig-${key}`} />
        ))}
      </div>
      <p class="small mute">
        ω <span class="data">{`${shortNumber(Number(omega.toPrecision(4)))} 1/s`}</span>{t("spring.period")}{" "}<span class="data">{`${shortNumber(Number(((2 * Math.PI) / omega).toPrecision(4)))} s`}</span>
      </p>
      {!oscillates(draft) && (
        <p class="small" role="alert" data-test="rig-stuck">
          {t("spring.these-do-not-oscillate-the")}
        </p>
      )}
      {changed && (
        <button class="btn s" disabled={!oscillates(draft)} onClick={() => void newRig({ m: draft.m, k: draft.k, zeta: draft.zeta, h: draft.h, cycles: draft.cycles })} aria-busy={busy.value === "new-rig"} title={t("spring.a-new-session-with-these")} data-test="new-rig">
          {t("spring.new-session-with-these")}
        </button>
      )}
    </section>
  );
}

export function SpringScreen({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const state = client.state.value;
  const spring = state.spring;
  const [start, setStart] = useState({ x: 0, v: 1 });
  const [streams, begin] = useStreams();
  const onStage = useCallback((made: Stage | null) => {
    if (made) expose(client, made);
  }, [client]);
  const trigger = () => {
    void client.command("act", { kind: "trigger", d: start }).then((answer) => {
      if (!answer.ok) notify("bad", t("spring.not-done"), `${answer.error.message}.`);
    });
    begin(client.token, start).catch((error: unknown) => notify("bad", t("spring.the-stream-solvers-were-not"), error instanceof Error ? error.message : ""));
  };
  const last = spring.t.length - 1;
  const shown = [...spring.x, ...(streams?.x ?? [])];
  const box = {
    width: WIDTH,
    height: HEIGHT,
    t: Math.max(spring.t[last] ?? 0, streams?.t[streams.t.length - 1] ?? 0, 10),
    x: shown.reduce((most, x) => Math.max(most, Math.abs(x)), 0.1) * 1.1,
  };
  const longest = streams && streams.n > spring.n ? streams : spring;
  return (
    <main class={drawer ? "desk sandbox spring drawer" : "desk sandbox spring"} id="main" tabIndex={-1}>
      <h1 class="vh">{t("spring.spring-damper")}</h1>
      <div class="stack left">
        <section class="tile stack rig" aria-label={t("spring.a-new-run")}>
          <h2>{t("spring.a-new-run")}</h2>
          <div class="numbers">
            <NumberField label={t("spring.start-x")} unit="m" value={start.x} low={-REACH} high={REACH} step={0.05} onCommit={(x) => setStart({ ...start, x })} test="start-x" />
            <NumberField label={t("spring.speed-v")} unit="m/s" value={start.v} low={-REACH} high={REACH} step={0.05} onCommit={(v) => setStart({ ...start, v })} test="start-v" />
          </div>
          <button class="btn main s" disabled={client.mySeat === null || state.phase === "over"} onClick={trigger} data-test="trigger">
            {t("spring.begin-a-run")}
          </button>
        </section>
        {spring.scheme && <Rig key={client.token} scheme={spring.scheme} />}
      </div>
      <div class="stack mid">
        <section class="tile stack plotted" aria-label={t("spring.position-over-time")}>
          <Plot across={{ low: 0, high: box.t, name: "t", unit: "s" }} up={{ low: -box.x, high: box.x, name: "x", unit: "m" }} width={WIDTH} height={HEIGHT} label={t("spring.position-over-time-steps-now", { count: spring.n, fixed: fixed(spring.x[last] ?? 0, 3) })} test="plot">
            <path d={`M0 ${HEIGHT / 2}H${WIDTH}`} stroke="var(--line-strong)" />
            <path d={path(longest.t, longest.closed, box)} stroke="var(--signal)" stroke-width="5" data-test="closed" />
            {streams && <path d={path(streams.t, streams.x, box)} stroke="var(--contact)" stroke-width="2.5" stroke-dasharray="7 7" data-test="streamed" />}
            <path d={path(spring.t, spring.x, box)} stroke="var(--cool)" stroke-width="1.5" data-test="steps" />
          </Plot>
          <ul class="legend small soft">
            <li>
              <i style={{ background: "var(--signal)", height: "5px" }} />
              {t("spring.closed-form-of-the-scheme")}
            </li>
            <li>
              <i style={{ background: "var(--cool)", height: "2px" }} />
              {t("spring.this-session-off-by-at")}{" "}<span class="data" data-test="error">{`${spring.error.toExponential(1)} m`}</span>
            </li>
            {streams && (
              <li>
                <i class="dashes" />
                {streams.waitsFor.length ? (
                  <span role="status" data-test="waits">{t("spring.the-run-over-the-streams", { waitsFor: streams.waitsFor.join(" and ") })}</span>
                ) : (
                  <span>
                    {t("spring.two-solvers-over-streams-off")}{" "}<span class="data" data-test="streams-error">{`${streams.error.toExponential(1)} m`}</span>
                  </span>
                )}
              </li>
            )}
          </ul>
          <p class="data small now">
            <span data-test="count">{t("spring.run-step-of", { run: spring.run, count: spring.n, cycles: spring.cycles || "?" })}</span>
            <span>{`t ${fixed(spring.t[last] ?? 0, 1)} s`}</span>
            <span>{`x ${fixed(spring.x[last] ?? 0, 4)} m`}</span>
            {streams && <span data-test="streams">{t("spring.streams-step-of", { count: streams.n, cycles: streams.cycles || "?" })}</span>}
          </p>
          {streams && (
            <p class="byhand">
              <span class="small soft">{t("spring.the-same-run-by-hand")}</span>
              <code class="data" tabIndex={0} data-test="by-hand">{streams.byHand}</code>
              <CopyLink link={() => streams.byHand} what="line" />
            </p>
          )}
        </section>
        <StageView client={client} label={t("spring.the-mass-on-its-spring")} onStage={onStage} />
      </div>
      <div class="stack side">
        <Log client={client} />
        <Chat client={client} class="split" />
      </div>
    </main>
  );
}
