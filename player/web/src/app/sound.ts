// Sounds and vibration, made here: no files are loaded. Off until somebody turns them on; remembered in this browser.
//
//   contact: a damped sine, its pitch by stiffness and mass, its level by the logarithm of the impulse, and a short noise
//   turn: two soft knocks      the last five seconds: one tick each      never for chat

import { signal } from "@preact/signals";
import { contactTone, vibrationMs } from "../session/tones";
import type { Tone } from "../session/tones";
import { load, save } from "./kept";
import { calm } from "./store";

/** 0 (off) to 1. */
export const volume = signal(Math.max(0, Math.min(1, load<number>("tussle.volume") ?? 0)));
export const vibrates = signal(load<boolean>("tussle.vibrate") ?? true);

/** What `M` turns the sound back on to. */
let lastVolume = volume.peek() || 0.6;
/** Sounds of contacts at once. */
const VOICES = 6;
let sounding = 0;
let context: AudioContext | null = null;

export function setVolume(wanted: number): void {
  volume.value = wanted;
  if (wanted > 0) {
    lastVolume = wanted;
    void audio()?.resume();
  }
  save("tussle.volume", wanted);
}

export function toggleSound(): void {
  setVolume(volume.peek() > 0 ? 0 : lastVolume);
}

export function setVibrates(wanted: boolean): void {
  vibrates.value = wanted;
  save("tussle.vibrate", wanted);
}

export const canVibrate = (): boolean => typeof navigator.vibrate === "function" && matchMedia("(pointer: coarse)").matches;

function audio(): AudioContext | null {
  if (!context && typeof AudioContext === "function") context = new AudioContext();
  return context;
}

/** A browser lets a page sound once somebody has pressed something on it. A sound that was on before is made possible then:
 * a context of before stays silent by itself. */
function wake(): void {
  if (volume.peek() > 0 && audio()?.state === "suspended") void context?.resume();
}
for (const name of ["pointerdown", "pointerup", "keydown"]) globalThis.addEventListener?.(name, wake, { capture: true, passive: true });

/** A damped sine, and noise of ``noise`` times its level for the first hundredth of a second. */
function strike({ hertz, level, seconds }: Tone, noise: number, after = 0): void {
  const out = volume.peek() > 0 ? audio() : null;
  if (!out || out.state !== "running" || sounding >= VOICES) return;
  const start = out.currentTime + after;
  const gain = out.createGain();
  gain.gain.setValueAtTime(volume.peek() * level * 0.6, start);
  gain.gain.exponentialRampToValueAtTime(1e-4, start + seconds);
  gain.connect(out.destination);
  const sine = out.createOscillator();
  sine.frequency.setValueAtTime(hertz * 1.35, start);
  sine.frequency.exponentialRampToValueAtTime(hertz, start + 0.03);
  sine.connect(gain);
  sine.start(start);
  sine.stop(start + seconds);
  sounding++;
  sine.onended = () => {
    sounding--;
    gain.disconnect();
  };
  if (noise > 0) {
    const buffer = out.createBuffer(1, Math.ceil(out.sampleRate * 0.012), out.sampleRate);
    const data = buffer.getChannelData(0);
    for (let i = 0; i < data.length; i++) data[i] = noise * (Math.random() * 2 - 1) * (1 - i / data.length);
    const burst = out.createBufferSource();
    burst.buffer = buffer;
    burst.connect(gain);
    burst.start(start);
  }
}

export function soundContact(impulse: number, mass: number, stiffness: number): void {
  strike(contactTone(impulse, mass, stiffness), 0.5);
}

export function soundTurn(): void {
  strike({ hertz: 320, level: 0.35, seconds: 0.12 }, 0.2);
  strike({ hertz: 430, level: 0.35, seconds: 0.14 }, 0.2, 0.14);
}

export function soundTick(): void {
  strike({ hertz: 700, level: 0.18, seconds: 0.05 }, 0.1);
}

export function vibrate(impulse: number): void {
  const ms = vibrationMs(impulse);
  if (ms && vibrates.peek() && !calm.peek() && canVibrate()) navigator.vibrate(ms);
}
