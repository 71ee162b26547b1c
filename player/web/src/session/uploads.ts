// Mesh files for a scene: sent, queued, checked, ready or refused. The server reports progress in the message `mesh`; the
// state is also polled, because messages can be missed.

import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import type { MeshView, SentMesh } from "../wire/answers";
import type { Data } from "./events";
import { num, str } from "./events";

export interface Upload {
  readonly key: number;
  readonly name: string;
  readonly bytes: number;
  /** sending: the share of it that is on the server. */
  readonly share: number;
  readonly state: "sending" | MeshView["state"];
  readonly answer: MeshView | null;
  /** Why it was not taken at all. */
  readonly problem: string;
}

export interface UploadPort {
  put(file: File, sent: (share: number) => void): Promise<SentMesh>;
  get(mesh: string): Promise<MeshView>;
}

const ASK_MS = 700;
export const MESH_FILES = ".stl,.obj,.ply,.vtk,.vtu,.msh,.glb";

export class Uploads {
  readonly list: Signal<readonly Upload[]> = signal([]);
  onReady: (upload: Upload, answer: MeshView) => void = () => {};
  private readonly port: UploadPort;
  private nextKey = 1;
  private stopped = false;

  constructor(port: UploadPort) {
    this.port = port;
  }

  dispose(): void {
    this.stopped = true;
  }

  async add(file: File): Promise<void> {
    const key = this.nextKey++;
    this.list.value = [...this.list.value, { key, name: file.name, bytes: file.size, share: 0, state: "sending", answer: null, problem: "" }];
    try {
      let answer: MeshView = { percent: 0, ...(await this.port.put(file, (share) => this.update(key, { share }))) };
      for (let asked = false; !this.stopped; asked = true) {
        const done = answer.state === "ready" || answer.state === "refused";
        // A file that was sent before is answered at once, but only its state.
        if (asked || !done) this.update(key, { state: answer.state, answer, share: 1 });
        if (asked && done) break;
        if (!done) await new Promise((resolve) => setTimeout(resolve, ASK_MS));
        answer = await this.port.get(answer.mesh);
      }
      const upload = this.list.value.find((one) => one.key === key);
      if (upload && answer.state === "ready") this.onReady(upload, answer);
    } catch (error) {
      this.update(key, { state: "refused", problem: error instanceof Error ? error.message : String(error) });
    }
  }

  /** A message `mesh` of the session: only its progress is used, the rest is polled. */
  receive(d: Data): void {
    for (const one of this.list.value) {
      if (one.answer?.mesh !== str(d, "mesh") || (one.state !== "queued" && one.state !== "working")) continue;
      const state = str(d, "state");
      this.update(one.key, { answer: { ...one.answer, percent: num(d, "percent") }, ...(state === "queued" || state === "working" ? { state } : {}) });
    }
  }

  drop(key: number): void {
    this.list.value = this.list.value.filter((one) => one.key !== key);
  }

  private update(key: number, change: Partial<Upload>): void {
    if (!this.stopped) this.list.value = this.list.value.map((one) => (one.key === key ? { ...one, ...change } : one));
  }
}
