// The room of the recording that is on the page, for the banners: they must not load the code of recordings.

import { signal } from "@preact/signals";
import type { Room } from "../replay/room";

export const watchedRoom = signal<Room | null>(null);
