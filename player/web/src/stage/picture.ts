// The picture of a scene that is built: a topology and poses for the stage, from bodies and the meshes of their shapes.
// Every body is drawn by its pose; the one with the largest flat top is the mat. Pure, but for what it remembers.

import type { Moment, Moments } from "../session/timeline";
import type { Body, Recipe } from "../wire/scene";
import { columns, turned } from "../session/edit";
import { shapeKey } from "../session/shapestore";
import type { ShapeMesh } from "../session/shapestore";
import type { Frame, Topology, TopologyBody } from "../wire/frames";
import { arenaOf } from "./outline";
import type { Pose } from "./view";

export class ScenePicture implements Moments {
  topology: Topology | null = null;
  /** The drawn bodies that can be picked, in the order of the stage; without the mat. */
  shown: readonly string[] = [];
  private frame: Frame | null = null;
  private key = "";
  private version = 0;
  private tick = 0;
  private arena: { readonly key: string; readonly body: TopologyBody } | null = null;

  /** Take over the bodies. `moved`: poses of a gesture that is going on. Returns whether the topology is new. */
  set(bodies: readonly Body[], meshOf: (recipe: Recipe) => ShapeMesh | null, moved: ReadonlyMap<string, Pose> = new Map()): boolean {
    const drawn = bodies.flatMap((body) => {
      const mesh = meshOf(body.shape);
      return mesh ? [{ body, mesh, key: shapeKey(body.shape) }] : [];
    });
    const arena = this.chooseArena(drawn);
    const moving = drawn.filter((one) => one.body.id !== arena?.body.id);
    const key = JSON.stringify([arena?.key ?? null, moving.map((one) => [one.body.id, one.key, one.body.kind])]);
    const fresh = key !== this.key;
    if (fresh) {
      this.key = key;
      this.version = (this.version + 1) & 0xffff;
      this.topology = {
        version: this.version,
        bodies: [...moving.map(({ body, mesh, key: shape }): TopologyBody => ({ id: body.id, kind: body.kind === "static" || body.kind === "rail" ? "rail" : "affine", seat: null, body: shape, vertices: mesh.vertices, faces: mesh.faces })), ...(arena ? [arena.body] : [])],
      };
      this.shown = moving.map((one) => one.body.id);
    }
    const rows = new Float32Array(12 * moving.length);
    moving.forEach(({ body }, i) => {
      const pose = moved.get(body.id);
      const [a, b, c] = columns(pose?.rotation ?? body.rotation);
      const [x, y, z] = pose?.scale ?? [1, 1, 1];
      rows.set([...(pose?.position ?? body.position), ...a.map((value) => value * x), ...b.map((value) => value * y), ...c.map((value) => value * z)], 12 * i);
    });
    this.frame = { tick: ++this.tick, epoch: 0, version: this.version, minDistance: Infinity, contacts: 0, acks: [], active: moving.map(() => true), rowCounts: null, rows, keyframe: true };
    return fresh;
  }

  private chooseArena(drawn: readonly { readonly body: Body; readonly mesh: ShapeMesh; readonly key: string }[]): { readonly key: string; readonly body: TopologyBody } | null {
    const fixed = drawn.filter((one) => one.body.kind === "static");
    const placed = fixed.map(({ body, mesh, key: shape }) => {
      const key = JSON.stringify([body.id, shape, body.position, body.rotation]);
      // The same object while nothing changed: the mat is printed once.
      return this.arena?.key === key ? this.arena : { key, body: { id: body.id, kind: "static" as const, seat: null, body: "", vertices: inWorld(body, mesh.vertices), faces: mesh.faces } };
    });
    const chosen = arenaOf(placed.map((one) => one.body));
    this.arena = placed.find((one) => one.body === chosen) ?? null;
    return this.arena;
  }

  sample(): Moment | null {
    return this.frame && { before: this.frame, after: this.frame, blend: 0 };
  }

  passed(): boolean {
    return true;
  }
}

function inWorld(body: Body, vertices: Float32Array): Float32Array {
  const placed = new Float32Array(vertices.length);
  for (let i = 0; i < vertices.length; i += 3) {
    const [x, y, z] = turned(body.rotation, [vertices[i]!, vertices[i + 1]!, vertices[i + 2]!]);
    placed.set([x + body.position[0], y + body.position[1], z + body.position[2]], i);
  }
  return placed;
}
