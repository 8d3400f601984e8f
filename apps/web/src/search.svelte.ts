/**
 * What the page knows: the route, the listings found, the map's pins, and how fresh all of it is.
 * Listings are kept by key with their version. Whatever brings news (a page, the stream of changes) goes through `learn`, which takes the newer one,
 * changes cards in place, and holds back what would move the list under the reader's eyes.
 */
import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import { getListings, getMap, getStats, isAbort, problemOf, type Problem, type Read } from './lib/api';
import type { Box, ListingPage, MapAnswer, Stats, Summary } from './lib/listing';
import { changeLine } from './lib/format';
import { compare, matches } from './lib/match';
import { appendOrder, mergeListings, pinOf, withTold, type Told } from './lib/merge';
import type { News } from './lib/news';
import { formatFilters, formatRoute, formatSubscription, noFilters, parseRoute, type Filters, type Route } from './lib/query';
import { outbox } from './outbox.svelte';
import { session } from './session.svelte';
import { forgetListings, keepListings, keptListings } from './store/shelf';
import { ChangeStream, type Link } from './stream';

const pageSize = 50;

/** How long a change stays marked on a card or pin. */
const pulseMs = 2_400;

/** The most changes that are played one by one; of a larger burst the rest just shows its new value and is counted. */
const pulsesMax = 12;

/** The most listings that are remembered beyond those on screen. */
const knownMax = 2_000;

/** The most that are counted as new above the list. */
const waitingMax = 999;

/** Totals and groups on the map are asked for again this long after something changed, at the earliest and at the latest. */
const recountMs = 4_000;
const recountSpreadMs = 4_000;

/** What was told this long ago is in every answer that is asked for now. */
const toldMs = 15_000;
const toldMax = 500;

/** A page in the background leaves the server alone after this long, and catches up when it is looked at again. */
const hiddenMs = 30_000;

/** What a screen reader is told of changes is told no more often than this. */
const sayMs = 6_000;

type Phase = 'loading' | 'ready' | 'failed';

export class Search {
  route = $state.raw<Route>(parseRoute('/', ''));
  phase = $state<Phase>('loading');
  problem = $state.raw<Problem | null>(null);
  order = $state.raw<string[]>([]);
  total = $state(0);
  totalCapped = $state(false);
  next = $state<string | null>(null);
  loadingMore = $state(false);
  moreProblem = $state.raw<Problem | null>(null);
  /** Keys of what is new above what is on screen, until the reader asks for them. */
  waiting = $state.raw<string[]>([]);
  map = $state.raw<MapAnswer | null>(null);
  mapProblem = $state.raw<Problem | null>(null);
  stats = $state.raw<Stats | null>(null);
  /** The listing under the pointer or the focus, in the list or on the map. */
  marked = $state<string | null>(null);
  /** True once the gateway said that explanations are not for this reader. */
  forbidden = $state(false);
  link = $state.raw<Link>({ kind: 'connecting' });
  /** When what is on screen was last known to be true. */
  freshAt = $state<number | null>(null);
  /** Set while what is on screen comes from this browser alone: when it was seen. */
  shelvedAt = $state<number | null>(null);
  /** Changes of the last burst that were too many to be shown one by one. */
  burst = $state(0);
  /** For those who do not see the cards change. */
  said = $state('');
  now = $state(Date.now());

  readonly listings = new SvelteMap<string, Summary>();
  readonly pulsing = new SvelteSet<string>();
  /** Listings on screen that are no longer in the search, with the reason. */
  readonly gone = new SvelteMap<string, 'left' | 'deleted' | 'hidden'>();

  #list: AbortController | null = null;
  #mapLoad: AbortController | null = null;
  #more: AbortController | null = null;
  #zoom: number | null = null;
  #shown = '';
  #told = new Map<string, Told>();
  /** Versions at which listings left: an answer from before must not bring them back. */
  #left = new Map<string, number>();
  #recount: ReturnType<typeof setTimeout> | undefined;
  #burstEnds: ReturnType<typeof setTimeout> | undefined;
  #tally = { changed: 0, added: 0, at: 0, last: '' };
  #stream = new ChangeStream(
    {
      fetch: (address, init) => fetch(address, init),
      now: () => Date.now(),
      random: () => Math.random(),
      after: (ms, what) => {
        const timer = setTimeout(what, ms);
        return () => clearTimeout(timer);
      },
    },
    { news: (news) => this.#hear(news), fetchAgain: () => void this.load(), link: (link) => this.#linked(link) },
  );

  get filters(): Filters {
    return this.route.filters;
  }

  /** Follows the address bar, now and when the reader goes back. Returns what stops it. */
  start(): () => void {
    const read = (): void => this.#enter(parseRoute(location.pathname, location.search));
    const tick = setInterval(() => (this.now = Date.now()), 1000);
    let leaving: ReturnType<typeof setTimeout> | undefined;
    const seen = (): void => {
      clearTimeout(leaving);
      if (document.visibilityState === 'hidden') leaving = setTimeout(() => this.#stream.pause(), hiddenMs);
      else this.#stream.resume();
    };
    const back = (): void => this.#stream.retry();
    addEventListener('popstate', read);
    addEventListener('online', back);
    document.addEventListener('visibilitychange', seen);
    read();
    void this.#loadStats();
    return () => {
      clearInterval(tick);
      for (const timer of [leaving, this.#recount, this.#burstEnds]) clearTimeout(timer);
      removeEventListener('popstate', read);
      removeEventListener('online', back);
      document.removeEventListener('visibilitychange', seen);
      for (const load of [this.#list, this.#mapLoad, this.#more]) load?.abort();
      this.#stream.close();
    };
  }

  /** Narrows or widens the search. `replace` is for changes that come many at a time, as typing and moving the map do. */
  filter(change: Partial<Filters>, how: 'push' | 'replace' = 'push'): void {
    this.go({ ...this.route, filters: { ...this.filters, ...change } }, how);
  }

  reset(): void {
    this.filter({ ...noFilters, sort: this.filters.sort });
  }

  open(key: string, how: 'push' | 'replace' = 'push'): void {
    this.go({ ...this.route, place: 'search', listing: key }, how);
  }

  close(): void {
    this.go({ ...this.route, listing: null });
  }

  go(route: Route, how: 'push' | 'replace' = 'push'): void {
    const address = formatRoute(route);
    if (address === location.pathname + location.search) return;
    if (how === 'push') history.pushState(null, '', address);
    else history.replaceState(null, '', address);
    this.#enter(route);
  }

  #enter(route: Route): void {
    this.route = route;
    if (route.place !== 'search') return;
    const shown = formatFilters(route.filters).toString();
    if (shown === this.#shown && this.phase !== 'failed') {
      if (this.order.length === 0 && this.#list === null) void this.load();
      else this.#stream.turn(this.#subscription());
      return;
    }
    this.#shown = shown;
    // What left one search may be in another.
    this.#left.clear();
    this.#told.clear();
    void this.load();
    void this.loadMap();
  }

  #subscription(): string {
    return formatSubscription(this.filters, this.route.listing, outbox.device);
  }

  /** The device's name is known a moment after the page began. */
  resubscribe(): void {
    this.#stream.turn(this.#subscription());
  }

  retryNow(): void {
    this.#stream.retry();
    void outbox.send();
  }

  /** Runs the search anew. What is on screen stays until the answer is there. */
  async load(): Promise<void> {
    this.#list?.abort();
    this.#more?.abort();
    const load = (this.#list = new AbortController());
    this.phase = 'loading';
    try {
      const answer = await getListings(this.filters, { limit: pageSize }, load.signal);
      this.#begin(answer);
    } catch (error) {
      if (isAbort(error) || load.signal.aborted) return;
      const problem = problemOf(error);
      const shelved = isAway(problem) && (await this.#fromShelf(load.signal));
      if (load.signal.aborted) return;
      this.problem = shelved ? null : problem;
      this.phase = shelved ? 'ready' : 'failed';
      // When the server is back, the stream says so, and the search is run again.
      if (!this.#stream.follows(this.#subscription())) this.#stream.follow(this.#subscription(), null);
    }
  }

  #begin({ value: page, position }: Read<ListingPage>): void {
    this.shelvedAt = null;
    this.gone.clear();
    const listings = this.#present(page.listings);
    mergeListings(this.listings, listings);
    this.order = listings.map((listing) => listing.ListingKey);
    this.waiting = [];
    this.#forget();
    this.#counted(page);
    this.next = page.next ?? null;
    this.phase = 'ready';
    this.problem = null;
    this.moreProblem = null;
    this.freshAt = this.now = Date.now();
    void keepListings(page.listings, this.now);
    const query = this.#subscription();
    if (!this.#stream.follows(query)) this.#stream.follow(query, position);
    if (session.canCommand === null) void session.load();
  }

  /** Looks through what was seen here before. False where that is nothing. */
  async #fromShelf(signal: AbortSignal): Promise<boolean> {
    const { listings, seenAt } = await keptListings();
    if (signal.aborted || listings.length === 0) return false;
    const { sort } = this.filters;
    const found = listings.filter((listing) => matches(this.filters, listing)).sort((a, b) => compare(sort, a, b));
    const shown = found.slice(0, knownMax / 2);
    mergeListings(this.listings, shown);
    this.order = shown.map((listing) => listing.ListingKey);
    this.waiting = [];
    this.next = null;
    this.#counted({ total: found.length });
    this.map = { total: found.length, clusters: [], pins: shown.flatMap((listing) => pinOf(listing) ?? []) };
    this.shelvedAt = seenAt;
    return true;
  }

  async loadMore(): Promise<void> {
    if (this.next === null || this.loadingMore || this.phase !== 'ready') return;
    const load = (this.#more = new AbortController());
    this.loadingMore = true;
    this.moreProblem = null;
    try {
      const { value: page } = await getListings(this.filters, { limit: pageSize, after: this.next }, load.signal);
      const listings = this.#present(page.listings);
      mergeListings(this.listings, listings);
      this.order = appendOrder(this.order, listings);
      this.next = page.next ?? null;
      void keepListings(page.listings, Date.now());
    } catch (error) {
      if (!isAbort(error)) this.moreProblem = problemOf(error);
    } finally {
      this.loadingMore = false;
    }
  }

  /** The map says how near it looks, and what it looks at where the search should follow. Before it does, there is nothing to ask for. */
  moved(zoom: number, box: Box | null): void {
    const nearer = Math.floor(zoom);
    const changed = nearer !== this.#zoom;
    this.#zoom = nearer;
    if (box !== null) this.filter({ box }, 'replace');
    else if (changed) void this.loadMap();
  }

  async loadMap(): Promise<void> {
    if (this.#zoom === null || this.shelvedAt !== null) return;
    this.#mapLoad?.abort();
    const load = (this.#mapLoad = new AbortController());
    const asked = Date.now();
    try {
      const answer = await getMap(this.filters, this.#zoom, load.signal);
      if (load.signal.aborted) return;
      this.map = withTold(answer, this.#told, asked - toldMs / 3);
      this.mapProblem = null;
    } catch (error) {
      // What is on the map stays; only an empty one needs a word.
      if (!isAbort(error) && !load.signal.aborted) this.mapProblem = problemOf(error);
    }
  }

  /** What the stream tells, a batch at a time. */
  #hear(news: readonly News[]): void {
    this.now = this.freshAt = Date.now();
    const changes = news.filter((told) => told.kind === 'change').map(({ listing }) => listing);
    for (const told of news) {
      if (told.kind === 'result') void outbox.take(told.result);
      else if (told.kind === 'gone') this.#lose(told.key, told.version, told.reason);
    }
    this.learn(this.#present(changes));
    void forgetListings(news.flatMap((told) => (told.kind === 'gone' && told.reason !== 'left' ? [told.key] : [])));
  }

  /** The one door for news about listings. */
  learn(listings: readonly Summary[]): void {
    if (listings.length === 0) return;
    const shown = new Set(this.order);
    const kept = listings.filter((listing) => shown.has(listing.ListingKey) || listing.ListingKey === this.route.listing || this.listings.has(listing.ListingKey));
    for (const listing of listings) this.#tell(listing.ListingKey, listing);
    const { changed } = mergeListings(this.listings, kept);
    for (const key of changed) this.gone.delete(key);
    const others = listings.filter((listing) => !shown.has(listing.ListingKey) && this.#belongsAbove(listing));
    if (others.length > 0) this.waiting = [...new Set([...others.map((listing) => listing.ListingKey), ...this.waiting])].slice(0, waitingMax);
    this.#drawTold();
    this.pulse(listings.map((listing) => listing.ListingKey));
    this.#say(listings, others.length);
    void keepListings(kept, this.now);
    if (listings.some((listing) => !shown.has(listing.ListingKey))) this.#recountSoon();
  }

  /** Whether a listing that is not in the list would stand above its end. */
  #belongsAbove(listing: Summary): boolean {
    if (listing.ListingKey === this.route.listing && !matches(this.filters, listing)) return false;
    const last = this.listings.get(this.order.at(-1) ?? '');
    return last === undefined || this.next === null || compare(this.filters.sort, listing, last) < 0;
  }

  #lose(key: string, version: number, reason: 'left' | 'deleted' | 'hidden'): void {
    const known = this.listings.get(key);
    if (known !== undefined && known.Version > version) return;
    this.#left.set(key, version);
    trim(this.#left, toldMax);
    this.#tell(key, null);
    this.waiting = this.waiting.filter((other) => other !== key);
    if (key === this.route.listing || this.order.includes(key)) this.gone.set(key, reason);
    this.#drawTold();
    this.#recountSoon();
  }

  /** Without those that left at this version or a later one. */
  #present(listings: readonly Summary[]): Summary[] {
    return listings.filter((listing) => {
      const left = this.#left.get(listing.ListingKey);
      if (left !== undefined && listing.Version > left) this.#left.delete(listing.ListingKey);
      return left === undefined || listing.Version > left;
    });
  }

  #tell(key: string, listing: Summary | null): void {
    this.#told.delete(key);
    this.#told.set(key, { listing, at: Date.now() });
    trim(this.#told, toldMax);
  }

  #drawTold(): void {
    if (this.map !== null) this.map = withTold(this.map, this.#told, Date.now() - toldMs);
  }

  pulse(keys: readonly string[]): void {
    const onScreen = new Set([...this.order, ...(this.map?.pins.map((pin) => pin.key) ?? [])]);
    const visible = keys.filter((key) => onScreen.has(key));
    const room = Math.max(0, pulsesMax - this.pulsing.size);
    const played = visible.slice(0, room);
    for (const key of played) this.pulsing.add(key);
    if (played.length > 0) setTimeout(() => played.forEach((key) => this.pulsing.delete(key)), pulseMs);
    if (visible.length > played.length) this.#countBurst(visible.length - played.length);
  }

  #countBurst(more: number): void {
    this.burst += more;
    clearTimeout(this.#burstEnds);
    this.#burstEnds = setTimeout(() => (this.burst = 0), 2 * pulseMs);
  }

  #say(listings: readonly Summary[], added: number): void {
    const tally = this.#tally;
    tally.changed += listings.length - added;
    tally.added += added;
    const last = listings.at(-1);
    const line = changeLine(last?.LastChange);
    tally.last = last === undefined ? '' : `${last.UnparsedAddress ?? last.ListingKey}: ${line?.text ?? 'changed'}`;
    if (this.now - tally.at < sayMs) return;
    const parts = [tally.changed > 0 ? `${tally.changed} changed` : '', tally.added > 0 ? `${tally.added} new above` : ''].filter(Boolean);
    this.said = tally.changed + tally.added === 1 ? tally.last : parts.join(', ');
    Object.assign(tally, { changed: 0, added: 0, at: this.now });
  }

  /** Asks for totals and groups once things have calmed a little; not all pages at the same moment. */
  #recountSoon(): void {
    this.#recount ??= setTimeout(() => void this.#countAgain(), recountMs + Math.random() * recountSpreadMs);
  }

  async #countAgain(): Promise<void> {
    const shown = this.#shown;
    try {
      if (document.visibilityState !== 'visible' || this.phase !== 'ready') return;
      const { value } = await getListings(this.filters, { limit: 1 });
      if (shown === this.#shown) this.#counted(value);
      await Promise.all([this.loadMap(), this.#loadStats()]);
    } catch {
      // The stream says when the server is gone; what is on screen stays.
    } finally {
      this.#recount = undefined;
    }
  }

  #linked(link: Link): void {
    const was = this.link.kind;
    this.link = link;
    if (link.kind === 'live') this.freshAt = this.now = Date.now();
    if (link.kind === 'offline' || was === 'live') return;
    void outbox.send();
    if (this.mapProblem !== null || was === 'offline') void this.loadMap();
    if (was === 'offline') void session.load();
  }

  /** The listings that stand before and after one in the list. */
  neighbours(key: string): { before: string | null; after: string | null } {
    const at = this.order.indexOf(key);
    return { before: this.order[at - 1] ?? null, after: at < 0 ? null : (this.order[at + 1] ?? null) };
  }

  #counted(page: { total: number; total_capped?: boolean }): void {
    this.total = page.total;
    this.totalCapped = page.total_capped ?? false;
  }

  /** A long look around must not fill the memory. */
  #forget(): void {
    if (this.listings.size <= knownMax) return;
    const shown = new Set(this.order);
    for (const key of [...this.listings.keys()]) if (!shown.has(key)) this.listings.delete(key);
  }

  async #loadStats(): Promise<void> {
    this.stats = await getStats().catch(() => this.stats);
  }
}

const isAway = (problem: Problem): boolean => problem.kind === 'unreachable' || problem.kind === 'slow';

/** Drops the oldest of a map beyond a number. */
function trim(map: Map<string, unknown>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
