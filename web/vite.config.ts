import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// One node's API for `npm run dev`, e.g. QUORATE_NODE=https://10.77.0.1:8006
const node = process.env["QUORATE_NODE"];

/** `FILE.br` and `FILE.gz` beside every text: the server compresses nothing while somebody waits. */
const compressed = {
  name: "compressed",
  apply: "build" as const,
  writeBundle: ({ dir = "dist" }: { dir?: string }) => {
    for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" })) {
      if (!/\.(js|css|html|svg)$/.test(name)) continue;
      const content = readFileSync(join(dir, name));
      writeFileSync(join(dir, `${name}.br`), brotliCompressSync(content));
      writeFileSync(join(dir, `${name}.gz`), gzipSync(content, { level: 9 }));
    }
  },
};

export default defineConfig({
  plugins: [react(), compressed],
  build: {
    target: "es2022",
    // Nothing inline: the server's Content-Security-Policy allows files of its own alone
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // 5 kB more at first; a part whose own styles could not be had would be shown without them
    cssCodeSplit: false,
    chunkSizeWarningLimit: 600,
    rollupOptions: {
      output: {
        // What changes with releases of others stays in the browser's cache when our pages change
        manualChunks: (id) => (/node_modules\/(react|react-dom|scheduler)\//.test(id) ? "react" : undefined),
      },
    },
  },
  server: node ? { proxy: { "/api2": { target: node, secure: false, changeOrigin: true } } } : {},
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
