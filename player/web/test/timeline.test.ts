import { describe, expect, it } from "vitest";
import type { Frame } from "../src/wire/frames";
import { drawnBodies, Timeline } from "../src/session/timeline";

const DT = 1 / 60;

function frame(tick: number, epoch = 1, bodies = 1): Frame {
  const rows = new Float32Array(12 * bodies);
  rows[0] = tick;
  return { tick, epoch, version: 0, minDistance: 1, contacts: 0, acks: [], active: Array(bodies).fill(true), rowCounts: null, rows, keyframe: true };
}

/** Draws at 60 Hz while frames of 2 ticks come at 30 Hz with that jitter; the ticks drawn. */
function play(timeline: Timeline, seconds: number, jitter: (i: number) => number, start = 0): number[] {
  const arrivals = Array.from({ length: Math.round(seconds * 30) }, (_, i) => ({ at: start + i / 30 + jitter(i), tick: 2 * i }));
  arrivals.sort((a, b) => a.at - b.at);
  const drawn: number[] = [];
  for (let i = 0; i < seconds * 60; i++) {
    const now = start + i / 60;
    while (arrivals[0] && arrivals[0].at <= now) timeline.push(frame(arrivals.shift()!.tick), now);
    const moment = timeline.sample(now);
    if (moment) drawn.push(moment.before.tick + (moment.after.tick - moment.before.tick) * moment.blend);
  }
  return drawn;
}

/** The tick whose frame is drawn at each of these times [s], 60 a second. */
const ticksDrawn = (timeline: Timeline, from: number, to: number): number[] => Array.from({ length: Math.round(60 * (to - from)) }, (_, i) => timeline.sample(from + i / 60)!.before.tick);

describe("Timeline", () => {
  it("keeps the picture from before a tick, and then shows the present", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 2, () => 0);
    timeline.push({ ...frame(120), active: [false], still: true }, 2);
    timeline.hold(120, 1.5);
    const held = ticksDrawn(timeline, 2, 3.4);
    expect(Math.max(...held)).toBe(118);
    expect(held.at(-1)).toBe(118);
    expect(timeline.passed(120)).toBe(true);
    expect(ticksDrawn(timeline, 3.8, 3.9).at(-1)).toBe(120);
  });

  it("keeps it to the end where that is said in the same tick", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 2, () => 0);
    timeline.push({ ...frame(120), active: [false], still: true }, 2);
    timeline.hold(120, 1.5);
    timeline.hold(120, Infinity);
    expect(ticksDrawn(timeline, 2, 6).at(-1)).toBe(118);
    timeline.push(frame(0, 2), 6);
    expect(timeline.sample(6)!.before.tick).toBe(0);
  });

  it("takes nothing back that was drawn long ago, and holds nothing where the frames before are gone", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 2, () => 0);
    timeline.hold(40, 1.5);
    expect(ticksDrawn(timeline, 2, 2.1).at(-1)).toBeGreaterThan(100);
    const joined = new Timeline(DT, 30);
    joined.push({ ...frame(500), still: true }, 0);
    joined.hold(500, Infinity);
    expect(ticksDrawn(joined, 0, 1).at(-1)).toBe(500);
  });

  it("has nothing to draw before the first frame", () => {
    expect(new Timeline(DT, 30).sample(0)).toBeNull();
  });

  it("shows past ticks again, slowly, and then the present", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 4, () => 0);
    expect(timeline.showAgain(100, 130, 0.25, 4)).toBe(true);
    const drawn = Array.from({ length: 100 }, (_, i) => {
      const { before, after, blend } = timeline.sample(4 + i / 60)!;
      return before.tick + (after.tick - before.tick) * blend;
    });
    expect(drawn[0]).toBeCloseTo(100, 6);
    expect(drawn[40]).toBeCloseTo(110, 6);
    expect(timeline.showsAgain).toBe(true);
    for (let i = 100; i < 140; i++) timeline.sample(4 + i / 60);
    expect(timeline.showsAgain).toBe(false);
    const { after } = timeline.sample(6.4)!;
    expect(after.tick).toBe(timeline.newest!.tick);
  });

  it("says where ticks are gone or have not come", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 2, () => 0);
    expect(timeline.showAgain(-5, 20, 0.25, 2)).toBe(false);
    expect(timeline.showAgain(50, 1000, 0.25, 2)).toBe(false);
    expect(timeline.showAgain(50, 50, 0.25, 2)).toBe(false);
    timeline.push(frame(200, 2), 2);
    expect(timeline.showAgain(50, 80, 0.25, 2)).toBe(false);
  });

  it("comes to rest exactly at the newest frame, however slow the world is", () => {
    for (let pace = 0.0167; pace < 0.06; pace += 0.0001) {
      const timeline = new Timeline(DT, 30);
      for (let i = 0; i < 40; i++) {
        timeline.push(frame(2 * i), 2 * i * pace);
        timeline.sample(2 * i * pace);
      }
      for (let i = 0; i < 120; i++) timeline.sample(80 * pace + i / 60);
      const { before, after } = timeline.sample(80 * pace + 2)!;
      expect([pace, before.tick, after.tick]).toEqual([pace, 78, 78]);
    }
  });

  it("draws a body at once where the newest frame has it, and never between a frame with it and one without", () => {
    const timeline = new Timeline(DT, 30);
    for (let i = 0; i < 20; i++) {
      timeline.push({ ...frame(2 * i, 1, 2), active: [true, i === 19] }, i / 30);
      timeline.sample(i / 30);
    }
    const drawn: boolean[] = [];
    for (let i = 0; i < 30; i++) {
      const moment = timeline.sample(20 / 30 + i / 60)!;
      const shown = drawnBodies(moment);
      expect(shown[0]).toBe(true);
      if (shown[1]) expect(moment.before.tick).toBe(38);
      drawn.push(shown[1]!);
    }
    expect(drawn.indexOf(true)).toBeLessThan(10);
    expect(drawn.slice(drawn.indexOf(true))).not.toContain(false);
  });

  it("draws a lone frame as it is", () => {
    const timeline = new Timeline(DT, 30);
    timeline.push(frame(10), 0);
    const moment = timeline.sample(5)!;
    expect([moment.before.tick, moment.after.tick, moment.blend]).toEqual([10, 10, 0]);
  });

  it("holds a world that was still until one interval before it moves again", () => {
    const timeline = new Timeline(DT, 30);
    timeline.push({ ...frame(10), still: true }, 0);
    timeline.push(frame(40), 0.5);
    const moments = Array.from({ length: 60 }, (_, i) => timeline.sample(0.5 + i / 120)!);
    for (const moment of moments) if (moment.before.tick < 38) expect(moment.after.rows[0]).toBe(10);
    expect(timeline.newest!.tick).toBe(40);
  });

  it("plays smoothly: no step back, none above 1.6 ticks, through 40 ms of jitter", () => {
    const drawn = play(new Timeline(DT, 30), 6, (i) => ((i * 7919) % 41) / 1000);
    const steps = drawn.slice(60).map((tick, i, all) => (i ? tick - all[i - 1]! : 1));
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...steps)).toBeLessThan(1.6);
  });

  it("stays 1 to 5 frames behind the newest", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 4, () => 0);
    const behind = (timeline.newest!.tick - timeline.tick) / 2;
    expect(behind).toBeGreaterThan(0.5);
    expect(behind).toBeLessThan(5);
  });

  it("stops at the newest frame when none arrive, and continues without a jump", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 2, () => 0);
    for (let i = 0; i < 120; i++) timeline.sample(2 + i / 60);
    expect(timeline.tick).toBe(118);
    const drawn: number[] = [];
    for (let i = 0; i < 60; i++) {
      const now = 10 + i / 60;
      if (i % 2 === 0) timeline.push(frame(120 + i), now);
      const moment = timeline.sample(now)!;
      drawn.push(moment.before.tick + (moment.after.tick - moment.before.tick) * moment.blend);
    }
    expect(drawn[0]).toBe(118);
    const steps = drawn.map((tick, i) => (i ? tick - drawn[i - 1]! : 0));
    expect(Math.max(...steps)).toBeLessThan(1.2);
    expect(drawn.at(-1)!).toBeGreaterThan(165);
  });

  it("drops late frames and frames of an older epoch", () => {
    const timeline = new Timeline(DT, 30);
    timeline.push(frame(10, 2), 0);
    timeline.push(frame(8, 2), 0);
    timeline.push(frame(99, 1), 0);
    expect(timeline.newest!.tick).toBe(10);
  });

  it("snaps to a new epoch, even back in time, and over a long gap", () => {
    const timeline = new Timeline(DT, 30);
    timeline.push(frame(100, 1), 0);
    timeline.push(frame(60, 2), 0.1);
    expect(timeline.sample(0.1)!.before.tick).toBe(60);
    timeline.push(frame(900, 2), 0.2);
    expect(timeline.sample(0.2)!.before.tick).toBe(900);
  });

  it("snaps when bodies come or go", () => {
    const timeline = new Timeline(DT, 30);
    timeline.push(frame(2), 0);
    timeline.push(frame(4, 1, 2), 0.03);
    expect(timeline.sample(0.04)!.before.active.length).toBe(2);
  });

  it("is hardly behind on a line without jitter, and further behind on a bad one", () => {
    const good = new Timeline(DT, 30);
    play(good, 6, () => 0.05);
    expect(good.delay).toBeLessThan(1.6 / 30);
    const bad = new Timeline(DT, 30);
    play(bad, 6, (i) => 0.05 + ((i * 7919) % 101) / 1000);
    expect(bad.delay).toBeGreaterThan(0.1);
    expect(bad.delay).toBeLessThan(0.2);
    // The line gets better: three seconds later the delay is small again.
    const tick = bad.newest!.tick;
    for (let i = 1; i <= 150; i++) bad.push(frame(tick + 2 * i), 7 + i / 30);
    expect(bad.delay).toBeLessThan(1.6 / 30);
  });

  it("moves on through a lossy line: no still picture of more than 100 ms, no step back above a tick", () => {
    // 60 ms +- 20 ms one way, and 3 % of the frames are lost.
    const timeline = new Timeline(DT, 30);
    const lost = (i: number): boolean => (i * 7919) % 33 === 0 && i > 30;
    const drawn = play(timeline, 12, (i) => (lost(i) ? 1e9 : 0.04 + ((i * 104_729) % 41) / 1000)).slice(120);
    const steps = drawn.map((tick, i) => (i ? tick - drawn[i - 1]! : 1)).slice(1);
    expect(Math.min(...steps)).toBeGreaterThan(-1);
    expect(Math.max(...steps)).toBeLessThan(2.5);
    let still = 0;
    let longest = 0;
    for (const step of steps) longest = Math.max(longest, (still = step > 0.05 ? 0 : still + 1));
    expect(longest / 60).toBeLessThan(0.1);
  });

  it("goes on with the last motion for 100 ms, and then back to the newest frame", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 3, () => 0);
    const newest = timeline.newest!.tick;
    const beyond = Array.from({ length: 90 }, (_, i) => {
      const { before, after, blend } = timeline.sample(3 + i / 60)!;
      return (before.tick + (after.tick - before.tick) * blend - newest) * DT;
    });
    expect(Math.max(...beyond)).toBeGreaterThan(0.09);
    expect(Math.max(...beyond)).toBeLessThanOrEqual(0.1 + 1e-9);
    expect(beyond.at(-1)).toBe(0);
    expect([timeline.tick, timeline.passed(newest + 1)]).toEqual([newest, false]);
  });

  it("does not go on with a world that is at rest", () => {
    const timeline = new Timeline(DT, 30);
    play(timeline, 1, () => 0);
    const newest = timeline.newest!.tick;
    timeline.push({ ...frame(newest + 2), still: true }, 1);
    const blends = Array.from({ length: 30 }, (_, i) => timeline.sample(1 + i / 60)!);
    for (const { before, after, blend } of blends) expect(before.tick + (after.tick - before.tick) * blend).toBeLessThanOrEqual(newest + 2);
  });

  it("plays slow motion as evenly as the server runs it", () => {
    // The world runs at a third of real time: a frame of 2 ticks each tenth of a second.
    const timeline = new Timeline(DT, 30);
    const drawn: number[] = [];
    for (let i = 0; i < 900; i++) {
      const now = i / 60;
      if (i % 6 === 0) timeline.push(frame(i / 3), now);
      const { before, after, blend } = timeline.sample(now)!;
      drawn.push(before.tick + (after.tick - before.tick) * blend);
    }
    const steps = drawn.slice(420).map((tick, i, all) => (i ? tick - all[i - 1]! : 1 / 3)).slice(1);
    expect(Math.min(...steps)).toBeGreaterThan(0.2);
    expect(Math.max(...steps)).toBeLessThan(0.5);
  });
});
