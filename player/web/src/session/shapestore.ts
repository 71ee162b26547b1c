// The meshes of shapes, each requested from the server once. A signal changes when another one has arrived.

import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import { decodeTopology } from "../wire/frames";
import { Refused } from "../wire/calls";
import type { Recipe } from "../wire/scene";
import { volumeOf } from "./measure";

/** The surface of a shape in its own frame [m, m³]. */
export interface ShapeMesh {
  readonly vertices: Float32Array;
  readonly faces: Uint32Array;
  readonly volume: number;
  /** The number that each vertex of the surface has in documents, where those inside count too. */
  readonly numbers: Uint32Array;
  /** Vertices in all, also inside. */
  readonly total: number;
}

/** The surface of a mesh, without the vertices inside. */
export function surfaceOf(vertices: Float32Array, faces: Uint32Array): ShapeMesh {
  const total = vertices.length / 3;
  const numbers = Uint32Array.from(new Set(faces)).sort();
  const surface = new Float32Array(3 * numbers.length);
  const at = new Uint32Array(total);
  numbers.forEach((number, i) => {
    at[number] = i;
    surface.set(vertices.subarray(3 * number, 3 * number + 3), 3 * i);
  });
  const corners = faces.map((number) => at[number]!);
  return { vertices: surface, faces: corners, volume: volumeOf(surface, corners), numbers, total };
}

const AT_ONCE = 3;
const AGAIN_MS = 1500;

export function shapeKey(recipe: Recipe): string {
  return JSON.stringify([recipe.kind, Object.entries(recipe.params).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

export class ShapeStore {
  /** Grows with each mesh that arrives or is refused. */
  readonly changed: Signal<number> = signal(0);
  private readonly meshes = new Map<string, ShapeMesh>();
  private readonly refused = new Map<string, string>();
  private readonly waiting = new Map<string, { recipe: Recipe; done: ((mesh: ShapeMesh | null) => void)[] }>();
  private running = 0;
  private stopped = false;
  private readonly fetchMesh: (recipe: Recipe) => Promise<ArrayBuffer>;

  constructor(fetchMesh: (recipe: Recipe) => Promise<ArrayBuffer>) {
    this.fetchMesh = fetchMesh;
  }

  /** The mesh if it has arrived; else it is requested. */
  meshOf(recipe: Recipe): ShapeMesh | null {
    const key = shapeKey(recipe);
    const known = this.meshes.get(key);
    if (known || this.refused.has(key)) return known ?? null;
    this.ask(key, recipe);
    return null;
  }

  /** Why there is no mesh, or null. */
  problemOf(recipe: Recipe): string | null {
    return this.refused.get(shapeKey(recipe)) ?? null;
  }

  /** The mesh, once it is there; null if the server refuses the shape. */
  load(recipe: Recipe): Promise<ShapeMesh | null> {
    const key = shapeKey(recipe);
    const known = this.meshes.get(key);
    if (known || this.refused.has(key)) return Promise.resolve(known ?? null);
    return new Promise((resolve) => this.ask(key, recipe).done.push(resolve));
  }

  dispose(): void {
    this.stopped = true;
  }

  private ask(key: string, recipe: Recipe): { recipe: Recipe; done: ((mesh: ShapeMesh | null) => void)[] } {
    let asked = this.waiting.get(key);
    if (!asked) {
      asked = { recipe, done: [] };
      this.waiting.set(key, asked);
      void this.work(key);
    }
    return asked;
  }

  private queue: string[] = [];

  private async work(key: string): Promise<void> {
    if (this.running >= AT_ONCE) {
      this.queue.push(key);
      return;
    }
    this.running++;
    const asked = this.waiting.get(key)!;
    while (!this.stopped) {
      try {
        const body = decodeTopology(await this.fetchMesh(asked.recipe)).bodies[0];
        if (!body) throw new Refused("bad_shape", "the shape has no mesh", 422);
        this.meshes.set(key, surfaceOf(body.vertices, body.faces));
      } catch (error) {
        if (error instanceof Refused && error.passing) {
          await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
          continue;
        }
        this.refused.set(key, error instanceof Error ? error.message : String(error));
      }
      break;
    }
    this.running--;
    this.waiting.delete(key);
    for (const done of asked.done) done(this.meshes.get(key) ?? null);
    if (!this.stopped) this.changed.value++;
    const next = this.queue.shift();
    if (next !== undefined) void this.work(next);
  }
}
