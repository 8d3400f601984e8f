/** Whether a listing is in a search, and where it stands: asked here for what the server did not sort, as what was seen before the network went away. */
import { priceOf } from './format';
import type { Summary } from './listing';
import type { Filters, Sort } from './query';

const same = (wanted: string, value: string | undefined): boolean => wanted === '' || wanted.toLowerCase() === (value ?? '').toLowerCase();

const askedPrice = (listing: Summary): number | null => listing.ListPrice ?? listing.ClosePrice ?? listing.TaxAssessedValue ?? null;

export function matches(filters: Filters, listing: Summary): boolean {
  const named =
    same(filters.country, listing.Country) && same(filters.state, listing.StateOrProvince) && same(filters.city, listing.City) && same(filters.type, listing.PropertyType) && same(filters.feed, listing.Feed);
  const status = filters.status.length === 0 || filters.status.some((wanted) => same(wanted, listing.StandardStatus ?? ''));
  return named && status && inBox(filters, listing) && inRange(filters, listing) && says(filters.q, listing);
}

function inBox({ box }: Filters, { Longitude: lon, Latitude: lat }: Summary): boolean {
  if (box === null) return true;
  return lon !== undefined && lat !== undefined && lon >= box[0] && lat >= box[1] && lon <= box[2] && lat <= box[3];
}

function inRange(filters: Filters, listing: Summary): boolean {
  const price = askedPrice(listing);
  const priced = filters.price_min !== null || filters.price_max !== null;
  if (priced && (price === null || price < (filters.price_min ?? 0) || price > (filters.price_max ?? Infinity))) return false;
  return (filters.beds_min === null || (listing.BedroomsTotal ?? -1) >= filters.beds_min) && (filters.baths_min === null || (listing.BathroomsTotalInteger ?? -1) >= filters.baths_min);
}

function says(q: string, listing: Summary): boolean {
  if (q === '') return true;
  const said = [listing.UnparsedAddress, listing.City, listing.StateOrProvince, listing.PostalCode, listing.ListingKey].join(' ').toLowerCase();
  return q.toLowerCase().split(/\s+/).every((word) => said.includes(word));
}

/** Below zero where `a` stands above `b`. Equal ones stand in the order of their keys, as the server has it. */
export function compare(sort: Sort, a: Summary, b: Summary): number {
  const price = (listing: Summary, none: number): number => priceOf(listing)?.amount ?? none;
  const by: Record<Sort, () => number> = {
    changed: () => Date.parse(b.ChangedAt) - Date.parse(a.ChangedAt),
    price: () => price(a, Infinity) - price(b, Infinity),
    '-price': () => price(b, -Infinity) - price(a, -Infinity),
    beds: () => (b.BedroomsTotal ?? -1) - (a.BedroomsTotal ?? -1),
  };
  return by[sort]() || (a.ListingKey < b.ListingKey ? -1 : a.ListingKey > b.ListingKey ? 1 : 0);
}
