// The tile of measured values that the modes in turns show: tick, step, contacts, gap.

import type { SessionClient } from "../session/client";
import { gap, group } from "../text/format";
import { t } from "../text/words";

export function Measures({ client }: { client: SessionClient }) {
  const telemetry = client.telemetry.value;
  const hz = Math.round(1 / client.step.value);
  return (
    <section class="tile grow wide" aria-label={t("measures.measures")}>
      <span class="sp" />
      <div class="in">
        <dl class="kv">
          <dt>{t("measures.tick")}</dt>
          <dd data-test="tick">{telemetry ? group(telemetry.tick) : "–"}</dd>
          <dt>{t("measures.step")}</dt>
          <dd>1/{hz} s</dd>
          <dt>{t("measures.contacts")}</dt>
          <dd>{telemetry ? group(telemetry.contacts) : "–"}</dd>
          <dt>{t("measures.gap")}</dt>
          <dd>{telemetry ? gap(telemetry.gap) : "–"}</dd>
          <dt>{t("measures.smallest-so-far")}</dt>
          <dd class="good" data-test="smallest">
            {telemetry ? gap(telemetry.smallest) : "–"}
          </dd>
        </dl>
        <p class="small mute">{t("measures.the-gap-has-never-been")}</p>
      </div>
    </section>
  );
}
