// A market made by code: the same seed gives the same listings, and `step` changes them the way feeds do. It stands in for the gateway's views in tests.

/** @typedef {import('../src/lib/listing').Summary} Summary */
/** @typedef {import('../src/lib/listing').HistoryEvent} HistoryEvent */
/** @typedef {{ summary: Summary, details: Record<string, unknown>, events: HistoryEvent[] }} Entry */

/** A small generator of the splitmix family: enough for scenery. @param {number} seed */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

const minute = 60_000;
const day = 24 * 60 * minute;

/** Feed, country, region, currency, area unit, share; and where its homes lie: city, post code, centre, spread in degrees, level of prices. */
const areas = /** @type {const} */ ([
  ['king-county', 'US', 'WA', 'USD', 'Square Feet', 0.34, [['Seattle', '98115', -122.32, 47.64, 0.09, 780], ['Bellevue', '98006', -122.16, 47.59, 0.06, 1150], ['Kent', '98042', -122.17, 47.37, 0.07, 520], ['Redmond', '98052', -122.11, 47.68, 0.05, 980], ['Federal Way', '98023', -122.34, 47.31, 0.05, 430]]],
  ['calgary', 'CA', 'AB', 'CAD', 'Square Meters', 0.28, [['Calgary', 'T3A', -114.12, 51.08, 0.1, 610], ['Calgary', 'T2J', -114.05, 50.95, 0.07, 560]]],
  ['new-york', 'US', 'NY', 'USD', 'Square Feet', 0.22, [['Staten Island', '10312', -74.17, 40.56, 0.045, 690], ['Staten Island', '10301', -74.09, 40.62, 0.025, 640]]],
  ['demo-mls', 'US', '', 'USD', 'Square Feet', 0.16, [['Portland', '97206', -122.65, 45.5, 0.09, 540], ['Denver', '80205', -104.97, 39.74, 0.1, 620], ['Austin', '78704', -97.75, 30.25, 0.1, 640], ['Chicago', '60614', -87.68, 41.9, 0.1, 480], ['Halifax', 'B3H', -63.6, 44.65, 0.06, 470], ['Toronto', 'M4K', -79.37, 43.68, 0.09, 980], ['Vancouver', 'V5K', -123.1, 49.25, 0.05, 1400]]],
]);

/** @type {Record<string, readonly ['US' | 'CA', string]>} */
const demoRegions = { Portland: ['US', 'OR'], Denver: ['US', 'CO'], Austin: ['US', 'TX'], Chicago: ['US', 'IL'], Halifax: ['CA', 'NS'], Toronto: ['CA', 'ON'], Vancouver: ['CA', 'BC'] };

const streets = ['Alder St', 'Maple Ave', '24th Ave NE', 'Lakeview Dr', 'Cedar Ln', 'Hillside Rd', 'Bay St', 'Ravenna Blvd', 'Westmount Bv NW', 'Sunset Way', 'Victory Blvd', 'Orchard Ct', 'Rue Saint-Denis', 'Prospect Pl'];
const statuses = ['Active', 'Active', 'Active', 'Active', 'Active', 'Pending', 'Active Under Contract', 'Closed', 'Closed', 'Coming Soon'];

/** @param {Summary} s */
const priceOf = (s) => s.ListPrice ?? s.TaxAssessedValue ?? 0;

export class Market {
  /** @param {{ seed?: number, size?: number, now?: number }} [options] */
  constructor({ seed = 7, size = 2400, now = Date.now() } = {}) {
    this.random = random(seed);
    /** Ids of commands that counted. @type {Set<string> | undefined} */
    this.applied = undefined;
    this.now = now;
    /** @type {Map<string, Entry>} */
    this.entries = new Map();
    /** Told of each change, with what the listing was before it. @type {Set<(entry: Entry, before: Summary | null) => void>} */
    this.watchers = new Set();
    for (let i = 0; i < size; i += 1) this.add(i);
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return /** @type {T} */ (list[Math.floor(this.random() * list.length)]);
  }

  /** Near 0, seldom beyond 1. */
  bell() {
    return (this.random() + this.random() + this.random()) * (2 / 3) - 1;
  }

  /** @param {number} i */
  add(i) {
    let share = this.random();
    const [feed, , , , , , places] = areas.find(([, , , , , part]) => (share -= part) < 0) ?? areas[0];
    const area = /** @type {typeof areas[number]} */ (areas.find(([name]) => name === feed));
    const [city, post, lon, lat, spread, level] = this.pick(/** @type {readonly (readonly [string, string, number, number, number, number])[]} */ (places));
    const [country, region] = demoRegions[city] ?? [area[1], area[2]];
    const currency = country === 'CA' ? 'CAD' : 'USD';
    const assessed = feed === 'calgary';
    const status = assessed ? undefined : this.pick(statuses);
    const price = Math.round((level * (1 + 0.5 * this.bell() + 0.3 * this.random())) / 5) * 5000;
    const age = this.random() ** 3 * 400 * day + i * 1300;
    const beds = 1 + Math.floor(this.random() * 5);
    const square = Math.round(700 + beds * 420 * (0.6 + this.random()));
    /** @type {Summary} */
    const summary = {
      ListingKey: `${feed}:${7_129_300_520 + i * 7919}`,
      Feed: feed,
      Currency: currency,
      PropertyType: this.random() < 0.06 ? 'Land' : this.random() < 0.08 ? 'Residential Income' : 'Residential',
      UnparsedAddress: `${100 + Math.floor(this.random() * 9800)} ${this.pick(streets)}`,
      City: city,
      StateOrProvince: region,
      PostalCode: post,
      Country: country,
      Longitude: lon + this.bell() * spread * 1.2,
      Latitude: lat + this.bell() * spread,
      Version: 1,
      ChangedAt: new Date(this.now - age).toISOString(),
      LastChange: { type: 'added' },
    };
    if (status !== undefined) Object.assign(summary, { StandardStatus: status, ListPrice: price });
    if (status === 'Closed') summary.ClosePrice = Math.round((price * (0.95 + this.random() * 0.08)) / 1000) * 1000;
    if (assessed || this.random() < 0.3) summary.TaxAssessedValue = Math.round(price * 0.93);
    if (summary.PropertyType !== 'Land') {
      Object.assign(summary, { BedroomsTotal: beds, BathroomsTotalInteger: Math.max(1, beds - 1) });
      const metric = area[4] === 'Square Meters';
      Object.assign(summary, { LivingArea: metric ? Math.round(square / 10.764) : square, LivingAreaUnits: metric ? 'Square Meters' : 'Square Feet' });
    }
    const built = 1908 + Math.floor(this.random() * 114);
    const details = {
      YearBuilt: built,
      Stories: 1 + Math.floor(this.random() * 2),
      LotSizeArea: 4000 + Math.floor(this.random() * 6000),
      LotSizeUnits: 'Square Feet',
      ParcelNumber: String(7_129_300_520 + i * 7919),
      TaxYear: 2026,
      Heating: ['Forced Air', 'Natural Gas'],
      View: this.random() < 0.3 ? ['Mountain(s)', 'Water'] : [],
      GarageSpaces: Math.floor(this.random() * 3),
      ListOfficeName: assessed ? undefined : 'Harbour & Pine Realty',
      PublicRemarks: assessed ? undefined : 'Light-filled home on a quiet street, close to schools, shops and transit. Updated kitchen, refinished floors and a fenced garden with mature trees.',
      PoolPrivateYN: null,
    };
    const after = Object.fromEntries(Object.entries({ StandardStatus: status && 'Active', ListPrice: summary.ListPrice, TaxAssessedValue: summary.TaxAssessedValue }).filter(([, v]) => v !== undefined));
    const start = new Date(Date.parse(summary.ChangedAt) - 60 * day).toISOString();
    /** @type {Entry} */
    const entry = { summary, details, events: [{ type: 'added', at: start, as_of: start, version: 1, before: {}, after }] };
    this.entries.set(summary.ListingKey, entry);
    if (assessed) this.assess(entry);
    else if (this.random() < 0.45) this.reprice(entry, Date.parse(summary.ChangedAt));
    if (status === 'Closed') this.record(entry, { type: 'status', at: summary.ChangedAt, before: { StandardStatus: 'Pending' }, after: { StandardStatus: 'Closed', ClosePrice: summary.ClosePrice } }, { type: 'status', field: 'StandardStatus', before: 'Pending', after: 'Closed' });
    return entry;
  }

  /** @param {Entry} entry @param {HistoryEvent} event @param {import('../src/lib/listing').LastChange} last */
  record(entry, event, last) {
    const was = { ...entry.summary };
    entry.summary.Version += 1;
    entry.summary.ChangedAt = event.at;
    entry.summary.LastChange = last;
    entry.events.push({ ...event, version: entry.summary.Version });
    for (const told of this.watchers) told(entry, { ...was, ...this.#undone(event) });
  }

  /** What a change took away: the summary may hold the new value already. @param {HistoryEvent} event @returns {Partial<Summary>} */
  #undone({ before }) {
    return /** @type {Partial<Summary>} */ (before ?? {});
  }

  /** @param {Entry} entry */
  assess(entry) {
    let value = entry.summary.TaxAssessedValue ?? 0;
    const first = entry.events[0];
    if (first === undefined) return;
    const steps = [0.82, 0.87, 0.9, 0.97, 1].map((part) => Math.round((value * part) / 500) * 500);
    first.after = { TaxAssessedValue: steps[0] };
    first.as_of = '2018-01-01T00:00:00Z';
    steps.slice(1).forEach((after, i) => {
      const before = steps[i];
      value = after;
      const as_of = `${2019 + i}-01-01T00:00:00Z`;
      this.record(entry, { type: 'assessment', at: entry.summary.ChangedAt, as_of, before: { TaxAssessedValue: before }, after: { TaxAssessedValue: after } }, { type: 'assessment', field: 'TaxAssessedValue', before, after });
    });
    entry.summary.TaxAssessedValue = value;
  }

  /** @param {Entry} entry @param {number} at */
  reprice(entry, at) {
    const before = entry.summary.ListPrice;
    if (before === undefined) return;
    const after = Math.max(10_000, before + Math.round((this.random() < 0.75 ? -1 : 0.6) * (5 + this.random() * 25)) * 1000);
    entry.summary.ListPrice = after;
    const change = { before: { ListPrice: before }, after: { ListPrice: after } };
    this.record(entry, { type: 'price', at: new Date(at).toISOString(), ...change }, { type: 'price', field: 'ListPrice', before, after });
  }

  /** Lets the market live for a moment: some prices and statuses change, and one listing is new. @param {number} changes @param {number} now */
  step(changes, now) {
    this.now = now;
    const open = [...this.entries.values()].filter(({ summary }) => summary.StandardStatus === 'Active');
    for (let i = 0; i < changes; i += 1) this.reprice(this.pick(open), now);
    const added = this.add(this.entries.size);
    added.summary.ChangedAt = new Date(now).toISOString();
    for (const told of this.watchers) told(added, null);
    return added.summary.ListingKey;
  }

  /** Changes a field the way its feed would. @param {string} key @param {Record<string, unknown>} set @param {number} now */
  feedSays(key, set, now) {
    const entry = this.entries.get(key);
    if (entry === undefined) throw new Error(`there is no listing ${key}`);
    this.#set(entry, set, now);
  }

  /** @param {Entry} entry @param {Record<string, unknown>} set @param {number} now */
  #set(entry, set, now) {
    const fields = { ...entry.details, .../** @type {Record<string, unknown>} */ (/** @type {unknown} */ (entry.summary)) };
    const before = Object.fromEntries(Object.keys(set).map((field) => [field, fields[field] ?? null]));
    const inSummary = ['ListPrice', 'StandardStatus', 'ClosePrice'];
    for (const [field, value] of Object.entries(set)) Object.assign(inSummary.includes(field) ? entry.summary : entry.details, { [field]: value ?? undefined });
    const [field = ''] = Object.keys(set);
    const type = field === 'ListPrice' ? 'price' : field === 'StandardStatus' ? 'status' : 'fields';
    const brief = field === 'PublicRemarks' ? { type, field } : { type, field, before: before[field], after: set[field] };
    this.record(entry, { type, at: new Date(now).toISOString(), before, after: set }, /** @type {import('../src/lib/listing').LastChange} */ (brief));
  }

  /**
   * Applies a command as the log would, and says what became of it.
   * @param {{ commandId: string, listingKey?: string, action: string, basedOn?: number, set?: Record<string, unknown> }} command @param {number} now
   */
  command({ commandId, listingKey, action, basedOn = 0, set = {} }, now) {
    if (action === 'add') return this.#addByHand(`hand:${commandId}`, commandId, set, now);
    const key = listingKey ?? '';
    const entry = this.entries.get(key);
    const told = { commandId, listingKey: key, version: entry?.summary.Version ?? 0 };
    if (entry === undefined) return { ...told, outcome: 'refused', code: 'unknown_listing', reason: 'there is no such listing, or no longer' };
    this.applied ??= new Set();
    if (this.applied.has(commandId)) return { ...told, outcome: 'duplicate' };
    if (basedOn !== entry.summary.Version) return { ...told, outcome: 'refused', code: 'stale', reason: `the listing is at version ${entry.summary.Version}, not ${basedOn}: look at it again before changing it` };
    this.applied.add(commandId);
    this.#set(entry, action === 'withdraw' ? { StandardStatus: 'Withdrawn' } : set, now);
    return { ...told, outcome: 'accepted', version: entry.summary.Version };
  }

  /** @param {string} key @param {string} commandId @param {Record<string, unknown>} set @param {number} now */
  #addByHand(key, commandId, set, now) {
    if (this.entries.has(key)) return { commandId, listingKey: key, outcome: 'duplicate', version: 1 };
    const at = new Date(now).toISOString();
    const { PublicRemarks, ...rest } = set;
    const summary = /** @type {Summary} */ ({ ...rest, ListingKey: key, Feed: 'hand', Version: 1, ChangedAt: at, LastChange: { type: 'added' } });
    /** @type {Entry} */
    const entry = { summary, details: { PublicRemarks }, events: [{ type: 'added', at, version: 1, before: {}, after: set }] };
    this.entries.set(key, entry);
    for (const told of this.watchers) told(entry, null);
    return { commandId, listingKey: key, outcome: 'accepted', version: 1 };
  }

  /** Whether a listing is in a search. @param {URLSearchParams} params @returns {(s: Summary) => boolean} */
  filter(params) {
    const number = (/** @type {string} */ name) => (params.get(name) === null ? null : Number(params.get(name)));
    const text = (/** @type {string} */ name) => params.get(name) ?? '';
    const boxed = text('box') !== '';
    const [west = -180, south = -90, east = 180, north = 90] = text('box').split(',').filter(Boolean).map(Number);
    const status = text('status') === '' ? null : text('status').split(',');
    const q = text('q').toLowerCase();
    const price = priceOf;
    return (s) => {
      const [lon, lat] = [s.Longitude ?? 999, s.Latitude ?? 999];
      if (boxed && (lon < west || lat < south || lon > east || lat > north)) return false;
      for (const [name, value] of /** @type {const} */ ([['country', s.Country], ['state', s.StateOrProvince], ['city', s.City], ['type', s.PropertyType], ['feed', s.Feed]]))
        if (text(name) !== '' && text(name).toLowerCase() !== value?.toLowerCase()) return false;
      if (status !== null && !status.includes(s.StandardStatus ?? '')) return false;
      if (price(s) < (number('price_min') ?? 0) || price(s) > (number('price_max') ?? Infinity)) return false;
      if ((s.BedroomsTotal ?? 0) < (number('beds_min') ?? 0) || (s.BathroomsTotalInteger ?? 0) < (number('baths_min') ?? 0)) return false;
      return q === '' || `${s.UnparsedAddress} ${s.City} ${s.PostalCode} ${s.ListingKey}`.toLowerCase().includes(q);
    };
  }

  /** @param {URLSearchParams} params @returns {Summary[]} */
  find(params) {
    const price = priceOf;
    const found = [...this.entries.values()].map(({ summary }) => summary).filter(this.filter(params));
    /** @type {Record<string, (a: Summary, b: Summary) => number>} */
    const orders = { price: (a, b) => price(a) - price(b), '-price': (a, b) => price(b) - price(a), beds: (a, b) => (b.BedroomsTotal ?? 0) - (a.BedroomsTotal ?? 0) };
    const byChange = (/** @type {Summary} */ a, /** @type {Summary} */ b) => b.ChangedAt.localeCompare(a.ChangedAt) || a.ListingKey.localeCompare(b.ListingKey);
    const order = orders[params.get('sort') ?? ''];
    return found.sort((a, b) => (order === undefined ? 0 : order(a, b)) || byChange(a, b));
  }

  /** @param {URLSearchParams} params */
  page(params) {
    const found = this.find(params);
    const limit = Math.min(200, Number(params.get('limit') ?? 50));
    const start = Number(params.get('after') ?? 0);
    const next = start + limit < found.length ? String(start + limit) : null;
    return { total: found.length, total_capped: false, listings: found.slice(start, start + limit), next };
  }

  /** @param {URLSearchParams} params */
  map(params) {
    const found = this.find(params).filter((s) => s.Longitude !== undefined);
    const pin = (/** @type {Summary} */ s) => ({ key: s.ListingKey, lon: s.Longitude, lat: s.Latitude, price: s.ClosePrice ?? s.ListPrice ?? s.TaxAssessedValue, currency: s.Currency, status: s.StandardStatus });
    if (found.length <= 500) return { total: found.length, clusters: [], pins: found.map(pin) };
    const cell = 360 / 2 ** (Number(params.get('zoom') ?? 3) + 2);
    /** @type {Map<string, Summary[]>} */
    const cells = new Map();
    for (const s of found) {
      const key = `${Math.floor((s.Longitude ?? 0) / cell)},${Math.floor((s.Latitude ?? 0) / cell)}`;
      const group = cells.get(key);
      if (group === undefined) cells.set(key, [s]);
      else group.push(s);
    }
    const clusters = [...cells.values()].filter((group) => group.length > 1).map((group) => {
      const lons = group.map((s) => s.Longitude ?? 0);
      const lats = group.map((s) => s.Latitude ?? 0);
      const mean = (/** @type {number[]} */ list) => list.reduce((a, b) => a + b, 0) / list.length;
      return { lon: mean(lons), lat: mean(lats), count: group.length, box: [Math.min(...lons), Math.min(...lats), Math.max(...lons), Math.max(...lats)] };
    });
    return { total: found.length, clusters, pins: [...cells.values()].filter((group) => group.length === 1).flat().map(pin) };
  }

  stats() {
    /** @param {(s: Summary) => string | undefined} of */
    const by = (of) => {
      /** @type {Record<string, number>} */
      const counts = {};
      for (const { summary } of this.entries.values()) {
        const key = of(summary);
        if (key !== undefined) counts[key] = (counts[key] ?? 0) + 1;
      }
      return counts;
    };
    return { listings: this.entries.size, by_country: by((s) => s.Country), by_status: by((s) => s.StandardStatus), by_feed: by((s) => s.Feed), with_place: this.entries.size };
  }

  /** @param {Entry} entry */
  detail({ summary, details }) {
    const { Version, ChangedAt, Feed, LastChange: _, ...fields } = summary;
    return { listing: { ...fields, ...details }, meta: { Feed, Version, AsOf: ChangedAt, ChangedAt, PlaceMethod: 'source_coordinates', PlaceUncertaintyMeters: 15 } };
  }

  /** @param {Entry} entry */
  explain({ summary, details }) {
    const time = summary.ChangedAt;
    const tracked = { ...this.detail({ summary, details, events: [] }).listing, PrivateRemarks: 'Call before showing.' };
    const { PrivateRemarks: _, ...published } = tracked;
    const raw = { id: summary.ListingKey.split(':')[1], price: `${summary.ListPrice ?? summary.TaxAssessedValue}.0`, bedrooms: String(summary.BedroomsTotal ?? ''), sqft_living: String(summary.LivingArea ?? ''), date: '20261014T000000', zipcode: summary.PostalCode };
    return [
      { stage: 'raw', topic: 'listing.raw', partition: 3, offset: 18231, time, value: raw, notes: [] },
      { stage: 'mapped', topic: 'listing.changes', partition: 3, offset: 20114, time, value: tracked, notes: ['ListPrice: column price, decimal', 'BedroomsTotal: column bedrooms, integer', 'Latitude: column lat, degrees'] },
      { stage: 'tracked', topic: 'listing.current', partition: 3, offset: 9120, time, value: { ...tracked, Version: summary.Version }, notes: ['Newer than the version before it'] },
      { stage: 'published', time, value: published, notes: ['PrivateRemarks: may not leave'] },
    ];
  }
}
