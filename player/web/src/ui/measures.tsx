// The tile of measured values that the modes in turns show: tick, step, contacts, gap.

import type { SessionClient } from "../session/client";
import { gap, group } from "../text/format";

export function Measures({ client }: { client: SessionClient }) {
  const telemetry = client.telemetry.value;
  const hz = Math.round(1 / client.step.value);
  return (
    <section class="tile grow wide" aria-label="Measures">
      <span class="sp" />
      <div class="in">
        <dl class="kv">
          <dt>Tick</dt>
          <dd data-test="tick">{telemetry ? group(telemetry.tick) : "–"}</dd>
          <dt>Step</dt>
          <dd>1/{hz} s</dd>
          <dt>Contacts</dt>
          <dd>{telemetry ? group(telemetry.contacts) : "–"}</dd>
          <dt>Gap</dt>
          <dd>{telemetry ? gap(telemetry.gap) : "–"}</dd>
          <dt>Smallest so far</dt>
          <dd class="good" data-test="smallest">
            {telemetry ? gap(telemetry.smallest) : "–"}
          </dd>
        </dl>
        <p class="small mute">The gap has never been zero.</p>
      </div>
    </section>
  );
}
