/** How fresh knowledge about listings joins what is on screen. Pages of a search, refreshes and pushed changes all come through here. */
import type { Pin, Summary } from './listing';

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
    return was !== undefined && (was.price !== pin.price || was.status !== pin.status) ? [pin.key] : [];
  });
}
