// How fast a stage draws while something moves.

/** A mean frame that is slower than this is slow [ms]; in the plain tiers, whose aim is 30 frames a second, the second
 * one. */
const SLOW_MS = 22;
const SLOW_PLAIN_MS = 40;
const WINDOW_S = 2;

/** Counts intervals between consecutive frames, also those of more than a second. The stage rests where nothing moves or
 * the page is hidden, and the time of a rest does not count. */
export class Pace {
  /** Frames a second in the last whole window. */
  fps = 0;
  private seconds = 0;
  private frames = 0;
  private running = false;

  /** The next frame does not follow the last one. */
  rest(): void {
    this.running = false;
  }

  /** Take a frame, `interval` [s] after the last one. Returns whether a whole window was slow, when one ends. */
  slow(interval: number, plain: boolean): boolean {
    if (this.running) {
      this.frames++;
      this.seconds += interval;
    }
    this.running = true;
    if (this.seconds < WINDOW_S) return false;
    const mean = (this.seconds * 1000) / this.frames;
    this.fps = 1000 / mean;
    this.seconds = this.frames = 0;
    this.running = false;
    return mean > (plain ? SLOW_PLAIN_MS : SLOW_MS);
  }
}
