// The first tile of the lobby: the name and its secret, the mode and the seats, a code.

import { useState } from "preact/hooks";
import { SKILLS } from "../app/skills";
import { busy, claim, find, join, logOut, me, open, playNow, openRules, practise, rulesOpen, templates, wantedMode, wantedName, wantedPrivate, wantedSize, wantedSkill, wantedTemplate } from "../app/store";
import { ownKey, ownTemplates, removeTemplate } from "../app/templates";
import { markOfPlayer } from "../stage/palette";
import { inWords, parseCode, shortName } from "../text/format";
import { Mark } from "../ui/marks";
import { Icon, Segmented } from "../ui/parts";
import { MODES, modeCard } from "./modes";

export function PlayTile() {
  const [code, setCode] = useState("");
  const [secret, setSecret] = useState<string | null>(null);
  const [refused, setRefused] = useState("");
  const known = me.value;
  const mine = known && shortName(known.name) === wantedName.value.trim();
  return (
    <div class="stack">
      <section class="tile grow" aria-label="Play" style={{ flexShrink: 0 }}>
        <div class="play scroll">
          <h1 class="hello">Push, pull, knock off. Bodies never overlap.</h1>
          <div class="col">
            <label class="small soft" for="name">
              Your name here
            </label>
            <div class="field">
              <input id="name" value={wantedName.value} maxLength={24} placeholder="Guest" autocomplete="nickname" onInput={(event) => (wantedName.value = event.currentTarget.value)} />
              {known && mine && <Mark mark={markOfPlayer(known.player)} name={known.name} size={24} />}
            </div>
            {known && mine && !known.guest ? (
              <p class="small mute">
                This name is yours; your secret keeps it.{" "}
                <button class="link" data-test="logout" disabled={busy.value === "logout"} onClick={() => void logOut()}>
                  Log out
                </button>
              </p>
            ) : secret === null ? (
              <p class="small mute">
                No account needed.{" "}
                <button class="link" onClick={() => setSecret("")}>
                  Keep this name with a secret
                </button>
              </p>
            ) : (
              <form
                class="row"
                onSubmit={(event) => {
                  event.preventDefault();
                  void claim(secret).then((problem) => (problem === null ? setSecret(null) : setRefused(problem)));
                }}
              >
                <div class={refused ? "field bad" : "field"} style={{ flex: 1 }}>
                  <input type="password" aria-label="Secret, 6 characters or more" aria-invalid={refused !== ""} aria-describedby={refused ? "refused" : undefined} placeholder="Secret, 6 or more" minLength={6} autocomplete="current-password" value={secret} onInput={(event) => { setSecret(event.currentTarget.value); setRefused(""); }} />
                </div>
                <button class="btn main" disabled={secret.length < 6 || !wantedName.value.trim()}>
                  It’s mine
                </button>
              </form>
            )}
            {refused && (
              <p class="small harm" id="refused" role="alert" data-test="refused">
                {refused}
              </p>
            )}
          </div>
          <div class="sep" />
          <div class="col">
            <span class="small soft">Mode and seats</span>
            {MODES.length > 1 && <Segmented tight label="Mode" value={wantedMode.value} options={MODES.map((mode) => ({ value: mode.id, text: mode.name }))} onChoose={(mode) => {
              wantedMode.value = mode;
              const card = modeCard(mode);
              if (!card.sizes.includes(wantedSize.value)) wantedSize.value = card.size;
            }} />}
            <div class="row">
              <Segmented label="Seats" value={wantedSize.value} options={modeCard(wantedMode.value).sizes.map((size) => ({ value: size, text: String(size) }))} onChoose={(size) => (wantedSize.value = size)} />
              <span class="small mute">{inWords(wantedSize.value).toLowerCase()} {modeCard(wantedMode.value).on}</span>
            </div>
            {modeCard(wantedMode.value).builds && templates.value.length + ownTemplates.value.length > 0 && <Templates />}
            <label class="small soft check">
              <input type="checkbox" checked={wantedPrivate.value} onChange={(event) => (wantedPrivate.value = event.currentTarget.checked)} />
              New lobbies by code only
            </label>
          </div>
          <button class="btn now l wide" onClick={() => void find()} aria-busy={busy.value === "find"} data-test="find">
            Find me a seat
          </button>
          <PlayNow />
          <RulesOf mode={wantedMode.value} />
          <div class="sep" />
          <form
            class="col"
            onSubmit={(event) => {
              event.preventDefault();
              if (parseCode(code)) void join(code);
            }}
          >
            <label class="small soft" for="code">
              Have a code?
            </label>
            <div class="row">
              <div class="field code" style={{ flex: 1 }}>
                <input id="code" placeholder="K7QM 2XPV" autocomplete="off" spellcheck={false} value={code} onInput={(event) => setCode(event.currentTarget.value)} />
              </div>
              <button class="btn" disabled={parseCode(code).length !== 8}>
                Join
              </button>
            </div>
          </form>
          <span class="sp" />
          <p class="small mute wide">
            <span class="kbd">/</span> search &ensp;<span class="kbd">N</span> new lobby &ensp;<span class="kbd">?</span> keys
          </p>
        </div>
      </section>
    </div>
  );
}

/** The rules of the mode that is chosen, where it is chosen; as long as they were not read, they are open. */
function RulesOf({ mode }: { mode: string }) {
  const { how, rules } = modeCard(mode);
  if (!rules.length) return null;
  return (
    <details class="brief" open={rulesOpen.value} onToggle={(event) => openRules(event.currentTarget.open)} data-test="rules">
      <summary>{how}</summary>
      <ol class="rules">
        {rules.map((line, index) => (
          <li key={line}>
            <span class="data mute">{index + 1}</span>
            <span>{line}</span>
          </li>
        ))}
      </ol>
    </details>
  );
}

/** Begin at once: against bots, or alone where there are no opponents. */
function PlayNow() {
  const card = modeCard(wantedMode.value);
  return (
    <div class="col" style={{ gap: "8px" }}>
      <button class="btn main" onClick={() => void playNow(card.alone)} aria-busy={busy.value === "play-now"} data-test="play-now">
        {card.alone ? "Start alone now" : "Play now against bots"}
      </button>
      {!card.alone && <Segmented tight label="How bots play" value={wantedSkill.value} options={SKILLS} onChoose={(skill) => (wantedSkill.value = skill)} />}
      {card.practice && (
        <button class="btn" onClick={() => void practise()} aria-busy={busy.value === "practise"} data-test="practise">
          Practise against a dummy
        </button>
      )}
    </div>
  );
}

/** The scene that a new sandbox begins with. */
function Templates() {
  const wanted = wantedTemplate.value;
  const own = ownTemplates.value.find((one) => ownKey(one.name) === wanted);
  const about = templates.value.find((one) => one.id === wanted)?.about ?? (own && "A scene that you keep in this browser.");
  return (
    <div class="col" style={{ gap: "4px" }}>
      <div class="row">
        <select class="btn s" style={{ flex: 1, minWidth: 0 }} aria-label="Begin with" value={wanted} onChange={(event) => (wantedTemplate.value = event.currentTarget.value)} data-test="template">
          <option value="">Begin with a few bodies</option>
          {templates.value.map((one) => (
            <option key={one.id} value={one.id}>
              Begin with: {one.name}
            </option>
          ))}
          {ownTemplates.value.length > 0 && (
            <optgroup label="Yours">
              {ownTemplates.value.map((one) => (
                <option key={one.name} value={ownKey(one.name)}>
                  Begin with: {one.name}
                </option>
              ))}
            </optgroup>
          )}
        </select>
        {about !== undefined && (
          <button class="btn s" onClick={() => void open()} aria-busy={busy.value === "open"} data-test="new-from">
            New from this
          </button>
        )}
        {own && (
          <button
            class="btn ghost s sq"
            aria-label={`Remove the template ${own.name}`}
            onClick={() => {
              wantedTemplate.value = "";
              removeTemplate(own.name);
            }}
          >
            <Icon name="cross" />
          </button>
        )}
      </div>
      {about && <span class="small mute">{about}</span>}
    </div>
  );
}
