// The button for sound and vibration in the bar of a session.

import { canVibrate, setVibrates, setVolume, toggleSound, vibrates, volume } from "../app/sound";
import { t } from "../text/words";
import { keyNames, useKeys } from "./keyboard";
import { Icon } from "./parts";

export function Sound() {
  useKeys({ sound: (event) => !event.repeat && toggleSound() });
  const on = volume.value > 0;
  return (
    <details class="line">
      <summary class="btn ghost s sq" aria-label={on ? t("sound.sound", { round: Math.round(100 * volume.value) }) : t("sound.sound-off")} data-test="sound">
        <Icon name={on ? "sound" : "mute"} />
      </summary>
      <div class="tile pop" data-test="sound-panel">
        <label class="col small soft">
          {t("sound.sound-2")}
          <input type="range" min={0} max={1} step={0.05} value={volume.value} aria-valuetext={on ? `${Math.round(100 * volume.value)} %` : t("sound.off")} onInput={(event) => setVolume(Number(event.currentTarget.value))} data-test="volume" />
        </label>
        <p class="small mute">{t("settings.sound.note", { key: keyNames("sound") })}</p>
        {canVibrate() && (
          <label class="row">
            <input type="checkbox" checked={vibrates.value} onChange={(event) => setVibrates(event.currentTarget.checked)} />
            <span>{t("sound.vibrate-when-your-body-is")}</span>
          </label>
        )}
      </div>
    </details>
  );
}
