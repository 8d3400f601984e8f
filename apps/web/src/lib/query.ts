/** The address bar is the state of the page: everything that decides what is on screen is read from it and written to it here. */
import type { Box } from './listing';

export const sorts = ['changed', 'price', '-price', 'beds'] as const;
export type Sort = (typeof sorts)[number];

/** Which of map and list a narrow screen shows. */
export type View = 'list' | 'map';

/** What is looked for. Names are those of the gateway's parameters. */
export interface Filters {
  box: Box | null;
  country: string;
  state: string;
  city: string;
  status: readonly string[];
  type: string;
  price_min: number | null;
  price_max: number | null;
  beds_min: number | null;
  baths_min: number | null;
  feed: string;
  q: string;
  sort: Sort;
}

/** The search with its listings, or the flow for those who run it. */
export type Place = 'search' | 'flow';

export interface Route {
  place: Place;
  /** The listing that is open over the search, by its key. */
  listing: string | null;
  filters: Filters;
  view: View;
}

export const noFilters: Filters = {
  box: null,
  country: '',
  state: '',
  city: '',
  status: [],
  type: '',
  price_min: null,
  price_max: null,
  beds_min: null,
  baths_min: null,
  feed: '',
  q: '',
  sort: 'changed',
};

const texts = ['country', 'state', 'city', 'type', 'feed', 'q'] as const;
const numbers = ['price_min', 'price_max', 'beds_min', 'baths_min'] as const;

/** The longest text that is taken from an address; longer ones are cut. */
const textMax = 200;

/** The most decimals of a degree that matter on screen: about a metre. */
const boxDigits = 5;

function numberOf(text: string | null): number | null {
  if (text === null || text.trim() === '') return null;
  const value = Number(text);
  return Number.isFinite(value) && value >= 0 ? value : null;
}

/** Reads `W,S,E,N`; anything that is not a box on Earth is no box. */
export function parseBox(text: string | null): Box | null {
  const parts = (text ?? '').split(',').map((part) => (part.trim() === '' ? NaN : Number(part)));
  const [west, south, east, north] = parts;
  if (parts.length !== 4 || west === undefined || south === undefined || east === undefined || north === undefined) return null;
  const onEarth = Math.abs(west) <= 180 && Math.abs(east) <= 180 && Math.abs(south) <= 90 && Math.abs(north) <= 90;
  return onEarth && west < east && south < north ? [west, south, east, north] : null;
}

export function formatBox(box: Box): string {
  return box.map((degrees) => Number(degrees.toFixed(boxDigits))).join(',');
}

export function parseFilters(params: URLSearchParams): Filters {
  const filters: Filters = { ...noFilters, box: parseBox(params.get('box')) };
  for (const name of texts) filters[name] = (params.get(name) ?? '').trim().slice(0, textMax);
  for (const name of numbers) filters[name] = numberOf(params.get(name));
  const statuses = (params.get('status') ?? '').slice(0, textMax).split(',');
  filters.status = [...new Set(statuses.map((status) => status.trim()).filter((status) => status !== ''))];
  const sort = params.get('sort');
  filters.sort = sorts.find((known) => known === sort) ?? noFilters.sort;
  return filters;
}

/** The parameters of a search, in a fixed order, defaults left out: equal searches have equal addresses. */
export function formatFilters(filters: Filters): URLSearchParams {
  const params = new URLSearchParams();
  for (const name of ['q', 'country', 'state', 'city'] as const) if (filters[name] !== '') params.set(name, filters[name]);
  if (filters.status.length > 0) params.set('status', filters.status.join(','));
  if (filters.type !== '') params.set('type', filters.type);
  for (const name of numbers) {
    const value = filters[name];
    if (value !== null) params.set(name, String(value));
  }
  if (filters.feed !== '') params.set('feed', filters.feed);
  if (filters.box !== null) params.set('box', formatBox(filters.box));
  if (filters.sort !== noFilters.sort) params.set('sort', filters.sort);
  return params;
}

const flowPath = '/flow';

const listingPath = /^\/listing\/(.+)$/;

function keyOf(pathname: string): string | null {
  const encoded = listingPath.exec(pathname)?.[1];
  if (encoded === undefined) return null;
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

export function parseRoute(pathname: string, search: string): Route {
  const params = new URLSearchParams(search);
  const place = pathname === flowPath ? 'flow' : 'search';
  return { place, listing: keyOf(pathname), filters: parseFilters(params), view: params.get('view') === 'map' ? 'map' : 'list' };
}

/** A path and query for the address bar. Commas and colons stay readable, as both are legal there. */
export function formatRoute(route: Route): string {
  const params = formatFilters(route.filters);
  if (route.view !== 'list') params.set('view', route.view);
  const query = params.toString().replaceAll('%2C', ',');
  if (route.place === 'flow') return flowPath;
  const path = route.listing === null ? '/' : `/listing/${encodeURIComponent(route.listing).replaceAll('%3A', ':')}`;
  return query === '' ? path : `${path}?${query}`;
}

/** What `/changes` is asked for: the listings of a search, one that is open besides, and what becomes of this device's commands. */
export function formatSubscription(filters: Filters, listing: string | null, device: string | null): string {
  const params = formatFilters({ ...filters, sort: noFilters.sort });
  // A search without filters watches every listing already.
  if (listing !== null && params.size > 0) params.set('listing', listing);
  if (device !== null) params.set('device', device);
  return params.toString();
}

/** How many filters narrow the search; the sort order narrows nothing. */
export function filterCount(filters: Filters): number {
  const counted = [
    ...texts.map((name) => filters[name] !== ''),
    filters.status.length > 0,
    filters.price_min !== null || filters.price_max !== null,
    filters.beds_min !== null,
    filters.baths_min !== null,
    filters.box !== null,
  ];
  return counted.filter(Boolean).length;
}
