// A made-up dataflow, calm or stuck, as `/flow/state` tells it.

const services = /** @type {const} */ ([
  ['ingest', 'source', 'reads feeds, resumes where it stopped, finds deletes', [], ['listing.raw']],
  ['normalize', 'transform', 'maps columns to RESO fields, standardises the address, finds the place', ['listing.raw'], ['listing.changes']],
  ['track', 'transform', 'drops stale and unchanged, applies commands, says what changed', ['listing.changes'], ['listing.current', 'listing.events', 'media.wanted', 'command.results']],
  ['gateway', 'view', 'keeps the read models and serves them, with the page', ['listing.current', 'listing.events', 'command.results'], ['listing.changes']],
]);

/** @type {Record<string, number>} */
const rates = { 'listing.raw': 42, 'listing.changes': 40.4, 'listing.current': 11.2, 'listing.events': 12.8, 'media.wanted': 3.1, 'command.results': 0.3 };

/** @param {number} n */
const letter = (n) => ({
  id: `normalize/${n % 8}/${1200 + n}`,
  key: `king-county:71293${String(10_000 + n)}`,
  code: n % 3 === 0 ? 'no_key' : 'bad_number',
  message: n % 3 === 0 ? 'the row has no value in the column that is its key' : '`price` is not a number: "n/a"',
  service: 'normalize',
  time: new Date(Date.now() - n * 61_000).toISOString(),
  feed: 'king-county',
  file: 'kc_house_data.csv',
  line: String(118 + n * 7),
  redriven: false,
});

export class MadeUpFlow {
  constructor() {
    this.stuck = false;
    this.letters = Array.from({ length: 12 }, (_, n) => letter(n));
  }

  state() {
    const waiting = this.letters.filter((one) => !one.redriven);
    /** @type {Record<string, number>} */
    const reasons = {};
    for (const { code } of waiting) reasons[code] = (reasons[code] ?? 0) + 1;
    const edges = services.flatMap(([service, , , reads, writes]) => [
      ...reads.map((topic) => this.#read(service, topic)),
      ...writes.map((topic) => ({ service, topic, direction: 'write', rate_per_s: service === 'gateway' ? 0.3 : (rates[topic] ?? 0) })),
    ]);
    return {
      time_ms: Date.now(),
      services: services.map(([name, kind, does, reads, writes]) => ({
        name, kind, does, reads, writes, state: name === 'track' ? 'listing.current' : 'none', instances: 1, held: [],
        dead_letters: name === 'normalize' ? waiting.length : 0, dead_letter_reasons: name === 'normalize' ? reasons : {},
      })),
      topics: Object.entries(rates).map(([name, rate]) => ({ name, key: 'ListingKey', partitions: 8, retention: 'last of each key, else 30 days', rate_per_s: rate, records: Math.round(rate * 9000) })),
      edges,
      conditions: this.stuck ? ['`track` has not moved for 2 minutes on listing.changes: look at its log, then start it again'] : [],
      freshness: { p50_ms: 38, p99_ms: 124, samples: 2431 },
      history: { seconds: 60, topics: Object.fromEntries(Object.entries(rates).map(([name, rate]) => [name, Array.from({ length: 60 }, (_, i) => Math.round(rate * (1 + 0.4 * Math.sin(i / 5 + name.length))))])) },
    };
  }

  /** @param {string} service @param {string} topic */
  #read(service, topic) {
    const stuck = this.stuck && service === 'track';
    return { service, topic, direction: 'read', lag: stuck ? 18_240 : 0, oldest_ms: stuck ? 127_000 : null, rate_per_s: stuck ? 0 : (rates[topic] ?? 0) };
  }

  /** @param {URLSearchParams} params */
  list(params) {
    const service = params.get('service');
    const found = this.letters.filter((one) => service === null || one.service === service);
    return { total: found.length, by_reason: {}, dead_letters: found.slice(0, Number(params.get('limit') ?? 20)) };
  }

  /** @param {{ positions?: string[], all?: boolean }} wanted */
  redrive({ positions = [], all = false }) {
    for (const one of this.letters) if (all || positions.includes(one.id)) one.redriven = true;
    return { redriven: positions.length };
  }
}
