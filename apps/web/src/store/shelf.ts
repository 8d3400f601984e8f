/** What was seen here, kept for reading without a network: the listings of searches, and whole ones that were opened. */
import type { Detail, HistoryEvent, Summary } from '../lib/listing';
import { prune, result, within } from './database';

const listingsMax = 5_000;
const detailsMax = 300;

/** Counting the shelf each time would cost more than it saves. */
const pruneEach = 20;

interface KeptListing {
  key: string;
  seenAt: number;
  listing: Summary;
}

export interface KeptDetail {
  key: string;
  seenAt: number;
  detail: Detail;
  events: HistoryEvent[] | null;
}

let puts = 0;

/** Keeping is a service to later, never a reason to fail now. */
async function quietly(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch {
    // Storage is full or forbidden: the page goes on without it.
  }
}

export function keepListings(listings: readonly Summary[], seenAt: number): Promise<void> {
  if (listings.length === 0) return Promise.resolve();
  // What the page holds may be wrapped to be watched; the storage takes plain values.
  const plain = JSON.parse(JSON.stringify(listings)) as Summary[];
  return quietly(() =>
    within('listings', 'readwrite', async (of) => {
      const store = of('listings');
      await Promise.all(plain.map((listing) => result(store.put({ key: listing.ListingKey, seenAt, listing } satisfies KeptListing))));
      if ((puts += 1) % pruneEach === 0) await prune(store, listingsMax);
    }),
  );
}

export function forgetListings(keys: readonly string[]): Promise<void> {
  return quietly(() => within(['listings', 'details'], 'readwrite', (of) => Promise.all(keys.flatMap((key) => [result(of('listings').delete(key)), result(of('details').delete(key))]))));
}

export async function keptListings(): Promise<{ listings: Summary[]; seenAt: number | null }> {
  try {
    const kept = await within('listings', 'readonly', (of) => result<KeptListing[]>(of('listings').getAll()));
    return { listings: kept.map(({ listing }) => listing), seenAt: kept.reduce<number | null>((latest, { seenAt }) => Math.max(latest ?? 0, seenAt), null) };
  } catch {
    return { listings: [], seenAt: null };
  }
}

export function keepDetail(kept: KeptDetail): Promise<void> {
  const plain = JSON.parse(JSON.stringify(kept)) as KeptDetail;
  // Two transactions: a page that is left in between has kept what was seen.
  return quietly(async () => {
    await within('details', 'readwrite', async (of) => {
      const before = await result<KeptDetail | undefined>(of('details').get(plain.key));
      // Its history may still be on the way: the one of before is better than none.
      await result(of('details').put({ ...plain, events: plain.events ?? before?.events ?? null }));
    });
    await within('details', 'readwrite', (of) => prune(of('details'), detailsMax));
  });
}

export async function keptDetail(key: string): Promise<KeptDetail | null> {
  try {
    return (await within('details', 'readonly', (of) => result<KeptDetail | undefined>(of('details').get(key)))) ?? null;
  } catch {
    return null;
  }
}
