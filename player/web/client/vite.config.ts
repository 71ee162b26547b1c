import { defineConfig } from "vite";

/** One ES module for browsers and Node: client/dist/index.js. */
export default defineConfig({
  build: {
    target: "es2022",
    minify: false,
    outDir: "dist",
    lib: { entry: "index.ts", formats: ["es"], fileName: () => "index.js" },
  },
});
