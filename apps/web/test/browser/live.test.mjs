// The page as changes flow through it: between devices, through bad networks, and past a server that dies. The server is made up; `real.test.mjs` uses the real one.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Live } from '../../dev/live.mjs';
import { Market } from '../../dev/market.mjs';
import { serve } from '../../dev/serve.mjs';
import { desktop, launch, live, missing, phone, serious, total, visit } from './browser.mjs';

const skip = missing ?? false;
/** What a browser says of a network that was taken away on purpose. */
const away = /ERR_CONNECTION|ERR_INTERNET_DISCONNECTED|ERR_INCOMPLETE_CHUNKED|Failed to load resource|Failed to fetch|Worker failed to load/;

/** @type {import('playwright-core').Browser} */
let browser;

before(async () => {
  if (missing === null) browser = await launch();
});
after(async () => void (await browser?.close()));

/**
 * Runs a check against a market of its own.
 * @param {{ size?: number, token?: string, operator?: boolean }} options
 * @param {(at: { market: Market, server: Awaited<ReturnType<typeof serve>>, live: Live }) => Promise<void>} check
 */
async function withMarket({ size = 400, token, operator = true }, check) {
  const market = new Market({ size });
  const made = new Live(market, { token: token ?? null });
  const server = await serve({ market, live: made, operator });
  try {
    await check({ market, server, live: made });
  } finally {
    await server.stop();
  }
}

/** A listing that can be edited, by its key. @param {Market} market */
function forSale(market) {
  const entry = [...market.entries.values()].find(({ summary }) => summary.StandardStatus === 'Active' && summary.ListPrice !== undefined);
  assert.ok(entry);
  return entry;
}

/** @param {import('playwright-core').Page} page @param {string} price */
async function editPrice(page, price) {
  await page.locator('.detail dl').first().waitFor();
  await page.keyboard.press('e');
  await page.getByLabel(/^List price/).fill(price);
  await page.getByRole('button', { name: 'Send change' }).click();
}

/** @param {import('playwright-core').Page} page @param {string} key */
const cardText = (page, key) => page.locator(`.card[data-key="${key}"] .price`).innerText();

test('an edit on one device is seen on another', { skip }, async () => {
  await withMarket({}, async ({ market, server }) => {
    const { summary } = forSale(market);
    const place = `/?q=${encodeURIComponent(summary.ListingKey)}`;
    await visit(browser, server.url + place, {}, async (other) => {
      await live(other);
      await visit(browser, `${server.url}/listing/${summary.ListingKey}${place.slice(1)}`, { viewport: phone }, async (page) => {
        await live(page);
        await editPrice(page, '432,100');
        await page.locator('.detail .mark.accepted').waitFor();
        assert.match(await page.locator('.detail .head .price').innerText(), /432,100/);
      });
      await other.waitForFunction((key) => document.querySelector(`.card[data-key="${key}"] .price`)?.textContent?.includes('432,100'), summary.ListingKey);
      assert.match(await other.locator('.card .what').first().innerText(), /^[+−]\$/);
    });
  });
});

test('a form says what will be sent, and what is wrong with it', { skip }, async () => {
  await withMarket({}, async ({ market, server }) => {
    const { summary } = forSale(market);
    await visit(browser, `${server.url}/listing/${summary.ListingKey}`, {}, async (page) => {
      await page.locator('.detail dl').first().waitFor();
      await page.getByRole('button', { name: 'Edit' }).click();
      const price = page.getByLabel(/^List price/);
      assert.equal(await page.getByRole('button', { name: 'Send change' }).isDisabled(), true);
      await price.fill('cheap');
      await page.getByText('An amount, for example').waitFor();
      assert.equal(await page.getByRole('button', { name: 'Send change' }).isDisabled(), true);
      await price.fill('1.2m');
      await page.getByText(/Will be sent, based on version/).waitFor();
      assert.match(await page.locator('.preview').innerText(), /→ \$1,200,000/);
      assert.deepEqual(await serious(page), []);
      await page.keyboard.press('Escape');
      assert.equal(await price.count(), 0);
      assert.equal(await page.locator('.detail').count(), 1, 'Escape leaves the form first');
    });
  });
});

test('what is decided without a network is kept, sent once it is back, and applied once', { skip }, async () => {
  await withMarket({}, async ({ market, server, live: made }) => {
    const { summary } = forSale(market);
    const version = summary.Version;
    await visit(browser, `${server.url}/listing/${summary.ListingKey}`, { complaints: away }, async (page) => {
      await live(page);
      await page.locator('.detail dl').first().waitFor();
      await page.context().setOffline(true);
      await editPrice(page, '510000');
      await page.locator('.detail .mark.queued').waitFor();
      await page.locator('.waits').waitFor();
      await page.context().setOffline(false);
      await page.locator('.detail .mark.accepted').waitFor();
      assert.equal(market.entries.get(summary.ListingKey)?.summary.Version, version + 1);
      assert.equal(new Set(made.taken).size, 1, 'every try carried the same id');
      assert.match(await page.locator('.detail .head .price').innerText(), /510,000/);
    });
  });
});

test('a queue outlives the page', { skip }, async () => {
  await withMarket({}, async ({ market, server }) => {
    const { summary } = forSale(market);
    await visit(browser, `${server.url}/listing/${summary.ListingKey}`, { complaints: away }, async (page) => {
      await page.route('**/commands', (route) => route.abort());
      await editPrice(page, '498000');
      await page.locator('.detail .mark.queued').waitFor();
      await page.unroute('**/commands');
      await page.reload();
      await page.locator('.detail .mark.accepted').waitFor();
      assert.equal(market.entries.get(summary.ListingKey)?.summary.ListPrice, 498_000);
    });
  });
});

test('a change that came too late is refused in words, on the field', { skip }, async () => {
  await withMarket({}, async ({ market, server }) => {
    const { summary } = forSale(market);
    await visit(browser, `${server.url}/listing/${summary.ListingKey}`, { complaints: away }, async (page) => {
      await live(page);
      await page.locator('.detail dl').first().waitFor();
      await page.context().setOffline(true);
      await editPrice(page, '505000');
      market.feedSays(summary.ListingKey, { ListPrice: 480_000 }, Date.now());
      await page.context().setOffline(false);
      await page.locator('.detail .mark.refused').waitFor();
      const note = await page.locator('.detail .note').innerText();
      assert.match(note, /out of date/);
      assert.match(note, /You wanted \$505,000/);
      await page.waitForFunction(() => document.querySelector('.detail .head .price')?.textContent?.includes('480,000'));
      await page.locator('.detail .note').getByRole('button', { name: 'Dismiss' }).click();
      await page.locator('.detail .note').waitFor({ state: 'detached' });
    });
  });
});

test('pending is told until the log decides, and a feed may take over later', { skip }, async () => {
  await withMarket({}, async ({ market, server, live: made }) => {
    const { summary } = forSale(market);
    await visit(browser, `${server.url}/listing/${summary.ListingKey}`, {}, async (page) => {
      await live(page);
      made.holding = true;
      await editPrice(page, '477000');
      await page.locator('.detail .mark.sent').waitFor();
      assert.match(await page.locator('.detail .note').innerText(), /Pending\s+to \$477,000/);
      made.release();
      await page.locator('.detail .mark.accepted').waitFor();
      const [id] = made.taken;
      market.feedSays(summary.ListingKey, { ListPrice: 455_000 }, Date.now());
      made.say({ commandId: id ?? '', listingKey: summary.ListingKey, outcome: 'superseded', field: 'ListPrice', version: summary.Version });
      await page.locator('.detail .mark.superseded').waitFor();
      assert.match(await page.locator('.detail .note').innerText(), /feed has a new value/);
    });
  });
});

test('a listing added by hand appears, here and elsewhere', { skip }, async () => {
  await withMarket({}, async ({ server }) => {
    await visit(browser, server.url, {}, async (other) => {
      await live(other);
      await visit(browser, server.url, {}, async (page) => {
        await live(page);
        await page.getByRole('button', { name: 'Add a listing' }).click();
        await page.getByRole('button', { name: 'Add listing' }).click();
        await page.getByText(/fields need a look/).waitFor();
        await page.getByLabel('Address', { exact: true }).fill('12 Quay Street');
        await page.getByLabel('City').last().fill('Halifax');
        await page.getByLabel('State or province').last().selectOption('NS');
        await page.getByLabel('List price').fill('399k');
        assert.deepEqual(await serious(page), []);
        await page.getByRole('button', { name: 'Add listing' }).click();
        await page.locator('.detail dl').first().waitFor();
        assert.match(await page.locator('.detail h2').first().innerText(), /12 Quay Street, Halifax, NS/);
      });
      await other.getByRole('button', { name: '1 new above' }).click();
      await other.locator('.card', { hasText: '12 Quay Street' }).waitFor();
    });
  });
});

test('a token is asked for where the server wants one', { skip }, async () => {
  await withMarket({ token: 'open-sesame' }, async ({ market, server }) => {
    const { summary } = forSale(market);
    await visit(browser, `${server.url}/listing/${summary.ListingKey}`, {}, async (page) => {
      await page.locator('.detail dl').first().waitFor();
      await live(page);
      await page.getByRole('button', { name: 'Add a listing' }).waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'Edit' }).click();
      const token = page.getByRole('dialog', { name: 'Enter your token' }).getByLabel('Token');
      await token.fill('wrong');
      await page.getByRole('button', { name: 'Use this token' }).click();
      await page.getByText('This token allows nothing here').waitFor();
      assert.deepEqual(await serious(page), []);
      await token.fill('open-sesame');
      await page.getByRole('button', { name: 'Use this token' }).click();
      await token.waitFor({ state: 'detached' });
      await editPrice(page, '333000');
      await page.locator('.detail .mark.accepted').waitFor();
    });
  });
});

test('a server that dies and comes back is caught up with, without a reload', { skip }, async () => {
  const market = new Market({ size: 300 });
  const made = new Live(market);
  let server = await serve({ market, live: made });
  const { port } = server;
  const { summary } = forSale(market);
  try {
    await visit(browser, `${server.url}/?q=${encodeURIComponent(summary.ListingKey)}`, { complaints: away }, async (page) => {
      await live(page);
      await page.locator('.follow').waitFor();
      await page.locator('.maplibregl-ctrl-attrib').waitFor();
      await page.evaluate(() => Object.assign(globalThis, { stayed: true }));
      await server.stop();
      await page.locator('.state.offline').waitFor();
      assert.match(await page.locator('.state').innerText(), /Offline since \d/);
      market.feedSays(summary.ListingKey, { ListPrice: 612_000 }, Date.now());
      server = await serve({ market, live: made, port });
      await live(page);
      await page.waitForFunction((key) => document.querySelector(`.card[data-key="${key}"] .price`)?.textContent?.includes('612,000'), summary.ListingKey);

      // The next one has another log: nothing can be resumed, and the page fetches anew.
      await server.stop();
      await page.locator('.state.offline').waitFor();
      market.feedSays(summary.ListingKey, { ListPrice: 599_000 }, Date.now());
      server = await serve({ market, live: new Live(market, { epoch: 'e2' }), port });
      await live(page);
      await page.waitForFunction((key) => document.querySelector(`.card[data-key="${key}"] .price`)?.textContent?.includes('599,000'), summary.ListingKey);
      // @ts-expect-error Set above.
      assert.equal(await page.evaluate(() => globalThis.stayed), true);
    });
  } finally {
    await server.stop();
  }
});

test('what leaves the search is said on its card and does not move the list', { skip }, async () => {
  await withMarket({}, async ({ market, server }) => {
    await visit(browser, `${server.url}/?status=Active`, {}, async (page) => {
      await live(page);
      await page.locator('.card').nth(2).waitFor();
      const key = await page.locator('.card').nth(1).getAttribute('data-key');
      const keys = () => page.locator('.card').evaluateAll((cards) => cards.slice(0, 5).map((card) => card.getAttribute('data-key')));
      const before = await keys();
      market.feedSays(key ?? '', { StandardStatus: 'Pending' }, Date.now());
      await page.locator(`.card.gone[data-key="${key}"]`).waitFor();
      assert.match(await page.locator('.card.gone').innerText(), /No longer in this search/);
      assert.deepEqual(await keys(), before);
    });
  });
});

test('a burst is counted, not played', { skip }, async () => {
  await withMarket({}, async ({ market, server }) => {
    await visit(browser, server.url, {}, async (page) => {
      await live(page);
      await page.locator('.card').nth(20).waitFor({ state: 'attached' });
      const keys = await page.locator('.card').evaluateAll((cards) => cards.map((card) => card.getAttribute('data-key') ?? ''));
      let most = 0;
      for (const key of keys) market.feedSays(key, { ListPrice: 700_000 }, Date.now());
      await page.locator('.burst').waitFor();
      most = await page.locator('.card.pulsing').count();
      assert.ok(most > 0 && most <= 12, `${most} cards pulse`);
      assert.match(await page.locator('.burst').innerText(), /^\+\d+ changes$/);
      assert.equal(await cardText(page, keys[0] ?? ''), '$700,000');
    });
  });
});

test('a backlog is told', { skip }, async () => {
  await withMarket({}, async ({ server, live: made }) => {
    await visit(browser, server.url, {}, async (page) => {
      await live(page);
      // The server beats by itself too, and says then that it is not behind.
      const behind = setInterval(() => made.beat(14_000), 100);
      try {
        await page.locator('.state.catching', { hasText: 'Catching up, 14 s behind' }).waitFor();
      } finally {
        clearInterval(behind);
      }
      made.beat(0);
      await live(page);
    });
  });
});

/** Whether a listing's details are in the browser's storage. Runs in the page. @param {string | null} key */
function kept(key) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open('conveyance');
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const count = request.result.transaction('details').objectStore('details').count(key ?? '');
      count.onerror = () => reject(count.error);
      count.onsuccess = () => {
        request.result.close();
        resolve(count.result > 0);
      };
    };
  });
}

test('without a network the page opens, and shows what was seen', { skip }, async () => {
  await withMarket({}, async ({ market, server }) => {
    const { summary } = forSale(market);
    await visit(browser, `${server.url}/?state=${summary.StateOrProvince}`, { serviceWorkers: 'allow', complaints: away }, async (page) => {
      await live(page);
      await page.evaluate(() => navigator.serviceWorker.ready);
      await page.waitForFunction(async () => (await caches.keys()).length > 0 && (await (await caches.open((await caches.keys())[0] ?? '')).keys()).length > 5);
      const key = await page.locator('.card').first().getAttribute('data-key');
      // Closed before all of it came: what was read is kept all the same.
      await page.route(/\/explain/, () => {});
      await page.locator('.card').first().click();
      await page.locator('.detail dl').nth(1).waitFor();
      await page.keyboard.press('Escape');
      await page.waitForFunction(kept, key);
      const seen = await page.locator('.card').count();
      await server.stop();
      await page.reload();
      await page.locator('.shelved').waitFor();
      await page.locator('.card').first().waitFor();
      assert.equal(await total(page), seen);
      await page.locator('.maplibregl-canvas').waitFor();
      await page.locator(`.card[data-key="${key}"]`).click();
      await page.locator('.detail dl').nth(1).waitFor();
      await page.getByText('This is how it was').waitFor();
      assert.deepEqual(await serious(page), []);
    });
  });
});

test('the flow is calm, or points at what is stuck', { skip }, async () => {
  await withMarket({}, async ({ server }) => {
    await visit(browser, `${server.url}/flow`, { viewport: desktop }, async (page) => {
      await page.getByText('Everything flows').waitFor();
      assert.equal(await page.locator('.line.stuck').count(), 0);
      assert.deepEqual(await page.locator('.service strong').allInnerTexts(), ['ingest', 'normalize', 'track', 'gateway']);
      server.flow.stuck = true;
      await page.getByText(/track is behind on listing\.changes: the oldest record waits 2 min/).waitFor();
      assert.equal(await page.locator('.line.stuck.worst').count(), 1);
      assert.equal(await page.locator('.service.stuck').count(), 1);
      await page.getByRole('button', { name: /normalize/ }).first().click();
      await page.locator('.panel li', { hasText: 'bad_number' }).first().waitFor();
      await page.getByRole('button', { name: 'Redrive all…' }).click();
      await page.getByRole('button', { name: 'Redrive all', exact: true }).click();
      await page.getByText('All were sent back to normalize.').waitFor();
      assert.equal(server.flow.letters.every((letter) => letter.redriven), true);
      await page.keyboard.press('Escape');
      await page.locator('.panel').waitFor({ state: 'detached' });
      await page.getByRole('link', { name: 'Listings' }).click();
      await page.locator('.card').first().waitFor();
    });
  });
});

test('dead letters are for operators', { skip }, async () => {
  await withMarket({ operator: false }, async ({ server }) => {
    await visit(browser, `${server.url}/flow`, {}, async (page) => {
      await page.getByRole('button', { name: /normalize/ }).first().click();
      await page.getByText('is for operators').waitFor();
      assert.equal(await page.getByRole('button', { name: /Redrive/ }).count(), 0);
    });
  });
});

for (const [name, viewport] of /** @type {const} */ ([['desktop', desktop], ['phone', phone]]))
  for (const colorScheme of /** @type {const} */ (['light', 'dark']))
    test(`axe finds nothing serious in the flow and the edit form: ${name}, ${colorScheme}`, { skip }, async () => {
      await withMarket({}, async ({ market, server }) => {
        server.flow.stuck = true;
        await visit(browser, `${server.url}/flow`, { viewport, colorScheme }, async (page) => {
          await page.getByText(/is behind on/).waitFor();
          await page.getByRole('button', { name: /normalize/ }).locator('visible=true').first().click();
          await page.locator('.panel li').first().waitFor();
          assert.deepEqual(await serious(page), []);
          assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page is wider than the screen');
        });
        await visit(browser, `${server.url}/listing/${forSale(market).summary.ListingKey}`, { viewport, colorScheme }, async (page) => {
          await page.locator('.detail dl').first().waitFor();
          await page.getByRole('button', { name: 'Edit' }).click();
          await page.getByLabel('Remarks').waitFor();
          assert.deepEqual(await serious(page), []);
        });
      });
    });
