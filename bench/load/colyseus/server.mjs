// Colyseus doing what bench/load/__main__.py asks of Tussle's gateway: ROOMS rooms, in each of which a frame of FRAME bytes goes
// to every client HZ times a second; an input is decoded, checked and kept, and the frame carries the newest of each seat.
// With OWN=1 the state of four moving bodies goes to every client in Colyseus' own patches instead.
import { Room, Server, matchMaker } from "@colyseus/core";
import { schema, t } from "@colyseus/schema";
import { WebSocketTransport } from "@colyseus/ws-transport";

const number = (name, value) => Number(process.env[name] ?? value);
const PORT = number("PORT", 8600), ROOMS = number("ROOMS", 40), SEATS = number("SEATS", 10);
const HZ = number("HZ", 30), FRAME = number("FRAME", 600), OWN = number("OWN", 0);

const fields = ["x", "y", "z", "qx", "qy", "qz", "qw"];
const Body = schema(Object.fromEntries(fields.map((name) => [name, t.float32()])));
const Bodies = schema({ bodies: t.array(Body) });

class Arena extends Room {
  onCreate() {
    this.maxClients = SEATS;
    this.autoDispose = false;
    this.setPatchRate?.(0);
    this.patchRate = null;
    this.seats = new Map();
    this.newest = new Int32Array(SEATS);
    this.frame = Buffer.alloc(FRAME);
    this.onMessage("act", (client, message) => {
      if (typeof message?.id === "number" && typeof message?.x === "number") {
        this.newest[this.seats.get(client.sessionId)] = message.id;
      }
    });
    if (OWN) {
      this.state = new Bodies();
      for (let body = 0; body < 4; body++) this.state.bodies.push(new Body());
      this.patchRate = null;
      let tick = 0;
      this.timer = setInterval(() => {
        tick++;
        this.state.bodies.forEach((body, number) => {
          const turn = tick / 20 + number;
          body.x = Math.cos(turn); body.y = 0.15; body.z = Math.sin(turn);
          body.qx = 0; body.qy = Math.sin(turn / 2); body.qz = 0; body.qw = Math.cos(turn / 2);
        });
        this.broadcastPatch();
      }, 1000 / HZ);
      return;
    }
    const timer = setInterval(() => {
      this.frame.writeDoubleLE(Date.now(), 0);
      for (let seat = 0; seat < SEATS; seat++) this.frame.writeInt32LE(this.newest[seat], 8 + 4 * seat);
      this.broadcastBytes("frame", this.frame);
    }, 1000 / HZ);
    this.timer = timer;
  }
  onJoin(client, options) { this.seats.set(client.sessionId, options.seat); }
  onDispose() { clearInterval(this.timer); }
}

const server = new Server({ transport: new WebSocketTransport({ pingInterval: 20000 }), greet: false, logger: { info() {}, warn: console.error, error: console.error, debug() {} } });
server.define("arena", Arena).filterBy(["session"]);
await server.listen(PORT, "127.0.0.1");
// Opened at times whose rests by the period are spread evenly, as Tussle's sessions are: no two begin in step.
for (let i = 0; i < ROOMS; i++) {
  await matchMaker.createRoom("arena", { session: i });
  await new Promise((done) => setTimeout(done, (1000 / HZ) * (1 + 1 / ROOMS)));
}
console.log("ready");
