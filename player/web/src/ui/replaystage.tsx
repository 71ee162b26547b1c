// The stage of a replay: draws the moment of the clock, follows a body, shows arrows.

import { effect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { wantedTier } from "../app/settings";
import { calm, theme } from "../app/store";
import type { Replay } from "../replay/replay";
import { conditionAt } from "../session/condition";
import type { Arrow } from "../stage/overlay";
import { Stage } from "../stage/stage";
import { showCondition } from "./stageview";

/** Length of an arrow per speed [m per m/s], and the smallest speed that has an arrow [m/s]. */
const PER_SPEED = 0.22;
const STILL = 0.02;
/** How much longer the arrow of a contact is at ten times the impulse [m]. */
const PER_DECADE = 0.28;

export interface Looks {
  readonly wire: boolean;
  readonly velocity: boolean;
  readonly contacts: boolean;
  /** The body that the camera follows, or null. */
  readonly followed: string | null;
}

interface Props {
  replay: Replay;
  looks: Looks;
  label: string;
  onStage: (stage: Stage | null) => void;
  children?: ComponentChildren;
}

export function ReplayStage({ replay, looks, label, onStage, children }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);
  const shown = useRef(looks);
  shown.current = looks;
  useEffect(() => {
    let stopped = false;
    const stops: (() => void)[] = [];
    void Stage.make(host.current!, { tier: wantedTier.peek() }).then((made) => {
      if (stopped) {
        made.dispose();
        return;
      }
      stage.current = made;
      made.timeline = replay;
      made.draw = () => ({ aim: null, ring: null, handle: null, arrows: arrowsOf(replay, shown.current) });
      replay.onBlow = (blow) => made.blow(blow);
      const show = showCondition(made);
      stops.push(
        effect(() => made.setTheme(theme.value)),
        effect(() => made.setCalm(calm.value)),
        effect(() => {
          const topology = replay.topology.value;
          if (topology) made.setTopology(topology);
        }),
        effect(() => {
          if (replay.story.value) show(conditionAt(replay.story.value.conditions, replay.place.value.tick));
        }),
        effect(() => made.setHouse(replay.story.value?.state.curling.house ?? null)),
      );
      applyLooks(made, shown.current);
      onStage(made);
    });
    return () => {
      stopped = true;
      onStage(null);
      for (const stop of stops) stop();
      replay.onBlow = () => {};
      stage.current?.dispose();
      stage.current = null;
    };
  }, [replay]);
  useEffect(() => stage.current?.setWireframe(looks.wire), [looks.wire]);
  useEffect(() => stage.current?.follow(looks.followed), [looks.followed]);
  useEffect(() => stage.current?.touch(), [looks.velocity, looks.contacts]);
  return (
    <div class="stage" ref={host} role="application" aria-label={label} tabIndex={0} data-test="stage">
      {children}
    </div>
  );
}

function applyLooks(stage: Stage, looks: Looks): void {
  if (looks.wire) stage.setWireframe(true);
  if (looks.followed !== null) stage.follow(looks.followed);
}

function arrowsOf(replay: Replay, looks: Looks): Arrow[] {
  const arrows: Arrow[] = [];
  if (looks.velocity) {
    for (const { at, velocity } of replay.motions()) {
      if (Math.hypot(...velocity) < STILL) continue;
      arrows.push({ kind: "velocity", from: at, to: [at[0] + PER_SPEED * velocity[0], at[1] + PER_SPEED * velocity[1], at[2] + PER_SPEED * velocity[2]] });
    }
  }
  if (looks.contacts) {
    for (const blow of replay.contacts()) {
      const length = PER_DECADE * Math.log10(1 + 3 * Math.max(0, blow.impulse));
      const [x, y, z] = blow.point;
      const [a, b, c] = blow.normal;
      if (!Math.hypot(a, b, c)) continue;
      for (const sign of [1, -1]) arrows.push({ kind: "contact", from: [x, y, z], to: [x + sign * length * a, y + sign * length * b, z + sign * length * c] });
    }
  }
  return arrows;
}
