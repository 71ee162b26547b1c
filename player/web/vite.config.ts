import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig } from "vite";
import type { Plugin } from "vite";

/** The most bytes of all files, compressed with gzip: a larger build fails. */
const LARGEST = 350_000;

/** Writes .br and .gz next to what compresses well, once the files are final, and prints what a visit downloads. */
function compress(): Plugin {
  return {
    name: "compress",
    apply: "build",
    enforce: "post",
    writeBundle(options, bundle) {
      const total = [0, 0, 0];
      for (const name of Object.keys(bundle)) {
        if (!/\.(js|css|html|svg)$/.test(name)) continue;
        const path = join(options.dir ?? "dist", name);
        const source = readFileSync(path);
        const gz = gzipSync(source, { level: 9 });
        const br = brotliCompressSync(source, { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } });
        writeFileSync(`${path}.gz`, gz);
        writeFileSync(`${path}.br`, br);
        [source.length, gz.length, br.length].forEach((size, i) => (total[i]! += size));
      }
      if (total[1]! > LARGEST) this.error(`the bundle has ${total[1]} bytes after gzip, more than ${LARGEST}`);
      const [plain, gz, br] = total.map((size) => `${(size / 1024).toFixed(0)} KiB`);
      console.log(`bundle: ${plain}, ${gz} gzip, ${br} brotli (fonts apart)`);
    },
  };
}

/** The names of the words of src/text/lang/en are long, so that a translator knows where they are; a build has a short one
 * for each, which takes 3 % off the files. */
function shortNames(): Plugin {
  const folder = join(import.meta.dirname, "src/text/lang/en");
  const short = new Map<string, string>();
  return {
    name: "short-names",
    apply: "build",
    enforce: "pre",
    buildStart() {
      for (const file of readdirSync(folder).sort()) for (const [, name] of readFileSync(join(folder, file), "utf8").matchAll(/^ {2}"([a-z0-9.-]+)":/gm)) short.set(name!, `w${short.size.toString(36)}`);
    },
    transform(code, id) {
      return /\/src\/.*\.tsx?$/.test(id) ? { code: code.replace(/"([a-z0-9]+\.[a-z0-9.-]+)"/g, (whole, name: string) => (short.has(name) ? `"${short.get(name)}"` : whole)), map: null } : null;
    },
  };
}

/** Preloads the Latin letters of the three families, so that they are there when the page is first drawn and move no text. */
function preloadFonts(): Plugin {
  return {
    name: "preload-fonts",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler(_html, { bundle }) {
        const fonts = Object.keys(bundle ?? {}).filter((name) => /-latin-(wght|wdth)-normal-.*\.woff2$/.test(name));
        if (fonts.length !== 3) throw new Error(`these fonts would be preloaded: ${fonts.join(", ")}`);
        return fonts.map((name) => ({ tag: "link", attrs: { rel: "preload", as: "font", type: "font/woff2", crossorigin: true, href: `./${name}` }, injectTo: "head" as const }));
      },
    },
  };
}

export default defineConfig({
  resolve: { alias: { "@tussle/client": join(import.meta.dirname, "client/index.ts") } },
  base: "./", // below any path; server/http/static.py adapts index.html for /r/TOKEN
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 900,
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "three", test: /node_modules\/three/ }] } } },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8420", "/ws": { target: "ws://127.0.0.1:8420", ws: true }, "/replay": { target: "ws://127.0.0.1:8420", ws: true } } },
  plugins: [shortNames(), preloadFonts(), compress()],
  test: { include: ["test/**/*.test.ts"], pool: "threads", isolate: false, testTimeout: 60_000, hookTimeout: 60_000 }, // beside other work
} as Parameters<typeof defineConfig>[0] & { test: unknown });
