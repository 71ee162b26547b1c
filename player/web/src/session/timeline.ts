// The jitter buffer: plays frames by tick a little behind their arrival, so that late ones are not missed. How far behind
// is measured (session/jitter.ts). When a frame is later than that, the last motion goes on for EXTRAPOLATED seconds and
// no longer. Pure: the time is an argument.
//
//     frames  |---|---|---|---|        newest
//     play            ^ head: newest - delay, at a speed near real time
//
// Between turns no frame arrives: the head passes the newest frame, and the picture goes back to that frame. When frames
// come again the head waits until the delay is there.

import { Jitter } from "./jitter";
import type { Frame } from "../wire/frames";

const KEPT = 64;
/** Frames before those, to show again. */
const PAST = 240;
/** Frames between the head and the newest one before the line is measured, and the fewest after that. */
const DELAY = 2.5;
const LEAST_DELAY = 1.25;
/** The longest delay [s]. */
const LONGEST_DELAY = 0.5;
/** How much faster and slower than the world the head may be. */
const FASTER = 0.08;
const SLOWER = 0.25;
/** How far a motion goes on beyond the newest frame; when nothing came for longer than HELD, the picture goes back to that
 * frame within RETURN [s]. */
const EXTRAPOLATED = 0.1;
const HELD = 0.4;
const RETURN = 0.2;
/** A change of the picture that was drawn longer ago than this is not taken back [s]. */
const UNDONE = 0.3;
/** More than this behind the newest frame, the head jumps [s]. */
const JUMP = 0.75;

export interface Moment {
  readonly before: Frame;
  readonly after: Frame;
  readonly blend: number;
}

/** Which bodies are drawn between two frames: those in both. */
export function drawnBodies({ before, after }: Moment): boolean[] {
  return after.active.map((active, body) => active && before.active[body] === true);
}

/** What a stage draws from: the live frames of a session, or a recording. */
export interface Moments {
  /** What to draw at `now` [s]; null while there is nothing. */
  sample(now: number): Moment | null;
  /** Whether the moment that is drawn has passed that tick. */
  passed(tick: number): boolean;
  /** Whether ticks of the past are shown again, after which the present is drawn. Never, where it is missing. */
  readonly showsAgain?: boolean;
}

export class Timeline implements Moments {
  private frames: Frame[] = [];
  /** Frames that were drawn, oldest first. */
  private past: Frame[] = [];
  /** What is shown again: from a tick to another, since a time [s], in seconds of the world per second. */
  private again: { from: number; to: number; since: number; speed: number; at: number } | null = null;
  /** The picture from before a tick, which is kept for a time [s]; `frame` and `until` once that tick is reached. */
  private kept: { readonly tick: number; readonly seconds: number; frame: Frame | null; until: number } | null = null;
  private head = 0;
  private at: number | null = null;
  private heldUntil = 0;
  private interval = 2;
  private dt: number;
  private readonly frameHz: number;
  private readonly jitter = new Jitter();

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

  /** The tick that is drawn, at most the newest. */
  get tick(): number {
    return this.again?.at ?? Math.min(this.head, this.newest?.tick ?? this.head);
  }

  get newest(): Frame | null {
    return this.frames.at(-1) ?? null;
  }

  get depth(): number {
    return this.frames.length;
  }

  /** How far the picture is behind the newest frame, once the head is there [s]. */
  get delay(): number {
    return this.delayTicks() * this.jitter.rate(this.dt);
  }

  private delayTicks(): number {
    const late = this.jitter.late;
    if (late === null) return DELAY * this.interval;
    const rate = this.jitter.rate(this.dt);
    const least = LEAST_DELAY * this.interval;
    return Math.max(least, Math.min(LONGEST_DELAY / rate, least + late / rate));
  }

  /** Add a frame that came at `now` [s]. Late frames and those of an older epoch are dropped; a new epoch or topology starts over. */
  push(frame: Frame, now: number): void {
    const newest = this.newest;
    const fresh = !newest || frame.epoch !== newest.epoch || frame.version !== newest.version || frame.rows.length !== newest.rows.length;
    if (newest && frame.epoch < newest.epoch) return;
    if (fresh) {
      this.startOver(frame, now);
      return;
    }
    if (frame.tick <= newest.tick) return;
    const beyond = this.beyond();
    const rate = this.jitter.rate(this.dt);
    if (beyond === 0 && (frame.tick - Math.max(this.head, newest.tick)) * rate > JUMP) {
      this.startOver(frame, now);
      return;
    }
    if (beyond >= HELD || (this.head >= newest.tick && newest.still)) {
      // Frames come again after a pause: wait until the delay is there, then play on.
      if ((frame.tick - newest.tick) * this.dt > JUMP && !newest.still) {
        this.startOver(frame, now);
        return;
      }
      this.jitter.restart();
      this.head = newest.tick;
      this.heldUntil = now + this.delay - (frame.tick - newest.tick) * this.dt;
      this.at = now;
    } else if (beyond > 0) {
      // A late frame: the picture is where the motion went on to, and waits there.
      this.head = newest.tick + this.shown(beyond) / rate;
    }
    // A world at rest sends no frames: it was still until one interval before it moved again.
    if (newest.still && frame.tick - newest.tick > 1.5 * this.interval) {
      this.frames.push({ ...newest, tick: frame.tick - this.interval });
      this.head = Math.max(this.head, Math.min(frame.tick - this.interval, frame.tick - this.delayTicks()));
    }
    this.jitter.arrived(frame.tick, now, this.dt);
    this.frames.push(frame);
    if (this.frames.length > KEPT) this.keep(this.frames.shift()!);
  }

  private keep(frame: Frame): void {
    this.past.push(frame);
    if (this.past.length > PAST) this.past.shift();
  }

  /** From `now` [s] on show the ticks `from` to `to` again, `speed` times as fast as the world, then go on with the
   * present. False where these frames are gone or `to` has not come: nothing changes then. */
  showAgain(from: number, to: number, speed: number, now: number): boolean {
    const first = this.past[0];
    if (!first || first.tick > from || !this.newest || this.newest.tick < to || !(to > from && speed > 0)) return false;
    this.again = { from, to, since: now, speed, at: from };
    return true;
  }

  /** Once the picture would reach that tick, leave it as it was before for so long [s]; it is played on behind it. Nothing
   * changes where the tick was drawn long ago. */
  hold(tick: number, seconds: number): void {
    if (this.newest && (this.head - tick) * this.jitter.rate(this.dt) > UNDONE && this.kept?.tick !== tick) return;
    this.kept = { tick, seconds, frame: null, until: Infinity };
  }

  /** What is held at `now` [s], or null. */
  private sampleHeld(now: number): Moment | null {
    const kept = this.kept;
    if (!kept) return null;
    if (!kept.frame) {
      const last = [...this.past, ...this.frames].findLast((frame) => frame.tick < kept.tick);
      if (!this.passed(Math.max(kept.tick - this.interval, last?.tick ?? 0))) return null;
      if (!last || (kept.tick - last.tick) * this.dt > JUMP) {
        if (this.passed(kept.tick)) this.kept = null;
        return null;
      }
      kept.frame = last;
      kept.until = now + kept.seconds;
    }
    if (now < kept.until) return { before: kept.frame, after: kept.frame, blend: 0 };
    this.kept = null;
    return null;
  }

  /** Whether ticks are shown again. */
  get showsAgain(): boolean {
    return this.again !== null;
  }

  private sampleAgain(now: number): Moment | null {
    const again = this.again;
    if (!again) return null;
    again.at = again.from + ((now - again.since) * again.speed) / this.dt;
    if (again.at >= again.to) {
      this.again = null;
      return null;
    }
    const all = [...this.past, ...this.frames];
    let i = all.findLastIndex((frame) => frame.tick <= again.at);
    if (i < 0) i = 0;
    const before = all[i]!;
    const after = all[i + 1] ?? before;
    const span = after.tick - before.tick;
    return { before, after, blend: span > 0 ? Math.max(0, Math.min(1, (again.at - before.tick) / span)) : 0 };
  }

  private startOver(frame: Frame, now: number): void {
    this.jitter.restart();
    this.frames = [frame];
    this.past = [];
    this.again = null;
    this.kept = null;
    this.head = frame.tick;
    this.at = now;
    this.heldUntil = 0;
  }

  /** How far the head is beyond the newest frame [s]. */
  private beyond(): number {
    const newest = this.newest;
    return newest ? Math.max(0, this.head - newest.tick) * this.jitter.rate(this.dt) : 0;
  }

  /** How far beyond the newest frame the motion is drawn [s]. */
  private shown(beyond: number): number {
    if (beyond <= HELD) return Math.min(beyond, EXTRAPOLATED);
    return EXTRAPOLATED * Math.max(0, 1 - (beyond - HELD) / RETURN);
  }

  /** What to draw at `now` [s]; null before the first frame. `blend` is above 1 where the motion goes on. */
  sample(now: number): Moment | null {
    const newest = this.newest;
    if (!newest) return null;
    const shownAgain = this.sampleAgain(now);
    const elapsed = this.at === null ? 0 : Math.max(0, now - this.at);
    this.at = now;
    const rate = this.jitter.rate(this.dt);
    if (now >= this.heldUntil) {
      const behind = newest.tick - this.head;
      const wanted = this.delayTicks();
      const drift = (behind - wanted) / wanted;
      const speed = 1 + Math.max(-SLOWER, Math.min(FASTER, (drift > 0 ? FASTER : SLOWER) * drift));
      // One tick beyond where the picture is back, so that rounding leaves no motion.
      this.head = Math.min(newest.tick + (HELD + RETURN) / rate + 1, this.head + (elapsed / rate) * speed);
      if ((newest.tick - this.head) * rate > JUMP) this.head = newest.tick - wanted;
    }
    const frames = this.frames;
    let i = frames.length - 1;
    while (i > 0 && frames[i]!.tick > this.head) i--;
    while (frames.length > 2 && i > 1) {
      this.keep(frames.shift()!);
      i--;
    }
    const still = shownAgain ?? this.sampleHeld(now);
    if (still) return still;
    const further = this.shown(this.beyond()) / rate;
    if (further > 0 && i > 0 && !newest.still && i === frames.length - 1) {
      const before = frames[i - 1]!;
      const span = newest.tick - before.tick;
      // After a gap the last motion is not known; nor is that of a body that has just come or gone.
      const same = newest.active.every((active, body) => active === before.active[body]);
      if (same && span <= 3 * this.interval) return { before, after: newest, blend: 1 + further / span };
    }
    const before = frames[i]!;
    const after = frames[i + 1] ?? before;
    const span = after.tick - before.tick;
    const blend = span > 0 ? Math.max(0, Math.min(1, (this.head - before.tick) / span)) : 0;
    return { before, after, blend };
  }

  /** Whether the head has passed that tick, and its frame has come. */
  passed(tick: number): boolean {
    return this.newest !== null && this.tick >= tick;
  }
}
