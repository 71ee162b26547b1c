import { existsSync, readFileSync, readdirSync } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import { describe, expect, it } from "vitest";

const WEB = resolve(import.meta.dirname, "..");
const PACKAGE = join("client", "index.ts");

/** From the lowest layer up; folders of one layer do not import each other. README.md shows the same order. */
const LAYERS: readonly (readonly string[])[] = [["wire", "text", "generated"], ["client"], ["session"], ["replay"], ["stage"], ["app"], ["ui"], ["screens"], ["main.tsx"]];

const sources = readdirSync(join(WEB, "src"), { recursive: true, encoding: "utf8" }).map((name) => join("src", name));
const files = [...sources, ...readdirSync(join(WEB, "client")).map((name) => join("client", name))].filter((name) => /\.tsx?$/.test(name) && basename(name) !== "vite.config.ts");

/** The files of src and client that a file imports, types and dynamic imports included. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(WEB, file), "utf8");
  const found = [...text.matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\()"(\.[^"]+|@tussle\/client)"/g)].map((match) => match[1]!);
  return found.map((name) => {
    if (name === "@tussle/client") return PACKAGE;
    const path = resolve(WEB, dirname(file), name);
    const target = ["", ".ts", ".tsx"].map((ending) => path + ending).find((name) => /\.\w+$/.test(name) && existsSync(name));
    if (!target) throw new Error(`${file} imports ${path}, which does not exist`);
    return relative(WEB, target);
  });
}

const graph = new Map(files.map((file) => [file, importsOf(file)]));
const folderOf = (file: string): string => {
  const [first, second] = file.split(sep);
  return first === "src" ? second! : first!;
};
const levelOf = (file: string): number => LAYERS.findIndex((folders) => folders.includes(folderOf(file)));

/** The files of one import cycle, or null. */
function cycle(imports: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const visit = (file: string, trail: string[]): string[] | null => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (done.has(file)) return null;
    for (const target of imports.get(file) ?? []) {
      const found = visit(target, [...trail, file]);
      if (found) return found;
    }
    done.add(file);
    return null;
  };
  for (const file of imports.keys()) {
    const found = visit(file, []);
    if (found) return found;
  }
  return null;
}

describe("the imports of src and of the package", () => {
  it("are found", () => {
    expect(files.length).toBeGreaterThan(40);
    expect(graph.get(join("src", "main.tsx"))).toContain(join("src", "app", "store.ts"));
    expect(graph.get(join("src", "session", "client.ts"))).toContain(PACKAGE);
    expect(graph.get(PACKAGE)).toContain(join("client", "session.ts"));
  });

  it("have no cycle", () => {
    expect(cycle(graph)).toBeNull();
    expect(cycle(new Map([["a", ["b"]], ["b", ["c"]], ["c", ["b"]]]))).toEqual(["b", "c", "b"]);
  });

  it("lead down the layers only", () => {
    const wrong = [...graph].flatMap(([file, targets]) =>
      targets.filter((target) => folderOf(target) !== "style" && folderOf(target) !== folderOf(file) && levelOf(target) >= levelOf(file)).map((target) => `${file} -> ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  it("know every folder", () => {
    expect(files.filter((file) => levelOf(file) < 0)).toEqual([]);
  });
});
