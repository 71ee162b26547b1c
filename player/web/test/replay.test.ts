import { afterEach, describe, expect, it, vi } from "vitest";
import { BadArray, readNpy, readNpz } from "../src/replay/npy";
import { Player, frameAt } from "../src/replay/player";
import { ENERGIES, Recording, framesOf } from "../src/replay/recording";
import type { Description, Fetcher } from "../src/replay/recording";
import { Replay } from "../src/replay/replay";
import { readStory } from "../src/replay/story";
import { conditionAt } from "../src/session/condition";
import { SCHEMA_HASH } from "../src/wire/messages";

/** An npy file as NumPy writes it. */
function npy(descr: string, shape: readonly number[], data: ArrayBufferView): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const head = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`;
  const bytes = new Uint8Array(10 + head.length + data.byteLength);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8]);
  bytes.set(new TextEncoder().encode(head), 10);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + head.length);
  return bytes;
}

/** A zip file whose members are stored, each followed by its sizes, as the server streams it. */
function npz(files: Readonly<Record<string, Uint8Array>>): ArrayBuffer {
  const parts: number[] = [];
  const table: number[] = [];
  const u16 = (n: number) => [n & 255, (n >> 8) & 255];
  const u32 = (n: number) => [...u16(n & 0xffff), ...u16(n >>> 16)];
  for (const [name, file] of Object.entries(files)) {
    const title = [...new TextEncoder().encode(`${name}.npy`)];
    const at = parts.length;
    parts.push(...u32(0x04034b50), ...u16(20), ...u16(8), ...u16(0), ...u16(0), ...u16(33), ...u32(0), ...u32(0), ...u32(0), ...u16(title.length), ...u16(0), ...title);
    for (const byte of file) parts.push(byte);
    parts.push(...u32(0x08074b50), ...u32(0), ...u32(file.length), ...u32(file.length));
    table.push(...u32(0x02014b50), ...u16(20), ...u16(20), ...u16(8), ...u16(0), ...u16(0), ...u16(33), ...u32(0), ...u32(file.length), ...u32(file.length), ...u16(title.length), ...u16(0), ...u16(0), ...u16(0), ...u16(0), ...u32(0), ...u32(at), ...title);
  }
  const count = Object.keys(files).length;
  const start = parts.length;
  return new Uint8Array([...parts, ...table, ...u32(0x06054b50), ...u16(0), ...u16(0), ...u16(count), ...u16(count), ...u32(table.length), ...u32(start), ...u16(0)]).buffer;
}

const buffer = (bytes: Uint8Array): ArrayBuffer => bytes.slice().buffer as ArrayBuffer;

describe("readNpy", () => {
  it("reads shape and numbers of every type that frames have", () => {
    expect(readNpy(buffer(npy("<f4", [2, 1, 3], new Float32Array([1, 2, 3, 4, 5, NaN]))))).toEqual({ shape: [2, 1, 3], data: new Float32Array([1, 2, 3, 4, 5, NaN]) });
    expect(readNpy(buffer(npy("<u4", [2], new Uint32Array([7, 4294967295])))).data).toEqual(new Uint32Array([7, 4294967295]));
    expect(readNpy(buffer(npy("<f8", [1], new Float64Array([0.1])))).data).toEqual(new Float64Array([0.1]));
    expect(readNpy(buffer(npy("|b1", [3], new Uint8Array([1, 0, 1])))).data).toEqual(new Uint8Array([1, 0, 1]));
    expect(readNpy(buffer(npy("<f4", [0, 4, 3], new Float32Array(0)))).shape).toEqual([0, 4, 3]);
  });

  it("refuses what is cut, longer, foreign or of another kind", () => {
    const file = npy("<f4", [2], new Float32Array([1, 2]));
    expect(() => readNpy(buffer(file.subarray(0, file.length - 1)))).toThrow(BadArray);
    expect(() => readNpy(buffer(new Uint8Array([...file, 0])))).toThrow(BadArray);
    expect(() => readNpy(buffer(file.subarray(0, 20)))).toThrow(BadArray);
    expect(() => readNpy(new TextEncoder().encode("<!doctype html>").buffer as ArrayBuffer)).toThrow(BadArray);
    expect(() => readNpy(buffer(npy("|O", [1], new Float64Array(1))))).toThrow(BadArray);
    expect(() => readNpy(new ArrayBuffer(0))).toThrow(BadArray);
  });
});

describe("readNpz", () => {
  it("reads every array of an archive that was streamed", () => {
    const found = readNpz(npz({ tick: npy("<u4", [2], new Uint32Array([4, 6])), health: npy("<f4", [2, 2], new Float32Array([1, 2, 3, 4])) }));
    expect([...found.keys()]).toEqual(["tick", "health"]);
    expect(found.get("health")).toEqual({ shape: [2, 2], data: new Float32Array([1, 2, 3, 4]) });
  });

  it("refuses an archive that is cut at any byte", () => {
    const whole = npz({ tick: npy("<u4", [2], new Uint32Array([4, 6])) });
    for (let length = 0; length < whole.byteLength; length++) expect(() => readNpz(whole.slice(0, length))).toThrow(BadArray);
  });
});

const TIMES = [1, 1.1, 1.2, 1.3, 2, 3];
const times = { length: TIMES.length, at: (frame: number) => TIMES[frame]! };

describe("frameAt", () => {
  it("finds the last frame at or before a time", () => {
    expect([0, 1, 1.05, 1.1, 1.9, 2, 99].map((time) => frameAt(times, time))).toEqual([0, 0, 0, 1, 3, 4, 5]);
    expect(frameAt({ length: 0, at: () => 0 }, 3)).toBe(0);
  });
});

describe("Player", () => {
  it("plays at its speed, and stops at the end", () => {
    const player = new Player(times);
    player.setSpeed(2);
    player.play();
    expect(player.advance(10)).toBe(1);
    expect(player.advance(10.1)).toBeCloseTo(1.2);
    for (let now = 10.2; now < 12; now += 0.1) player.advance(now);
    expect(player.time).toBe(3);
    expect(player.playing).toBe(false);
    player.play();
    expect(player.time).toBe(1);
  });

  it("waits at the end of a recording that grows, and plays on", () => {
    const player = new Player(times);
    player.setTimes(times, true);
    player.seek(3);
    player.play();
    player.advance(0);
    player.advance(0.1);
    expect([player.time, player.playing]).toEqual([3, true]);
    player.setTimes({ length: 7, at: (frame) => TIMES[frame] ?? 4 }, true);
    player.advance(0.2);
    expect(player.time).toBeCloseTo(3.1);
  });

  it("steps frame by frame; between two frames back to the one before", () => {
    const player = new Player(times);
    player.seek(1.25);
    player.step(-1);
    expect(player.time).toBe(1.2);
    player.step(-1);
    expect(player.time).toBe(1.1);
    player.step(3);
    expect(player.time).toBe(2);
    player.step(-99);
    expect(player.time).toBe(1);
    player.step(99);
    expect(player.time).toBe(3);
  });

  it("keeps its speed and its moment within bounds", () => {
    const player = new Player(times);
    player.setSpeed(100);
    expect(player.speed).toBe(8);
    player.setSpeed(NaN);
    player.changeSpeed(-1);
    expect(player.speed).toBe(4);
    for (let i = 0; i < 9; i++) player.changeSpeed(-1);
    expect(player.speed).toBe(0.1);
    player.seek(-5);
    expect(player.time).toBe(1);
    player.seek(NaN);
    expect(player.time).toBe(1);
    player.seekFrame(4);
    expect(player.time).toBe(2);
  });

  it("does not jump after the page was asleep", () => {
    const player = new Player(times);
    player.play();
    player.advance(0);
    player.advance(600);
    expect(player.time).toBeCloseTo(1.25);
  });
});

/** A server with a recording of two segments: one affine body, then two. Row 0 of a frame's body is (frame, body, 0). */
class Server implements Fetcher {
  readonly asked: string[] = [];
  /** The kinds of energy that it has. */
  kinds: string[] = [];
  length: number;
  live: boolean;

  constructor(length = 1000, live = false) {
    this.length = length;
    this.live = live;
  }

  get about(): Description {
    const body = (id: string) => ({ id, kind: "affine" as const, rows: 4, seat: null, body: "cube" });
    const first = Math.min(600, this.length);
    const segments = [{ first: 0, frames: first, bodies: [body("a"), { id: "mat", kind: "static" as const, rows: 0 }] }];
    if (this.length > 600) segments.push({ first: 600, frames: this.length - 600, bodies: [body("a"), body("b")] });
    return { session: "k7qm2xpv", mode: "sandbox", live: this.live, length: this.length, dt: 0.1, stride: 1, fields: Object.fromEntries(["tick", "time", "rows", ...this.kinds].map((name) => [name, {}])), segments, seats: [], first_tick: 0, last_tick: this.length - 1 };
  }

  async json<T>(path: string): Promise<T> {
    this.asked.push(path);
    return (path.endsWith("/events") ? [] : this.about) as T;
  }

  async bytes(path: string): Promise<ArrayBuffer> {
    this.asked.push(path);
    const segment = /topology\/(\d+)/.exec(path);
    if (segment) return topology(Number(segment[1]));
    const [, fields, from, to, step] = /data=([a-z_,]+)&frames=(\d+):(\d+)(?::(\d+))?/.exec(path)!;
    const numbers: number[] = [];
    for (let n = Number(from); n < Math.min(Number(to), this.length); n += Number(step ?? 1)) numbers.push(n);
    if (fields === "rows") {
      const bodies = Number(from) < 600 ? 1 : 2;
      const rows = new Float32Array(12 * bodies * numbers.length);
      numbers.forEach((n, i) => {
        for (let body = 0; body < bodies; body++) rows.set([n, body, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1], 12 * (i * bodies + body));
        if (bodies === 2 && n === 700) rows.fill(NaN, 12 * (2 * i + 1), 12 * (2 * i + 2));
      });
      return buffer(npy("<f4", [numbers.length, 4 * bodies, 3], rows));
    }
    if (fields === "energies") return npz(Object.fromEntries(this.kinds.map((name) => [name, npy("<f4", [numbers.length], new Float32Array(numbers))])));
    return npz({ tick: npy("<u4", [numbers.length], new Uint32Array(numbers)), time: npy("<f8", [numbers.length], new Float64Array(numbers.map((n) => n / 10))) });
  }
}

function topology(version: number): ArrayBuffer {
  const head = new TextEncoder().encode(JSON.stringify({ schema: SCHEMA_HASH, bodies: [] }));
  const bytes = new Uint8Array(8 + ((head.length + 3) & ~3));
  bytes.set([2, 0, version, 0, head.length & 255, head.length >> 8, 0, 0]);
  bytes.set(head, 8);
  return bytes.buffer;
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("Recording", () => {
  it("has a frame after its window has come, and asks for a window once", async () => {
    const server = new Server();
    const recording = await Recording.open("k7qm2xpv", server);
    expect(recording.frame(3)).toBeNull();
    expect(recording.frame(4)).toBeNull();
    await settled();
    expect(recording.frame(3)!.rows[0]).toBe(3);
    expect(recording.frame(511)!.rows[0]).toBe(511);
    expect(server.asked.filter((path) => path.includes("rows"))).toEqual(["/api/recordings/k7qm2xpv/frames?data=rows&frames=0:512"]);
  });

  it("gives the frames of every segment their own topology, and marks bodies that are not there", async () => {
    const recording = await Recording.open("k7qm2xpv", new Server());
    recording.prefetch(0, 999);
    await settled();
    recording.prefetch(0, 999);
    await settled();
    expect(recording.frame(599)!.version).toBe(0);
    const frame = recording.frame(600)!;
    expect([frame.version, frame.active, frame.rows[12], frame.rows[13]]).toEqual([1, [true, true], 600, 1]);
    expect(recording.frame(700)!.active).toEqual([true, false]);
    expect(recording.topology(1)!.version).toBe(1);
    expect(recording.frame(1000)).toBeNull();
  });

  it("reads of a recording that grows what it does not have yet", async () => {
    const server = new Server(20, true);
    const recording = await Recording.open("k7qm2xpv", server);
    await recording.readCurves();
    recording.frame(19);
    await settled();
    expect(recording.frame(19)!.rows[0]).toBe(19);
    server.length = 30;
    await recording.refresh();
    expect(recording.curves.length).toBe(30);
    expect(server.asked.filter((path) => path.includes("tick"))).toEqual(["/api/recordings/k7qm2xpv/frames?data=tick,time&frames=0:20:1", "/api/recordings/k7qm2xpv/frames?data=tick,time&frames=20:30:1"]);
    expect(recording.frame(25)).toBeNull();
    await settled();
    expect(recording.frame(25)!.rows[0]).toBe(25);
    expect([recording.curves.at(25), recording.curves.tickAt(29)]).toEqual([2.5, 29]);
  });

  it("reads every fourth frame's numbers of a very long recording, and knows the times between", async () => {
    const server = new Server(200_000);
    const recording = await Recording.open("k7qm2xpv", server);
    await recording.readCurves();
    expect(recording.curves.step).toBe(4);
    expect(recording.curves.at(10)).toBeCloseTo(1);
    expect(recording.curves.at(199_999)).toBeCloseTo(19_999.9);
  });

  it("reads each kind of energy when it is asked to, of recordings that have them", async () => {
    const server = new Server(20);
    const recording = await Recording.open("k7qm2xpv", server);
    await recording.readCurves();
    await recording.readKinds();
    expect(recording.hasKinds).toBe(false);
    server.kinds = ENERGIES.map((kind) => `energy_${kind}`);
    await recording.refresh();
    await recording.readKinds();
    await recording.readKinds();
    expect(recording.curves.single.get("energy_friction")?.[19]).toBe(19);
    expect(server.asked.filter((path) => path.includes("energies"))).toEqual(["/api/recordings/k7qm2xpv/frames?data=energies&frames=0:20:1"]);
  });

  it("keeps windows of elastic bodies small", () => {
    expect(framesOf(8)).toBe(512);
    expect(framesOf(1000)).toBe(8);
    expect(framesOf(100_000)).toBe(4);
  });

  it("reports a request that failed until one succeeds", async () => {
    const server = new Server();
    const recording = await Recording.open("k7qm2xpv", server);
    const bytes = vi.spyOn(server, "bytes").mockRejectedValueOnce(new Error("away"));
    recording.frame(0);
    await settled();
    expect(recording.problem).toEqual(new Error("away"));
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 2000);
    bytes.mockRestore();
    recording.frame(0);
    await settled();
    expect([recording.problem, recording.frame(0)!.rows[0]]).toEqual([null, 0]);
    vi.restoreAllMocks();
  });
});

describe("Replay", () => {
  it("draws between two frames, and holds the clock while rows are on their way", async () => {
    const server = new Server();
    const replay = new Replay("k7qm2xpv", server, 50.05);
    await replay.open();
    expect(replay.sample(0)).toBeNull();
    await settled();
    const moment = replay.sample(0.1)!;
    expect([moment.before.rows[0], moment.after.rows[0], Number(moment.blend.toFixed(3))]).toEqual([500, 501, 0.5]);
    replay.seek(59.9); // the last frame of the first segment
    replay.toggle();
    const held = vi.spyOn(server, "bytes").mockReturnValue(new Promise(() => {}));
    replay.sample(1);
    replay.sample(1.2);
    replay.sample(1.4);
    expect([replay.place.value.time, replay.waiting.value, replay.playing.value]).toEqual([59.9, true, true]);
    held.mockRestore();
    replay.dispose();
  });

  it("plays by itself only where it was opened to be watched", async () => {
    for (const plays of [true, false]) {
      const replay = new Replay("k7qm2xpv", new Server(), null, plays);
      await replay.open();
      await settled();
      expect(replay.playing.value).toBe(plays);
      replay.sample(0);
      await settled();
      replay.sample(0.1);
      replay.sample(0.3);
      expect(replay.place.value.time > replay.start).toBe(plays);
      replay.dispose();
    }
  });

  it("shows the first frame before the curves are there", async () => {
    const server = new Server();
    vi.spyOn(server, "bytes").mockImplementation((path) => (path.includes("tick") ? new Promise(() => {}) : Server.prototype.bytes.call(server, path)));
    const replay = new Replay("k7qm2xpv", server, null);
    void replay.open();
    await settled();
    await settled();
    expect(replay.sample(0)!.before.rows[0]).toBe(0);
    replay.dispose();
  });
});

describe("Replay of a session that has just begun", () => {
  it("opens once there is a recording, and plays once there is a frame", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    vi.stubGlobal("window", { setTimeout });
    const server = new Server(0, true);
    const about = vi.spyOn(server, "json").mockRejectedValueOnce(new Error("no recording"));
    const replay = new Replay("k7qm2xpv", server, null);
    await replay.open();
    expect(replay.failure.value).toEqual(new Error("no recording"));
    await vi.advanceTimersByTimeAsync(2500);
    expect([replay.failure.value, replay.about.value?.length]).toEqual([null, 0]);
    server.length = 5;
    await vi.advanceTimersByTimeAsync(2500);
    expect([replay.about.value?.length, replay.end]).toEqual([5, 0.4]);
    about.mockRestore();
    replay.dispose();
  });
});

describe("readStory", () => {
  const seats = [
    { seat: 0, name: "Ada#1", kind: "person", body: "cube", player: "p0" },
    { seat: 1, name: "Kei#2", kind: "person", body: "star", player: "p1" },
  ];

  it("has the turns, the marks and the lines of the log with their ticks", () => {
    const story = readStory(
      "duel",
      seats,
      [
        { tick: 10, type: "turn_started", seat: 0 },
        { tick: 12, type: "blow", a: 0, b: 1, first_tick: 11, impulse_credited_Ns: 10, point: [0, 1, 0], normal: [1, 0, 0] },
        { tick: 20, type: "turn_ended", seat: 0, end: "rest" },
        { tick: 20, type: "turn_started", seat: 1 },
        { tick: 30, type: "out", seat: 1, cause: "fallen", place: 2 },
      ],
      44,
    );
    expect(story.turns).toEqual([{ seat: 0, from: 10, to: 20 }, { seat: 1, from: 20, to: 44 }]);
    expect(story.marks.map((mark) => [mark.tick, mark.kind])).toEqual([[11, "blow"], [30, "out"]]);
    expect(story.blows[0]!.normal).toEqual([1, 0, 0]);
    expect(story.log.map((row) => row.tick)).toEqual([10, 11, 20, 20, 30]);
    expect(story.log[4]!.parts[0]!.text).toBe("Kei is off the mat, in second place");
  });

  it("knows what bodies and mat looked like at each tick, as it was live", () => {
    const sides = Array(8).fill(1.66);
    const turn = { type: "turn_started", seat: 0, health: [100, 80], health_full: [100, 100], sides, cracked: [2, 6], rules: { rim_apothem: 1.25 } };
    const { conditions } = readStory(
      "duel",
      seats,
      [
        { tick: 1, type: "set_up", seats: [{ seat: 0, health: 100 }, { seat: 1, health: 100 }] },
        { tick: 12, type: "blow", a: 0, b: 1, first_tick: 11, impulse_credited_Ns: 10, point: [0, 1, 0], normal: [1, 0, 0], damage_b: 20 },
        { tick: 20, ...turn },
        { tick: 30, type: "out", seat: 1, cause: "broken", place: 2 },
        { tick: 40, type: "bout_started", bout: 2, order: [0, 1] },
        { tick: 41, ...turn, health: [100, 100], cracked: [] },
      ],
      44,
    );
    const seen = (tick: number) => {
      const { seats, cracked } = conditionAt(conditions, tick);
      return [seats.map((seat) => seat.damage), seats.map((seat) => seat.out), cracked.length];
    };
    const whole = [[0, 0], [false, false], 0];
    expect([0, 10, 11, 19, 25].map(seen)).toEqual([whole, whole, [[0, 0.2], [false, false], 0], [[0, 0.2], [false, false], 0], [[0, 0.2], [false, false], 2]]);
    expect([30, 43, 5].map(seen)).toEqual([[[0, 1], [false, true], 2], whole, whole]);
    expect(conditions.every((one, i) => i === 0 || one.tick >= conditions[i - 1]!.tick)).toBe(true);
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});
