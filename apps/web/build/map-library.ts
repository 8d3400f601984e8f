/**
 * Builds the map library from its own sources, so that what the page never uses is left out, and what the library shares with its worker
 * is in one file that both load. The published bundles repeat those parts in each and carry a decoder for a tile format that is not drawn here:
 * together they would take all that the page may weigh.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { transformWithOxc, type Plugin } from 'vite';

const root = dirname(createRequire(import.meta.url).resolve('maplibre-gl/package.json'));

const sources = join(root, 'src/');

/** Stands in for the decoder of MapLibre Tiles: there is no source of that kind in `style.ts`. */
const noTileDecoder = `
export const GEOMETRY_TYPE = {};
export function decodeTile() { throw new Error('This map is built without MapLibre Tiles: use another encoding.'); }
`;

const virtualWorker = 'virtual:map-worker';

export function mapLibrary(): Plugin {
  let building = false;
  let worker = '';
  return {
    name: 'map-library',
    enforce: 'pre',
    configResolved: (config) => void (building = config.command === 'build' && config.mode !== 'test'),
    buildStart() {
      if (building) worker = this.emitFile({ type: 'chunk', id: join(root, 'src/source/worker.ts'), name: 'map-worker' });
    },
    resolveId(id) {
      if (id === virtualWorker) return `\0${virtualWorker}`;
      if (!building) return null;
      if (id === 'maplibre-gl') return join(root, 'src/index.ts');
      return id === '@maplibre/mlt' ? '\0no-tile-decoder' : null;
    },
    /** The library's classes declare fields that their bases set; such declarations must not become assignments. */
    async transform(code, id) {
      if (!building || !id.startsWith(sources) || !id.endsWith('.ts')) return null;
      const { code: script } = await transformWithOxc(code, id, { typescript: { removeClassFieldsWithoutInitializer: true }, assumptions: { setPublicClassFields: true } });
      return { code: script, moduleType: 'js' };
    },
    load(id) {
      if (id === '\0no-tile-decoder') return noTileDecoder;
      if (id === `\0${virtualWorker}`)
        return building ? `export default import.meta.ROLLUP_FILE_URL_${worker};` : `export { default } from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';`;
      return null;
    },
  };
}
