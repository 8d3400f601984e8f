// 20,000 listings on the map: it pans and zooms without keeping the page from answering. Measured in the page and in the browser's trace of it.
// How long that takes depends on the machine: it is told always, and judged by `make smooth` on a machine that has nothing else to do.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Market } from '../../dev/market.mjs';
import { serve } from '../../dev/serve.mjs';
import { launch, live, missing, desktop } from './browser.mjs';

const skip = missing ?? false;

const judged = process.env.SMOOTH_JUDGED === '1';

/** What the issue asks for: no task of the page's own thread longer than this, in milliseconds. */
const taskMaxMs = 100;

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Awaited<ReturnType<typeof serve>>} */
let server;

before(async () => {
  if (missing !== null) return;
  server = await serve({ market: new Market({ size: 20_000 }) });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Moves about, and returns the long tasks meanwhile. @param {import('playwright-core').Page} page */
async function moveAbout(page) {
  await page.evaluate(() => {
    const tasks = /** @type {number[]} */ ([]);
    Object.assign(globalThis, { tasks });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => Math.round(entry.duration)))).observe({ type: 'longtask' });
  });
  const box = await page.locator('.maplibregl-canvas').boundingBox();
  assert.ok(box);
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  await page.mouse.move(x, y);
  for (let step = 0; step < 6; step += 1) {
    await page.mouse.wheel(0, -300);
    await page.waitForTimeout(250);
  }
  for (const [dx, dy] of /** @type {const} */ ([[-240, 80], [200, -160], [120, 160]])) {
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x + dx, y + dy, { steps: 12 });
    await page.mouse.up();
    await page.waitForTimeout(400);
  }
  for (let step = 0; step < 4; step += 1) {
    await page.mouse.wheel(0, 400);
    await page.waitForTimeout(250);
  }
  await page.waitForTimeout(500);
  // @ts-expect-error Set above.
  return /** @type {number[]} */ (await page.evaluate(() => globalThis.tasks));
}

/**
 * Processor time of the longest task of the page's own thread, in milliseconds, from a trace of the browser. The clock on the wall also counts
 * the time in which a busy machine does something else.
 * @param {Buffer} trace
 */
function longestMs(trace) {
  /** @type {{ traceEvents: { name: string, pid: number, tid: number, tdur?: number, args: { name?: string } }[] }} */
  const { traceEvents } = JSON.parse(trace.toString('utf8'));
  const own = new Set(traceEvents.filter((event) => event.name === 'thread_name' && event.args.name === 'CrRendererMain').map(({ pid, tid }) => `${pid}.${tid}`));
  const tasks = traceEvents.filter((event) => event.tdur !== undefined && event.name.endsWith('RunTask') && own.has(`${event.pid}.${event.tid}`));
  assert.ok(tasks.length > 100, `the trace has ${tasks.length} tasks`);
  return Math.max(...tasks.map((task) => (task.tdur ?? 0) / 1000));
}

/** How often the page's own thread stood still to read a picture back from where it was drawn: no processor time, but hundreds of milliseconds without a graphics card. @param {Buffer} trace */
const readbacks = (trace) => JSON.parse(trace.toString('utf8')).traceEvents.filter((/** @type {{ name: string }} */ event) => event.name.includes('ReadbackImagePixels')).length;

test('20,000 listings pan and zoom', { skip }, async (context) => {
  const page = await browser.newPage({ viewport: desktop });
  await page.goto(`${server.url}/?box=-123,47,-121.4,48`);
  await live(page);
  await page.locator('.follow').waitFor();
  await page.waitForTimeout(2000);
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline', 'gpu'] });
  const tasks = await moveAbout(page);
  const trace = await browser.stopTracing();
  const longest = longestMs(trace);
  assert.equal(readbacks(trace), 0, 'the page waits for pictures to be read back');
  context.diagnostic(`longest task: ${longest.toFixed(0)} ms of processor time; long ones by the clock: ${tasks.join(', ') || 'none'} ms`);
  // The page's own clock says it where nothing else runs, processor time elsewhere.
  assert.ok(!judged || longest <= taskMaxMs || Math.max(0, ...tasks) <= taskMaxMs, `the longest task took ${longest} ms`);
  await page.close();
});

/** When the first listing stood on the screen and when anything did, in milliseconds of the page's own clock. @param {import('playwright-core').Page} page */
async function painted(page) {
  await page.goto(server.url);
  await page.locator('.card').first().waitFor();
  return page.evaluate(() => new Promise((resolve) => {
    new PerformanceObserver((list, observer) => {
      const largest = list.getEntries().at(-1);
      if (largest === undefined) return;
      observer.disconnect();
      resolve({ first: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0, largest: largest.startTime });
    }).observe({ type: 'largest-contentful-paint', buffered: true });
  }));
}

/** @param {number[]} numbers */
const median = (numbers) => Math.round(numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0);

test('listings are painted without waiting for the map', { skip }, async (context) => {
  const paints = [];
  for (let visit = 0; visit < 5; visit += 1) {
    const device = await browser.newContext({ viewport: desktop });
    paints.push(await painted(await device.newPage()));
    await device.close();
  }
  context.diagnostic(`first paint after ${median(paints.map(({ first }) => first))} ms, the largest after ${median(paints.map(({ largest }) => largest))} ms, median of ${paints.length}`);
  const page = await browser.newPage({ viewport: desktop });
  await page.route(/\/(engine|tile_cache|map-worker)-/, () => {});
  // A page that waits for its map before it has loaded never has.
  await page.goto(server.url, { waitUntil: 'commit' });
  await page.locator('.card').first().waitFor();
  assert.equal(await page.locator('.maplibregl-canvas').count(), 0, 'the map was not held back');
  await page.close();
});
