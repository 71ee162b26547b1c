// Which times the ruler of a timeline names. Pure.

const STEPS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600] as const;
/** Most labels on the ruler. */
const LABELS = 8;
/** Nearer to an end than this share of the ruler there is no label: the playhead at that end would cross it on a phone. */
const CLEAR = 0.05;

/** Seconds between two labels of a ruler of that length [s]. */
export function labelStep(seconds: number): number {
  return STEPS.find((step) => seconds / step <= LABELS) ?? 7200;
}

/** The times of the labels [s]. */
export function labelTimes(start: number, end: number): number[] {
  const step = labelStep(end - start);
  const clear = CLEAR * (end - start);
  const times: number[] = [];
  for (let i = Math.ceil((start + clear) / step); i * step <= end - clear; i++) times.push(i * step);
  return times;
}
