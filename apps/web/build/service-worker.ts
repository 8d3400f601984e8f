/** Writes `sw.js`: the service worker with the names of all files of this build. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

const template = new URL('./service-worker.template.js', import.meta.url);

/** Large or seldom used: kept once they were asked for. */
const later = /fine-.*\.geojson$|latin-ext/;

export function serviceWorker(): Plugin {
  return {
    name: 'service-worker',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const names = Object.keys(bundle).filter((name) => name.startsWith('assets/') && !later.test(name)).sort();
        const files = ['/', ...names.map((name) => `/${name}`), '/favicon.svg'];
        const script = readFileSync(template, 'utf8');
        const version = createHash('sha256').update(script).update(Object.keys(bundle).sort().join()).digest('hex').slice(0, 12);
        this.emitFile({ type: 'asset', fileName: 'sw.js', source: script.replace('__FILES__', JSON.stringify(files)).replace('__VERSION__', JSON.stringify(version)) });
      },
    },
  };
}
