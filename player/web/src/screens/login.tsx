// The first tile of the lobby: the name and its secret, the mode and the seats, a code.

import { useState } from "preact/hooks";
import { SKILLS } from "../app/skills";
import { busy, claim, find, join, logOut, me, open, playNow, openRules, practise, rulesOpen, templates, wantedMode, wantedName, wantedPrivate, wantedSize, wantedSkill, wantedTemplate } from "../app/store";
import { ownKey, ownTemplates, removeTemplate } from "../app/templates";
import { markOfPlayer } from "../stage/palette";
import { inWords, parseCode, shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "../ui/marks";
import { keyNames } from "../ui/keyboard";
import { Icon, Segmented } from "../ui/parts";
import { isOwn, modeCard, modes } from "./modes";
import { ParamsOf } from "./modeparams";

export function PlayTile() {
  const [code, setCode] = useState("");
  const [secret, setSecret] = useState<string | null>(null);
  const [refused, setRefused] = useState("");
  const known = me.value;
  const mine = known && shortName(known.name) === wantedName.value.trim();
  return (
    <div class="stack">
      <section class="tile grow" aria-label={t("login.play")} style={{ flexShrink: 0 }}>
        <div class="play scroll">
          <h1 class="hello">{t("login.push-pull-knock-off-bodies")}</h1>
          <div class="col">
            <label class="small soft" for="name">
              {t("login.your-name-here")}
            </label>
            <div class="field">
              <input id="name" value={wantedName.value} maxLength={24} placeholder={t("login.guest")} autocomplete="nickname" onInput={(event) => (wantedName.value = event.currentTarget.value)} />
              {known && mine && <Mark mark={markOfPlayer(known.player)} name={known.name} size={24} />}
            </div>
            {known && mine && !known.guest ? (
              <p class="small mute">
                {t("login.this-name-is-yours-your")}{" "}
                <button class="link" data-test="logout" disabled={busy.value === "logout"} onClick={() => void logOut()}>
                  {t("login.log-out")}
                </button>
              </p>
            ) : secret === null ? (
              <p class="small mute">
                {t("login.no-account-needed")}{" "}
                <button class="link" onClick={() => setSecret("")}>
                  {t("login.keep-this-name-with-a")}
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
                  <input type="password" aria-label={t("login.secret-6-characters-or-more")} aria-invalid={refused !== ""} aria-describedby={refused ? "refused" : undefined} placeholder={t("login.secret-6-or-more")} minLength={6} autocomplete="current-password" value={secret} onInput={(event) => { setSecret(event.currentTarget.value); setRefused(""); }} />
                </div>
                <button class="btn main" disabled={secret.length < 6 || !wantedName.value.trim()}>
                  {t("login.its-mine")}
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
            <span class="small soft">{t("login.mode-and-seats")}</span>
            {modes().length > 1 && <Segmented tight label={t("login.mode")} value={wantedMode.value} options={modes().map((mode) => ({ value: mode.id, text: mode.name }))} onChoose={(mode) => {
              wantedMode.value = mode;
              const card = modeCard(mode);
              if (!card.sizes.includes(wantedSize.value)) wantedSize.value = card.size;
            }} />}
            <div class="row">
              <Segmented label={t("login.seats")} value={wantedSize.value} options={modeCard(wantedMode.value).sizes.map((size) => ({ value: size, text: String(size) }))} onChoose={(size) => (wantedSize.value = size)} />
              <span class="small mute">{inWords(wantedSize.value).toLowerCase()} {modeCard(wantedMode.value).on}</span>
            </div>
            {isOwn(wantedMode.value) && <ParamsOf mode={wantedMode.value} />}
            {modeCard(wantedMode.value).builds && !isOwn(wantedMode.value) && templates.value.length + ownTemplates.value.length > 0 && <Templates />}
            <label class="small soft check">
              <input type="checkbox" checked={wantedPrivate.value} onChange={(event) => (wantedPrivate.value = event.currentTarget.checked)} />
              {t("login.new-lobbies-by-code-only")}
            </label>
          </div>
          <button class="btn now l wide" onClick={() => void find()} aria-busy={busy.value === "find"} data-test="find">
            {t("login.find-me-a-seat")}
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
              {t("login.have-a-code")}
            </label>
            <div class="row">
              <div class="field code" style={{ flex: 1 }}>
                <input id="code" placeholder={t("login.k7qm-2xpv")} autocomplete="off" spellcheck={false} value={code} onInput={(event) => setCode(event.currentTarget.value)} />
              </div>
              <button class="btn" disabled={parseCode(code).length !== 8}>
                {t("login.join")}
              </button>
            </div>
          </form>
          <span class="sp" />
          <p class="small mute wide">
            <span class="kbd">{keyNames("search")}</span> {t("login.search")} &ensp;<span class="kbd">{keyNames("open")}</span> {t("login.new-lobby")} &ensp;<span class="kbd">{keyNames("help")}</span> {t("login.keys")}
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
        {card.alone ? t("login.start-alone-now") : t("login.play-now-against-bots")}
      </button>
      {!card.alone && <Segmented tight label={t("login.how-bots-play")} value={wantedSkill.value} options={SKILLS.value} onChoose={(skill) => (wantedSkill.value = skill)} />}
      {card.practice && (
        <button class="btn" onClick={() => void practise()} aria-busy={busy.value === "practise"} data-test="practise">
          {t("login.practise-against-a-dummy")}
        </button>
      )}
    </div>
  );
}

/** The scene that a new sandbox begins with. */
function Templates() {
  const wanted = wantedTemplate.value;
  const own = ownTemplates.value.find((one) => ownKey(one.name) === wanted);
  const about = templates.value.find((one) => one.id === wanted)?.about ?? (own && t("login.a-scene-that-you-keep"));
  return (
    <div class="col" style={{ gap: "4px" }}>
      <div class="row">
        <select class="btn s" style={{ flex: 1, minWidth: 0 }} aria-label={t("login.begin-with")} value={wanted} onChange={(event) => (wantedTemplate.value = event.currentTarget.value)} data-test="template">
          <option value="">{t("login.begin-with-a-few-bodies")}</option>
          {templates.value.map((one) => (
            <option key={one.id} value={one.id}>
              {t("login.begin-with-2", { name: one.name })}
            </option>
          ))}
          {ownTemplates.value.length > 0 && (
            <optgroup label={t("login.yours")}>
              {ownTemplates.value.map((one) => (
                <option key={one.name} value={ownKey(one.name)}>
                  {t("login.begin-with-2", { name: one.name })}
                </option>
              ))}
            </optgroup>
          )}
        </select>
        {about !== undefined && (
          <button class="btn s" onClick={() => void open()} aria-busy={busy.value === "open"} data-test="new-from">
            {t("login.new-from-this")}
          </button>
        )}
        {own && (
          <button
            class="btn ghost s sq"
            aria-label={t("login.remove-the-template", { name: own.name })}
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
