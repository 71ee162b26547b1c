// The clock of a replay: which moment is shown, whether it plays and at which speed. Pure: the time is an argument.
//
//     paused -- play --> playing -- the end of what is there --> paused (over), or waiting (the session still runs)
//        ^------ pause, step ----'

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8] as const;
export const SLOWEST = SPEEDS[0];
export const FASTEST = SPEEDS[SPEEDS.length - 1]!;

/** The times of the frames [s], in increasing order. */
export interface Times {
  readonly length: number;
  /** The time of a frame [s]. */
  at(frame: number): number;
}

/** The last frame at or before a time; 0 for a time before the first. */
export function frameAt(times: Times, time: number): number {
  let [low, high] = [0, times.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times.at(middle) <= time) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

export class Player {
  playing = false;
  /** The moment that is shown [s]. */
  time = 0;
  private pace = 1;
  private last: number | null = null;
  private times: Times;
  /** Whether more frames will come. */
  private growing = false;

  constructor(times: Times) {
    this.times = times;
    this.time = times.length ? times.at(0) : 0;
  }

  get speed(): number {
    return this.pace;
  }

  get start(): number {
    return this.times.length ? this.times.at(0) : 0;
  }

  get end(): number {
    return this.times.length ? this.times.at(this.times.length - 1) : 0;
  }

  /** The frame that is shown. */
  get frame(): number {
    return frameAt(this.times, this.time);
  }

  get atEnd(): boolean {
    return this.time >= this.end;
  }

  /** Set the times of a recording that has grown. */
  setTimes(times: Times, growing: boolean): void {
    const first = this.times.length === 0;
    this.times = times;
    this.growing = growing;
    this.time = first ? this.start : this.clamp(this.time);
  }

  /** Play, from the start if the end was reached. */
  play(): void {
    if (this.atEnd && !this.growing) this.time = this.start;
    this.playing = true;
    this.last = null;
  }

  pause(): void {
    this.playing = false;
    this.last = null;
  }

  setSpeed(speed: number): void {
    if (Number.isFinite(speed)) this.pace = Math.max(SLOWEST, Math.min(FASTEST, speed));
  }

  /** Choose the next faster (+1) or slower (-1) of SPEEDS. */
  changeSpeed(by: 1 | -1): void {
    const next = by > 0 ? SPEEDS.find((speed) => speed > this.pace) : [...SPEEDS].reverse().find((speed) => speed < this.pace);
    if (next !== undefined) this.pace = next;
  }

  seek(time: number): void {
    if (!Number.isFinite(time)) return;
    this.time = this.clamp(time);
    this.last = null;
  }

  seekFrame(frame: number): void {
    if (!this.times.length || !Number.isFinite(frame)) return;
    this.seek(this.times.at(Math.max(0, Math.min(this.times.length - 1, Math.round(frame)))));
  }

  /** Move by some frames and pause. */
  step(frames: number): void {
    this.pause();
    const here = this.frame;
    // Between two frames one step back leads to the one before.
    const between = this.time > this.times.at(here) && frames < 0 ? 1 : 0;
    this.seekFrame(here + between + frames);
  }

  /** Move the clock to `now` [s]. Returns the moment to show [s]. */
  advance(now: number): number {
    if (!this.playing) return this.time;
    const elapsed = this.last === null ? 0 : Math.max(0, Math.min(0.25, now - this.last));
    this.last = now;
    this.time = Math.max(this.time, Math.min(this.time + elapsed * this.pace, this.end));
    if (this.atEnd && !this.growing) this.pause();
    return this.time;
  }

  /** Undo the last advance: the frame that it reached is not here yet. */
  hold(time: number): void {
    this.time = time;
    this.playing = true;
  }

  private clamp(time: number): number {
    return Math.max(this.start, Math.min(this.end, time));
  }
}
