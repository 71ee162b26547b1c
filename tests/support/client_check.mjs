// Two clients of the packed @tussle/client play a duel on the server of the argument, over a cut connection. Prints what
// they saw as JSON. tests/server/gateway/test_client_package.py runs it.

import { Refused, Tussle } from "@tussle/client";

const opened = [];
class Kept extends WebSocket {
  constructor(url) {
    super(url);
    opened.push(this);
  }
}

const seen = { frames: 0, ticks: [], events: [], live: 0, lost: 0, refused: null, closed: [], acts: 0, seed: "", rows: 0 };
const [ada, otto] = [new Tussle(process.argv[2], { WebSocket: Kept }), new Tussle(process.argv[2])];
await Promise.all([ada.login({ name: "ada" }), otto.login()]);
const seat = await ada.open({ mode: "duel", size: 2, private: true, ready: true, bots: false, params: { rounds: 2 } });
const other = await otto.join(seat.session, { ready: true });
const [one, two] = [ada.connect(seat, { history: true }), otto.connect(other, { network: "20ms" })];

one.on("*", (event) => seen.events.push([event.v, event.t]));
one.on("frame", (frame) => {
  seen.frames++;
  seen.ticks.push(frame.tick);
  seen.rows = frame.rows.length;
});
one.on("live", () => seen.live++);
one.on("lost", () => seen.lost++);
one.on("set_up", ({ d }) => (seen.seed = d.seed));
for (const session of [one, two]) {
  session.on("turn_started", async ({ d }) => {
    if (d.seat !== session.seat) return;
    if (session === one && !seen.refused) seen.refused = await two.act("brace").catch((error) => (error instanceof Refused ? error.code : String(error)));
    const answer = session.act("launch", { azimuth: 10, elevation: 10, power: 0.2 });
    // The connection is cut with a command under way: it is repeated under its id.
    if (session === one && ++seen.acts === 1) opened.at(-1).close(4999);
    await answer;
  });
}
const [result, ended] = await Promise.all([one.next("result"), one.next("ended")]);
seen.welcome = one.welcome;
seen.rtt = one.rtt;
seen.network = two.welcome.network;
seen.topology = one.topology?.bodies.length;
one.on("closed", (how) => seen.closed.push(how.refused));
one.close();
two.close();
seen.late = await one.act("brace").catch((error) => error.code);
console.log(JSON.stringify({ ...seen, winner: result.d.winner, ended: ended.t }));
