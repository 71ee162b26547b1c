// A sketch of a mode, for waiting lobbies in which there is no body to choose.

import type { ComponentChildren } from "preact";

const LINE = { stroke: "var(--mark-line)", "stroke-width": 2 } as const;

function Mat({ width, height, children }: { width: number; height: number; children: ComponentChildren }) {
  const ticks = Array.from({ length: Math.floor(width / 12) - 1 }, (_, i) => `M${12 * (i + 1)} ${height - 4}v-${(i + 1) % 5 ? 5 : 10}`).join("");
  return (
    <div class="sketch" aria-hidden="true">
      <svg viewBox={`0 0 ${width} ${height}`}>
        <rect width={width} height={height} rx="10" fill="#236556" />
        <path d={ticks} stroke="#E9FBF4" stroke-width="1.2" opacity="0.6" />
        {children}
      </svg>
    </div>
  );
}

export function Sketch({ mode }: { mode: string }) {
  if (mode === "curling") {
    return (
      <Mat width={480} height={130}>
        <path d="M60 14V112M60 63H400M400 14V112" stroke="#E9FBF4" opacity="0.45" />
        {([[56, 0.34], [34, 0], [12, 0.85]] as const).map(([radius, opacity]) => [
          <circle key={radius} cx="400" cy="63" r={radius} fill="#236556" />,
          <circle key={`${radius}r`} cx="400" cy="63" r={radius} fill="#E9FBF4" fill-opacity={opacity} stroke="#E9FBF4" stroke-opacity="0.7" />,
        ])}
        <circle cx="384" cy="74" r="15" fill="var(--p1)" {...LINE} />
        <circle cx="352" cy="52" r="15" fill="var(--p2)" {...LINE} />
        <circle cx="60" cy="63" r="15" fill="var(--p1)" {...LINE} />
        <path d="M82 62 190 56m-12-6 13 5.500-12 7" stroke="#FFC94A" stroke-width="4" fill="none" stroke-linecap="round" />
      </Mat>
    );
  }
  if (mode === "sandbox") {
    return (
      <Mat width={480} height={170}>
        <rect x="150" y="92" width="92" height="46" rx="10" fill="#B9A88C" {...LINE} />
        <rect x="246" y="92" width="92" height="46" rx="10" fill="#B9A88C" {...LINE} />
        <rect x="196" y="44" width="96" height="46" rx="10" fill="#8FA39B" {...LINE} transform="rotate(-4 244 67)" />
        <circle cx="398" cy="106" r="32" fill="#9FB0BC" {...LINE} />
        <path d="M288 58 352 24" stroke="var(--p1)" stroke-width="3" stroke-dasharray="1 7" stroke-linecap="round" />
        <circle cx="288" cy="58" r="8" fill="var(--p1)" {...LINE} />
        <circle cx="352" cy="24" r="5" fill="var(--p1)" {...LINE} />
      </Mat>
    );
  }
  return (
    <Mat width={480} height={120}>
      <path d="M30 20V96" stroke="#E9FBF4" stroke-width="5" stroke-linecap="round" />
      <path d="M30 44h34l10-16 18 32 18-32 18 32 18-32 18 32 10-16h44" fill="none" stroke="#E9FBF4" stroke-width="3" stroke-linejoin="round" />
      <path d="M30 84h80m0-12h60v24h-60zm26 12h92" fill="none" stroke="#E9FBF4" stroke-width="3" />
      <rect x="226" y="24" width="86" height="76" rx="10" fill="#8FA39B" {...LINE} />
      <path d="M312 62q20-44 40 0t40 0 40 0" fill="none" stroke="#FFC94A" stroke-width="3" opacity="0.9" />
    </Mat>
  );
}
