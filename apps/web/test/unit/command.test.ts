import { describe, expect, it, test } from 'vitest';
import { bodyOf, commandLine, joined, nextToSend, onField, overdue, settle, stateWords, type Command } from '../../src/lib/command';
import { amountOf, readForm, readNew } from '../../src/lib/edit';

let n = 0;
const command = (change: Partial<Command> = {}): Command => {
  n = change.n ?? n + 1;
  return {
    id: `device.${n}`, n, listingKey: 'a:1', title: 'A street', action: 'edit', basedOn: 3, set: { ListPrice: 500_000 }, before: { ListPrice: 520_000 },
    madeAt: 0, state: 'queued', tries: 0, sentAt: null, settledAt: null, ...change,
  };
};

describe('which command goes out next', () => {
  test.each<[string, Command[], string | null]>([
    ['nothing waits', [command({ n: 1, state: 'accepted' })], null],
    ['the oldest first', [command({ n: 2, listingKey: 'b' }), command({ n: 1 })], 'device.1'],
    ['not while an earlier one on the listing is undecided', [command({ n: 1, state: 'sent' }), command({ n: 2 })], null],
    ['one on another listing does not wait', [command({ n: 1, state: 'sent' }), command({ n: 2, listingKey: 'b' })], 'device.2'],
    ['a refused one holds nothing up', [command({ n: 1, state: 'refused' }), command({ n: 2 })], 'device.2'],
  ])('%s', (_, commands, id) => expect(nextToSend(commands)?.id ?? null).toBe(id));

  it('keeps the order of a listing where the first try of one failed', () => {
    const commands = [command({ n: 1, tries: 1 }), command({ n: 2 })];
    expect(nextToSend(commands, new Set(['device.1']))).toBe(null);
  });
});

describe('what a result makes of a command', () => {
  const result = { commandId: 'device.1', outcome: 'accepted' as const, version: 4 };
  test.each<[string, Partial<Command>, Parameters<typeof settle>[1], Command['state'] | null]>([
    ['accepted', { state: 'sent' }, result, 'accepted'],
    ['accepted before the answer to the request came', { state: 'queued', tries: 1 }, result, 'accepted'],
    ['a duplicate was accepted before', { state: 'sent' }, { ...result, outcome: 'duplicate' }, 'accepted'],
    ['refused', { state: 'sent' }, { ...result, outcome: 'refused', code: 'stale' }, 'refused'],
    ['superseded later', { state: 'accepted' }, { ...result, outcome: 'superseded', field: 'ListPrice' }, 'superseded'],
    ['told twice', { state: 'accepted' }, result, null],
    ['a duplicate does not undo a refusal', { state: 'refused' }, { ...result, outcome: 'duplicate' }, null],
    ['superseded stays', { state: 'superseded' }, result, null],
    ['of another device', { state: 'sent' }, { ...result, commandId: 'other.1' }, null],
  ])('%s', (_, change, told, state) => expect(settle([command({ n: 1, ...change })], told, 9)[0]?.state ?? null).toBe(state));

  it('bases what was decided meanwhile on the version that the first one made', () => {
    const [first, second] = settle([command({ n: 1, state: 'sent' }), command({ n: 2 }), command({ n: 3, listingKey: 'b' }), command({ n: 4, tries: 1 })], result, 9);
    expect([first?.state, second?.id, second?.basedOn]).toEqual(['accepted', 'device.2', 4]);
    expect(settle([command({ n: 1, state: 'sent' }), command({ n: 2, basedOn: 7 })], result, 9)).toHaveLength(1);
  });
});

describe('a new edit joins one that has not gone out', () => {
  const edit = { listingKey: 'a:1', action: 'edit' as const, set: { PublicRemarks: 'New' }, before: { PublicRemarks: 'Old' } };
  it('with its fields, and with what the first one saw', () => {
    expect(joined([command({ n: 1 })], edit)).toMatchObject({ id: 'device.1', set: { ListPrice: 500_000, PublicRemarks: 'New' }, before: { ListPrice: 520_000, PublicRemarks: 'Old' } });
  });
  test.each<[string, Command[]]>([
    ['tried already: the server may have it', [command({ n: 1, tries: 1 })]],
    ['sent', [command({ n: 1, state: 'sent' })]],
    ['a withdrawal', [command({ n: 1, action: 'withdraw', set: {} })]],
    ['of another listing', [command({ n: 1, listingKey: 'b' })]],
    ['none', []],
  ])('but not %s', (_, commands) => expect(joined(commands, edit)).toBe(null));
});

it('asks for results that are overdue, and for no others', () => {
  const commands = [command({ n: 1, state: 'sent', sentAt: 0 }), command({ n: 2, state: 'sent', sentAt: 900 }), command({ n: 3, sentAt: 0 })];
  expect(overdue(commands, 1_000, 500).map(({ id }) => id)).toEqual(['device.1']);
});

test.each([
  [command({ n: 1 }), { commandId: 'device.1', listingKey: 'a:1', action: 'edit', basedOn: 3, set: { ListPrice: 500_000 } }],
  [command({ n: 2, action: 'add', listingKey: 'hand:device.2', basedOn: 0 }), { commandId: 'device.2', action: 'add', basedOn: 0, set: { ListPrice: 500_000 } }],
])('what is sent', (from, body) => expect(bodyOf(from)).toEqual(body));

test.each<[Partial<Command>, string]>([
  [{}, 'List price $520,000 → $500,000'],
  [{ set: { StandardStatus: 'Pending', PublicRemarks: 'x' }, before: { StandardStatus: 'Active' } }, 'Status Active → Pending, Remarks changed'],
  [{ action: 'withdraw', set: {} }, 'Withdraw from the market'],
  [{ set: { ListPrice: null } }, 'List price $520,000 → none'],
])('in one line', (change, line) => expect(commandLine(command(change))).toBe(line));

test.each<[Partial<Command>, string, RegExp | null]>([
  [{ state: 'queued' }, 'Waiting to be sent', null],
  [{ state: 'queued', code: 'token_required' }, 'Needs a token', /Enter a token/],
  [{ state: 'sent' }, 'Pending', null],
  [{ state: 'refused', code: 'stale' }, 'Not applied: out of date', /changed this listing first/],
  [{ state: 'refused', code: 'impossible', reason: 'ListPrice must be a number' }, 'Not applied', /ListPrice must be a number/],
  [{ state: 'superseded', field: 'ListPrice' }, 'Replaced by the feed', /For list price the feed has a new value/],
])('a state in words', (change, word, more) => {
  const words = stateWords(command(change));
  expect(words.word).toBe(word);
  if (more === null) expect(words.more).toBe(null);
  else expect(words.more).toMatch(more);
});

it('knows which command concerns a field', () => {
  const commands = [command({ n: 1 }), command({ n: 2, action: 'withdraw', set: {} })];
  expect(onField(commands, 'ListPrice')?.id).toBe('device.1');
  expect(onField(commands, 'StandardStatus')?.id).toBe('device.2');
  expect(onField(commands, 'PublicRemarks')).toBe(null);
});

test.each<[string, number | null]>([
  ['520000', 520_000],
  ['$520,000', 520_000],
  ['520k', 520_000],
  ['1.2M', 1_200_000],
  ['99.50', 99.5],
  ['0', 0],
  ['-5', null],
  ['cheap', null],
  ['1.2.3', null],
  ['999999999999', null],
  ['', null],
])('%s is %d', (text, amount) => expect(amountOf(text)).toBe(amount));

test.each([
  [{ ListPrice: '520,000' }, { ListPrice: 520_000 }, {}, {}],
  [{ ListPrice: '505k' }, { ListPrice: 520_000 }, { ListPrice: 505_000 }, {}],
  [{ ListPrice: '' }, { ListPrice: 520_000 }, { ListPrice: null }, {}],
  [{ ListPrice: '', PublicRemarks: ' ' }, {}, {}, {}],
  [{ StandardStatus: '' }, { StandardStatus: 'Active' }, {}, {}],
  [{ PublicRemarks: ' As new ' }, { PublicRemarks: 'As new' }, {}, {}],
  [{ BedroomsTotal: '2.5' }, {}, {}, { BedroomsTotal: 'A whole number, for example 3.' }],
  [{ BedroomsTotal: 'three' }, {}, {}, { BedroomsTotal: 'A whole number, for example 3.' }],
  [{ LivingArea: '-5' }, {}, {}, { LivingArea: 'A number, for example 1,850.' }],
  [{ PublicRemarks: 'x'.repeat(4001) }, {}, {}, { PublicRemarks: 'At most 4,000 characters.' }],
])('a form %j over %j', (texts, before, set, problems) => expect(readForm(texts, before)).toEqual({ set, problems }));

it('asks a new listing for what it cannot do without', () => {
  expect(Object.keys(readNew({ UnparsedAddress: '1 Quay', City: '', Country: 'CA', LivingArea: '90' }).problems)).toEqual(['City', 'StateOrProvince', 'ListPrice', 'StandardStatus']);
  expect(readNew({ LivingArea: '90', Country: 'CA' }).set).toMatchObject({ LivingAreaUnits: 'Square Meters' });
});
