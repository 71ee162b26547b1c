// The button for sound and vibration in the bar of a session. M turns the sound on and off.

import { canVibrate, setVibrates, setVolume, toggleSound, vibrates, volume } from "../app/sound";
import { Icon, useKeys } from "./parts";

export function Sound() {
  useKeys((event) => {
    if (event.key.toLowerCase() === "m" && !event.repeat) toggleSound();
  });
  const on = volume.value > 0;
  return (
    <details class="line">
      <summary class="btn ghost s sq" aria-label={on ? `Sound: ${Math.round(100 * volume.value)} %` : "Sound: off"} data-test="sound">
        <Icon name={on ? "sound" : "mute"} />
      </summary>
      <div class="tile pop" data-test="sound-panel">
        <label class="col small soft">
          Sound
          <input type="range" min={0} max={1} step={0.05} value={volume.value} aria-valuetext={on ? `${Math.round(100 * volume.value)} %` : "off"} onInput={(event) => setVolume(Number(event.currentTarget.value))} data-test="volume" />
        </label>
        <p class="small mute">Blows, your turn, its last five seconds. M turns it on and off.</p>
        {canVibrate() && (
          <label class="row">
            <input type="checkbox" checked={vibrates.value} onChange={(event) => setVibrates(event.currentTarget.checked)} />
            <span>Vibrate when your body is hit</span>
          </label>
        )}
      </div>
    </details>
  );
}
