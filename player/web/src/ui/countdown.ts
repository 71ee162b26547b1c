// Time that is left, for texts that count down.

import { now } from "../app/store";
import type { SessionClient } from "../session/client";

/** Seconds until `at` [ms, the server's clock]; re-read four times a second. */
export function secondsLeft(client: SessionClient, at: number): number {
  void now.value;
  return (at - client.serverNow()) / 1000;
}
