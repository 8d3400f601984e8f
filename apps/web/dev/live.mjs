// The live half of the stand-in for the gateway: commands, and the stream of changes with positions that can be resumed.

/** @typedef {import('./market.mjs').Market} Market */
/** @typedef {import('../src/lib/listing').Summary} Summary */
/** @typedef {{ response: import('node:http').ServerResponse, listings: (s: Summary) => boolean, device: string | null }} Watcher */
/** @typedef {{ at: number, summary: Summary, before: Summary | null } | { at: number, result: Record<string, unknown> & { commandId: string } }} Entry */

/** The most that a stream can go back; further is a gap. */
const keptMax = 2_000;

export class Live {
  /** @param {Market} market @param {{ epoch?: string, token?: string | null }} [options] */
  constructor(market, { epoch = 'e1', token = null } = {}) {
    this.market = market;
    this.epoch = epoch;
    this.token = token;
    this.at = 0;
    /** @type {Entry[]} */
    this.kept = [];
    /** @type {Set<Watcher>} */
    this.watchers = new Set();
    /** Commands that were taken, in the order they came, repeats included. @type {string[]} */
    this.taken = [];
    /** While set, results wait. */
    this.holding = false;
    /** @type {(() => void)[]} */
    this.held = [];
    market.watchers.add((entry, before) => this.#note({ at: 0, summary: { ...entry.summary }, before }));
  }

  get position() {
    return `${this.epoch}.${this.at}`;
  }

  /** @param {Entry} entry */
  #note(entry) {
    entry.at = this.at += 1;
    this.kept.push(entry);
    if (this.kept.length > keptMax) this.kept.shift();
    for (const watcher of this.watchers) this.#tell(watcher, entry, true);
  }

  /** @param {Watcher} watcher @param {Entry} entry @param {boolean} exact */
  #tell({ response, listings, device }, entry, exact) {
    const write = (/** @type {string} */ event, /** @type {unknown} */ data) => response.write(`id: ${this.epoch}.${entry.at}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    if ('result' in entry) {
      if (device !== null && entry.result.commandId.startsWith(`${device}.`)) write('result', entry.result);
      return;
    }
    const { summary, before } = entry;
    if (listings(summary)) write('change', { listing: summary, version: summary.Version, lastChange: summary.LastChange });
    else if (!exact || (before !== null && listings(before))) write('gone', { listingKey: summary.ListingKey, version: summary.Version, reason: 'left' });
  }

  /** @param {import('node:http').IncomingMessage} request @param {import('node:http').ServerResponse} response @param {URL} url */
  connect(request, response, url) {
    const params = new URLSearchParams(url.searchParams);
    const keys = params.getAll('listing');
    const device = params.get('device');
    const from = /** @type {string | undefined} */ (request.headers['last-event-id']) ?? params.get('from');
    for (const name of ['listing', 'device', 'from']) params.delete(name);
    const inSearch = this.market.filter(params);
    const filtered = params.size > 0 || keys.length === 0;
    /** @type {Watcher} */
    const watcher = { response, device, listings: (s) => keys.includes(s.ListingKey) || (filtered && inSearch(s)) };
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(': changes\nretry: 200\n\n');
    this.#begin(watcher, from);
    this.watchers.add(watcher);
    response.on('close', () => this.watchers.delete(watcher));
  }

  /** @param {Watcher} watcher @param {string | null} from */
  #begin(watcher, from) {
    const { response } = watcher;
    const say = (/** @type {string} */ event, /** @type {unknown} */ data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    if (from === null || from === '') return say('live', { position: this.position });
    const [epoch, text] = from.split('.');
    const at = Number(text);
    const oldest = this.kept[0]?.at ?? this.at + 1;
    if (epoch !== this.epoch || !(at <= this.at) || at < oldest - 1) return say('gap', { position: this.position, reason: 'the log does not reach back to this position' });
    say('resumed', { from, position: this.position });
    for (const entry of this.kept) if (entry.at > at) this.#tell(watcher, entry, false);
    return undefined;
  }

  /** @param {number} behindMs */
  beat(behindMs) {
    for (const { response } of this.watchers) response.write(`event: position\ndata: ${JSON.stringify({ position: this.position, behind_ms: behindMs })}\n\n`);
  }

  /** Whether the request carries the token, where one is wanted. @param {import('node:http').IncomingMessage} request */
  knows(request) {
    return this.token === null || request.headers.authorization === `Bearer ${this.token}`;
  }

  /** @param {import('node:http').IncomingMessage} request @returns {Promise<{ status: number, body: unknown }>} */
  async command(request) {
    if (!this.knows(request)) return { status: 401, body: { error: { code: 'token_required', message: 'send Authorization: Bearer and your token' } } };
    const command = JSON.parse(await bodyOf(request));
    if (typeof command.set?.ListPrice === 'number' && command.set.ListPrice > 1e9) return { status: 400, body: { error: { code: 'bad_value', message: 'ListPrice is too large', field: 'ListPrice' } } };
    this.taken.push(command.commandId);
    const decide = () => {
      const result = this.market.command(command, Date.now());
      this.#note({ at: 0, result });
    };
    if (this.holding) this.held.push(decide);
    else setImmediate(decide);
    const key = command.action === 'add' ? `hand:${command.commandId}` : command.listingKey;
    return { status: 202, body: { commandId: command.commandId, listingKey: key, position: { topic: 'listing.changes', partition: 3, offset: this.taken.length } } };
  }

  /** Tells a result, as the log would after a feed took over. @param {Record<string, unknown> & { commandId: string }} result */
  say(result) {
    this.#note({ at: 0, result });
  }

  /** Lets what waited be decided. */
  release() {
    this.holding = false;
    for (const decide of this.held.splice(0)) decide();
  }
}

/** @param {import('node:http').IncomingMessage} request */
export async function bodyOf(request) {
  /** @type {Buffer[]} */
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
