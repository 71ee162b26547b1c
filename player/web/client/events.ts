// The data of the events that most clients read. docs/events.md has every event of every mode with all its fields; a
// field that is not here is there all the same.

import type { ActionSpec } from "../src/wire/messages";

interface More {
  readonly [field: string]: unknown;
}

/** Of every event of a world: the simulated time [s], and the round and turn. */
interface Timed extends More {
  readonly time_sim: number;
  readonly round: number;
  readonly turn: number;
}

export interface EventData {
  readonly seat_taken: More & { readonly seat: number; readonly player: string; readonly name: string };
  readonly seat_left: More & { readonly seat: number; readonly player: string };
  readonly seat_ready: More & { readonly seat: number };
  readonly chat: More & { readonly player: string; readonly text: string };
  /** `at` [ms of the store's clock], `dt`: seconds per tick. */
  readonly running: More & { readonly at: number; readonly dt: number };
  /** `seed`: 63 bits as digits; servers before 0.1 sent an integer. */
  readonly set_up: Timed & { readonly mode: string; readonly seed: string | number };
  readonly turn_started: Timed & { readonly seat: number; readonly actions: ActionSpec; readonly deadline_s: number | null; readonly positions: readonly (readonly number[])[] };
  readonly action: Timed & { readonly seat: number; readonly kind: string };
  readonly turn_ended: Timed & { readonly seat: number; readonly ticks: number };
  readonly out: Timed & { readonly seat: number; readonly cause: string; readonly place: number };
  readonly result: Timed & { readonly winner: number | null; readonly places: unknown; readonly cause: string };
  readonly recovered: More & { readonly exact: boolean; readonly tick: number };
  readonly ended: More & { readonly reason?: string };
  readonly failed: More & { readonly reason: string };
}
