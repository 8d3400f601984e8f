/** How fresh knowledge about listings joins what is on screen. Pages of a search, refreshes and pushed changes all come through here. */
import { priceOf } from './format';
import type { MapAnswer, Pin, Summary } from './listing';

export interface Merged {
  /** Keys whose shown listing became newer. */
  changed: string[];
  /** Keys that were not known before. */
  added: string[];
}

/** Puts listings into `known` unless what is there is newer: answers may overtake each other. */
export function mergeListings(known: Map<string, Summary>, listings: readonly Summary[]): Merged {
  const merged: Merged = { changed: [], added: [] };
  for (const listing of listings) {
    const before = known.get(listing.ListingKey);
    if (before !== undefined && before.Version >= listing.Version) continue;
    known.set(listing.ListingKey, listing);
    (before === undefined ? merged.added : merged.changed).push(listing.ListingKey);
  }
  return merged;
}

/** The order after a page was appended; a listing that moved between pages is kept where the reader saw it first. */
export function appendOrder(order: readonly string[], page: readonly Summary[]): string[] {
  const seen = new Set(order);
  return [...order, ...page.map((listing) => listing.ListingKey).filter((key) => !seen.has(key))];
}

/** What a fresh first page has above something on screen that the list has not. What comes after the last known one is merely further down. */
export function unseen(order: readonly string[], page: readonly Summary[]): string[] {
  const seen = new Set(order);
  const last = page.findLastIndex((listing) => seen.has(listing.ListingKey));
  const above = last < 0 ? page : page.slice(0, last);
  return above.map((listing) => listing.ListingKey).filter((key) => !seen.has(key));
}

/** Pins that say something else than before. One that only came into view did not change. */
export function changedPins(before: readonly Pin[], after: readonly Pin[]): string[] {
  const known = new Map(before.map((pin) => [pin.key, pin]));
  return after.flatMap((pin) => {
    const was = known.get(pin.key);
    return was !== undefined && ((was.price ?? null) !== (pin.price ?? null) || was.status !== pin.status) ? [pin.key] : [];
  });
}

/** A listing told by the stream but not in the list, or gone from it: what a map that was asked a moment ago may not know yet. */
export interface Told {
  listing: Summary | null;
  at: number;
}

/** A map answer with what was told since it was asked for. Returns the same object where nothing differs. */
export function withTold(answer: MapAnswer, told: ReadonlyMap<string, Told>, since: number): MapAnswer {
  if (!answer.pins.some((pin) => told.has(pin.key))) return answer;
  let differs = false;
  const pins = answer.pins.flatMap((pin) => {
    const news = told.get(pin.key);
    if (news === undefined || news.at < since) return [pin];
    const now = news.listing === null ? null : pinOf(news.listing);
    if (now !== null && samePin(pin, now)) return [pin];
    differs = true;
    return now === null ? [] : [now];
  });
  return differs ? { ...answer, pins } : answer;
}

export function pinOf(listing: Summary): Pin | null {
  if (listing.Longitude === undefined || listing.Latitude === undefined) return null;
  const price = priceOf(listing);
  const { ListingKey: key, Longitude: lon, Latitude: lat, StandardStatus: status } = listing;
  return { key, lon, lat, price: price?.amount ?? null, ...(listing.Currency === undefined ? {} : { currency: listing.Currency }), ...(status === undefined ? {} : { status }) };
}

const samePin = (a: Pin, b: Pin): boolean => (a.price ?? null) === (b.price ?? null) && a.status === b.status && a.lon === b.lon && a.lat === b.lat;
