// The list of keys, opened by "?", and the panel in which they are changed.

import { useState } from "preact/hooks";
import { ACTS, actsOn, groupOf, isChanged, keyOf, keysOf, resetKey, resetKeys, setKey } from "../app/keys";
import type { Act, KeyScreen, Refusal } from "../app/keys";
import { route } from "../app/route";
import type { SessionState } from "../session/state";
import { t } from "../text/words";
import type { Word } from "../text/words";
import { keyName, keyNames } from "./keyboard";
import { Panel } from "./panel";

type Group = ReturnType<typeof groupOf>;

/** In this order. */
const GROUPS: readonly Group[] = ["lobby", "turn", "mat", "sandbox", "replay", "editor", "build", "everywhere"];

/** Acts that have one line in the list. The others have one each. */
const LINES: readonly (readonly [Word, readonly Act[]])[] = [
  ["keys.bearing", ["left", "right"]],
  ["keys.power", ["stronger", "weaker"]],
  ["keys.height", ["rise", "sink"]],
  ["keys.kind", ["kind1", "kind2", "kind3", "kind4", "kind5", "kind6", "kind7", "kind8", "kind9"]],
  ["keys.bodies", ["body1", "body2", "body3", "body4", "body5", "body6"]],
  ["keys.step", ["back", "on"]],
  ["keys.speed", ["slower", "faster"]],
  ["keys.ends", ["first", "last"]],
  ["keys.tools", ["move", "turn", "scale"]],
  ["keys.shift", ["west", "east", "far", "near"]],
  ["keys.level", ["lift", "lower"]],
  ["keys.spin", ["turnleft", "turnright"]],
  ["keys.tick", ["tickback", "tickon"]],
];

/** What a key does. */
export function actText(act: Act): string {
  const [, name, n] = /^(kind|body)(\d)$/.exec(act) ?? [];
  return n ? t(name === "kind" ? "key.kind" : "key.body", { which: n }) : t(`key.${act}` as Word);
}

export function screenOf(state: SessionState | null): KeyScreen {
  const { screen } = route.value;
  if (screen === "replay") return "replay";
  if (screen !== "session" || !state) return screen === "lobby" ? "lobby" : "waiting";
  if (state.phase === "lobby") return state.mode === "sandbox" && !state.forked ? "editor" : "waiting";
  return state.mode === "sandbox" ? "sandbox" : state.mode === "spring-damper" ? "spring" : "turn";
}

/** The keys of a screen as they are set. */
export function Keys({ screen, onClose, onChange }: { screen: KeyScreen; onClose: () => void; onChange: () => void }) {
  const here = actsOn(screen);
  const lineOf = (act: Act) => LINES.find(([, acts]) => acts.includes(act));
  return (
    <Panel title={t("keys.title")} close={t("keys.close")} onClose={onClose} test="keys">
      {GROUPS.map((group) => {
        const acts = here.filter((act) => groupOf(act) === group);
        if (!acts.length) return null;
        const rows = acts.flatMap((act): [string, string][] => {
          const line = lineOf(act);
          if (!line) return [[keyNames(act), actText(act)]];
          return line[1][0] === act ? [[keyNames(...line[1]), t(line[0])]] : [];
        });
        if (group === "turn") rows.push([t("keys.shiftkey"), t("keys.fine")], [t("keys.esc"), t("keys.cancel")]);
        if (group === "everywhere") rows.push(["Tab", t("keys.tab")]);
        return <List key={group} group={group} rows={rows} />;
      })}
      <button class="btn s" onClick={onChange} data-test="change-keys">
        {t("keys.change")}
      </button>
    </Panel>
  );
}

function List({ group, rows }: { group: Group; rows: readonly (readonly [string, string])[] }) {
  return (
    <div class="col">
      <h3 class="small">{t(`keys.on.${group}` as Word)}</h3>
      <dl class="keylist">
        {rows.map(([key, text]) => [
          <dt key={text}>
            <kbd class="kbd">{key}</kbd>
          </dt>,
          <dd key={`${text}d`}>{text}</dd>,
        ])}
      </dl>
    </div>
  );
}

/** Every key, each with a button to set another one. */
export function KeySettings({ onClose }: { onClose: () => void }) {
  const [asked, setAsked] = useState<Act | null>(null);
  const [said, setSaid] = useState("");
  const say = (act: Act, refusal: Refusal | null, key: string): void => {
    if (refusal === null) setSaid(t("keys.set", { act: actText(act), key: keyNames(act) }));
    else if (refusal === "fixed") setSaid(t("keys.fixed", { key: keyName(key) }));
    else setSaid(t("keys.taken", { key: keyNames(refusal.taken), act: actText(refusal.taken) }));
  };
  const pressed = (act: Act, event: KeyboardEvent): void => {
    if (asked !== act || ["Shift", "Control", "Alt", "AltGraph", "Meta", "Tab"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    setAsked(null);
    if (event.key === "Escape") setSaid("");
    else say(act, setKey(act, keyOf(event)), keyOf(event));
  };
  return (
    <Panel title={t("keys.change")} close={t("keys.close")} onClose={onClose} test="key-settings">
      <p class="small mute">{t("keys.how")}</p>
      <p class="small keysaid" role="status" data-test="key-said">
        {said}
      </p>
      {GROUPS.map((group) => (
        <div class="col" key={group}>
          <h3 class="small">{t(`keys.on.${group}` as Word)}</h3>
          <ul class="keyset">
            {ACTS.filter((act) => groupOf(act) === group).map((act) => (
              <li key={act} data-act={act}>
                <span>{actText(act)}</span>
                {isChanged(act) && (
                  <button class="link" onClick={() => say(act, resetKey(act), "")} aria-label={t("keys.reset.of", { act: actText(act) })}>
                    {t("keys.reset")}
                  </button>
                )}
                <button class="btn s" aria-pressed={asked === act} aria-label={t("keys.of", { act: actText(act), key: keyNames(act) })} onClick={() => setAsked(asked === act ? null : act)} onBlur={() => setAsked((now) => (now === act ? null : now))} onKeyDown={(event) => pressed(act, event)}>
                  {asked === act ? t("keys.press") : keysOf(act).map(keyName).join(" ")}
                </button>
              </li>
            ))}
          </ul>
        </div>
      ))}
      <button
        class="btn s"
        onClick={() => {
          resetKeys();
          setSaid(t("keys.reset.done"));
        }}
        data-test="reset-keys"
      >
        {t("keys.reset.all")}
      </button>
    </Panel>
  );
}
