// The line to the server in a session: the round trip, how frames come, and whether they may come over WebRTC.

import { canChannel } from "../session/client";
import type { SessionClient } from "../session/client";
import { chooseChannel, farAway, toggleFarAway, wantedChannel } from "../app/store";
import { t } from "../text/words";
import { Rtt } from "./parts";

export function Line({ client }: { client: SessionClient }) {
  const way = client.way.value;
  const offered = client.welcome.value?.webrtc !== undefined;
  const ms = client.rtt.value;
  const text = way.kind === "channel" ? t("line.frames-come-over-webrtc") : way.kind === "asking" ? t("line.frames-come-over-the-websocket-2") : t("line.frames-come-over-the-websocket");
  return (
    <details class="line">
      <summary aria-label={t("line.connection-ms", { ms: ms ?? "–" })} data-test="line">
        <Rtt ms={ms} />
      </summary>
      <div class="tile pop" data-test="line-panel">
        <p data-test="way" data-way={way.kind}>
          {text}
        </p>
        {way.reason && <p class="small mute">{t("line.webrtc-was-given-up", { reason: way.reason })}</p>}
        <label class="row">
          <input type="checkbox" checked={wantedChannel.value} disabled={!canChannel()} onChange={(event) => chooseChannel(event.currentTarget.checked)} data-test="want-channel" />
          <span>{t("line.frames-over-webrtc")}</span>
        </label>
        <p class="small mute">{farAway.value ? t("line.not-over-a-line-to") : offered || !wantedChannel.value ? t("line.fewer-stalls-on-a-line") : canChannel() ? t("line.this-server-does-not-offer") : t("line.this-browser-does-not-have")}</p>
        <label class="row">
          <input type="checkbox" checked={farAway.value} onChange={toggleFarAway} data-test="far" />
          <span>{t("line.play-as-from-the-other")}</span>
        </label>
        <p class="small mute">{t("line.280-ms-and-2-loss")}</p>
      </div>
    </details>
  );
}
