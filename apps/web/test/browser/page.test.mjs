// The page in a real browser: against the market made by code, or against the gateway that CONVEYANCE_URL names.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Market } from '../../dev/market.mjs';
import { serve } from '../../dev/serve.mjs';
import { desktop, launch, live, missing, phone, search, serious, total, visit as visitAt } from './browser.mjs';

const given = process.env['CONVEYANCE_URL'];
const skip = missing ?? false;
const made = { skip: missing ?? (given === undefined ? false : 'needs the market made by code') };

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Market} */
let market;
/** @type {{ url: string, stop: () => Promise<unknown> }} */
let server;
/** @type {(pathname: string) => number | false} */
let failing = () => false;

afterEach(() => void (failing = () => false));

before(async () => {
  if (missing !== null) return;
  market = new Market();
  server = given === undefined ? await serve({ market, failing: (pathname) => failing(pathname) }) : { url: given.replace(/\/$/, ''), stop: async () => undefined };
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** @param {string} path @param {Parameters<typeof visitAt>[2]} options @param {Parameters<typeof visitAt>[3]} check */
const visit = (path, options, check) => visitAt(browser, server.url + path, options, check);

test('the list is there before the map library', { skip }, async () => {
  await visit('/', {}, async (page) => {
    /** @type {string[]} */
    const order = [];
    page.on('request', (request) => /\/assets\/engine-.*\.js/.test(request.url()) && order.push('map library'));
    await page.reload({ waitUntil: 'commit' });
    const cards = page.locator('.card').first().waitFor().then(() => order.push('list'));
    await page.locator('.maplibregl-canvas').waitFor();
    await cards;
    const times = await page.evaluate(() => {
      const entries = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByType('resource'));
      const of = (/** @type {RegExp} */ pattern) => entries.find((entry) => pattern.test(entry.name));
      return { listings: of(/\/listings\?/)?.responseEnd ?? Infinity, library: of(/\/assets\/engine-.*\.js/)?.startTime ?? -1 };
    });
    assert.ok(times.library >= times.listings, `the library was asked for at ${times.library} ms, the listings were there at ${times.listings} ms`);
    assert.ok(order.includes('map library') && order.includes('list'));
  });
});

test('filters are in the address, and the address is the filters', made, async () => {
  await visit('/', {}, async (page) => {
    await page.locator('.card').first().waitFor();
    const all = await total(page);
    await page.getByRole('button', { name: 'Status' }).click();
    await page.getByRole('checkbox', { name: /^Pending/ }).check();
    await page.waitForURL(/status=Pending/);
    await page.waitForFunction((before) => Number(document.querySelector('.list h1')?.textContent?.replace(/\D/g, '')) < before, all);
    const pending = await total(page);
    assert.ok(pending > 0);
    const badges = (await page.locator('.card .badge .badge').allTextContents()).map((text) => text.trim());
    assert.deepEqual([...new Set(badges)], ['Pending']);

    await page.reload();
    await page.locator('.card').first().waitFor();
    assert.equal(await total(page), pending);

    await page.goBack();
    await page.waitForFunction((before) => Number(document.querySelector('.list h1')?.textContent?.replace(/\D/g, '')) === before, all);
    assert.equal(await search(page), '/');
  });
});

test('a listing opens and closes by keyboard', { skip }, async () => {
  await visit('/', {}, async (page) => {
    await page.locator('.card').nth(2).waitFor();
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('type')), 'search');
    await page.keyboard.press('Escape');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    const key = await page.evaluate(() => document.activeElement?.getAttribute('data-key'));
    assert.equal(key, await page.locator('.card').nth(1).getAttribute('data-key'));
    await page.keyboard.press('Enter');
    await page.locator('.detail dl').first().waitFor();
    assert.equal(await search(page), `/listing/${key}`);
    await page.keyboard.press('Escape');
    await page.locator('.detail').waitFor({ state: 'detached' });
    assert.equal(await search(page), '/');
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('data-key')), key);
  });
});

test('a link to a listing opens it over its search', made, async () => {
  const entry = [...market.entries.values()].find(({ events }) => events.some((event) => event.type === 'price'));
  assert.ok(entry);
  const { ListingKey: key } = entry.summary;
  await visit(`/listing/${key}?state=${entry.summary.StateOrProvince}`, {}, async (page) => {
    await page.locator('.detail figure svg').waitFor();
    assert.equal(await page.locator('.detail ol li').count(), entry.events.length);
    await page.getByRole('button', { name: 'Why does it say this?' }).click();
    assert.deepEqual(await page.locator('.detail h4').allInnerTexts(), ['Raw', 'Mapped', 'Tracked', 'Published']);
    await page.getByRole('button', { name: 'Close' }).click();
    assert.equal(await search(page), `/?state=${entry.summary.StateOrProvince}`);
  });
});

test('why it says this is for operators only', made, async () => {
  failing = (pathname) => pathname.endsWith('/explain') && 403;
  await visit(`/listing/${[...market.entries.keys()][0]}`, { complaints: /403/ }, async (page) => {
    const refused = page.waitForResponse(/\/explain$/);
    await page.reload();
    await refused;
    await page.locator('.detail dl').first().waitFor();
    assert.equal(await page.getByRole('button', { name: 'Why does it say this?' }).count(), 0);
    assert.equal(await page.getByRole('alert').count(), 0);
  });
  failing = () => false;
});

test('a card and its pin are marked together, in either light', made, async () => {
  await visit('/?box=-122.36,47.58,-122.26,47.66', {}, async (page) => {
    await page.locator('.follow').waitFor();
    await page.locator('.card').nth(1).hover();
    await page.locator('.marked-pin').waitFor({ state: 'attached' });
    assert.match(await page.locator('.marked-pin').innerText(), /^\$[\d.]+[KM]$/);
    await page.getByRole('button', { name: 'Use dark colours' }).click();
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).colorScheme), 'dark');
    await page.getByRole('button', { name: 'Use light colours' }).waitFor();
  });
});

test('moving the map moves the search', made, async () => {
  await visit('/?box=-122.55,47.4,-121.9,47.8', {}, async (page) => {
    await page.locator('.follow').waitFor();
    const before = await search(page);
    // The map answers to a hand once it is drawn, which nothing on the page tells.
    for (let tries = 0; tries < 30 && (await search(page)) === before; tries += 1) {
      await page.locator('.maplibregl-ctrl-zoom-in').click();
      await page.waitForFunction((address) => location.pathname + decodeURIComponent(location.search) !== address, before, { timeout: 1000 }).catch(() => undefined);
    }
    assert.match(await search(page), /^\/\?box=-?[\d.]+,[\d.]+,-?[\d.]+,[\d.]+$/);
  });
});

test('what changes while one looks is told without moving the list', made, async () => {
  await visit('/', {}, async (page) => {
    await page.locator('.card').first().waitFor();
    await live(page);
    const first = await page.locator('.card').first().getAttribute('data-key');
    const added = market.step(0, Date.now() + 1000);
    const news = page.getByRole('button', { name: '1 new above' });
    await news.waitFor();
    assert.equal(await page.locator('.card').first().getAttribute('data-key'), first);
    await news.click();
    await page.locator(`.card[data-key="${added}"]`).waitFor();
    assert.equal(await page.locator('.card').first().getAttribute('data-key'), added);
  });
});

test('a failure is told, and can be tried again', made, async () => {
  failing = (pathname) => pathname === '/listings' && 503;
  await visit('/', { complaints: /503/ }, async (page) => {
    await page.getByRole('alert').waitFor();
    assert.match(await page.getByRole('alert').innerText(), /The server is busy\.\s+The views are being rebuilt/);
    failing = () => false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.locator('.card').first().waitFor();
  });
  failing = () => false;
});

test('nothing found says what to do', made, async () => {
  await visit('/?q=nowhere-at-all', {}, async (page) => {
    await page.getByText('Nothing matches').waitFor();
    await page.getByRole('button', { name: 'Reset all filters' }).click();
    await page.locator('.card').first().waitFor();
    assert.equal(await search(page), '/');
  });
});

test('a narrow screen switches between list and map, and filters from a sheet', made, async () => {
  await visit('/', { viewport: phone }, async (page) => {
    await page.locator('.card').first().waitFor();
    assert.equal(await page.locator('.maplibregl-canvas').count(), 0);
    await page.getByRole('button', { name: 'Map', exact: true }).click();
    await page.locator('.follow').waitFor();
    assert.equal(await search(page), '/?view=map');
    await page.getByRole('button', { name: 'List', exact: true }).click();
    await page.getByRole('button', { name: 'Filters' }).click();
    await page.getByRole('dialog', { name: 'Filters' }).waitFor();
    await page.getByRole('button', { name: '3+' }).first().click();
    await page.waitForURL(/beds_min=3/);
    await page.keyboard.press('Escape');
    assert.equal(await page.getByRole('dialog', { name: 'Filters' }).isVisible(), false);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page is wider than the screen');
  });
});

for (const [name, path, viewport, colorScheme, ready] of /** @type {const} */ ([
  ['search', '/', desktop, 'light', '.follow'],
  ['search, dark', '/', desktop, 'dark', '.follow'],
  ['listing', 'listing', desktop, 'light', '.detail dl'],
  ['listing, dark', 'listing', desktop, 'dark', '.detail dl'],
  ['search on a phone', '/', phone, 'light', '.card'],
]))
  test(`axe finds nothing serious: ${name}`, made, async () => {
    const open = path === 'listing' ? `/listing/${[...market.entries.keys()][3]}` : path;
    await visit(open, { viewport, colorScheme }, async (page) => {
      await page.locator(ready).first().waitFor();
      await page.locator('.card').first().waitFor();
      await page.waitForTimeout(250);
      assert.deepEqual(await serious(page), []);
    });
  });

test('nothing moves once it is there', made, async () => {
  await visit('/', {}, async (page) => {
    await page.addInitScript(() => {
      Object.assign(globalThis, { moved: 0 });
      // @ts-expect-error Layout shifts are not in the standard types.
      new PerformanceObserver((list) => list.getEntries().forEach((entry) => (globalThis.moved += entry.value))).observe({ type: 'layout-shift', buffered: true });
    });
    await page.reload();
    await page.locator('.follow').waitFor();
    await page.locator('.maplibregl-ctrl-attrib').waitFor();
    // @ts-expect-error Set by the script above.
    const moved = await page.evaluate(() => globalThis.moved);
    assert.ok(moved < 0.02, `layout shift of ${moved}`);
  });
});
