// The line to the server in a session: the round trip, how frames come, and whether they may come over WebRTC.

import { canChannel } from "../session/client";
import type { SessionClient } from "../session/client";
import { chooseChannel, farAway, toggleFarAway, wantedChannel } from "../app/store";
import { Rtt } from "./parts";

export function Line({ client }: { client: SessionClient }) {
  const way = client.way.value;
  const offered = client.welcome.value?.webrtc !== undefined;
  const ms = client.rtt.value;
  const text = way.kind === "channel" ? "Frames come over WebRTC." : way.kind === "asking" ? "Frames come over the WebSocket. A WebRTC channel is being made." : "Frames come over the WebSocket.";
  return (
    <details class="line">
      <summary aria-label={`Connection: ${ms ?? "–"} ms`} data-test="line">
        <Rtt ms={ms} />
      </summary>
      <div class="tile pop" data-test="line-panel">
        <p data-test="way" data-way={way.kind}>
          {text}
        </p>
        {way.reason && <p class="small mute">WebRTC was given up: {way.reason}.</p>}
        <label class="row">
          <input type="checkbox" checked={wantedChannel.value} disabled={!canChannel()} onChange={(event) => chooseChannel(event.currentTarget.checked)} data-test="want-channel" />
          <span>Frames over WebRTC</span>
        </label>
        <p class="small mute">{farAway.value ? "Not over a line to the other side of the world." : offered || !wantedChannel.value ? "Fewer stalls on a line that loses packets. Nothing else changes." : canChannel() ? "This server does not offer it." : "This browser does not have it."}</p>
        <label class="row">
          <input type="checkbox" checked={farAway.value} onChange={toggleFarAway} data-test="far" />
          <span>Play as from the other side of the world</span>
        </label>
        <p class="small mute">280 ms and 2 % loss, for this page only.</p>
      </div>
    </details>
  );
}
