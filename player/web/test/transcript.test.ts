import { describe, expect, it } from "vitest";
import { BadMessage, Transcript, afterClose } from "../src/wire/transcript";
import type { Outcome } from "../src/wire/transcript";

const welcome = (over: Record<string, unknown> = {}): string =>
  JSON.stringify({ t: "welcome", d: { session: "t", player: "p", role: "player", seat: 0, resume: "r1", v: 3, tick: 0, dt: 1 / 60, frame_hz: 30, epoch: 1, schema_hash: "", protocol: 1, build: "", server_time: 0, last_id: 0, ...over } });
const event = (v: number, epoch = 1, t = "chat"): string => JSON.stringify({ t, v, d: { n: v }, tick: 0, epoch });
const view = (v: number, epoch = 1): string => JSON.stringify({ t: "session", v, d: { session: "t", status: "open", epoch, seats: [] } });
const sent = (transcript: Transcript): { t: string; id?: number; d?: Record<string, unknown> }[] => transcript.dataToSend().map((data) => JSON.parse(data));
const seen = (outcomes: Outcome[]): (string | number)[] => outcomes.map((one) => (one.kind === "delivered" ? one.event.v : one.kind));

function joined(): Transcript {
  const transcript = new Transcript("ticket");
  transcript.opened();
  transcript.receive(welcome());
  transcript.receive(view(3));
  transcript.dataToSend();
  return transcript;
}

describe("Transcript", () => {
  it("sends hello with the ticket, and after a reconnection with the resume token and the newest v", () => {
    const transcript = new Transcript("ticket");
    transcript.opened();
    expect(sent(transcript)[0]).toMatchObject({ t: "hello", d: { ticket: "ticket", last_v: null } });
    transcript.receive(welcome());
    transcript.receive(view(3));
    transcript.receive(event(4));
    expect(transcript.closed(1006)).toBe("reconnect");
    transcript.opened();
    expect(sent(transcript)[0]).toMatchObject({ t: "hello", d: { ticket: null, resume: "r1", last_v: 4 } });
  });

  it("asks for the history on request, and for the view after it", () => {
    const transcript = new Transcript("ticket", null, true);
    transcript.opened();
    expect(sent(transcript)[0]).toMatchObject({ d: { last_v: 0 } });
    transcript.receive(welcome());
    expect(sent(transcript)).toEqual([{ t: "resync" }]);
    expect(seen(transcript.receive(event(1)))).toEqual([1]);
    expect(transcript.receive(view(1))[0]).toMatchObject({ kind: "synced", missed: null });
  });

  it("delivers in order, once", () => {
    const transcript = joined();
    expect(seen(transcript.receive(event(4)))).toEqual([4]);
    expect(seen(transcript.receive(event(4)))).toEqual([]);
    expect(seen(transcript.receive(event(5)))).toEqual([5]);
  });

  it("holds events after a gap, asks for a resync once, and reports the gap", () => {
    const transcript = joined();
    expect(transcript.receive(event(6))).toEqual([]);
    expect(transcript.receive(event(7))).toEqual([]);
    expect(sent(transcript)).toEqual([{ t: "resync" }]);
    const outcomes = transcript.receive(view(5));
    expect(outcomes[0]).toMatchObject({ kind: "synced", missed: [4, 5] });
    expect(seen(outcomes)).toEqual(["synced", 6, 7]);
  });

  it("takes the events that it does not need for no gap", () => {
    const transcript = new Transcript("ticket");
    transcript.without = ["turn_started"];
    transcript.opened();
    expect(sent(transcript)[0]).toMatchObject({ t: "hello", d: { without: ["turn_started"] } });
    transcript.receive(welcome());
    transcript.receive(view(3));
    expect(seen(transcript.receive(event(5)))).toEqual([5]);
    expect(seen(transcript.receive(event(8)))).toEqual([8]);
    expect(seen(transcript.receive(event(8)))).toEqual([]);
    expect(sent(transcript)).toEqual([]);
  });

  it("closes the gap when the missing event comes late", () => {
    const transcript = joined();
    transcript.receive(event(5));
    expect(seen(transcript.receive(event(4)))).toEqual([4, 5]);
  });

  it("drops events of an older epoch; epoch 0 is always accepted", () => {
    const transcript = joined();
    expect(seen(transcript.receive(event(4, 2)))).toEqual([4]);
    expect(seen(transcript.receive(event(5, 1)))).toEqual([]);
    expect(seen(transcript.receive(event(5, 0)))).toEqual([5]);
  });

  it("repeats a command under its id until it is answered", () => {
    const transcript = joined();
    const id = transcript.command("act", { kind: "launch" });
    expect(sent(transcript)).toMatchObject([{ t: "act", id }]);
    transcript.closed(1006);
    transcript.opened();
    sent(transcript);
    transcript.receive(welcome({ resume: "r2", last_id: 5 }));
    expect(sent(transcript)).toMatchObject([{ t: "act", id }]);
    expect(transcript.receive(JSON.stringify({ t: "ack", id, d: { tick: 9 } }))).toEqual([{ kind: "acknowledged", id, tick: 9, d: { tick: 9 } }]);
    expect(transcript.receive(JSON.stringify({ t: "ack", id, d: { tick: 9 } }))).toEqual([]);
    expect(transcript.command("leave")).toBe(6);
  });

  it("admits no frame older than the newest", () => {
    const transcript = joined();
    expect(transcript.admitFrame(1, 10)).toBe(true);
    expect(transcript.admitFrame(1, 8)).toBe(false);
    expect(transcript.admitFrame(2, 5)).toBe(true);
    expect(transcript.admitFrame(1, 99)).toBe(false);
  });

  it("knows what to do after each close code", () => {
    expect([1000, 4000, 4001, 4003, 4010, 4011, 4013, 4014, 1006].map(afterClose)).toEqual(["stop", "stop", "reconnect", "give up", "give up", "move", "back off", "resync", "reconnect"]);
    const transcript = joined();
    transcript.closed(4014);
    transcript.opened();
    expect(sent(transcript)[0]).toMatchObject({ d: { last_v: null } });
  });

  it("passes on a notice", () => {
    const notice = { state: "paused", reason: "the store is away", turn_ends_at: 0 };
    expect(joined().receive(JSON.stringify({ t: "notice", d: notice }))).toEqual([{ kind: "noticed", notice }]);
  });

  it("refuses what no server sends and ignores events that it does not know", () => {
    const transcript = joined();
    expect(() => transcript.receive("{")).toThrow(BadMessage);
    expect(() => transcript.receive('{"t":"session","d":{}}')).toThrow(BadMessage);
    expect(transcript.receive('{"t":"weather","d":{}}')).toEqual([]);
  });
});
