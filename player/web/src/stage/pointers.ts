// Pointers on the stage: orbit, pan and zoom of the camera, or a hand that acts on a body. Pixels of the stage.

import type { View } from "./view";

/** Acts on bodies by pointer. `down` returns whether it takes the pointer until `up` or `cancel`. */
export interface Hand {
  /** The pointer moves over the stage without a button. */
  hover?(px: number, py: number): void;
  down(px: number, py: number, touch: boolean): boolean;
  move(px: number, py: number): void;
  up(px: number, py: number): void;
  cancel(): void;
}

/** What the pointers act on. `touch` asks for a new picture. */
export interface PointerTarget {
  readonly host: HTMLElement;
  readonly view: View;
  readonly hand: Hand | null;
  touch(): void;
}

export class Pointers {
  private readonly target: PointerTarget;
  private readonly pressed = new Map<number, { x: number; y: number }>();
  private handPointer: number | null = null;

  /** Listens until the signal aborts. */
  constructor(target: PointerTarget, signal: AbortSignal) {
    this.target = target;
    const { host } = target;
    host.addEventListener("pointerdown", (event) => this.press(event), { signal });
    host.addEventListener("pointermove", (event) => this.move(event), { signal });
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"] as const) {
      host.addEventListener(name, (event) => this.release(event, name !== "pointerup"), { signal });
    }
    host.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        target.view.zoom(Math.exp(event.deltaY * 0.001));
        target.touch();
      },
      { signal, passive: false },
    );
    host.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  }

  private local(event: PointerEvent): { x: number; y: number } {
    const box = this.target.host.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  private press(event: PointerEvent): void {
    if (event.target instanceof Element && event.target.closest("button")) return;
    const { host, hand } = this.target;
    const at = this.local(event);
    this.pressed.set(event.pointerId, at);
    host.setPointerCapture(event.pointerId);
    if (this.pressed.size > 1 && this.handPointer !== null) {
      hand?.cancel();
      this.handPointer = null;
    } else if (this.pressed.size === 1 && event.button === 0 && hand?.down(at.x, at.y, event.pointerType === "touch")) {
      this.handPointer = event.pointerId;
    }
    this.target.touch();
  }

  private move(event: PointerEvent): void {
    const { hand, view } = this.target;
    const before = this.pressed.get(event.pointerId);
    const at = this.local(event);
    if (!before) {
      if (event.pointerType === "mouse") hand?.hover?.(at.x, at.y);
      return;
    }
    const [dx, dy] = [at.x - before.x, at.y - before.y];
    if (this.handPointer === event.pointerId) hand?.move(at.x, at.y);
    else if (this.pressed.size === 1) {
      if (event.shiftKey || event.buttons & 2) view.pan(dx, dy);
      else view.orbit(dx, dy);
    } else if (this.pressed.size === 2) {
      const other = [...this.pressed].find(([id]) => id !== event.pointerId)?.[1];
      if (other) {
        const was = Math.hypot(before.x - other.x, before.y - other.y);
        const is = Math.hypot(at.x - other.x, at.y - other.y);
        if (was > 1 && is > 1) view.zoom(was / is);
        view.pan(dx / 2, dy / 2);
      }
    }
    this.pressed.set(event.pointerId, at);
    this.target.touch();
  }

  private release(event: PointerEvent, cancelled: boolean): void {
    if (!this.pressed.delete(event.pointerId)) return;
    if (this.handPointer === event.pointerId) {
      this.handPointer = null;
      const at = this.local(event);
      if (cancelled) this.target.hand?.cancel();
      else this.target.hand?.up(at.x, at.y);
    }
    this.target.touch();
  }
}
