// Exposes to the browser tests what a person in front of the page can see and measure.

import type { SessionClient } from "../session/client";
import type { Stage } from "../stage/stage";

export function expose(client: SessionClient, stage: Stage): void {
  Object.assign(window, {
    __test: {
      places: () => stage.places(),
      tick: () => client.telemetry.value?.tick ?? null,
      rtt: () => client.rtt.value,
      frameMs: () => stage.frameMs,
      workMs: () => stage.workMs,
      spent: () => [...stage.spent],
      fps: () => stage.pace.fps,
      tier: () => stage.tier,
      state: () => client.state.value,
      seat: () => client.mySeat,
      link: () => ({ ...client.link.value, url: client.address }),
      heard: () => client.heard,
      drop: () => client.drop(),
      slow: (ms: number | null) => {
        client.slow.value = ms !== null;
        if (ms !== null) client.rtt.value = ms;
      },
      way: () => client.way.value.kind,
      framesBy: () => ({ ...client.framesBy }),
      screen: (x: number, y: number, z: number) => stage.view.screen(x, y, z),
      flash: (impulse: number) => stage.overlay.flash([0, 0.2, 0], impulse, performance.now() / 1000),
    },
  });
}

/** The picture of the lobby page: where its bodies are, and the corners of its mat [pixels of its stage]. */
export function exposePreview(stage: Stage | null): void {
  if (!stage) return;
  Object.assign(window, {
    __preview: () => {
      const box = stage.host.getBoundingClientRect();
      const corners = stage.view.corners().map(([x, z]) => stage.view.screen(x, 0, z));
      return { tier: stage.tier, connected: stage.host.isConnected, width: box.width, height: box.height, bodies: stage.places(), corners };
    },
  });
}
