// A plot with axes: ticks with numbers and units around a picture that is stretched to its place.

import type { ComponentChildren } from "preact";
import { ticks } from "../session/spring";
import { shortNumber } from "./fields";

export interface Range {
  readonly low: number;
  readonly high: number;
  readonly name: string;
  readonly unit: string;
  /** Whether only whole numbers have a tick. */
  readonly whole?: boolean;
}

/** across, up: the ranges of the axes. The picture's view box is ``width`` by ``height``. */
export function Plot({ across, up, width, height, label, test, children }: { across: Range; up: Range; width: number; height: number; label: string; test?: string; children: ComponentChildren }) {
  const share = (value: number, axis: Range) => (value - axis.low) / (axis.high - axis.low);
  const marks = (axis: Range, most: number) => ticks(axis.low, axis.high, most).filter((value) => !axis.whole || Number.isInteger(value));
  const [columns, rows] = [marks(across, 8), marks(up, 5)];
  return (
    <div class="graph">
      <span class="lb name">{labelOf(up)}</span>
      <div class="height" aria-hidden="true">
        {rows.map((value) => (
          <span key={value} class="data" style={{ bottom: `${100 * share(value, up)}%` }}>
            {shortNumber(value)}
          </span>
        ))}
      </div>
      <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" role="img" aria-label={label} data-test={test}>
        <path class="rule" d={columns.map((value) => `M${(width * share(value, across)).toFixed(1)} 0V${height}`).join("") + rows.map((value) => `M0 ${(height * (1 - share(value, up))).toFixed(1)}H${width}`).join("")} />
        {children}
      </svg>
      <div class="across" aria-hidden="true">
        {columns.map((value) => (
          <span key={value} class="data" style={{ left: `${100 * share(value, across)}%` }}>
            {shortNumber(value)}
          </span>
        ))}
      </div>
      <span class="lb unit">{labelOf(across)}</span>
    </div>
  );
}

function labelOf(axis: Range): string {
  return axis.unit ? `${axis.name} [${axis.unit}]` : axis.name;
}
