// What the browser tests share: the browser, a visit that ends with nothing to complain about, and what axe says.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('playwright-core').Browser} Browser */

const browserPath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const arguments_ = [
  '--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
];

/** Why no browser test can run here, or null. */
export const missing = !existsSync(browserPath)
  ? `there is no browser at ${browserPath}; install Chromium or name one in CHROMIUM`
  : !existsSync(fileURLToPath(new URL('../../dist/index.html', import.meta.url)))
    ? 'the page is not built; run npm run build'
    : null;
if (missing !== null) console.log(`Browser tests are skipped: ${missing}.`);

export const launch = () => chromium.launch({ executablePath: browserPath, args: arguments_ });

export const desktop = { width: 1440, height: 900 };
export const phone = { width: 390, height: 844 };

/**
 * Opens the page as a device of its own, hands it to the check, and then asks that the browser had nothing to complain about.
 * @param {Browser} browser @param {string} address
 * @param {{ viewport?: typeof desktop, colorScheme?: 'light' | 'dark', complaints?: RegExp, serviceWorkers?: 'allow' | 'block' }} options
 * @param {(page: Page) => Promise<void>} check
 */
export async function visit(browser, address, { viewport = desktop, colorScheme = 'light', complaints, serviceWorkers = 'block' }, check) {
  const context = await browser.newContext({ viewport, colorScheme, serviceWorkers });
  const page = await context.newPage();
  /** @type {string[]} */
  const said = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  try {
    await page.goto(address);
    await check(page);
    assert.deepEqual(said.filter((text) => !text.includes('Service Worker registration blocked by Playwright')).filter((text) => complaints === undefined || !complaints.test(text)), []);
  } finally {
    await context.close();
  }
}

/** What axe calls serious or critical on the page as it stands, in words. @param {Page} page */
export async function serious(page) {
  await page.evaluate(axe);
  // @ts-expect-error axe has put itself there just now.
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.filter((/** @type {{ impact: string }} */ { impact }) => impact === 'serious' || impact === 'critical');
  return found.map((/** @type {any} */ v) => `${v.id}: ${v.nodes.map((/** @type {any} */ n) => n.target + ' ' + n.failureSummary).join('; ')}`);
}

/** Path and query of the page, readable. @param {Page} page */
export const search = (page) => page.evaluate(() => location.pathname + decodeURIComponent(location.search));

/** The number of listings that the list says there are. @param {Page} page */
export const total = async (page) => Number((await page.locator('.list h1').innerText()).replace(/\D/g, ''));

/** Waits until the page says that it is live. @param {Page} page */
export const live = (page) => page.locator('.state.live').waitFor();
