// How late frames come: what the jitter buffer must wait for, measured over the last seconds. Pure; times are arguments.

/** Arrivals that are kept: three seconds of 30 frames. */
const KEPT = 90;
/** Arrivals before anything is measured. */
const ENOUGH = 10;
/** The share of frames that the delay must cover. */
const COVERED = 0.95;
/** A world runs at most this much slower than real time before the measurement gives up. */
const SLOWEST = 16;

interface Arrival {
  readonly tick: number;
  readonly at: number;
}

export class Jitter {
  private arrivals: Arrival[] = [];
  private measured: { readonly late: number; readonly rate: number } | null = null;

  /** A frame of `tick` came at `now` [s]. `dt`: seconds per tick of a world in real time. */
  arrived(tick: number, now: number, dt: number): void {
    this.arrivals.push({ tick, at: now });
    if (this.arrivals.length > KEPT) this.arrivals.shift();
    if (this.arrivals.length < ENOUGH) return;
    const rate = this.rateOf(dt);
    // Lateness is what a frame needed longer than the quickest one. The world's own pace is taken out of it.
    const ways = this.arrivals.map((one) => one.at - one.tick * rate).sort((a, b) => a - b);
    this.measured = { late: ways[Math.floor(COVERED * (ways.length - 1))]! - ways[0]!, rate };
  }

  /** Frames come again after a pause: the old arrivals say nothing about the world's pace now. What they said of the line
   * is kept until there are enough new ones. */
  restart(): void {
    this.arrivals = [];
  }

  /** How late a frame may come [s]; null before enough came. */
  get late(): number | null {
    return this.measured?.late ?? null;
  }

  /** Wall time per tick [s], as frames come: more than `dt` in slow motion. */
  rate(dt: number): number {
    return this.measured && this.arrivals.length >= ENOUGH ? this.measured.rate : dt;
  }

  /** From the median of an early and of a late third: single late frames do not count. */
  private rateOf(dt: number): number {
    const third = Math.floor(this.arrivals.length / 3);
    const [early, late] = [this.arrivals.slice(0, third), this.arrivals.slice(-third)];
    const ticks = middle(late.map((one) => one.tick)) - middle(early.map((one) => one.tick));
    const seconds = middle(late.map((one) => one.at)) - middle(early.map((one) => one.at));
    const rate = ticks > 0 ? seconds / ticks : dt;
    // Close to real time is real time: the measurement is less exact than the world's clock.
    return rate < 1.2 * dt ? dt : Math.min(rate, SLOWEST * dt);
  }
}

function middle(values: number[]): number {
  const sorted = values.sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
