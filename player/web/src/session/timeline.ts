// The jitter buffer: plays frames by tick a little behind their arrival, so that late ones are not missed.
// Interpolates, never extrapolates. Pure: the time is an argument.
//
//     frames  |---|---|---|---|        newest
//     play            ^ head: newest - delay, at a speed within 5 % of real time
//
// Between turns no frame arrives: the head reaches the newest frame and stops. When frames come again the head
// waits until the delay is there.

import type { Frame } from "../wire/frames";

const KEPT = 64;
/** Frames between the head and the newest one. */
const DELAY = 2.5;
const SPEED = 0.05;
/** More than this behind the newest frame, the head jumps [s]. */
const JUMP = 0.75;

export interface Moment {
  readonly before: Frame;
  readonly after: Frame;
  readonly blend: number;
}

/** What a stage draws from: the live frames of a session, or a recording. */
export interface Moments {
  /** What to draw at `now` [s]; null while there is nothing. */
  sample(now: number): Moment | null;
  /** Whether the moment that is drawn has passed that tick. */
  passed(tick: number): boolean;
}

export class Timeline implements Moments {
  private frames: Frame[] = [];
  private head = 0;
  private at: number | null = null;
  private heldUntil = 0;
  private interval = 2;
  private dt: number;
  private readonly frameHz: number;

  /** dt: seconds per tick. frameHz: frames per simulated second. */
  constructor(dt: number, frameHz: number) {
    this.dt = dt;
    this.frameHz = frameHz;
    this.setStep(dt);
  }

  /** Seconds per tick, once they are known: a lobby that waits has no world yet. */
  setStep(dt: number): void {
    if (!(dt > 0)) return;
    this.dt = dt;
    this.interval = Math.max(1, Math.round(1 / (dt * this.frameHz)));
  }

  get tick(): number {
    return this.head;
  }

  get newest(): Frame | null {
    return this.frames.at(-1) ?? null;
  }

  get depth(): number {
    return this.frames.length;
  }

  /** Add a frame that came at `now` [s]. Late frames and those of an older epoch are dropped; a new epoch or topology starts over. */
  push(frame: Frame, now: number): void {
    const newest = this.newest;
    const fresh = !newest || frame.epoch !== newest.epoch || frame.version !== newest.version || frame.rows.length !== newest.rows.length;
    if (newest && frame.epoch < newest.epoch) return;
    if (fresh) {
      this.frames = [frame];
      this.head = frame.tick;
      this.at = now;
      this.heldUntil = 0;
      return;
    }
    if (frame.tick <= newest.tick) return;
    const seconds = (frame.tick - Math.max(this.head, newest.tick)) * this.dt;
    if (seconds > JUMP) {
      this.frames = [frame];
      this.head = frame.tick;
      this.at = now;
      return;
    }
    if (this.head >= newest.tick) {
      // Frames come again after a pause: wait until the delay is there, then play on.
      this.head = newest.tick;
      this.heldUntil = now + DELAY * this.interval * this.dt - (frame.tick - newest.tick) * this.dt;
      this.at = now;
    }
    // A world at rest sends no frames: it was still until one interval before it moved again.
    if (newest.still && frame.tick - newest.tick > 1.5 * this.interval) {
      this.frames.push({ ...newest, tick: frame.tick - this.interval });
    }
    this.frames.push(frame);
    if (this.frames.length > KEPT) this.frames.shift();
  }

  /** What to draw at `now` [s]; null before the first frame. */
  sample(now: number): Moment | null {
    const newest = this.newest;
    if (!newest) return null;
    const elapsed = this.at === null ? 0 : Math.max(0, now - this.at);
    this.at = now;
    if (now >= this.heldUntil) {
      const behind = newest.tick - this.head;
      const wanted = DELAY * this.interval;
      const drift = (behind - wanted) / wanted;
      const speed = 1 + SPEED * Math.max(-1, Math.min(1, drift));
      this.head = Math.min(newest.tick, this.head + (elapsed / this.dt) * speed);
      if ((newest.tick - this.head) * this.dt > JUMP) this.head = newest.tick - wanted;
    }
    const frames = this.frames;
    let i = frames.length - 1;
    while (i > 0 && frames[i]!.tick > this.head) i--;
    while (frames.length > 2 && i > 1) {
      frames.shift();
      i--;
    }
    const before = frames[i]!;
    const after = frames[i + 1] ?? before;
    const span = after.tick - before.tick;
    const blend = span > 0 ? Math.max(0, Math.min(1, (this.head - before.tick) / span)) : 0;
    return { before, after, blend };
  }

  /** Whether the head has passed that tick. */
  passed(tick: number): boolean {
    return this.newest !== null && this.head >= tick;
  }
}
