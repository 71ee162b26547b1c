// The observers of a session: their names, or nothing when there are none.

import type { SessionClient } from "../session/client";
import { OBSERVER_MARK } from "../stage/palette";
import { group, shortName } from "../text/format";
import { Mark } from "./marks";
import { BotMark } from "./playername";

export function Watching({ client }: { client: SessionClient }) {
  const { count, names, bots } = client.state.value.observers;
  if (!count) return null;
  return (
    <section class="tile watching" aria-label="Watching" data-test="watching">
      <h2>
        Watching <span class="data mute">{group(count)}</span>
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
        {count > names.length && <li class="mute">and {group(count - names.length)} more</li>}
      </ul>
    </section>
  );
}
