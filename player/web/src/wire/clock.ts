// The server's time, from pings: the offset of the quickest recent round trip. Pure; times are arguments.

interface Sample {
  readonly rtt: number;
  readonly offset: number;
}

const KEPT = 12;
const SHOWN = 3;
/** A round trip above this is late [ms]; how many are looked at, the newest last. */
const LATE_MS = 250;
export const TRIPS = 5;

/** Whether the line is slow, after these round trips [ms]. A page that is busy takes its answers late, too: the line is slow
 * only while the quickest of the newest ones, which is shown, is late as well. */
export function isSlow(was: boolean, trips: readonly number[]): boolean {
  if (Math.min(...trips.slice(-SHOWN)) <= LATE_MS) return false;
  return was || trips.filter((one) => one > LATE_MS).length >= TRIPS - 1;
}

export class ServerClock {
  private samples: Sample[] = [];
  private trips: readonly number[] = [];

  /** The newest round trip [ms]. */
  get newest(): number | null {
    return this.trips.at(-1) ?? null;
  }

  /** The quickest of the newest three [ms]: a page that is busy answers late. Null before the second, for the first is
   * taken while the page is being drawn. */
  get rtt(): number | null {
    return this.trips.length > 1 ? Math.min(...this.trips) : null;
  }

  /** A pong for a ping sent at `sent` came at `now` (both this page's clock); `serverTime` is the server's clock. */
  ponged(sent: number, now: number, serverTime: number): void {
    const rtt = Math.max(0, now - sent);
    this.trips = [...this.trips.slice(1 - SHOWN), rtt];
    this.samples.push({ rtt, offset: serverTime + rtt / 2 - now });
    if (this.samples.length > KEPT) this.samples.shift();
  }

  /** A first estimate until a pong comes: the server's clock when it wrote the welcome. */
  welcomed(now: number, serverTime: number): void {
    if (!this.samples.length) this.samples.push({ rtt: 1e6, offset: serverTime - now });
  }

  /** The server's time [ms] when this page's clock is `now`. */
  at(now: number): number {
    let best: Sample | null = null;
    for (const sample of this.samples) if (!best || sample.rtt <= best.rtt) best = sample;
    return now + (best?.offset ?? 0);
  }
}
