// The spring-damper: the mass on its way, its position over time beside the closed form, and a button that begins anew.

import { useCallback, useState } from "preact/hooks";
import { tell } from "../app/store";
import type { SessionClient } from "../session/client";
import { path } from "../session/spring";
import { fixed } from "../ui/format";
import { StageView } from "../ui/stageview";
import { Chat, Log } from "../ui/talk";
import type { Stage } from "../stage/stage";
import { expose } from "./duel";

const WIDTH = 800;
const HEIGHT = 240;
/** Of the largest start that the form offers, in m and m/s. */
const REACH = 2;

export function SpringScreen({ client, drawer }: { client: SessionClient; drawer: boolean }) {
  const state = client.state.value;
  const spring = state.spring;
  const [start, setStart] = useState({ x: 0, v: 1 });
  const onStage = useCallback((made: Stage | null) => {
    if (made) expose(client, made);
  }, [client]);
  const trigger = () =>
    void client.command("act", { kind: "trigger", d: start }).then((answer) => {
      if (!answer.ok) tell("bad", "Not done.", `${answer.error.message}.`);
    });
  const last = spring.t.length - 1;
  const box = { width: WIDTH, height: HEIGHT, t: Math.max(spring.t[last] ?? 0, 10), x: Math.max(0.1, ...spring.x.map(Math.abs)) * 1.1 };
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
            <span style={{ color: "var(--cool)" }}>Thin: the steps.</span> Wide: the closed form of the scheme. Largest difference{" "}
            <span class="data" data-test="error">{`${spring.error.toExponential(1)} m`}</span>
          </p>
          <p class="data" data-test="count">{`run ${spring.run}, step ${spring.n} of ${spring.cycles || "?"}`}</p>
          <p class="data">{`t ${fixed(spring.t[last] ?? 0, 1)} s`}</p>
          <p class="data">{`x ${fixed(spring.x[last] ?? 0, 4)} m`}</p>
        </section>
      </div>
      <div class="stack">
        <section class="tile" aria-label="Position over time" style={{ padding: "var(--s3)" }}>
          <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Position over time: ${spring.n} steps, now ${fixed(spring.x[last] ?? 0, 3)} m`} style={{ width: "100%", display: "block" }} data-test="plot">
            <path d={`M0 ${HEIGHT / 2}H${WIDTH}`} stroke="var(--line-strong)" fill="none" />
            <path d={path(spring.t, spring.closed, box)} stroke="var(--signal)" stroke-width="5" fill="none" data-test="closed" />
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
