// The list of keys, opened by "?".

import { route } from "../app/route";
import { t } from "../text/words";
import type { Word } from "../text/words";
import { Panel } from "./panel";

type Rows = readonly (readonly [string, Word])[];

const EVERYWHERE: Rows = [["?", "keys.help"], ["Tab", "keys.tab"]];
const LOBBY: Rows = [["/", "keys.search"], ["N", "keys.new"]];
const TURN: Rows = [["← →", "keys.bearing"], ["↑ ↓", "keys.power"], ["Shift", "keys.fine"], ["Page ↑ ↓", "keys.rise"], ["1 … 4", "keys.kind"], ["Enter", "keys.launch"], ["Esc", "keys.cancel"]];
const MAT: Rows = [["0", "keys.camera"], ["W", "keys.wire"], ["M", "keys.sound"]];
const SANDBOX: Rows = [["1 … 6", "keys.bodies"], ["Space", "keys.pause"]];
const REPLAY: Rows = [["Space", "keys.play"], ["← →", "keys.step"], ["B", "keys.mark"], ["F", "keys.fork"], ["0", "keys.camera"], ["W", "keys.wire"]];

export function Keys({ mode, onClose }: { mode: string; onClose: () => void }) {
  const screen = route.value.screen;
  const turns = mode !== "sandbox" && mode !== "spring-damper";
  return (
    <Panel title={t("keys.title")} close={t("keys.close")} onClose={onClose} test="keys">
      {screen === "lobby" && <List title="keys.lobby" rows={LOBBY} />}
      {screen === "session" && turns && <List title="keys.turn" rows={TURN} />}
      {screen === "session" && mode !== "spring-damper" && <List title="keys.mat" rows={mode === "sandbox" ? [...MAT, ...SANDBOX] : MAT} />}
      {screen === "replay" && <List title="keys.replay" rows={REPLAY} />}
      <List title="keys.everywhere" rows={EVERYWHERE} />
    </Panel>
  );
}

function List({ title, rows }: { title: Word; rows: Rows }) {
  return (
    <div class="col">
      <h3 class="small">{t(title)}</h3>
      <dl class="keylist">
        {rows.map(([key, word]) => [
          <dt key={key}>
            <kbd class="kbd">{key}</kbd>
          </dt>,
          <dd key={`${key}d`}>{t(word)}</dd>,
        ])}
      </dl>
    </div>
  );
}
