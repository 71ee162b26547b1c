// Measures the JavaScript of a frame with many bodies: the client's stage, fed at a server's rate. See bench/web/__main__.py.

import meshes from "../src/generated/bodies.json";
import { Stage } from "../src/stage/stage";
import { Timeline } from "../src/session/timeline";
import type { TopologyBody } from "../src/wire/frames";

const query = new URLSearchParams(location.search);
const BODIES = Number(query.get("bodies") ?? 50);
const SECONDS = Number(query.get("seconds") ?? 10);
const DT = 1 / 60;
const HZ = 30;

const shapes = Object.entries(meshes as unknown as Record<string, [number[], number[]]>);
const moving = Array.from({ length: BODIES }, (_, i): TopologyBody => {
  const [body, [vertices, faces]] = shapes[i % shapes.length]!;
  return { id: `${body}-${i}`, kind: "affine", seat: i < 6 ? i : null, body, vertices: new Float32Array(vertices), faces: new Uint32Array(faces) };
});
const corners = Array.from({ length: 8 }, (_, i) => [3 * Math.cos((i * Math.PI) / 4), 3 * Math.sin((i * Math.PI) / 4)] as const);
const mat: TopologyBody = {
  id: "mat",
  kind: "static",
  seat: null,
  body: "",
  vertices: new Float32Array([...corners.flatMap(([x, z]) => [x, 0, z]), ...corners.flatMap(([x, z]) => [x, -0.4, z])]),
  faces: new Uint32Array(Array.from({ length: 6 }, (_, i) => [0, i + 2, i + 1]).flat()),
};

/** Bodies that turn, shear and wander: no two frames are alike. */
function rows(seconds: number): Float32Array {
  const out = new Float32Array(12 * BODIES);
  for (let i = 0; i < BODIES; i++) {
    const [angle, reach] = [seconds * 0.7 + i, 0.4 + 2.2 * ((i * 0.618) % 1)];
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    out.set([reach * c, 0.3 + 0.1 * s, reach * s, c, 0.05 * s, s, 0, 1, 0.05 * c, -s, 0, c], 12 * i);
  }
  return out;
}

const stage = await Stage.make(document.getElementById("stage")!, { still: false, tier: query.get("tier") });
stage.setTheme("dark");
stage.setTopology({ version: 1, bodies: [...moving, mat] });
stage.setSeats(Array.from({ length: 6 }, (_, seat) => ({ seat, name: `Seat ${seat}`, mark: seat, out: false })));
const timeline = new Timeline(DT, HZ);
stage.timeline = timeline;

let tick = 0;
const began = performance.now();
const feeding = setInterval(() => {
  tick += 1 / (DT * HZ);
  timeline.push(
    { tick, epoch: 1, version: 1, minDistance: 0.001, contacts: BODIES, acks: [], active: moving.map(() => true), rowCounts: null, rows: rows(tick * DT), keyframe: true },
    performance.now() / 1000,
  );
}, 1000 / HZ);

const all: number[] = [];
const ours: number[] = [];
setTimeout(() => {
  clearInterval(feeding);
  for (let i = 0; i < stage.spent.length; i += 2) {
    if (stage.spent[i]! > 0) {
      all.push(stage.spent[i]!);
      ours.push(stage.spent[i + 1]!);
    }
  }
  const at = (list: number[], share: number) => [...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(share * list.length))] ?? 0;
  Object.assign(window, {
    __measured: { bodies: BODIES, tier: stage.tier, frames: all.length, seconds: (performance.now() - began) / 1000, p50: at(all, 0.5), p95: at(all, 0.95), own50: at(ours, 0.5), own95: at(ours, 0.95) },
  });
}, SECONDS * 1000);
