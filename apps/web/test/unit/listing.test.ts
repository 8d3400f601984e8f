import { describe, expect, it, test } from 'vitest';
import { stepLine } from '../../src/lib/chart';
import { explainColumns } from '../../src/lib/explain';
import { factGroups } from '../../src/lib/facts';
import { eventLine, priceSteps, priceSummary } from '../../src/lib/history';
import type { HistoryEvent, Pin, Summary } from '../../src/lib/listing';
import { appendOrder, changedPins, mergeListings, unseen } from '../../src/lib/merge';

const locale = 'en-US';

describe('facts', () => {
  const groups = factGroups(
    {
      ListingKey: 'a:1', Currency: 'CAD', BedroomsTotal: 3, LivingArea: 152, LivingAreaUnits: 'Square Meters', YearBuilt: 1956, ListPrice: 520_000, View: [], Heating: ['Forced Air', null, 'Gas'],
      PoolPrivateYN: false, PublicRemarks: 'shown elsewhere', CloseDate: '2026-03-04', Roof: '', HighSchool: null, XLocal: { a: 1 }, LotSizeArea: 0.25, LotSizeUnits: 'Acres', StoriesUnits: 'none',
    },
    locale,
  );
  const texts = Object.fromEntries(groups.map((group) => [group.title, group.facts.map((fact) => `${fact.name}: ${fact.text}`)]));

  it('groups what is there, in a fixed order, and leaves out what is empty', () => {
    expect(groups.map((group) => group.title)).toEqual(['Home', 'Price and status', 'Lot', 'Building', 'More']);
    expect(texts['Home']).toEqual(['Bedrooms: 3', 'Living area: 152 m²', 'Year built: 1956']);
    expect(texts['Building']).toEqual(['Heating: Forced Air, Gas', 'Pool private: No']);
  });
  it('keeps money with its currency and days where they are', () => expect(texts['Price and status']).toEqual(['List price: $520,000 CAD', 'Close date: Mar 4, 2026']));
  it('says a number in its own unit', () => expect(texts['Lot']).toEqual(['Lot size area: 0.25 acres']));
  it('shows what no group names', () => expect(texts['More']).toEqual(['X local: {"a":1}']));
  it('has nothing to say about nothing', () => expect(factGroups({})).toEqual([]));
});

const event = (change: Partial<HistoryEvent>): HistoryEvent => ({ type: 'price', at: '2026-01-01T00:00:00Z', before: {}, after: {}, ...change });

describe('history', () => {
  const added = event({ type: 'added', at: '2026-01-01T00:00:00Z', after: { ListPrice: 500, TaxAssessedValue: 450 } });
  const lowered = event({ at: '2026-02-01T00:00:00Z', before: { ListPrice: 500 }, after: { ListPrice: 485 } });
  const closed = event({ type: 'status', at: '2026-03-01T00:00:00Z', before: { StandardStatus: 'Pending' }, after: { StandardStatus: 'Closed', ClosePrice: 480 } });
  const assessed = event({ type: 'assessment', at: '2026-03-02T00:00:00Z', as_of: '2020-01-01T00:00:00Z', before: { TaxAssessedValue: 450 }, after: { TaxAssessedValue: 470 } });

  test.each([
    ['prices', [added, lowered, closed], [500, 485, 480]],
    ['assessments stay out where there are prices', [added, assessed], [500]],
    ['assessments alone', [assessed], [470]],
    ['by the time of the source, not by our own', [lowered, { ...added, at: '2026-02-03T00:00:00Z', as_of: '2026-01-01T00:00:00Z' }], [500, 485]],
    ['nothing', [event({ type: 'fields', after: { View: 'x' } })], []],
    ['no time', [event({ at: 'never', after: { ListPrice: 1 } })], []],
  ])('steps: %s', (_, events, amounts) => expect(priceSteps(events).map((step) => step.amount)).toEqual(amounts));

  it('says what an event changed', () => {
    expect(eventLine(lowered, 'USD', locale)).toEqual({ title: 'Price changed', changes: [{ name: 'List price', before: '$500 USD', after: '$485 USD', delta: '\u2212$15' }] });
    expect(eventLine(event({ type: 'deleted', before: null, after: null }), 'USD')).toEqual({ title: 'Removed by its source', changes: [] });
  });

  it('says the line in words', () => {
    expect(priceSummary(priceSteps([added, lowered]), locale)).toBe('2 prices, from $500 to $485.');
    expect(priceSummary([])).toBe('No price is known.');
  });

  it('draws each price until the next, and the last until now', () => {
    const line = stepLine(priceSteps([added, lowered]), Date.parse('2026-03-04T00:00:00Z'), 100, 50);
    expect(line?.path).toMatch(/^M0 [\d.]+H50V[\d.]+H100$/);
    expect(line?.marks.map((mark) => mark.x)).toEqual([0, 50]);
    expect((line?.marks[0]?.y ?? 99) < (line?.marks[1]?.y ?? 0)).toBe(true);
    expect(stepLine([], 0, 100, 50)).toBeNull();
    expect(stepLine(priceSteps([added]), Date.parse(added.at), 100, 50)?.path).toBe('M0 25H100');
  });
});

test('a stage marks what the one before it did not say, and a source speaks its own names', () => {
  const columns = explainColumns([
    { stage: 'raw', value: { price: '500.0' } },
    { stage: 'mapped', value: { ListPrice: 500, City: 'Kent', Roof: null } },
    { stage: 'tracked', value: { ListPrice: 485, City: 'Kent' } },
  ]);
  expect(columns.map((column) => column.rows.map((row) => [row.field, row.text, row.fresh]))).toEqual([
    [['price', '500.0', false]],
    [['List price', '500', false], ['City', 'Kent', false]],
    [['List price', '485', true], ['City', 'Kent', false]],
  ]);
});

test('what was said by hand is no listing to compare with', () => {
  const columns = explainColumns([{ stage: 'command', value: { action: 'edit' } }, { stage: 'tracked', value: { ListPrice: 485 } }]);
  expect(columns.map(({ title, rows }) => [title, ...rows.map((row) => row.fresh)])).toEqual([['By hand', false], ['Tracked', false]]);
});

const listing = (key: string, version: number): Summary => ({ ListingKey: key, Feed: 'a', Version: version, ChangedAt: '2026-01-01T00:00:00Z' });

describe('news', () => {
  it('takes the newer version, whichever comes first', () => {
    const known = new Map([['a', listing('a', 2)], ['b', listing('b', 2)]]);
    expect(mergeListings(known, [listing('a', 1), listing('b', 3), listing('c', 1)])).toEqual({ changed: ['b'], added: ['c'] });
    expect([...known.values()].map((l) => l.Version)).toEqual([2, 3, 1]);
  });
  it('keeps a listing where it was seen first', () => expect(appendOrder(['a', 'b'], [listing('b', 1), listing('c', 1)])).toEqual(['a', 'b', 'c']));
  test.each([
    [['a', 'b'], ['n', 'a', 'b'], ['n']],
    [['a', 'b'], ['b', 'a', 'z'], []],
    [['a', 'b'], ['n', 'm'], ['n', 'm']],
    [[], ['n'], ['n']],
  ])('%o then %o', (order, page, above) => expect(unseen(order, page.map((key) => listing(key, 1)))).toEqual(above));
  it('pulses pins that say something else, not those that came into view', () => {
    const pin = (key: string, price: number): Pin => ({ key, lon: 0, lat: 0, price });
    expect(changedPins([pin('a', 1), pin('b', 1)], [pin('a', 1), pin('b', 2), pin('c', 3)])).toEqual(['b']);
  });
});
