import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { mapLibrary } from './build/map-library.ts';
import { serviceWorker } from './build/service-worker.ts';

/** Where the gateway listens while the page is being developed. */
const gateway = 'http://127.0.0.1:7080';

/** Paths of the gateway. `/listings/KEY` is data; `/listing/KEY` is the page. */
const apiPaths = ['^/listings', '^/map(\\?|$)', '^/stats', '^/livez', '^/readyz', '^/me$', '^/commands$', '^/changes', '^/flow/state', '^/dead-letters'];

export default defineConfig({
  plugins: [mapLibrary(), svelte(), serviceWorker()],
  server: { port: 5173, proxy: Object.fromEntries(apiPaths.map((path) => [path, gateway])) },
  assetsInclude: ['**/*.geojson'],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    rolldownOptions: {
      output: {
        // The map's worker is a module script: some servers know `.js` but not `.mjs`, and a browser refuses a module without its type.
        assetFileNames: (asset) => (asset.names.some((name) => name.endsWith('.mjs')) ? 'assets/[name]-[hash].js' : 'assets/[name]-[hash][extname]'),
      },
    },
  },
  test: { include: ['test/unit/**/*.test.ts'], environment: 'node' },
} as Parameters<typeof defineConfig>[0]);
