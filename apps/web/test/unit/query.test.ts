import { describe, expect, it, test } from 'vitest';
import { filterCount, formatFilters, formatRoute, noFilters, parseBox, parseFilters, parseRoute, type Filters } from '../../src/lib/query';

const filters = (change: Partial<Filters>): Filters => ({ ...noFilters, ...change });

describe('a route survives the address bar', () => {
  test.each([
    ['/', { listing: null, filters: noFilters, view: 'list' }],
    ['/listing/king-county:7129300520', { listing: 'king-county:7129300520', filters: noFilters, view: 'list' }],
    ['/listing/a%20feed:1%2F2', { listing: 'a feed:1/2', filters: noFilters, view: 'list' }],
    ['/?q=24th+ave&view=map', { listing: null, filters: filters({ q: '24th ave' }), view: 'map' }],
    ['/?status=Active,Active+Under+Contract', { listing: null, filters: filters({ status: ['Active', 'Active Under Contract'] }), view: 'list' }],
    ['/?country=CA&state=AB&price_min=0&price_max=1200000&sort=-price', { listing: null, filters: filters({ country: 'CA', state: 'AB', price_min: 0, price_max: 1_200_000, sort: '-price' }), view: 'list' }],
    ['/listing/x:1?beds_min=2&baths_min=1&box=-123,47,-121.5,48', { listing: 'x:1', filters: filters({ beds_min: 2, baths_min: 1, box: [-123, 47, -121.5, 48] }), view: 'list' }],
    ['/?city=Montr%C3%A9al&feed=demo-mls', { listing: null, filters: filters({ city: 'Montréal', feed: 'demo-mls' }), view: 'list' }],
  ] as const)('%s', (address, route) => {
    const url = new URL(address, 'http://localhost');
    expect(parseRoute(url.pathname, url.search)).toEqual({ place: 'search', ...route });
    expect(formatRoute({ place: 'search', ...route })).toBe(address);
  });
});

test.each([
  ['-123,47,-121,48', [-123, 47, -121, 48]],
  ['', null],
  [null, null],
  ['-123,47,-121', null],
  ['-123,47,-121,48,1', null],
  ['-121,47,-123,48', null],
  ['-123,48,-121,47', null],
  ['-181,47,-121,48', null],
  ['a,b,c,d', null],
  ['-123,,-121,48', null],
  ['-123,47,Infinity,48', null],
])('box %s', (text, box) => expect(parseBox(text)).toEqual(box));

test.each(['price_min=-1', 'price_min=abc', 'beds_min=Infinity', 'sort=sideways', 'status=,,', 'box=1,2,3', 'unknown=1'])('what makes no sense is left out: %s', (text) => {
  expect(parseFilters(new URLSearchParams(text))).toEqual(noFilters);
});

it('cuts texts that are too long', () => {
  expect(parseFilters(new URLSearchParams({ q: 'x'.repeat(1000) })).q).toHaveLength(200);
});

it('drops what nobody can see from a box', () => {
  expect(formatFilters(filters({ box: [-122.123456789, 47, -122, 48] })).get('box')).toBe('-122.12346,47,-122,48');
});

it('takes a broken escape as it stands', () => {
  expect(parseRoute('/listing/50%', '').listing).toBe('50%');
});

test.each([
  [{}, 0],
  [{ sort: 'price' }, 0],
  [{ q: 'a', status: ['Active', 'Closed'] }, 2],
  [{ price_min: 1, price_max: 2 }, 1],
  [{ box: [0, 0, 1, 1] }, 1],
] as [Partial<Filters>, number][])('%o narrows by %i', (change, count) => expect(filterCount(filters(change))).toBe(count));
