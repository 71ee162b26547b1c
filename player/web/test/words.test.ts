import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { isInside } from "../src/stage/flat";
import { en } from "../src/text/lang/en";
import { amount, measured, setUnits } from "../src/text/units";
import { LANGUAGES, speak, t } from "../src/text/words";

const SOURCE = resolve(import.meta.dirname, "..", "src");

afterEach(() => {
  setUnits("si");
  speak("en");
});

describe("the words", () => {
  it("fill in values and choose the form that fits a number", () => {
    expect(t("turn.alert.body", { title: "Ada’s duel", n: 1 })).toBe("Ada’s duel: 1 second left.");
    expect(t("turn.alert.body", { title: "Ada’s duel", n: 2 })).toBe("Ada’s duel: 2 seconds left.");
  });

  it("of an unknown language are English", () => {
    speak("xx");
    expect(t("settings.title")).toBe("Settings");
  });

  it("are the same in every language, with the same values", () => {
    const values = (line: string): string[] => [...new Set([...line.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!))].sort();
    for (const { words } of Object.values(LANGUAGES)) {
      expect(Object.keys(words)).toEqual(Object.keys(en));
      for (const [word, line] of Object.entries(en)) expect(values(words[word as keyof typeof en])).toEqual(values(line));
    }
  });

  it("are all used", () => {
    const files = readdirSync(SOURCE, { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name) && !name.includes("lang"));
    const text = files.map((name) => readFileSync(join(SOURCE, name), "utf8")).join("\n");
    const families = ["settings.quality.", "settings.theme.", "settings.motion.", "settings.units.", "key.", "keys.on."];
    const used = (word: string): boolean => text.includes(`"${word}"`) || families.some((family) => word.startsWith(family) && text.includes(`\`${family}$`));
    expect(Object.keys(en).filter((word) => !used(word))).toEqual([]);
  });
});

describe("units", () => {
  it("are converted for reading only", () => {
    expect(measured("speed", 3)).toBe("3.0 m/s");
    setUnits("us");
    expect(measured("speed", 3)).toBe("9.8 ft/s");
    expect(amount("mass", 10)).toBe("22.0");
    expect(measured("impulse", 20)).toBe("4.5 lbf·s");
  });
});

describe("an outline from above", () => {
  const square = [[0, 0], [1, 0], [1, 1], [0, 1]] as const;
  it("has an inside whichever way it turns", () => {
    for (const outline of [square, [...square].reverse()]) {
      expect(isInside(outline, 0.5, 0.5)).toBe(true);
      expect(isInside(outline, 1.5, 0.5)).toBe(false);
    }
    expect(isInside([], 0, 0)).toBe(false);
  });
});
