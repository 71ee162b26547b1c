// What the page of a player shows of its matches: the rating over time, the body that it takes most. Pure.

import type { PastMatch, PlayerProfile } from "../wire/answers";

/** The rating of somebody whom nobody knows [points]. */
export const UNKNOWN_RATING = 1000;

/** The ratings in a mode, the oldest first: after each rated match that is kept, and before the first one if all are. */
export function ratingCurve(profile: PlayerProfile, mode: string): number[] {
  const here = profile.matches.filter((match) => match.mode === mode);
  const rated = here.flatMap((match) => (match.rating === null ? [] : [match.rating])).reverse();
  const played = profile.standings.find((one) => one.mode === mode)?.played ?? 0;
  return rated.length && here.length === played ? [UNKNOWN_RATING, ...rated] : rated;
}

/** The body of most matches among those in modes where it is chosen; of equal ones the one that was taken last. */
export function favouriteBody(matches: readonly PastMatch[], chooses: (mode: string) => boolean): string | null {
  const counts = new Map<string, number>();
  for (const match of matches) if (match.body && chooses(match.mode)) counts.set(match.body, (counts.get(match.body) ?? 0) + 1);
  return [...counts].reduce<readonly [string, number] | null>((most, one) => (most && most[1] >= one[1] ? most : one), null)?.[0] ?? null;
}
