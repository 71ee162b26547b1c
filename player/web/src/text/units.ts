// Measured values as text, in the units that are chosen: SI, or feet and pounds. Everything is kept and sent in SI; only
// what is read is converted.

import { signal } from "@preact/signals";
import { fixed } from "./format";

export type Units = "si" | "us";
export type Quantity = "speed" | "mass" | "impulse" | "energy";

const UNIT: Record<Units, Record<Quantity, readonly [number, string]>> = {
  si: { speed: [1, "m/s"], mass: [1, "kg"], impulse: [1, "N·s"], energy: [1, "J"] },
  us: { speed: [3.28084, "ft/s"], mass: [2.20462, "lb"], impulse: [0.224809, "lbf·s"], energy: [0.737562, "ft·lbf"] },
};

/** Read by every text, so that a component shows them again when they change. */
const units = signal<Units>("si");

export function setUnits(chosen: Units): void {
  units.value = chosen;
}

/** The number without its unit. value: in SI. */
export function amount(quantity: Quantity, value: number, digits = 1): string {
  return fixed(value * UNIT[units.value][quantity][0], digits);
}

export function unitOf(quantity: Quantity): string {
  return UNIT[units.value][quantity][1];
}

/** The number and its unit. value: in SI. */
export function measured(quantity: Quantity, value: number, digits = 1): string {
  return `${amount(quantity, value, digits)} ${unitOf(quantity)}`;
}
