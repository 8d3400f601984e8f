// The page with the real program behind it: two devices, a network that goes, a process that is killed. It needs the built program; CONVEYANCE_BIN names one elsewhere.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { desktop, launch, live, missing, phone, serious, visit } from './browser.mjs';

const target = fileURLToPath(new URL('../../../../target/', import.meta.url));
// The one that was built last: the other may be of before, or without the page.
const built = [`${target}release/conveyance`, `${target}debug/conveyance`].filter((path) => existsSync(path)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
const binary = process.env['CONVEYANCE_BIN'] ?? built[0];
const skip = missing ?? (binary === undefined ? 'the program is not built; run cargo build --release --bin conveyance' : false);
if (binary === undefined) console.log('The tests with the real program are skipped: it is not built.');

/** What a browser says of a network or a server that was taken away on purpose, and of a listing that is asked for before it is there. */
const away = /ERR_CONNECTION|ERR_INTERNET_DISCONNECTED|ERR_INCOMPLETE_CHUNKED|Failed to load resource|Failed to fetch|Worker failed to load/;

/** The longest that the program may take to be ready on a busy machine. */
const readyMs = 120_000;

/** A port that nobody holds at this moment. @returns {Promise<number>} */
const freePort = () =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (address === null || typeof address === 'string' ? reject(new Error('no port')) : resolve(address.port)));
    });
  });

class Program {
  /** @param {string} folder @param {number} port */
  constructor(folder, port) {
    this.folder = folder;
    this.url = `http://127.0.0.1:${port}`;
    this.port = port;
    /** @type {import('node:child_process').ChildProcess | null} */
    this.process = null;
    this.said = '';
  }

  async start() {
    const child = spawn(/** @type {string} */ (binary), ['up', '--demo', '--listings', '1500', '--rate', '0', '--data', join(this.folder, 'data'), '--listen', `127.0.0.1:${this.port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.process = child;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (this.said = (this.said + piece).slice(-4000)));
    const until = Date.now() + readyMs;
    while (Date.now() < until) {
      if (child.exitCode !== null) throw new Error(`the program ended: ${this.said}`);
      const ready = await fetch(`${this.url}/stats`).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
      if ((ready?.listings ?? 0) >= 1000) return;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(`the program is not ready: ${this.said}`);
  }

  /** As when the machine loses the process: no goodbye. */
  async kill() {
    const child = this.process;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** @param {string} path */
  async get(path) {
    const answer = await fetch(this.url + path);
    if (!answer.ok) throw new Error(`${path} answers ${answer.status}`);
    return answer.json();
  }

  /** A listing for sale, by its key, another one each time. @returns {Promise<{ ListingKey: string, Version: number, ListPrice: number }>} */
  async forSale() {
    this.taken = (this.taken ?? -1) + 1;
    const { listings } = await this.get('/listings?status=Active&price_min=1&limit=50');
    const listing = listings[this.taken];
    assert.ok(listing, 'the market has a listing for sale');
    return listing;
  }
}

/** @type {Program} */
let program;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {string} */
let folder;

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'conveyance-page-'));
  program = new Program(folder, await freePort());
  [browser] = await Promise.all([launch(), program.start()]);
});

after(async () => {
  await browser?.close();
  await program?.kill();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** @param {string} key */
const address = (key) => `${program.url}/listing/${encodeURIComponent(key).replaceAll('%3A', ':')}?q=${encodeURIComponent(key)}`;

/** @param {import('playwright-core').Page} page @param {number} price */
async function editPrice(page, price) {
  await page.locator('.detail dl').first().waitFor();
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.getByLabel(/^List price/).fill(String(price));
  await page.getByRole('button', { name: 'Send change' }).click();
}

/** @param {import('playwright-core').Page} page @param {string} key @param {number} price */
const cardSays = (page, key, price) => page.waitForFunction(([of, text]) => document.querySelector(`.card[data-key="${of}"] .price`)?.textContent?.includes(text ?? ''), [key, price.toLocaleString('en-US')]);

test('an edit on one device is seen on the other', { skip }, async () => {
  const { ListingKey: key, ListPrice: price } = await program.forSale();
  await visit(browser, `${program.url}/?q=${encodeURIComponent(key)}`, {}, async (other) => {
    await live(other);
    await other.locator(`.card[data-key="${key}"]`).waitFor();
    await visit(browser, address(key), { viewport: phone }, async (page) => {
      await live(page);
      await editPrice(page, price + 12_000);
      await page.locator('.detail .mark.accepted').waitFor();
    });
    await cardSays(other, key, price + 12_000);
  });
});

test('an edit without a network is applied once when it is back', { skip }, async () => {
  const { ListingKey: key, ListPrice: price } = await program.forSale();
  const before = (await program.get(`/listings/${encodeURIComponent(key)}`)).meta.Version;
  await visit(browser, address(key), { complaints: away }, async (page) => {
    await live(page);
    await page.locator('.detail dl').first().waitFor();
    await page.context().setOffline(true);
    await editPrice(page, price + 9_000);
    await page.locator('.detail .mark.queued').waitFor();
    await page.context().setOffline(false);
    await page.locator('.detail .mark.accepted').waitFor();
    await live(page);
    const { listing, meta } = await program.get(`/listings/${encodeURIComponent(key)}`);
    assert.equal(listing.ListPrice, price + 9_000);
    assert.equal(meta.Version, before + 1);
    const { events } = await program.get(`/listings/${encodeURIComponent(key)}/history`);
    assert.equal(events.filter((/** @type {any} */ event) => event.after?.ListPrice === price + 9_000).length, 1);
  });
});

test('a change based on what is no longer so is refused in words', { skip }, async () => {
  const { ListingKey: key, ListPrice: price } = await program.forSale();
  await visit(browser, address(key), { complaints: away }, async (page) => {
    await live(page);
    await page.locator('.detail dl').first().waitFor();
    await page.context().setOffline(true);
    await editPrice(page, price + 5_000);
    await page.locator('.detail .mark.queued').waitFor();
    await visit(browser, address(key), {}, async (other) => {
      await live(other);
      await editPrice(other, price + 7_000);
      await other.locator('.detail .mark.accepted').waitFor();
    });
    await page.context().setOffline(false);
    await page.locator('.detail .mark.refused').waitFor();
    assert.match(await page.locator('.detail .note').first().innerText(), /out of date/);
    await cardSays(page, key, price + 7_000);
  });
});

test('a listing is added by hand, and withdrawn', { skip }, async () => {
  await visit(browser, program.url, { complaints: away }, async (page) => {
    await live(page);
    await page.getByRole('button', { name: 'Add a listing' }).click();
    await page.getByLabel('Address', { exact: true }).fill('12 Quay Street');
    await page.getByLabel('City').last().fill('Seattle');
    await page.getByLabel('State or province').last().selectOption('WA');
    await page.getByLabel('List price').fill('399k');
    await page.getByRole('button', { name: 'Add listing' }).click();
    await page.locator('.detail dl').first().waitFor();
    assert.match(await page.locator('.detail .head .price').innerText(), /399,000/);
    await page.getByRole('button', { name: 'Edit' }).click();
    await page.getByRole('button', { name: 'Withdraw…' }).click();
    await page.getByRole('button', { name: 'Withdraw', exact: true }).click();
    // What is withdrawn is nobody's to see: the page keeps what it shows, and says so.
    await page.getByText('This listing is no longer shown.').waitFor();
  });
});

test('the program is killed and started again; the page recovers without a reload', { skip }, async () => {
  const { ListingKey: key, ListPrice: price } = await program.forSale();
  await visit(browser, address(key), { complaints: away }, async (page) => {
    await live(page);
    await page.locator('.detail dl').first().waitFor();
    await page.locator('.follow').waitFor({ state: 'attached' });
    await page.evaluate(() => Object.assign(globalThis, { stayed: true }));
    await program.kill();
    await page.locator('.state.offline').waitFor();
    await editPrice(page, price + 3_000);
    await page.locator('.detail .mark.queued').waitFor();
    await program.start();
    await page.locator('.detail .mark.accepted').waitFor();
    await live(page);
    await cardSays(page, key, price + 3_000);
    // @ts-expect-error Set above.
    assert.equal(await page.evaluate(() => globalThis.stayed), true);
  });
});

test('the flow of the real program is drawn', { skip }, async () => {
  await visit(browser, `${program.url}/flow`, {}, async (page) => {
    await page.locator('.service').nth(3).waitFor();
    assert.deepEqual(await page.locator('.service strong').allInnerTexts(), ['ingest', 'normalize', 'track', 'gateway']);
    assert.ok((await page.locator('.line').count()) >= 8);
    await page.getByRole('button', { name: /track/ }).first().click();
    await page.locator('.panel .spark').first().waitFor();
  });
});

for (const [name, viewport] of /** @type {const} */ ([['desktop', desktop], ['phone', phone]]))
  for (const colorScheme of /** @type {const} */ (['light', 'dark']))
    test(`axe finds nothing serious: ${name}, ${colorScheme}`, { skip }, async () => {
      const { ListingKey: key } = await program.forSale();
      for (const [path, ready] of /** @type {const} */ ([['/', '.card'], [`/listing/${encodeURIComponent(key)}`, '.detail dl'], ['/?view=map', viewport === phone ? '.follow' : '.card'], ['/flow', '.verdict']]))
        await visit(browser, program.url + path, { viewport, colorScheme }, async (page) => {
          await page.locator(ready).first().waitFor();
          await page.waitForTimeout(250);
          assert.deepEqual(await serious(page), [], path);
        });
    });
