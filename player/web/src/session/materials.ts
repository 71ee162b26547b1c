// Materials by name, with their numbers. A body keeps only the numbers. The moduli are those that the
// solver is stable and quick with; they are lower than the real ones of wood, steel, ice and stone, which do not bend
// visibly either way.

import { computed } from "@preact/signals";
import { t } from "../text/words";
import type { Material } from "../wire/scene";

export interface Preset {
  readonly id: string;
  readonly name: string;
  readonly colour: string;
  readonly material: Material;
}

export const PRESETS = computed((): readonly Preset[] => [
  { id: "rubber", name: t("materials.rubber"), colour: "#6F7F86", material: { density: 1100, stiffness: 2e6, poisson: 0.45, friction: 0.9, damping: 0.3 } },
  { id: "wood", name: t("materials.wood"), colour: "#B9A88C", material: { density: 600, stiffness: 2e7, poisson: 0.3, friction: 0.45, damping: 0.1 } },
  { id: "steel", name: t("materials.steel"), colour: "#9FB0BC", material: { density: 7800, stiffness: 2e8, poisson: 0.29, friction: 0.3, damping: 0 } },
  { id: "jelly", name: t("materials.jelly"), colour: "#A9C9B8", material: { density: 1000, stiffness: 4e4, poisson: 0.45, friction: 0.4, damping: 0.5 } },
  { id: "ice", name: t("materials.ice"), colour: "#CBDDE2", material: { density: 917, stiffness: 5e7, poisson: 0.33, friction: 0.03, damping: 0 } },
  { id: "stone", name: t("materials.stone"), colour: "#8FA39B", material: { density: 2500, stiffness: 5e7, poisson: 0.25, friction: 0.6, damping: 0 } },
]);

export function presetOf(material: Material): Preset | null {
  return PRESETS.value.find((one) => Object.entries(one.material).every(([key, value]) => material[key as keyof Material] === value)) ?? null;
}

/** The preset whose density and stiffness are nearest: what a body looks like. */
export function likeness(material: Material): Preset {
  const off = (one: Preset) => Math.abs(Math.log(one.material.density / material.density)) + 0.3 * Math.abs(Math.log(one.material.stiffness / material.stiffness));
  return PRESETS.value.reduce((best, one) => (off(one) < off(best) ? one : best));
}
