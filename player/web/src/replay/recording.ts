// A recording in the page: its description, its curves, and the rows of the frames near the one that is shown.
//
//     GET /api/recordings/T -> description -> topology of a segment + one window of rows -> the first picture
//                                          -> curves (all frames, few numbers each), events
//
// Rows are fetched in windows, always at the same boundaries, so that the browser's cache has them at the next visit.
// The windows in memory are bounded: the least recently used one is dropped. This module must never draw.

import { decodeTopology } from "../wire/frames";
import type { BodyKind, Frame, Topology } from "../wire/frames";
import { BadArray, readNpy, readNpz } from "./npy";
import type { NdArray } from "./npy";
import type { Times } from "./player";

export interface SegmentBody {
  readonly id: string;
  readonly kind: BodyKind;
  /** The number of its rows in a frame. */
  readonly rows: number;
  readonly seat?: number | null;
  readonly body?: string;
}

/** Frames `first` to `first + frames - 1`, which have one topology. */
export interface Segment {
  readonly first: number;
  readonly frames: number;
  readonly bodies: readonly SegmentBody[];
}

export interface RecordedSeat {
  readonly seat: number;
  readonly name: string;
  readonly kind: string;
  readonly body: string;
  readonly player: string;
}

export interface Description {
  readonly session: string;
  readonly mode: string;
  /** Whether the session still runs. */
  readonly live: boolean;
  readonly length: number;
  /** Length of a tick [s]. */
  readonly dt: number;
  readonly stride: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly segments: readonly Segment[];
  readonly seats: readonly RecordedSeat[];
  readonly first_tick: number | null;
  readonly last_tick: number | null;
  readonly gaps?: readonly { readonly first_tick: number; readonly last_tick: number }[];
  /** What an upload has and the recording of a session has not. */
  readonly upload?: Readonly<Record<string, unknown>>;
  readonly stopped?: { readonly after_tick: number; readonly reason: string } | null;
}

export interface RecordedEvent {
  readonly tick: number;
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Reads from the server. Both calls throw an error that the caller shows. */
export interface Fetcher {
  json<T>(path: string): Promise<T>;
  bytes(path: string, accept: string): Promise<ArrayBuffer>;
}

/** Approximate bytes of rows in one request. */
const WINDOW_BYTES = 128 * 1024;
const FEWEST_FRAMES = 4;
const MOST_FRAMES = 512;
/** Rows in memory [B]. */
const KEPT_BYTES = 64 * 1024 * 1024;
const KEPT_TOPOLOGIES = 8;
/** The curves of a longer recording have only every second, fourth, ... frame. */
const CURVE_FRAMES = 50_000;
const AT_ONCE = 3;
const AGAIN_MS = 1000;

/** Each kind of energy, in the order in which it is drawn. An older recording has only their sum. */
export const ENERGIES = ["kinetic", "gravity", "elastic", "springs", "barrier", "friction"] as const;

const CURVES = ["tick", "time", "min_distance", "contacts", "energy", "health", "score"] as const;

/** The numbers of each frame that are drawn as curves; of a long recording, of every `step`-th frame. */
export class Curves implements Times {
  readonly step: number;
  length = 0;
  tick: Float64Array = new Float64Array(0);
  time: Float64Array = new Float64Array(0);
  /** Per frame: gap [m], contacts, energy [J]. */
  readonly single = new Map<string, Float64Array>();
  /** Per frame, one number for each seat. */
  readonly perSeat = new Map<string, { readonly seats: number; readonly data: Float64Array }>();

  constructor(step: number) {
    this.step = step;
  }

  /** The number of frames whose numbers are here. */
  get known(): number {
    return this.time.length;
  }

  /** Add the arrays of the frames that follow those that are here. length: of the whole recording. */
  add(arrays: ReadonlyMap<string, NdArray>, length: number): void {
    this.tick = joined(this.tick, arrays.get("tick"));
    this.time = joined(this.time, arrays.get("time"));
    for (const [name, array] of arrays) {
      if (name === "tick" || name === "time") continue;
      if (array.shape.length === 2) {
        const before = this.perSeat.get(name);
        this.perSeat.set(name, { seats: array.shape[1]!, data: joined(before?.data ?? new Float64Array(0), array) });
      } else this.single.set(name, joined(this.single.get(name) ?? new Float64Array(0), array));
    }
    this.length = Math.min(length, this.step === 1 ? this.known : length);
  }

  /** Add fields of the frames that are here. */
  addFields(arrays: ReadonlyMap<string, NdArray>): void {
    for (const [name, array] of arrays) this.single.set(name, joined(undefined, array));
  }

  /** The time of a frame [s]; interpolated between two known frames, extrapolated after the last one. */
  at(frame: number): number {
    return between(this.time, frame / this.step);
  }

  tickAt(frame: number): number {
    return Math.round(between(this.tick, frame / this.step));
  }

  /** Where a frame's numbers are in the arrays. */
  index(frame: number): number {
    return Math.max(0, Math.min(this.known - 1, Math.floor(frame / this.step)));
  }
}

function joined(earlier: Float64Array | undefined, array: NdArray | undefined): Float64Array {
  const before = earlier ?? new Float64Array(0);
  const more = array?.data ?? [];
  const made = new Float64Array(before.length + more.length);
  made.set(before);
  made.set(more, before.length);
  return made;
}

function between(values: Float64Array, at: number): number {
  const last = values.length - 1;
  if (last < 0) return 0;
  if (last === 0) return values[0]!;
  const i = Math.max(0, Math.min(last - 1, Math.floor(at)));
  return values[i]! + (values[i + 1]! - values[i]!) * (at - i);
}

interface Window {
  readonly count: number;
  readonly rows: Float32Array;
}

export class Recording {
  readonly token: string;
  about: Description;
  curves: Curves;
  events: readonly RecordedEvent[] = [];
  /** The error of the last request, until one succeeds. */
  problem: unknown = null;
  /** Called after each arrival. */
  onChange: () => void = () => {};
  private readonly fetcher: Fetcher;
  private readonly windows = new Map<string, Window>();
  private readonly topologies = new Map<number, Topology>();
  private readonly asked = new Set<string>();
  private kept = 0;
  private kinds = false;
  private pausedUntil = 0;
  private memo: Frame[] = [];
  private memoAt: number[] = [];

  private constructor(token: string, about: Description, fetcher: Fetcher) {
    this.token = token;
    this.about = about;
    this.fetcher = fetcher;
    this.curves = new Curves(stepOf(about.length));
  }

  static async open(token: string, fetcher: Fetcher): Promise<Recording> {
    const about = await fetcher.json<Description>(address(token));
    return new Recording(token, about, fetcher);
  }

  /** The segment that has a frame; the last one for a frame after the end. */
  segmentOf(frame: number): number {
    const { segments } = this.about;
    let [low, high] = [0, segments.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (segments[middle]!.first <= frame) low = middle;
      else high = middle - 1;
    }
    return Math.max(0, low);
  }

  /** The topology of a segment. If it is not here it is requested, and null is returned. */
  topology(segment: number): Topology | null {
    const found = this.topologies.get(segment) ?? null;
    if (!found && this.about.segments[segment]) {
      this.ask(`topology ${segment}`, async () => {
        const data = await this.fetcher.bytes(`${address(this.token)}/topology/${segment}`, "application/octet-stream");
        this.topologies.set(segment, decodeTopology(data));
        const oldest = this.topologies.keys().next().value;
        if (this.topologies.size > KEPT_TOPOLOGIES && oldest !== undefined) this.topologies.delete(oldest);
      });
    } else if (found) {
      this.topologies.delete(segment);
      this.topologies.set(segment, found);
    }
    return found;
  }

  /** A frame as the stage draws it. If it is not here it is requested, and null is returned. */
  frame(number: number): Frame | null {
    const known = this.memoAt.indexOf(number);
    if (known >= 0) return this.memo[known]!;
    const index = this.segmentOf(number);
    const segment = this.about.segments[index];
    if (!segment || number < segment.first || number >= segment.first + segment.frames) return null;
    const window = this.window(index, segment, number);
    if (!window) return null;
    const rows = rowsOf(segment);
    const at = (number - segment.first) % framesOf(rows);
    const made = this.makeFrame(number, index, segment, window.rows.subarray(3 * rows * at, 3 * rows * (at + 1)));
    this.memo = [...this.memo.slice(-3), made];
    this.memoAt = [...this.memoAt.slice(-3), number];
    return made;
  }

  /** Request the frames from `first` to `last` that are not here. */
  prefetch(first: number, last: number): void {
    for (let number = first; number <= Math.min(last, this.about.length - 1); ) {
      const index = this.segmentOf(number);
      const segment = this.about.segments[index];
      if (!segment) return;
      this.topology(index);
      this.window(index, segment, number);
      const size = framesOf(rowsOf(segment));
      const next = segment.first + (Math.floor((number - segment.first) / size) + 1) * size;
      number = Math.max(number + 1, Math.min(next, segment.first + segment.frames));
    }
  }

  /** Whether the recording has each kind of energy. */
  get hasKinds(): boolean {
    return ENERGIES.every((kind) => `energy_${kind}` in this.about.fields);
  }

  /** Read each kind of energy too, from now on. */
  async readKinds(): Promise<void> {
    if (this.kinds || !this.hasKinds) return;
    this.kinds = true;
    const { curves } = this;
    const known = curves.known;
    if (!known) return;
    try {
      const data = await this.fetcher.bytes(`${address(this.token)}/frames?data=energies&frames=0:${(known - 1) * curves.step + 1}:${curves.step}`, "application/x-npz");
      if (curves !== this.curves || curves.known !== known) this.curves = new Curves(curves.step); // it has grown: all is read again
      else curves.addFields(readNpz(data));
    } catch (error) {
      this.kinds = false;
      throw error;
    }
  }

  /** Read the curves that are not here yet, and the events. */
  async readCurves(): Promise<void> {
    const { length } = this.about;
    const from = this.curves.known * this.curves.step;
    const kinds = this.kinds ? ENERGIES.map((kind) => `energy_${kind}`) : [];
    const names = [...CURVES, ...kinds].filter((name) => name in this.about.fields);
    const events = this.fetcher.json<RecordedEvent[]>(`${address(this.token)}/events`);
    if (length > from) {
      const data = await this.fetcher.bytes(`${address(this.token)}/frames?data=${names.join(",")}&frames=${from}:${length}:${this.curves.step}`, "application/x-npz");
      if (from === this.curves.known * this.curves.step) this.curves.add(readNpz(data), length);
    }
    this.events = await events;
    this.memo = [];
    this.memoAt = [];
    this.onChange();
  }

  /** Read the description of a recording that grows, and the numbers of its new frames. */
  async refresh(): Promise<void> {
    this.about = await this.fetcher.json<Description>(address(this.token));
    const step = stepOf(this.about.length);
    if (step !== this.curves.step) this.curves = new Curves(step);
    await this.readCurves();
  }

  get bytesKept(): number {
    return this.kept;
  }

  private window(index: number, segment: Segment, number: number): Window | null {
    const rows = rowsOf(segment);
    const size = framesOf(rows);
    const place = Math.floor((number - segment.first) / size);
    const first = segment.first + place * size;
    const count = Math.min(size, segment.first + segment.frames - first);
    const key = `${index}:${place}`;
    const found = this.windows.get(key);
    if (found && first + found.count > number) {
      this.windows.delete(key);
      this.windows.set(key, found);
      return found;
    }
    if (rows === 0) return { count, rows: new Float32Array(0) };
    this.ask(key, async () => {
      const data = await this.fetcher.bytes(`${address(this.token)}/frames?data=rows&frames=${first}:${first + count}`, "application/x-npy");
      const array = readNpy(data);
      if (!(array.data instanceof Float32Array) || array.shape[0] !== count || array.shape[1] !== rows) throw new BadArray("the rows have another shape than the segment");
      this.kept -= this.windows.get(key)?.rows.byteLength ?? 0;
      this.windows.set(key, { count, rows: array.data });
      this.kept += array.data.byteLength;
      for (const [old, window] of this.windows) {
        if (this.kept <= KEPT_BYTES || old === key) break;
        this.windows.delete(old);
        this.kept -= window.rows.byteLength;
      }
    });
    return null;
  }

  /** Run at most one request per name, and few at once. After a failure there is no request for a second. */
  private ask(name: string, request: () => Promise<void>): void {
    if (this.asked.has(name) || this.asked.size >= AT_ONCE + 1 || Date.now() < this.pausedUntil) return;
    this.asked.add(name);
    request()
      .then(
        () => (this.problem = null),
        (error: unknown) => {
          this.problem = error;
          this.pausedUntil = Date.now() + AGAIN_MS;
        },
      )
      .finally(() => {
        this.asked.delete(name);
        this.onChange();
      });
  }

  private makeFrame(number: number, index: number, segment: Segment, rows: Float32Array): Frame {
    const moving = segment.bodies.filter((body) => body.kind !== "static");
    const active: boolean[] = [];
    let at = 0;
    for (const body of moving) {
      active.push(body.rows > 0 && !Number.isNaN(rows[3 * at]!));
      at += body.rows;
    }
    const plain = moving.every((body) => body.kind !== "elastic" && body.rows === 4);
    const here = this.curves.index(number);
    return {
      tick: this.curves.known ? this.curves.tickAt(number) : number,
      epoch: 0,
      version: index,
      minDistance: this.curves.single.get("min_distance")?.[here] ?? Infinity,
      contacts: this.curves.single.get("contacts")?.[here] ?? 0,
      acks: [],
      active,
      rowCounts: plain ? null : moving.map((body) => body.rows),
      rows,
      keyframe: true,
    };
  }
}

function address(token: string): string {
  return `/api/recordings/${encodeURIComponent(token)}`;
}

function rowsOf(segment: Segment): number {
  return segment.bodies.reduce((sum, body) => sum + body.rows, 0);
}

/** Frames in a window: a power of two. */
export function framesOf(rows: number): number {
  const fits = WINDOW_BYTES / Math.max(1, 12 * rows);
  return Math.max(FEWEST_FRAMES, Math.min(MOST_FRAMES, 2 ** Math.floor(Math.log2(Math.max(1, fits)))));
}

function stepOf(length: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(length / CURVE_FRAMES)));
}
