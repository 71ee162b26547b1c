// Pictures of the catalogue's bodies and meshes, drawn once per colour and theme by an offscreen renderer, one after another.

import { signal } from "@preact/signals";
import type { Signal } from "@preact/signals";
import type { MeshSource } from "../stage/portrait";

export type Images = ReadonlyMap<string, string>;

const cache = new Map<string, Signal<Images>>();

/** Body id to image address. Fills while the pictures are drawn; stays empty without WebGL. `source` has the meshes of
 * what is no body of the catalogue. */
export function portraits(ids: readonly string[], colour: string, theme: "dark" | "light", source?: MeshSource): Signal<Images> {
  const key = `${colour} ${theme} ${ids.join()}`;
  let made = cache.get(key);
  if (!made) {
    const images: Signal<Images> = signal(new Map());
    made = images;
    cache.set(key, images);
    void import("../stage/portrait")
      .then((portrait) => portrait.draw(ids, colour, theme, (id, address) => (images.value = new Map(images.value).set(id, address)), source))
      .catch(() => {});
  }
  return made;
}
