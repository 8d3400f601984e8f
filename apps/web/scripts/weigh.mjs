// Packs the built page as it travels, weighs it, and fails the build when the script outgrows its limit.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

/** Kilobytes of all script, the map library and its worker included, compressed as a browser asks for it. */
const scriptMax = 400;

/** What is already packed by its own format gains nothing. */
const packable = /\.(js|css|html|svg|geojson|webmanifest)$/;

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const kilobytes = (bytes) => bytes / 1000;
const names = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.(br|gz)$/.test(entry.name))
  .map((entry) => `${entry.parentPath}/${entry.name}`.replaceAll('//', '/'))
  .sort();

const rows = names.map((path) => {
  const bytes = readFileSync(path);
  const [gzip, brotli] = [gzipSync(bytes, { level: 9 }), brotliCompressSync(bytes)];
  if (packable.test(path)) {
    writeFileSync(`${path}.gz`, gzip);
    writeFileSync(`${path}.br`, brotli);
  }
  return { name: path.slice(dist.length), gzip: kilobytes(gzip.length), brotli: kilobytes(brotli.length) };
});
for (const row of rows) console.log(`${row.name.padEnd(56)} ${row.gzip.toFixed(1).padStart(8)} kB gzip ${row.brotli.toFixed(1).padStart(8)} kB brotli`);
const script = rows.filter((row) => row.name.endsWith('.js')).reduce((sum, row) => sum + row.brotli, 0);
console.log(`All script: ${script.toFixed(1)} kB of at most ${scriptMax} kB.`);
if (script > scriptMax) process.exit(1);
