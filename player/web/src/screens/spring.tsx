// The spring-damper: the mass on its way, and a button that begins a run twice: in this session, and over the two solver
// processes that meet over streams. Both are plotted as they go, on top of the closed form.

import { useCallback, useEffect, useState } from "preact/hooks";
import { api, notify } from "../app/store";
import type { SessionClient } from "../session/client";
import { path, streamed, withPoll } from "../session/spring";
import type { Streamed } from "../session/spring";
import { fixed } from "../text/format";
import { StageView } from "../ui/stageview";
import { Chat, Log } from "../ui/talk";
import type { Stage } from "../stage/stage";
import { expose } from "../ui/probe";

const WIDTH = 800;
const HEIGHT = 240;
/** Of the largest start that the form offers, in m and m/s. */
const REACH = 2;
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
      } catch {
        // the server is away: the next look goes on where this one would have
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
    const begun = await api.startSpring(name, start.x, start.v);
    setRun(streamed(begun.run, start.x));
  };
  return [run, begin];
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
      if (!answer.ok) notify("bad", "Not done.", `${answer.error.message}.`);
    });
    begin(client.token, start).catch((error: unknown) => notify("bad", "The stream solvers were not started.", error instanceof Error ? error.message : ""));
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
    <main class={drawer ? "desk sandbox drawer" : "desk sandbox"} id="main" tabIndex={-1}>
      <div class="stack left">
        <section class="tile stack" aria-label="A new run" style={{ padding: "var(--s3)" }}>
          {(["x", "v"] as const).map((name) => (
            <label class="col small soft" key={name}>
              {name === "x" ? "Start" : "Speed"}
              <input type="range" min={-REACH} max={REACH} step={0.05} value={start[name]} onInput={(event) => setStart({ ...start, [name]: Number(event.currentTarget.value) })} />
              <span class="data">{`${fixed(start[name], 2)} ${name === "x" ? "m" : "m/s"}`}</span>
            </label>
          ))}
          <button class="btn main s" disabled={client.mySeat === null || state.phase === "over"} onClick={trigger} data-test="trigger">
            Begin a run
          </button>
        </section>
        <section class="tile" aria-label="Where it is" style={{ padding: "var(--s3)" }}>
          <p class="small soft">
            <span style={{ color: "var(--cool)" }}>Thin: this session's steps.</span> Wide: the closed form of the scheme. Largest difference{" "}
            <span class="data" data-test="error">{`${spring.error.toExponential(1)} m`}</span>
          </p>
          <p class="data" data-test="count">{`run ${spring.run}, step ${spring.n} of ${spring.cycles || "?"}`}</p>
          <p class="data">{`t ${fixed(spring.t[last] ?? 0, 1)} s`}</p>
          <p class="data">{`x ${fixed(spring.x[last] ?? 0, 4)} m`}</p>
        </section>
        {streams && (
          <section class="tile" aria-label="Two solvers over streams" style={{ padding: "var(--s3)" }} role="status">
            <p class="small soft">
              <span style={{ color: "var(--contact)" }}>Dashed: two solver processes over streams.</span>{" "}
              {streams.waitsFor.length ? (
                <span data-test="waits">{`The run waits for ${streams.waitsFor.join(" and ")}.`}</span>
              ) : (
                <>
                  Largest difference <span class="data" data-test="streams-error">{`${streams.error.toExponential(1)} m`}</span>
                </>
              )}
            </p>
            <p class="data" data-test="streams">{`step ${streams.n} of ${streams.cycles || "?"}`}</p>
            <p class="data">{streams.id}</p>
          </section>
        )}
      </div>
      <div class="stack">
        <section class="tile" aria-label="Position over time" style={{ padding: "var(--s3)" }}>
          <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Position over time: ${spring.n} steps, now ${fixed(spring.x[last] ?? 0, 3)} m`} style={{ width: "100%", display: "block" }} data-test="plot">
            <path d={`M0 ${HEIGHT / 2}H${WIDTH}`} stroke="var(--line-strong)" fill="none" />
            <path d={path(longest.t, longest.closed, box)} stroke="var(--signal)" stroke-width="5" fill="none" data-test="closed" />
            {streams && <path d={path(streams.t, streams.x, box)} stroke="var(--contact)" stroke-width="2.5" stroke-dasharray="7 7" fill="none" data-test="streamed" />}
            <path d={path(spring.t, spring.x, box)} stroke="var(--cool)" stroke-width="1.5" fill="none" data-test="steps" />
          </svg>
        </section>
        <StageView client={client} label="The mass on its spring." onStage={onStage} />
      </div>
      <div class="stack side">
        <Log client={client} />
        <Chat client={client} class="split" />
      </div>
    </main>
  );
}
