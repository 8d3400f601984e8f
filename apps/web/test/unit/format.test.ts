import { describe, expect, test } from 'vitest';
import { shortPair, addressLine, area, changeLine, fieldName, money, moneyChange, pinPrice, priceOf, relativeTime, short } from '../../src/lib/format';
import { filterName } from '../../src/lib/filter-names';
import { noFilters } from '../../src/lib/query';

const locale = 'en-US';

test.each([
  [0, '0'],
  [950, '950'],
  [999, '999'],
  [999.6, '1K'],
  [2400, '2.4K'],
  [2000, '2K'],
  [52_400, '52K'],
  [520_000, '520K'],
  [999_499, '999K'],
  [999_500, '1M'],
  [1_249_000, '1.2M'],
  [12_500_000, '12.5M'],
  [250_000_000, '250M'],
  [1_500_000_000, '1.5B'],
  [-15_000, '\u221215K'],
])('short %d', (value, text) => expect(short(value)).toBe(text));

test.each([
  [520_000, 'USD', '$520K'],
  [1_200_000, 'CAD', '$1.2M CA'],
  [null, 'USD', '–'],
  [undefined, undefined, '–'],
] as const)('pin %s %s', (amount, currency, text) => expect(pinPrice(amount, currency)).toBe(text));

test.each([
  [520_000, '$520,000'],
  [1249.5, '$1,249.50'],
  [-15_000, '\u2212$15,000'],
])('money %d', (amount, text) => expect(money(amount, locale)).toBe(text));

test('money that changed', () => {
  expect(moneyChange(500_000, 485_000, locale)).toBe('\u2212$15,000');
  expect(moneyChange(500_000, 512_000, locale)).toBe('+$12,000');
});

describe('the price that counts', () => {
  test.each([
    [{ StandardStatus: 'Closed', ListPrice: 2, ClosePrice: 1 }, { amount: 1, currency: 'USD', kind: 'closed' }],
    [{ StandardStatus: 'Closed', ListPrice: 2 }, { amount: 2, currency: 'USD', kind: 'list' }],
    [{ StandardStatus: 'Active', ListPrice: 2, ClosePrice: 1 }, { amount: 2, currency: 'USD', kind: 'list' }],
    [{ TaxAssessedValue: 3, Currency: 'CAD' }, { amount: 3, currency: 'CAD', kind: 'assessed' }],
    [{ ListPrice: 2, TaxAssessedValue: 3 }, { amount: 2, currency: 'USD', kind: 'list' }],
    [{}, null],
  ] as const)('%o', (listing, price) => expect(priceOf(listing)).toEqual(price));
});

describe('time', () => {
  const now = Date.parse('2026-03-04T12:00:00Z');
  test.each([
    ['2026-03-04T12:00:03Z', 'just now'],
    ['2026-03-04T11:59:56Z', 'just now'],
    ['2026-03-04T11:59:48Z', '12 s ago'],
    ['2026-03-04T11:59:00Z', '1 min ago'],
    ['2026-03-04T07:00:00Z', '5 h ago'],
    ['2026-03-02T11:00:00Z', '2 d ago'],
    ['2025-03-04T12:00:00Z', 'Mar 4, 2025'],
    ['soon', 'at an unknown time'],
  ])('%s', (at, text) => expect(relativeTime(at, now, locale)).toBe(text));
});

test.each([
  [1180, 'Square Feet', '1,180 sq ft'],
  [152.35, 'Square Meters', '152 m²'],
  [0.25, 'Acres', '0.25 acres'],
  [12, undefined, '12'],
])('area %d %s', (value, unit, text) => expect(area(value, unit, locale)).toBe(text));

test.each([
  ['YearBuilt', 'Year built'],
  ['BathroomsTotalInteger', 'Bathrooms'],
  ['WaterfrontYN', 'Waterfront'],
  ['MLSAreaMajor', 'MLS area major'],
  ['x_local_code', 'x local code'],
])('field %s', (field, name) => expect(fieldName(field)).toBe(name));

describe('what changed', () => {
  test.each([
    [{ type: 'price', field: 'ListPrice', before: 500_000, after: 485_000 }, { text: '\u2212$15,000', was: '$500,000', direction: 'down' }],
    [{ type: 'assessment', before: 100_000, after: 112_000 }, { text: '+$12,000', was: '$100,000', direction: 'up' }],
    [{ type: 'price', before: null, after: 5 }, { text: 'Price set' }],
    [{ type: 'status', before: 'Active', after: 'Pending' }, { text: 'Active → Pending' }],
    [{ type: 'fields', field: 'BedroomsTotal', before: 3, after: 4 }, { text: 'Bedrooms 3 → 4' }],
    [{ type: 'fields', field: 'PublicRemarks', before: 'a', after: 'b'.repeat(400) }, { text: 'Remarks changed' }],
    [{ type: 'corrected', field: 'PublicRemarks' }, { text: 'Remarks corrected' }],
    [{ type: 'fields' }, { text: 'Details changed' }],
    [{ type: 'back_on_market' }, { text: 'Back on market' }],
    [undefined, null],
  ] as const)('%o', (change, line) => expect(changeLine(change, locale)).toEqual(line));
});

test.each([
  [{ UnparsedAddress: '1636 Westmount Bv NW', City: 'Calgary', StateOrProvince: 'AB', PostalCode: 'T2N 3G4' }, '1636 Westmount Bv NW, Calgary, AB T2N 3G4'],
  [{ UnparsedAddress: '1 Main St, Seattle, WA 98115', City: 'Seattle', StateOrProvince: 'WA', PostalCode: '98115' }, '1 Main St, Seattle, WA 98115'],
  [{ PostalCode: '98178', StateOrProvince: 'WA' }, 'WA 98178'],
  [{}, 'Address not given'],
])('address %o', (listing, line) => expect(addressLine(listing)).toBe(line));

test.each([
  ['place', {}, 'Place', false],
  ['place', { state: 'QC', city: 'Montréal' }, 'Montréal, Québec', true],
  ['place', { country: 'CA' }, 'Canada', true],
  ['status', { status: ['Active', 'Pending', 'Closed'] }, 'Active +2', true],
  ['price', { price_min: 300_000, price_max: 750_000 }, '$300K–$750K', true],
  ['price', { price_max: 750_000 }, 'to $750K', true],
  ['rooms', { beds_min: 3, baths_min: 2 }, '3+ bd, 2+ ba', true],
] as const)('filter %s %o', (section, change, text, on) => expect(filterName(section, { ...noFilters, ...change })).toEqual({ text, on }));

test.each<[number, number, [string, string]]>([
  [400_000, 520_000, ['400K', '520K']],
  [1_539_000, 1_545_000, ['1.539M', '1.545M']],
  [1_530_000, 1_545_000, ['1.53M', '1.54M']],
  [520_100, 520_300, ['520.10K', '520.30K']],
  [500_000, 500_000, ['500K', '500K']],
  [1_500_000, 1_500_001, ['1,500,000', '1,500,001']],
])('%d and %d are told apart', (low, high, pair) => expect(shortPair(low, high)).toEqual(pair));
