// What a stage is asked to show: seats, what is drawn beside the bodies, marks in a scene that is built.

import type { Arrow, Hold } from "./overlay";
import type { AimPicture } from "./view";

export interface StageSeat {
  readonly seat: number;
  readonly name: string;
  readonly mark: number;
  readonly out: boolean;
  /** The share of its health that it has lost, 0 to 1; none: 0. */
  readonly damage?: number;
}

export interface Drawn {
  aim: AimPicture | null;
  /** The body that the ring marks. */
  ring: number | null;
  handle: { x: number; y: number; z: number; text: string } | null;
  /** Held and hovered handles, each with a tether to its target. */
  holds?: readonly Hold[];
  arrows?: readonly Arrow[];
}

/** How bodies look in a scene that is built: a colour each, pins of those who hold some, edges of the chosen ones. */
export interface Marks {
  readonly colours: readonly string[];
  readonly pins: readonly { readonly body: number; readonly name: string; readonly mark: number }[];
  readonly chosen: readonly number[];
}
