// The stage as a component: made once per client, updated by signals, disposed with its element.

import { effect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { soundContact, vibrate } from "../app/sound";
import { drawnTier, wantedTier } from "../app/settings";
import { bodies, calm, theme } from "../app/store";
import type { SessionClient } from "../session/client";
import { conditionOf } from "../session/condition";
import type { Condition } from "../session/condition";
import type { Blow, Out } from "../session/events";
import { markOfSeat } from "../stage/palette";
import { Stage } from "../stage/stage";
import { shortName } from "../text/format";
import { t } from "../text/words";
import { isEmote } from "./emotes";
import { NUMBER_PX, RISE_PX, ROW_PX, flyToBar, landAll, riseTo } from "./flying";

interface Props {
  client: SessionClient;
  label: string;
  still?: boolean;
  /** Whether a picture from above will do on a slow machine. */
  flat?: boolean;
  children?: ComponentChildren;
  class?: string;
  onStage?: (stage: Stage | null) => void;
}

/** Returns a function that shows a condition on the stage; it does nothing for one that is shown already. */
export function showCondition(stage: Stage): (condition: Condition) => void {
  let [seated, broken] = ["", "[]"];
  return ({ seats, cracked }) => {
    const [bodies, mat] = [JSON.stringify(seats), JSON.stringify(cracked)];
    if (bodies !== seated) stage.setSeats(seats.map((seat) => ({ ...seat, name: shortName(seat.name), mark: markOfSeat(seat.seat) })));
    if (mat !== broken) stage.setCracked(cracked);
    [seated, broken] = [bodies, mat];
  };
}

/** A blow is seen: it sounds, the phone of who is hit vibrates, and what was lost flies to the bars. */
function struck(client: SessionClient, stage: Stage, blow: Blow, at: { x: number; y: number }): void {
  const state = client.state.peek();
  const hit = [blow.a, blow.b].map((seat) => bodies.peek().find((body) => body.id === state.seats.find((one) => one.seat === seat)?.body));
  const least = (pick: (body: (typeof bodies.value)[number]) => number, otherwise: number): number => Math.min(...hit.map((body) => (body ? pick(body) : otherwise)));
  soundContact(blow.impulse, least((body) => body.computed.mass, 10), least((body) => body.stiffness, 1e6));
  if (client.mySeat === blow.a || client.mySeat === blow.b) vibrate(blow.impulse);
  if (calm.peek()) return;
  const lost = [[blow.a, blow.damageA], [blow.b, blow.damageB]] as const;
  if (state.phase === "over") {
    const rows = lost.filter(([, damage]) => damage >= 0.5);
    const clear = stage.clearOf({ x: at.x, y: at.y - RISE_PX, width: NUMBER_PX, height: ROW_PX * rows.length });
    rows.forEach(([, damage], row) => riseTo(stage.host, { x: clear.x, y: clear.y + ROW_PX * (0.5 - rows.length / 2) }, row, damage));
  } else for (const [seat, damage] of lost) flyToBar(stage.host, at, seat, damage);
}

/** How much before and after the last blow is shown again [s of the world], and how fast. */
const BEFORE_S = 0.3;
const AFTER_S = 0.5;
const SLOWLY = 0.25;
/** After this the last blow is not shown again [ms]: the page was hidden. */
const TOO_LATE_MS = 8000;

/** Once the picture has reached the end of the match, show its last blow again, slowly. */
function slowLast(client: SessionClient, stage: Stage, blow: Blow, out: Out | null, end: number): void {
  const ticks = (seconds: number): number => Math.round(seconds / client.step.peek());
  const asked = performance.now();
  client.showsLastBlow.value = true;
  const look = (): void => {
    const timeline = client.timeline.peek();
    if (!timeline || performance.now() - asked > TOO_LATE_MS || !stage.host.isConnected) return stop();
    const to = Math.min(end, blow.tick + ticks(AFTER_S));
    if (!timeline.passed(to) || stage.waits || stage.overlay.bursting || !timeline.showAgain(blow.tick - ticks(BEFORE_S), to, SLOWLY, performance.now() / 1000)) {
      if (!timeline.passed(end) || stage.waits || stage.overlay.bursting) setTimeout(look, 50);
      else stop();
      return;
    }
    stage.again({ ...blow, damageA: 0, damageB: 0 }, out && out.tick <= to ? out : null);
    stage.host.dataset["slowly"] = t("stageview.the-last-blow-slowly");
    stage.host.classList.add("slowly");
    const done = (): void => {
      if ((timeline.showsAgain || stage.overlay.bursting) && stage.host.isConnected) setTimeout(done, 50);
      else stop();
    };
    done();
  };
  const stop = (): void => {
    stage.host.classList.remove("slowly");
    client.showsLastBlow.value = false;
  };
  look();
}

export function StageView({ client, label, still = false, flat = true, children, class: extra = "", onStage }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const tier = wantedTier.value;
  useEffect(() => {
    let stage: Stage | null = null;
    let stopped = false;
    const stops: (() => void)[] = [];
    void Stage.make(host.current!, { still, tier, flat }).then((made) => {
      if (stopped) {
        made.dispose();
        return;
      }
      stage = made;
      drawnTier.value = made.tier;
      made.onTier = (now) => (drawnTier.value = now);
      stops.push(
        effect(() => {
          made.timeline = client.timeline.value;
        }),
        effect(() => made.setTheme(theme.value)),
        effect(() => made.setCalm(calm.value)),
        effect(() => {
          const topology = client.topology.value;
          if (topology) made.setTopology(topology);
        }),
      );
      const show = showCondition(made);
      stops.push(effect(() => show(conditionOf(client.state.value))));
      let heard = client.state.peek().chat.length ? client.state.peek().chat.at(-1)!.v : 0;
      stops.push(
        effect(() => {
          for (const row of client.state.value.chat) if (row.v > heard && row.seat !== null && isEmote(row.text)) made.say(row.seat, row.text);
          heard = client.state.value.chat.at(-1)?.v ?? heard;
        }),
      );
      client.onBlow = (blow) => made.blow(blow);
      let lastOut: Out | null = null;
      client.onOut = (out) => {
        lastOut = out;
        made.out(out);
      };
      made.onStruck = (blow, at) => struck(client, made, blow, at);
      let over = client.state.peek().phase === "over";
      stops.push(
        effect(() => {
          const { phase, result, ending, tick } = client.state.value;
          const ended = phase === "over";
          if (ended && !over) landAll();
          if (ended && !over && result && ending && !calm.peek() && !still) slowLast(client, made, ending, lastOut, tick);
          over = ended;
        }),
      );
      made.begin();
      onStage?.(made);
    });
    return () => {
      stopped = true;
      onStage?.(null);
      for (const stop of stops) stop();
      client.onBlow = () => {};
      client.onOut = () => {};
      stage?.dispose();
    };
  }, [client, tier]);
  return (
    <div class={`stage ${extra}`} ref={host} role={still ? "img" : "application"} aria-label={label} tabIndex={still ? undefined : 0} data-test="stage">
      {children}
    </div>
  );
}
