// Serves the built page and a made-up market behind the gateway's HTTP interface: for looking at the page and for its browser tests.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MadeUpFlow } from './flow.mjs';
import { Live, bodyOf } from './live.mjs';
import { Market } from './market.mjs';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));

/** @type {Record<string, string>} */
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.geojson': 'application/geo+json', '.webmanifest': 'application/manifest+json' };

/** @typedef {{ status: number, body: unknown }} Answer */

/** @param {number} status @param {string} code @param {string} message @returns {Answer} */
const refuse = (status, code, message) => ({ status, body: { error: { code, message } } });

/** @param {Market} market @param {URL} url @returns {Answer | null} */
function answer(market, url) {
  const ok = (/** @type {unknown} */ body) => ({ status: 200, body });
  const box = url.searchParams.get('box');
  if (box !== null && box.split(',').length !== 4) return refuse(400, 'bad_box', 'box must be west,south,east,north in degrees, for example box=-123,47,-121,48');
  if (url.pathname === '/listings') return ok(market.page(url.searchParams));
  if (url.pathname === '/map') return ok(market.map(url.searchParams));
  if (url.pathname === '/stats') return ok(market.stats());
  if (url.pathname === '/livez' || url.pathname === '/readyz') return ok({ status: 'ok' });
  const [, key, part] = /^\/listings\/([^/]+)(?:\/(history|explain))?$/.exec(url.pathname) ?? [];
  if (key === undefined) return null;
  const entry = market.entries.get(decodeURIComponent(key));
  if (entry === undefined) return refuse(404, 'unknown_listing', 'there is no listing with this key');
  return ok(part === 'history' ? { events: entry.events } : part === 'explain' ? { steps: market.explain(entry) } : market.detail(entry));
}

/** @param {string} pathname */
function fileOf(pathname) {
  const path = join(dist, normalize(pathname));
  return path.startsWith(dist) && existsSync(path) && statSync(path).isFile() ? path : join(dist, 'index.html');
}

/** @typedef {{ market: Market, live?: Live, flow?: MadeUpFlow, port?: number, failing?: (pathname: string) => number | false, operator?: boolean }} Options */

/**
 * Answers what is more than reading listings. @param {import('node:http').IncomingMessage} request @param {URL} url @param {Live} live @param {MadeUpFlow} flow @param {boolean} operator
 * @returns {Promise<Answer | null>}
 */
async function steer(request, url, live, flow, operator) {
  const known = live.knows(request);
  const steers = operator && known;
  const at = `${request.method} ${url.pathname}`;
  if (at === 'GET /me') return { status: 200, body: { can_command: known, operator: steers } };
  if (at === 'POST /commands') return live.command(request);
  if (at === 'GET /flow/state') return { status: 200, body: flow.state() };
  if (!url.pathname.startsWith('/dead-letters')) return null;
  if (!steers) return refuse(403, 'operators_only', 'this needs the token of an operator');
  return { status: 200, body: at === 'POST /dead-letters/redrive' ? flow.redrive(JSON.parse(await bodyOf(request))) : flow.list(url.searchParams) };
}

/**
 * Starts a server on the port, or on any free one. `failing` is asked for each path of the interface, and gives the status it shall fail with.
 * @param {Options} options
 */
export async function serve({ market, live = new Live(market), flow = new MadeUpFlow(), port = 0, failing = () => false, operator = true }) {
  const respond = async (/** @type {import('node:http').IncomingMessage} */ request, /** @type {import('node:http').ServerResponse} */ response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const status = failing(url.pathname);
    if (status === false && url.pathname === '/changes') return live.connect(request, response, url);
    const given = status === false ? ((await steer(request, url, live, flow, operator)) ?? answer(market, url)) : refuse(status, 'failing', 'The views are being rebuilt; try again in a minute.');
    if (given !== null) {
      response.writeHead(given.status, { 'content-type': 'application/json', 'conveyance-position': live.position });
      response.end(JSON.stringify(given.body));
      return;
    }
    const file = fileOf(url.pathname);
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream', 'cache-control': 'no-cache' });
    createReadStream(file).pipe(response);
  };
  const server = createServer((request, response) => void respond(request, response));
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return { url: `http://127.0.0.1:${address.port}`, port: address.port, live, flow, stop: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))) };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const market = new Market();
  const { url, live } = await serve({ market, port: Number(process.argv[2] ?? 7080) });
  setInterval(() => live.beat(0), 15_000);
  setInterval(() => market.step(4, Date.now()), 5000);
  console.log(`A made-up market at ${url}`);
}
