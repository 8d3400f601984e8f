import { describe, expect, it, test } from 'vitest';
import type { MapAnswer, Summary } from '../../src/lib/listing';
import { compare, matches } from '../../src/lib/match';
import { pinOf, withTold } from '../../src/lib/merge';
import { formatSubscription, noFilters, type Filters, type Sort } from '../../src/lib/query';

const listing = (change: Partial<Summary> = {}): Summary => ({
  ListingKey: 'a:1', Feed: 'a', Version: 1, ChangedAt: '2026-01-01T00:00:00Z', StandardStatus: 'Active', ListPrice: 500_000, City: 'Seattle', StateOrProvince: 'WA', Country: 'US',
  UnparsedAddress: '12 Quay St', PostalCode: '98115', BedroomsTotal: 3, BathroomsTotalInteger: 2, PropertyType: 'Residential', Longitude: -122.3, Latitude: 47.6, ...change,
});

describe('a listing is in a search', () => {
  test.each<[Partial<Filters>, boolean]>([
    [{}, true],
    [{ city: 'seattle', state: 'WA', country: 'US' }, true],
    [{ city: 'Kent' }, false],
    [{ status: ['Pending', 'Active'] }, true],
    [{ status: ['Pending'] }, false],
    [{ price_min: 500_000, price_max: 500_000 }, true],
    [{ price_max: 499_999 }, false],
    [{ beds_min: 3, baths_min: 2 }, true],
    [{ beds_min: 4 }, false],
    [{ box: [-123, 47, -122, 48] }, true],
    [{ box: [-122, 47, -121, 48] }, false],
    [{ q: 'quay 98115' }, true],
    [{ q: 'a:1' }, true],
    [{ q: 'harbour' }, false],
    [{ feed: 'b' }, false],
    [{ type: 'Land' }, false],
  ])('%j: %s', (change, is) => expect(matches({ ...noFilters, ...change }, listing())).toBe(is));

  it('but not in a range or an area where it has no price or place', () => {
    const { ListPrice: _, Longitude: __, Latitude: ___, ...bare } = listing();
    expect(matches({ ...noFilters, price_min: 1 }, bare)).toBe(false);
    expect(matches({ ...noFilters, box: [-180, -90, 180, 90] }, bare)).toBe(false);
    expect(matches(noFilters, bare)).toBe(true);
  });
});

test.each<[Sort, Partial<Summary>, Partial<Summary>]>([
  ['changed', { ChangedAt: '2026-01-02T00:00:00Z' }, {}],
  ['price', { ListPrice: 1 }, { ListPrice: 2 }],
  ['-price', { ListPrice: 2 }, { ListPrice: 1 }],
  ['beds', { BedroomsTotal: 4 }, { BedroomsTotal: 3 }],
  ['beds', { ListingKey: 'a:1' }, { ListingKey: 'a:2' }],
])('by %s one stands above the other', (sort, above, below) => {
  expect(compare(sort, listing(above), listing(below))).toBeLessThan(0);
  expect(compare(sort, listing(below), listing(above))).toBeGreaterThan(0);
  expect(compare(sort, listing(above), listing(above))).toBe(0);
});

describe('what was told since a map was asked for', () => {
  const pin = { key: 'a:1', lon: -122.3, lat: 47.6, price: 520_000, status: 'Active' };
  const answer: MapAnswer = { total: 1, clusters: [], pins: [pin] };
  const told = (at: number, news: Summary | null) => new Map([['a:1', { listing: news, at }]]);
  it('counts', () => expect(withTold(answer, told(10, listing()), 5).pins).toEqual([{ ...pin, price: 500_000 }]));
  it('takes away what is gone', () => expect(withTold(answer, told(10, null), 5).pins).toEqual([]));
  it('does not count where it is older', () => expect(withTold(answer, told(4, null), 5)).toStrictEqual(answer));
  it('leaves the answer itself where nothing differs', () => expect(withTold(answer, told(10, listing({ ListPrice: 520_000 })), 5)).toBe(answer));
  it('a listing without a place has no pin', () => {
    const { Longitude: _, ...bare } = listing();
    expect(pinOf(bare)).toBe(null);
  });
});

test.each<[Partial<Filters>, string | null, string | null, string]>([
  [{}, null, null, ''],
  [{}, 'a:1', null, ''],
  [{}, null, 'd', 'device=d'],
  [{ state: 'WA', sort: 'price' }, 'a:1', 'd', 'state=WA&listing=a%3A1&device=d'],
])('a subscription to %j with %s', (change, key, device, query) => expect(formatSubscription({ ...noFilters, ...change }, key, device)).toBe(query));
