// The modes that people choose from here.

export const MODES: readonly { id: string; name: string }[] = [
  { id: "duel", name: "Duel" },
  { id: "sandbox", name: "Sandbox" },
  { id: "spring-damper", name: "Spring" },
];

const SIZES: Record<string, readonly number[]> = { duel: [2, 3, 4, 6], sandbox: [1, 2, 4, 8], "spring-damper": [1, 3, 6] };

export function sizesOf(mode: string): readonly number[] {
  return SIZES[mode] ?? SIZES["duel"]!;
}

const NAMES: Record<string, string> = { duel: "Duel", curling: "Curling", sandbox: "Sandbox", "spring-damper": "Spring-damper" };

export function modeName(mode: string): string {
  return NAMES[mode] ?? mode;
}
