// What this page has dragged and the picture does not have yet. A drag is drawn at once: the held body is moved by what
// the hand has moved since the input that the drawn frame includes. Frames carry the newest input id of each seat, so the
// rest disappears by itself when the server's answer is in the picture. Pure; times are arguments.

export type Point = readonly [number, number, number];

/** The furthest that a body is drawn from where the server has it [m]: it may hang on something. */
const REACH = 0.3;
/** The picture follows a change within about this time [s]: a body that lags behind its handle does not jump. */
const FOLLOW = 0.03;
/** After the release the rest goes within this time, if the server does not answer [s]. */
const FADE = 0.3;
/** Inputs that are remembered: two seconds of them. */
const KEPT = 64;

export class OwnDrag {
  private body: string | null = null;
  private from: Point = [0, 0, 0];
  private target: Point = [0, 0, 0];
  private inputs: { readonly id: number; readonly target: Point }[] = [];
  private releasedAt: number | null = null;
  private drawn: [number, number, number] = [0, 0, 0];
  private at = 0;

  /** The body that is drawn elsewhere than the server has it, or null. */
  get held(): string | null {
    return this.body;
  }

  /** The hand took hold of `body` at that place [m]. */
  grab(body: string, at: Point, now: number): void {
    if (this.body !== body) this.drawn = [0, 0, 0];
    this.body = body;
    this.from = this.target = at;
    this.inputs = [];
    this.releasedAt = null;
    this.at = now;
  }

  /** The hand moved there; nothing is sent yet. */
  move(target: Point): void {
    if (this.body !== null && this.releasedAt === null) this.target = target;
  }

  /** The input `id` carries the present target. */
  sent(id: number): void {
    if (this.body === null) return;
    this.inputs.push({ id, target: this.target });
    if (this.inputs.length > KEPT) this.inputs.shift();
  }

  /** The hand let go. */
  release(now: number): void {
    if (this.body !== null) this.releasedAt ??= now;
  }

  /** The server did not take the grab: nothing is drawn elsewhere. */
  cancel(): void {
    this.body = null;
    this.drawn = [0, 0, 0];
  }

  /** How far the held body is drawn from where the frame has it [m]. included: the newest input of this seat that the
   * drawn frame includes. */
  offset(included: number, now: number): Point {
    if (this.body === null) return [0, 0, 0];
    while (this.inputs.length && this.inputs[0]!.id <= included) this.from = this.inputs.shift()!.target;
    const wanted = [0, 1, 2].map((k) => this.target[k]! - this.from[k]!);
    const length = Math.hypot(...wanted);
    let scale = length > REACH ? REACH / length : 1;
    if (this.releasedAt !== null) scale *= Math.max(0, 1 - (now - this.releasedAt) / FADE);
    const share = 1 - Math.exp(-Math.max(0, now - this.at) / FOLLOW);
    this.at = now;
    for (let k = 0; k < 3; k++) this.drawn[k] = this.drawn[k]! + (wanted[k]! * scale - this.drawn[k]!) * share;
    if (this.releasedAt !== null && now - this.releasedAt > FADE && Math.hypot(...this.drawn) < 1e-4) this.cancel();
    return [...this.drawn];
  }
}
