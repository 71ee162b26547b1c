// The state of a sandbox: bodies, leases of handles, the host's switches. A pure reducer, called by reducer.ts. The
// `brief` of each second corrects what the events have built.

import type { Event } from "../wire/messages";
import { flag, list, num, part, str } from "./events";
import type { Data } from "./events";

export interface Lease {
  readonly seat: number;
  readonly body: string;
  readonly handle: string;
  readonly until: number;
}

export interface Sandbox {
  readonly side: number;
  readonly height: number;
  readonly bodies: readonly { readonly id: string; readonly body: string }[];
  readonly leases: readonly Lease[];
  readonly queue: readonly number[];
  readonly capacity: number;
  readonly members: readonly number[];
  readonly catalogue: readonly string[];
  readonly frozen: boolean;
  readonly marked: boolean;
  readonly gravity: number;
  readonly refusal: { readonly v: number; readonly seat: number; readonly kind: string; readonly code: string; readonly message: string } | null;
}

export const EMPTY_BOX: Sandbox = {
  side: 6,
  height: 4,
  bodies: [],
  leases: [],
  queue: [],
  capacity: 8,
  members: [],
  catalogue: [],
  frozen: false,
  marked: false,
  gravity: 9.81,
  refusal: null,
};

const lease = (d: Data): Lease => ({ seat: num(d, "seat", -1), body: str(d, "body"), handle: str(d, "handle"), until: num(d, "until") });
const placed = (d: Data) => ({ id: str(d, "id"), body: str(d, "body") });
const names = (values: unknown[]): string[] => values.filter((value) => typeof value === "string");
const whole = (values: unknown[]): number[] => values.filter((value) => typeof value === "number");

export function withBoxEvent(box: Sandbox, event: Event): Sandbox {
  const d = event.d;
  const seat = num(d, "seat", -1);
  switch (event.t) {
    case "set_up":
      return {
        ...EMPTY_BOX,
        side: num(part(d, "box"), "side", box.side),
        height: num(part(d, "box"), "height", box.height),
        bodies: (list(d, "bodies") as Data[]).map(placed),
        catalogue: names(list(d, "catalogue")),
        members: (list(d, "seats") as Data[]).map((one) => num(one, "seat")),
      };
    case "brief":
      return {
        ...box,
        side: num(part(d, "box"), "side", box.side),
        height: num(part(d, "box"), "height", box.height),
        bodies: (list(d, "bodies") as Data[]).map(placed),
        leases: (list(d, "slots") as Data[]).map(lease),
        queue: whole(list(d, "queue")),
        capacity: num(d, "capacity", box.capacity),
        members: whole(list(d, "members")),
        frozen: flag(d, "frozen"),
        gravity: num(d, "gravity", box.gravity),
      };
    case "slot_granted":
      return { ...box, leases: [...box.leases.filter((one) => one.seat !== seat), lease(d)], queue: box.queue.filter((one) => one !== seat) };
    case "slot_queued":
      return { ...box, queue: [...box.queue.filter((one) => one !== seat), seat] };
    case "slot_freed":
      return { ...box, leases: box.leases.filter((one) => one.seat !== seat) };
    case "spawned":
      return { ...box, bodies: [...box.bodies, placed(d)] };
    case "removed":
      return { ...box, bodies: box.bodies.filter((one) => one.id !== str(d, "id")) };
    case "freeze":
      return { ...box, frozen: flag(d, "frozen") };
    case "gravity":
      return { ...box, gravity: num(d, "strength", box.gravity) };
    case "mark":
      return { ...box, marked: true };
    case "undo":
    case "reset":
      return { ...box, leases: [], queue: [] };
    case "joined":
      return { ...box, members: [...new Set([...box.members, seat])].sort((a, b) => a - b) };
    case "left":
      return { ...box, members: box.members.filter((one) => one !== seat), leases: box.leases.filter((one) => one.seat !== seat) };
    case "refused":
      return { ...box, refusal: { v: event.v, seat, kind: str(d, "kind"), code: str(d, "code"), message: str(d, "message") } };
    default:
      return box;
  }
}
