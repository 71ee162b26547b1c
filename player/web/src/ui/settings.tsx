// The settings: sound, theme, motion, picture, units, language, keys. They act at once and stay in this browser.

import { useState } from "preact/hooks";
import { alerts, canAlert, chooseAlerts, refusedAlerts } from "../app/alert";
import { QUALITIES, chooseLanguage, chooseLetterKeys, chooseMotion, chooseQuality, chooseTheme, chooseUnits, drawnTier, language, letterKeys, quality, units } from "../app/settings";
import type { Quality } from "../app/settings";
import { canVibrate, setVibrates, setVolume, vibrates, volume } from "../app/sound";
import { chosenTheme, wantedMotion } from "../app/store";
import { LANGUAGES, t } from "../text/words";
import { showHintsAgain } from "./hints";
import { keyNames } from "./keyboard";
import { Panel } from "./panel";
import { Segmented } from "./parts";

export function Settings({ onClose, onKeys }: { onClose: () => void; onKeys: () => void }) {
  const [done, setDone] = useState(false);
  void language.value; // the words change with it
  const on = volume.value > 0;
  return (
    <Panel title={t("settings.title")} close={t("settings.close")} onClose={onClose} test="settings">
      <label class="col small soft">
        {t("settings.sound")}
        <input type="range" min={0} max={1} step={0.05} value={volume.value} aria-valuetext={on ? `${Math.round(100 * volume.value)} %` : t("settings.off")} onInput={(event) => setVolume(Number(event.currentTarget.value))} data-test="settings-volume" />
        <span class="small mute">{t("settings.sound.note", { key: keyNames("sound") })}</span>
      </label>
      {canVibrate() && (
        <label class="check">
          <input type="checkbox" checked={vibrates.value} onChange={(event) => setVibrates(event.currentTarget.checked)} />
          {t("settings.vibrate")}
        </label>
      )}
      {canAlert() && (
        <label class="check">
          <input type="checkbox" checked={alerts.value} onChange={(event) => void chooseAlerts(event.currentTarget.checked)} data-test="alerts" />
          {t("settings.alert")}
        </label>
      )}
      {refusedAlerts.value && (
        <p class="small harm" role="alert">
          {t("settings.alert.denied")}
        </p>
      )}
      <div class="col">
        <span class="small soft">{t("settings.theme")}</span>
        <Segmented label={t("settings.theme")} value={chosenTheme.value ?? "system"} onChoose={chooseTheme} options={(["system", "light", "dark"] as const).map((value) => ({ value, text: t(`settings.theme.${value}`) }))} />
      </div>
      <div class="col">
        <span class="small soft">{t("settings.motion")}</span>
        <Segmented label={t("settings.motion")} value={wantedMotion.value} onChoose={chooseMotion} options={(["system", "less", "full"] as const).map((value) => ({ value, text: t(`settings.motion.${value}`) }))} />
      </div>
      <label class="col small soft">
        {t("settings.quality")}
        <select class="btn s" value={quality.value} onChange={(event) => chooseQuality(event.currentTarget.value as Quality)} data-test="quality">
          {QUALITIES.map((one) => (
            <option key={one} value={one}>
              {t(`settings.quality.${one}`)}
            </option>
          ))}
        </select>
        {drawnTier.value && <span class="small mute">{t("settings.quality.now", { tier: t(`settings.quality.${drawnTier.value as Quality}`).toLowerCase() })}</span>}
      </label>
      <div class="col">
        <span class="small soft">{t("settings.units")}</span>
        <Segmented label={t("settings.units")} value={units.value} onChoose={chooseUnits} options={(["si", "us"] as const).map((value) => ({ value, text: t(`settings.units.${value}`) }))} />
      </div>
      <label class="col small soft">
        {t("settings.language")}
        <select class="btn s" value={language.value} onChange={(event) => chooseLanguage(event.currentTarget.value)}>
          {Object.entries(LANGUAGES).map(([code, { name }]) => (
            <option key={code} value={code}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input type="checkbox" checked={letterKeys.value} onChange={(event) => chooseLetterKeys(event.currentTarget.checked)} data-test="letter-keys" />
        {t("settings.keys")}
      </label>
      <p class="small mute">{t("settings.keys.note")}</p>
      <button class="btn s" onClick={onKeys} data-test="change-keys">
        {t("keys.change")}
      </button>
      <button
        class="btn s"
        onClick={() => {
          showHintsAgain();
          setDone(true);
        }}
      >
        {t("settings.hints")}
      </button>
      <span class="small mute" role="status">
        {done ? t("settings.done") : ""}
      </span>
    </Panel>
  );
}
