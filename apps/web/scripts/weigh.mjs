// Weighs the built page as it travels, and fails the build when the script outgrows its limit.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, gzipSync } from 'node:zlib';

/** Kilobytes of all script, the map library and its worker included, compressed as a browser asks for it. */
const scriptMax = 400;

const assets = fileURLToPath(new URL('../dist/assets/', import.meta.url));
const kilobytes = (bytes) => bytes / 1000;
const rows = readdirSync(assets).sort().map((name) => {
  const bytes = readFileSync(assets + name);
  return { name, gzip: kilobytes(gzipSync(bytes, { level: 9 }).length), brotli: kilobytes(brotliCompressSync(bytes).length) };
});
for (const row of rows) console.log(`${row.name.padEnd(48)} ${row.gzip.toFixed(1).padStart(8)} kB gzip ${row.brotli.toFixed(1).padStart(8)} kB brotli`);
const script = rows.filter((row) => row.name.endsWith('.js')).reduce((sum, row) => sum + row.brotli, 0);
console.log(`All script: ${script.toFixed(1)} kB of at most ${scriptMax} kB.`);
if (script > scriptMax) process.exit(1);
