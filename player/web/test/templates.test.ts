import { beforeEach, describe, expect, it, vi } from "vitest";

class Shelf {
  readonly items = new Map<string, string>();
  room = Infinity;
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, text: string) => {
    if (text.length > this.room) throw new DOMException("full", "QuotaExceededError");
    this.items.set(key, text);
  };
}

let shelf: Shelf;

async function fresh() {
  vi.resetModules();
  return import("../src/app/templates");
}

beforeEach(() => {
  shelf = new Shelf();
  vi.stubGlobal("localStorage", shelf);
});

describe("own templates", () => {
  it("are kept by name, replaced, removed, and there again after a reload", async () => {
    const one = await fresh();
    one.keepTemplate("  Tower ", { schema: "tussle-scene/1", bodies: [] });
    one.keepTemplate("Arch", { bodies: [1] });
    one.keepTemplate("Tower", { bodies: [2] });
    const again = await fresh();
    expect(again.ownTemplates.value.map(({ name, scene }) => [name, JSON.parse(scene)])).toEqual([
      ["Arch", { bodies: [1], name: "Arch" }],
      ["Tower", { bodies: [2], name: "Tower" }],
    ]);
    again.removeTemplate("Arch");
    expect((await fresh()).ownTemplates.value.map(({ name }) => name)).toEqual(["Tower"]);
  });

  it("are bounded, and a refusal changes nothing", async () => {
    const { keepTemplate, ownTemplates, MOST_TEMPLATES } = await fresh();
    expect(() => keepTemplate("  ", {})).toThrow("needs a name");
    expect(() => keepTemplate("large", { text: "x".repeat(131_072) })).toThrow("too large");
    for (let i = 0; i < MOST_TEMPLATES; i++) keepTemplate(`scene ${i}`, {});
    expect(() => keepTemplate("one more", {})).toThrow("Remove one");
    keepTemplate("scene 3", { bodies: [] });
    shelf.room = 10;
    expect(() => keepTemplate("scene 4", { bodies: [] })).toThrow("keeps no more");
    expect(ownTemplates.value.length).toBe(MOST_TEMPLATES);
  });

  it("are none where the browser holds something else", async () => {
    shelf.items.set("tussle.templates", '{"a": [1');
    expect((await fresh()).ownTemplates.value).toEqual([]);
    shelf.items.set("tussle.templates", '[3, {"name": "x"}, {"name": "y", "scene": "{}"}]');
    expect((await fresh()).ownTemplates.value.map(({ name }) => name)).toEqual(["y"]);
  });
});
