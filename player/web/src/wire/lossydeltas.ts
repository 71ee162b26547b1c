// Decodes the delta frames of a data channel, which may be lost or late: each is the difference from a reference that was
// acknowledged. lobby/wire/lossy_deltas.py is the same in Python. It must never know how an acknowledgement is sent.

import { Chain, KEY_HEAD } from "./deltas";
import { BadFrame } from "./frames";
import type { Frame, Topology } from "./frames";

export const LOSSY = 5;
export const LOSSY_KEYFRAME = 6;

const HEAD = 3;
const KEPT_REFERENCES = 6;

export class LossyDecoder {
  /** The number of the reference that the last frame became, to be acknowledged; 0: none. */
  kept = 0;
  private topology: Topology | null = null;
  private readonly references = new Map<number, Chain>();

  /** The meshes of the following frames. */
  setTopology(topology: Topology): void {
    this.topology = topology;
    this.references.clear();
  }

  /** The frame, which may be older than the last one; null if its reference or its topology is not there. Throws BadFrame
   * for bytes that no encoder sends, which change nothing. */
  decode(data: ArrayBuffer): Frame | null {
    this.kept = 0;
    if (data.byteLength < HEAD) throw new BadFrame("a delta frame is shorter than its header");
    const view = new DataView(data);
    const key = view.getUint8(0) === LOSSY_KEYFRAME;
    const at = key ? KEY_HEAD : HEAD;
    const reference = view.getUint8(1);
    const number = key ? reference : view.getUint8(2);
    if ((!key && view.getUint8(0) !== LOSSY) || (data.byteLength > at && !view.getUint8(data.byteLength - 1)) || (key && !number)) {
      throw new BadFrame("not a delta frame of a data channel");
    }
    const chain = key ? Chain.begin(view, this.topology) : (this.references.get(reference)?.copy(number !== 0) ?? null);
    if (!chain) return null;
    const payload = new Uint8Array(data, at);
    if (number) chain.readKept(payload);
    else chain.read(payload);
    if (!key) for (const old of [...this.references.keys()]) if (isOlder(old, reference)) this.references.delete(old);
    if (number) {
      this.references.delete(number);
      this.references.set(number, chain);
      this.kept = number;
      if (this.references.size > KEPT_REFERENCES) this.references.delete(this.references.keys().next().value!);
    }
    return chain.frame(key);
  }
}

/** Whether a reference was made before another one. Numbers go from 1 to 255 and begin again. */
function isOlder(number: number, other: number): boolean {
  const after = (other - number + 255) % 255;
  return after > 0 && after < 128;
}
