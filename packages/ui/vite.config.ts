import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const outDir = join(import.meta.dirname, 'dist/web');
const GZIP_FROM_BYTES = 1024;

/** Puts a compressed twin beside every file that is worth it, so that the server compresses nothing while it runs. */
function compressedTwins(): Plugin {
  return {
    name: 'compressed-twins',
    closeBundle() {
      for (const entry of readdirSync(outDir, { withFileTypes: true, recursive: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const bytes = readFileSync(path);
        if (bytes.length >= GZIP_FROM_BYTES) writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

/** The page of the UI. Relative addresses, so that it works below any path of an ingress. */
export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [react(), compressedTwins()],
  build: { outDir, emptyOutDir: true, chunkSizeWarningLimit: 1500 },
  server: { proxy: { '/v1': { target: process.env['LONGHORN_MANAGER_IP'] ?? 'http://localhost:9500', ws: true } } },
});
