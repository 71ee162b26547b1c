// The stage as a component: made once per client, updated by signals, disposed with its element.

import { effect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { calm, theme } from "../app/store";
import type { SessionClient } from "../session/client";
import { markOfSeat } from "../stage/palette";
import { Stage } from "../stage/stage";
import { shortName } from "../text/format";

export function tierWanted(): string | null {
  return new URLSearchParams(location.search).get("tier");
}

interface Props {
  client: SessionClient;
  label: string;
  still?: boolean;
  children?: ComponentChildren;
  class?: string;
  onStage?: (stage: Stage | null) => void;
}

export function StageView({ client, label, still = false, children, class: extra = "", onStage }: Props) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    let stage: Stage | null = null;
    let stopped = false;
    const stops: (() => void)[] = [];
    void Stage.make(host.current!, { still, tier: tierWanted() }).then((made) => {
      if (stopped) {
        made.dispose();
        return;
      }
      stage = made;
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
      let key = "";
      stops.push(
        effect(() => {
          const seats = client.state.value.seats;
          const next = JSON.stringify(seats.map((seat) => [seat.seat, seat.name, seat.out]));
          if (next === key) return;
          key = next;
          made.setSeats(seats.map((seat) => ({ seat: seat.seat, name: shortName(seat.name), mark: markOfSeat(seat.seat), out: seat.out })));
        }),
      );
      client.onBlow = (blow) => made.blow(blow);
      onStage?.(made);
    });
    return () => {
      stopped = true;
      onStage?.(null);
      for (const stop of stops) stop();
      client.onBlow = () => {};
      stage?.dispose();
    };
  }, [client]);
  return (
    <div class={`stage ${extra}`} ref={host} role={still ? "img" : "application"} aria-label={label} tabIndex={still ? undefined : 0} data-test="stage">
      {children}
    </div>
  );
}
