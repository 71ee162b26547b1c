import { describe, expect, it } from "vitest";
import { paramsIn } from "../src/session/modeparams";

describe("paramsIn", () => {
  it("makes a field of each parameter that a form can ask for", () => {
    const schema = {
      properties: {
        rounds: { type: "integer", minimum: 1, maximum: 9, default: 3 },
        turn_s: { type: "number", exclusiveMinimum: 0, default: 20 },
        wind: { type: "boolean", default: false },
        table: { enum: ["long", "short"], default: "long" },
        title: { type: "string", default: "Putt" },
        bodies: { type: "array", items: { type: "string" }, default: [] },
        needed: { type: "number" },
      },
    };
    expect(paramsIn(schema)).toEqual([
      { name: "rounds", kind: "number", standard: 3, whole: true, low: 1, high: 9 },
      { name: "turn_s", kind: "number", standard: 20, whole: false, low: 0, high: Infinity },
      { name: "wind", kind: "flag", standard: false },
      { name: "table", kind: "choice", standard: "long", choices: ["long", "short"] },
      { name: "title", kind: "text", standard: "Putt" },
    ]);
  });

  it("finds none in a schema of another form", () => {
    for (const schema of [{}, { properties: null }, { properties: { x: 3, y: null } }]) expect(paramsIn(schema)).toEqual([]);
  });
});
