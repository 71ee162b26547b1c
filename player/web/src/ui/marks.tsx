// A player's mark as a component.

import { BASELINE, SHAPES, initial } from "../stage/marks";

export function Mark({ mark, name, size = 26 }: { mark: number; name: string; size?: number }) {
  return (
    <svg class={`mark m${mark + 1}`} width={size} height={size} viewBox="0 0 24 24" aria-hidden="true">
      <g class="mk" style={{ fill: `var(--p${mark + 1})` }} dangerouslySetInnerHTML={{ __html: SHAPES[mark] ?? SHAPES[0] }} />
      <text x="12" y={BASELINE[mark] ?? 16}>
        {initial(name)}
      </text>
    </svg>
  );
}
