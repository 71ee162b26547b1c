// The observers of a session: their names, or nothing when there are none.

import type { SessionClient } from "../session/client";
import { OBSERVER_MARK } from "../stage/palette";
import { group, shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "./marks";
import { BotMark } from "./playername";

export function Watching({ client }: { client: SessionClient }) {
  const { count, names, bots } = client.state.value.observers;
  if (!count) return null;
  return (
    <section class="tile watching" aria-label={t("watching.watching")} data-test="watching">
      <h2>
        {t("watching.watching")}{" "}<span class="data mute">{group(count)}</span>
      </h2>
      <ul class="scroll" aria-live="polite" tabIndex={0}>
        {names.map((name) => (
          <li class="row" key={name}>
            <Mark mark={OBSERVER_MARK} name={name} size={20} />
            <span>
              {shortName(name)}
              {bots.includes(name) && <BotMark />}
            </span>
          </li>
        ))}
        {count > names.length && <li class="mute">{t("watching.and-more", { group: group(count - names.length) })}</li>}
      </ul>
    </section>
  );
}
