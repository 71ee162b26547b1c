// Turns, marks of the timeline, blows, lines of the log, the condition of bodies and mat, and the last state, from the
// events of a recording. Pure.

import { conditionOf } from "../session/condition";
import type { Since } from "../session/condition";
import { readBlow } from "../session/events";
import type { Blow } from "../session/events";
import { withEvent } from "../session/reducer";
import { EMPTY, UNTOUCHED } from "../session/state";
import type { LogRow, Seat, SessionState } from "../session/state";
import { t } from "../text/words";
import type { RecordedEvent, RecordedSeat } from "./recording";

/** A blow with a smaller impulse gets no mark [N s]. */
const QUIET = 1;

export interface Turn {
  readonly seat: number;
  readonly from: number;
  readonly to: number;
}

export type MarkKind = "blow" | "out" | "result" | "other";

/** A moment that the timeline marks. weight: 0 to 1, the height of its line. */
export interface StoryMark {
  readonly tick: number;
  readonly kind: MarkKind;
  readonly text: string;
  readonly weight: number;
}

export interface Story {
  readonly turns: readonly Turn[];
  readonly marks: readonly StoryMark[];
  readonly blows: readonly Blow[];
  readonly log: readonly LogRow[];
  /** Each change of what bodies and mat look like, by increasing tick. */
  readonly conditions: readonly Since[];
  /** After the last event. */
  readonly state: SessionState;
}

const MARKED: Readonly<Record<string, MarkKind>> = { out: "out", result: "result", end_scored: "other", stone_lost: "out", spawned: "other", removed: "other", undo: "other", reset: "other", triggered: "other" };
/** Lines of the log that are kept. */
const LOG_KEPT = 2000;

export function readStory(mode: string, seats: readonly RecordedSeat[], events: readonly RecordedEvent[], lastTick: number): Story {
  let state: SessionState = { ...EMPTY, mode, status: "running", startedAt: 1, phase: "settling", size: seats.length, seats: seats.map(seatOf) };
  const turns: Turn[] = [];
  const marks: StoryMark[] = [];
  const blows: Blow[] = [];
  const log: LogRow[] = [];
  const conditions: Since[] = [{ tick: 0, condition: conditionOf(state) }];
  let looked = JSON.stringify(conditions[0]!.condition);
  let open: { seat: number; from: number } | null = null;
  const close = (tick: number): void => {
    if (open) turns.push({ ...open, to: tick });
    open = null;
  };
  events.forEach(({ tick, type, ...d }, v) => {
    state = withEvent(state, { t: type, v, tick, d, session: "", epoch: 0 } as unknown as Parameters<typeof withEvent>[1]);
    const condition = conditionOf(state);
    const looks = JSON.stringify(condition);
    if (looks !== looked) conditions.push({ tick: Math.max(conditions.at(-1)!.tick, type === "blow" ? readBlow(d, tick).tick : tick), condition });
    looked = looks;
    const row = state.log.at(-1);
    const text = row?.v === v ? row.parts.map((part) => part.text).join("") : "";
    if (row?.v === v && log.length < LOG_KEPT) log.push(row);
    if (type === "turn_started") {
      close(tick);
      open = { seat: Number(d["seat"]), from: tick };
    } else if (type === "turn_ended") close(tick);
    if (type === "blow") {
      const blow = readBlow(d, tick);
      blows.push(blow);
      if (blow.impulse >= QUIET) marks.push({ tick: blow.tick, kind: "blow", text, weight: Math.min(1, Math.log10(blow.impulse) / 2) });
    } else if (MARKED[type] && text) marks.push({ tick, kind: MARKED[type], text, weight: 1 });
  });
  close(lastTick);
  return { turns, marks, blows, log, conditions, state };
}

function seatOf(seat: RecordedSeat): Seat {
  return {
    seat: seat.seat,
    player: seat.player ?? "",
    name: seat.name ?? t("story.seat", { seat: seat.seat + 1 }),
    kind: seat.kind === "bot" ? "bot" : "person",
    body: seat.body ?? "",
    ready: true,
    connected: true,
    ...UNTOUCHED,
  };
}
