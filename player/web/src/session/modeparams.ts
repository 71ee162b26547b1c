// The parameters of a mode in their JSON Schema, as fields of a form. Pure.

import type { Param } from "../wire/api";

interface Common {
  readonly name: string;
  /** The value of a lobby that chooses none. */
  readonly standard: Param;
}

export type ParamField = Common &
  (
    | { readonly kind: "number"; readonly whole: boolean; readonly low: number; readonly high: number }
    | { readonly kind: "flag" | "text" }
    | { readonly kind: "choice"; readonly choices: readonly string[] }
  );

/** The parameters that a form can ask for: numbers, texts, choices and flags, each with a default. Lists, objects and
 * parameters without a default are left out: a lobby is opened without them, or by a program. */
export function paramsIn(schema: Readonly<Record<string, unknown>>): ParamField[] {
  return Object.entries(record(schema["properties"])).flatMap(([name, about]): ParamField[] => {
    const field = record(about);
    const standard = field["default"];
    if (typeof standard === "boolean") return [{ name, kind: "flag", standard }];
    if (typeof standard === "number") {
      return [{ name, kind: "number", standard, whole: field["type"] === "integer", low: bound(field, ["minimum", "exclusiveMinimum"], -Infinity), high: bound(field, ["maximum", "exclusiveMaximum"], Infinity) }];
    }
    if (typeof standard !== "string") return [];
    const choices = field["enum"];
    if (Array.isArray(choices) && choices.every((one) => typeof one === "string")) return [{ name, kind: "choice", standard, choices }];
    return [{ name, kind: "text", standard }];
  });
}

const record = (value: unknown): Readonly<Record<string, unknown>> => (typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {});

function bound(field: Readonly<Record<string, unknown>>, names: readonly string[], none: number): number {
  const value = names.map((name) => field[name]).find((one) => typeof one === "number");
  return typeof value === "number" ? value : none;
}
