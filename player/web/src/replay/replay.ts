// A recording that is watched: the player's clock, the frames around its moment, and the room that may move it.
//
//     stage asks (every animation frame) -> clock -> frames of the recording, or the last picture while they come
//     a person acts -> stop following the presenter, or, as the presenter, send a scrub
//
// This module must never draw and never touch the page.

import { effect, signal, untracked } from "@preact/signals";
import type { Signal } from "@preact/signals";
import type { Moment, Moments } from "../session/timeline";
import type { Blow } from "../session/events";
import type { Frame, Topology } from "../wire/frames";
import { Player, frameAt } from "./player";
import { Recording } from "./recording";
import type { Description, Fetcher } from "./recording";
import type { Room, Scrub } from "./room";
import { readStory } from "./story";
import type { Story } from "./story";

/** How far ahead of the moment rows are fetched [s of watching]. */
const AHEAD_S = 2;
/** A follower whose distance from the presenter is larger jumps [s of watching]. */
const DRIFT_S = 0.3;
/** Time between two reads of a recording that grows. */
const REFRESH_MS = 2000;
/** Time between two attempts to open a recording. */
const TRIES = 4;
/** Blows are drawn only when one step of the clock is not longer than this [s]. */
const FLASH_S = 0.5;
/** How long before and after its ticks a contact is shown while paused or playing [s]. */
const CONTACT_S = 0.12;

/** The mark of the browser's timeline at the first frame that is given to the stage. */
const FIRST_PICTURE = "first picture";

export interface Place {
  readonly frame: number;
  /** [s] */
  readonly time: number;
  readonly tick: number;
}

/** How fast a body's centre moves [m/s], and where it is [m]. */
export interface Motion {
  readonly at: readonly [number, number, number];
  readonly velocity: readonly [number, number, number];
}

export class Replay implements Moments {
  readonly token: string;
  readonly about: Signal<Description | null> = signal(null);
  readonly failure: Signal<unknown> = signal(null);
  readonly place: Signal<Place> = signal({ frame: 0, time: 0, tick: 0 });
  readonly playing: Signal<boolean> = signal(false);
  readonly speed: Signal<number> = signal(1);
  /** Whether rows of the moment are on their way. */
  readonly waiting: Signal<boolean> = signal(true);
  readonly topology: Signal<Topology | null> = signal(null);
  readonly story: Signal<Story | null> = signal(null);
  /** Grows with each arrival of curves. */
  readonly curves: Signal<number> = signal(0);
  /** Whether this page follows the presenter. */
  readonly following: Signal<boolean> = signal(true);
  onBlow: (blow: Blow) => void = () => {};
  recording: Recording | null = null;
  room: Room | null = null;
  private readonly fetcher: Fetcher;
  private readonly player = new Player({ length: 0, at: () => 0 });
  private wanted: number | null;
  private readonly plays: boolean;
  private shown: Moment | null = null;
  private shownTime = 0;
  private away: string | null = null;
  private timer = 0;
  private looking = false;
  private tries = 0;
  private stopped = false;
  private readonly stops: (() => void)[] = [];

  /** start: the moment to begin at [s]; null: the first frame. plays: play as soon as the recording is there. */
  constructor(token: string, fetcher: Fetcher, start: number | null, plays = false) {
    this.token = token;
    this.fetcher = fetcher;
    this.wanted = start;
    this.plays = plays;
  }

  async open(): Promise<void> {
    try {
      const recording = await Recording.open(this.token, this.fetcher);
      if (this.stopped) return;
      this.recording = recording;
      recording.onChange = () => this.arrived();
      this.about.value = recording.about;
      this.tellStory(recording); // who is who, before the events are here
      if (this.wanted === null && recording.about.length > 0) {
        recording.topology(0);
        recording.frame(0);
      }
      await recording.readCurves();
    } catch (error) {
      if (this.stopped) return;
      this.failure.value = error;
      // A session that has just begun has no recording before its first checkpoint.
      if (this.tries++ < TRIES) this.timer = window.setTimeout(() => void this.open(), REFRESH_MS);
      return;
    }
    this.failure.value = null;
    if (this.stopped) return;
    this.curvesArrived();
    if (this.wanted !== null) this.player.seek(this.wanted);
    this.wanted = null;
    // Where somebody presents, the room says what is shown.
    if (this.plays && !this.room?.presenter.peek()) this.player.play();
    this.publish();
    this.follow();
  }

  dispose(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    for (const stop of this.stops) stop();
    this.room?.dispose();
  }

  // -- actions of a person

  toggle(): void {
    this.act(() => (this.player.playing ? this.player.pause() : this.player.play()));
  }

  pause(): void {
    if (this.player.playing) this.act(() => this.player.pause());
  }

  step(frames: number): void {
    this.act(() => this.player.step(frames));
  }

  seek(time: number): void {
    this.act(() => this.player.seek(time));
  }

  seekFrame(frame: number): void {
    this.act(() => this.player.seekFrame(frame));
  }

  seekTick(tick: number): void {
    this.seek(tick * (this.about.value?.dt ?? 0));
  }

  setSpeed(speed: number): void {
    this.act(() => this.player.setSpeed(speed));
  }

  changeSpeed(by: 1 | -1): void {
    this.act(() => this.player.changeSpeed(by));
  }

  get start(): number {
    return this.player.start;
  }

  get end(): number {
    return this.player.end;
  }

  // -- the room

  /** Join the room of the recording. */
  enter(room: Room): void {
    this.room = room;
    room.where = () => ({ frame: this.place.value.frame, playing: this.player.playing, speed: this.player.speed });
    room.onScrub = (scrub) => {
      if (this.following.value) this.goTo(scrub);
    };
    room.onRecording = () => void this.look();
    const stop = effect(() => {
      const [presenter, mine] = [room.presenter.value, room.mine.value];
      this.following.value = presenter !== null && !mine && presenter !== this.away;
      if (!mine) return;
      this.away = null;
      untracked(() => this.tell());
    });
    this.stops.push(stop);
  }

  /** Stop following the presenter. */
  breakAway(): void {
    if (!this.room || !this.following.value) return;
    this.away = this.room.presenter.value;
    this.following.value = false;
  }

  /** Jump to the presenter's frame, and follow again. */
  comeBack(): void {
    const room = this.room;
    if (!room || room.presenter.value === null || room.presenting) return;
    this.away = null;
    this.following.value = true;
    if (room.scrubbed) this.goTo(room.scrubbed);
  }

  // -- calls of the stage

  sample(now: number): Moment | null {
    const recording = this.recording;
    if (!recording || !recording.about.length) return null;
    if (this.wanted !== null) return null; // where to begin is known with the curves
    const { player } = this;
    const before = player.time;
    const wasPlaying = player.playing;
    const time = player.advance(now);
    const moment = this.momentAt(recording, time);
    if (!moment) {
      // Hold the clock at what can be shown: nothing is skipped while rows come.
      if (wasPlaying) player.hold(before);
      this.waiting.value = true;
    } else {
      this.waiting.value = false;
      if (!this.shown) performance.mark(FIRST_PICTURE);
      if (this.shown && wasPlaying) this.flashBetween(this.shownTime, time);
      this.shown = moment;
      this.shownTime = time;
    }
    if (time !== before || !wasPlaying || wasPlaying !== player.playing) this.publish();
    const here = this.place.value.frame;
    if (recording.curves.length) recording.prefetch(here, frameAt(recording.curves, time + AHEAD_S * player.speed) + 1);
    return this.shown;
  }

  passed(tick: number): boolean {
    return this.place.value.tick >= tick;
  }

  /** The centres of the bodies that are drawn, with their velocities by the difference of two frames. */
  motions(): Motion[] {
    const recording = this.recording;
    if (!recording) return [];
    const here = this.place.value.frame;
    const next = recording.frame(here + 1);
    const a = next ? recording.frame(here) : recording.frame(here - 1);
    const b = next ?? recording.frame(here);
    if (!a || !b || a.version !== b.version) return [];
    const seconds = recording.curves.at(next ? here + 1 : here) - recording.curves.at(next ? here : here - 1);
    if (!(seconds > 0)) return [];
    const [from, to] = [centres(a), centres(b)];
    const blend = this.shown?.blend ?? 0;
    return from.flatMap((p, body) => {
      const q = to[body];
      if (!p || !q) return [];
      const velocity = [0, 1, 2].map((k) => (q[k]! - p[k]!) / seconds) as [number, number, number];
      return [{ at: [0, 1, 2].map((k) => p[k]! + (q[k]! - p[k]!) * (next ? blend : 1)) as [number, number, number], velocity }];
    });
  }

  /** The contacts whose ticks are at the moment: from the events, which have their point, direction and impulse. */
  contacts(): Blow[] {
    const dt = this.about.value?.dt ?? 0;
    const { time } = this.place.value;
    return (this.story.value?.blows ?? []).filter((blow) => time >= blow.tick * dt - CONTACT_S / 2 && time <= blow.tick * dt + CONTACT_S);
  }

  // -- inside

  private act(change: () => void): void {
    this.breakAway();
    change();
    this.publish();
    this.tell();
  }

  private tell(): void {
    this.room?.scrub(this.place.value.frame, this.player.playing, this.player.speed);
  }

  /** Show the presenter's frame. While both play, a small difference is left as it is. */
  private goTo(scrub: Scrub): void {
    const recording = this.recording;
    if (!recording?.curves.length) return;
    const { player } = this;
    const passed = scrub.playing ? (performance.now() / 1000 - scrub.at) * scrub.speed : 0;
    const time = recording.curves.at(Math.max(0, Math.min(recording.curves.length - 1, scrub.frame))) + passed;
    player.setSpeed(scrub.speed);
    if (!scrub.playing || !player.playing || Math.abs(time - player.time) > DRIFT_S * scrub.speed) player.seek(time);
    if (scrub.playing !== player.playing) {
      if (scrub.playing) player.play();
      else player.pause();
    }
    this.publish();
  }

  private momentAt(recording: Recording, time: number): Moment | null {
    const known = recording.curves.length > 0;
    const here = known ? frameAt(recording.curves, time) : 0;
    const before = recording.frame(here);
    const topology = recording.topology(recording.segmentOf(here));
    if (!before || !topology) return null;
    if (this.topology.value !== topology) this.topology.value = topology;
    const from = known ? recording.curves.at(here) : 0;
    let after: Frame | null = before;
    let blend = 0;
    if (known && time > from && here + 1 < recording.curves.length && recording.segmentOf(here + 1) === recording.segmentOf(here)) {
      after = recording.frame(here + 1);
      if (!after) return null;
      blend = Math.min(1, (time - from) / (recording.curves.at(here + 1) - from));
    }
    return { before, after, blend };
  }

  private flashBetween(from: number, to: number): void {
    const dt = this.about.value?.dt ?? 0;
    if (to <= from || to - from > FLASH_S) return;
    for (const blow of this.story.value?.blows ?? []) {
      if (blow.tick * dt > from && blow.tick * dt <= to) this.onBlow(blow);
    }
  }

  private publish(): void {
    const curves = this.recording?.curves;
    const { time } = this.player;
    const frame = curves?.length ? frameAt(curves, time) : 0;
    const old = this.place.peek();
    if (old.time !== time || old.frame !== frame) {
      this.place.value = { frame, time, tick: curves?.length ? Math.round(time / (this.about.value?.dt || 1)) : 0 };
    }
    this.playing.value = this.player.playing;
    this.speed.value = this.player.speed;
  }

  private arrived(): void {
    if (this.stopped || !this.recording) return;
    if (this.recording.problem !== null) this.failure.value = this.recording.problem;
    else if (this.failure.value !== null) this.failure.value = null;
  }

  /** Read each kind of energy for its curves. */
  async readKinds(): Promise<void> {
    const { recording } = this;
    if (!recording) return;
    try {
      await recording.readKinds();
      if (!recording.curves.known) await recording.readCurves();
      if (!this.stopped) this.curvesArrived();
    } catch (error) {
      this.failure.value = error;
    }
  }

  private curvesArrived(): void {
    const recording = this.recording!;
    this.about.value = recording.about;
    this.player.setTimes(recording.curves, recording.about.live);
    this.tellStory(recording);
    this.curves.value++;
    this.publish();
  }

  private tellStory(recording: Recording): void {
    const { mode, seats, last_tick } = recording.about;
    this.story.value = readStory(mode, seats, recording.events, last_tick ?? 0);
  }

  /** Read new frames now, and at intervals while the session runs. */
  private follow(): void {
    clearTimeout(this.timer);
    if (this.stopped || !this.about.value?.live) return;
    this.timer = window.setTimeout(() => void this.look(), REFRESH_MS);
  }

  private async look(): Promise<void> {
    const recording = this.recording;
    if (!recording || !this.curves.value || !this.about.value?.live || this.looking) return;
    this.looking = true;
    try {
      await recording.refresh();
      if (!this.stopped) this.curvesArrived();
    } catch {
      // the next read may reach the server; what is here can be watched
    } finally {
      this.looking = false;
    }
    this.follow();
  }
}

/** The centres of the moving bodies [m]; null for one that is not active. */
function centres(frame: Frame): (readonly [number, number, number] | null)[] {
  let at = 0;
  return frame.active.map((active, body) => {
    const count = frame.rowCounts?.[body] ?? 4;
    const from = 3 * at;
    at += count;
    if (!active) return null;
    // An affine body's first row is its centre; of an elastic one it is the mean of its vertices.
    const rows = count === 4 ? 1 : count;
    const sum: [number, number, number] = [0, 0, 0];
    for (let row = 0; row < rows; row++) for (let k = 0; k < 3; k++) sum[k] = sum[k]! + frame.rows[from + 3 * row + k]! / rows;
    return sum;
  });
}
