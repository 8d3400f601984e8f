/**
 * What the page knows: the route, the listings found, the map's pins, and how fresh all of it is.
 * Listings are kept by key with their version. Whatever brings news (a page, a refresh, later a stream) goes through `learn`, which takes the newer one,
 * changes cards in place, and holds back what would move the list under the reader's eyes.
 */
import { SvelteMap, SvelteSet } from 'svelte/reactivity';
import { getListings, getMap, getStats, isAbort, problemOf, type Problem } from './lib/api';
import type { Box, MapAnswer, Stats, Summary } from './lib/listing';
import { appendOrder, changedPins, mergeListings, unseen } from './lib/merge';
import { formatFilters, formatRoute, noFilters, parseRoute, type Filters, type Route } from './lib/query';

const pageSize = 50;

/** The most that the gateway gives at once. */
const pageMax = 200;

export const refreshMs = 10_000;

/** How long a change stays marked on a card or pin. */
const pulseMs = 2_400;

/** The most changes that are played one by one; of a larger burst the rest just shows its new value. */
const pulsesMax = 12;

/** The most listings that are remembered beyond those on screen. */
const knownMax = 2_000;

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
  /** Keys that a refresh found above what is on screen, until the reader asks for them. */
  waiting = $state.raw<string[]>([]);
  map = $state.raw<MapAnswer | null>(null);
  mapProblem = $state.raw<Problem | null>(null);
  stats = $state.raw<Stats | null>(null);
  /** The listing under the pointer or the focus, in the list or on the map. */
  marked = $state<string | null>(null);
  /** True once the gateway said that explanations are not for this reader. */
  forbidden = $state(false);
  /** When the gateway last answered, and since when it does not. */
  freshAt = $state<number | null>(null);
  offlineSince = $state<number | null>(null);
  now = $state(Date.now());

  readonly listings = new SvelteMap<string, Summary>();
  readonly pulsing = new SvelteSet<string>();

  #list: AbortController | null = null;
  #mapLoad: AbortController | null = null;
  #more: AbortController | null = null;
  #refreshing = false;
  #zoom: number | null = null;
  #shown = '';

  get filters(): Filters {
    return this.route.filters;
  }

  /** Follows the address bar, now and when the reader goes back. Returns what stops it. */
  start(): () => void {
    const read = (): void => this.#enter(parseRoute(location.pathname, location.search));
    const tick = setInterval(() => (this.now = Date.now()), 1000);
    const refresh = setInterval(() => void this.refresh(), refreshMs);
    const seen = (): void => void (document.visibilityState === 'visible' && this.refresh());
    addEventListener('popstate', read);
    document.addEventListener('visibilitychange', seen);
    read();
    void this.#loadStats();
    return () => {
      clearInterval(tick);
      clearInterval(refresh);
      removeEventListener('popstate', read);
      document.removeEventListener('visibilitychange', seen);
      for (const load of [this.#list, this.#mapLoad, this.#more]) load?.abort();
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
    this.go({ ...this.route, listing: key }, how);
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
    const shown = formatFilters(route.filters).toString();
    if (shown === this.#shown && this.phase !== 'failed') {
      if (this.order.length === 0 && this.#list === null) void this.load();
      return;
    }
    this.#shown = shown;
    void this.load();
    void this.loadMap();
  }

  /** Runs the search anew. What is on screen stays until the answer is there. */
  async load(): Promise<void> {
    this.#list?.abort();
    this.#more?.abort();
    const load = (this.#list = new AbortController());
    this.phase = 'loading';
    try {
      const page = await getListings(this.filters, { limit: pageSize }, load.signal);
      mergeListings(this.listings, page.listings);
      this.order = page.listings.map((listing) => listing.ListingKey);
      this.waiting = [];
      this.#forget();
      this.#counted(page);
      this.next = page.next ?? null;
      this.phase = 'ready';
      this.problem = null;
      this.moreProblem = null;
      this.#reached();
    } catch (error) {
      if (isAbort(error)) return;
      this.problem = this.#failed(error);
      this.phase = 'failed';
    }
  }

  async loadMore(): Promise<void> {
    if (this.next === null || this.loadingMore || this.phase !== 'ready') return;
    const load = (this.#more = new AbortController());
    this.loadingMore = true;
    this.moreProblem = null;
    try {
      const page = await getListings(this.filters, { limit: pageSize, after: this.next }, load.signal);
      mergeListings(this.listings, page.listings);
      this.order = appendOrder(this.order, page.listings);
      this.next = page.next ?? null;
      this.#reached();
    } catch (error) {
      if (!isAbort(error)) this.moreProblem = this.#failed(error);
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
    if (this.#zoom === null) return;
    this.#mapLoad?.abort();
    const load = (this.#mapLoad = new AbortController());
    try {
      const answer = await getMap(this.filters, this.#zoom, load.signal);
      this.map = answer;
      this.mapProblem = null;
    } catch (error) {
      if (!isAbort(error)) this.mapProblem = this.#failed(error);
    }
  }

  /** Asks again for what is on screen, quietly. */
  async refresh(): Promise<void> {
    if (document.visibilityState !== 'visible' || this.#refreshing) return;
    if (this.phase === 'failed') return void this.load();
    if (this.phase !== 'ready') return;
    this.#refreshing = true;
    const shown = this.#shown;
    try {
      const limit = Math.min(pageMax, Math.max(pageSize, this.order.length));
      const page = await getListings(this.filters, { limit });
      if (shown !== this.#shown) return;
      this.#counted(page);
      this.learn(page.listings);
      this.waiting = unseen(this.order, page.listings);
      this.#reached();
      await Promise.all([this.#refreshMap(shown), this.#loadStats()]);
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#refreshing = false;
    }
  }

  async #refreshMap(shown: string): Promise<void> {
    if (this.#zoom === null) return;
    const zoom = this.#zoom;
    const answer = await getMap(this.filters, zoom);
    if (shown !== this.#shown || zoom !== this.#zoom) return;
    const changed = changedPins(this.map?.pins ?? [], answer.pins);
    this.map = answer;
    this.pulse(changed);
  }

  /** The one door for news about listings. */
  learn(listings: readonly Summary[]): void {
    this.pulse(mergeListings(this.listings, listings).changed);
  }

  pulse(keys: readonly string[]): void {
    const played = keys.slice(0, pulsesMax);
    for (const key of played) this.pulsing.add(key);
    if (played.length > 0) setTimeout(() => played.forEach((key) => this.pulsing.delete(key)), pulseMs);
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

  #reached(): void {
    this.freshAt = this.now = Date.now();
    this.offlineSince = null;
  }

  #failed(error: unknown): Problem {
    const problem = problemOf(error);
    if (problem.kind === 'unreachable' || problem.kind === 'slow') this.offlineSince ??= Date.now();
    return problem;
  }
}
