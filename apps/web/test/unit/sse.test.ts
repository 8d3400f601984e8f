import { expect, it, test } from 'vitest';
import { backoffMs } from '../../src/lib/backoff';
import { readEvent } from '../../src/lib/news';
import { EventReader, type ServerEvent } from '../../src/lib/sse';

const event = (name: string, data: string, id: string | null = null): ServerEvent => ({ event: name, data, id });

test.each<[string, ServerEvent[]]>([
  ['event: live\ndata: {}\n\n', [event('live', '{}')]],
  ['data: one\n\ndata: two\n\n', [event('message', 'one'), event('message', 'two')]],
  ['data: one\ndata: two\n\n', [event('message', 'one\ntwo')]],
  ['id: 7\r\nevent: change\r\ndata: x\r\n\r\n', [event('change', 'x', '7')]],
  ['data: x\r\rdata: y\r\r', [event('message', 'x'), event('message', 'y')]],
  [': a comment\n\ndata:x\n\n', [event('message', 'x')]],
  ['event: empty\n\ndata: next\n\n', [event('message', 'next')]],
  ['data: not finished\n', []],
  ['id: 1\ndata: a\n\ndata: b\n\n', [event('message', 'a', '1'), event('message', 'b')]],
  ['data: é🏡\n\n', [event('message', 'é🏡')]],
  ['data\n\n', [event('message', '')]],
])('%j, whole and in pieces of every size', (text, events) => {
  for (let size = 1; size <= text.length; size += 1) {
    const reader = new EventReader();
    const read: ServerEvent[] = [];
    for (let at = 0; at < text.length; at += size) read.push(...reader.read(text.slice(at, at + size)));
    // A lone carriage return at the very end waits for what may follow it.
    read.push(...reader.read(text.endsWith('\r') ? '\n' : ''));
    expect(read).toEqual(events);
  }
});

it('remembers what the server asks to wait', () => {
  const reader = new EventReader();
  reader.read('retry: 1500\n\nretry: soon\n\n');
  expect(reader.retryMs).toBe(1500);
});

it('refuses a line without end', () => {
  const reader = new EventReader();
  expect(() => reader.read(`data: ${'x'.repeat(1_000_001)}`)).toThrow('without end');
});

test.each([
  [event('change', '{"listing":{"ListingKey":"a:1","Version":3,"Feed":"a","ChangedAt":"2026-01-01T00:00:00Z"},"version":4}'), { kind: 'change', listing: { ListingKey: 'a:1', Version: 4, Feed: 'a', ChangedAt: '2026-01-01T00:00:00Z' } }],
  [event('gone', '{"listingKey":"a:1","version":4,"reason":"hidden"}'), { kind: 'gone', key: 'a:1', version: 4, reason: 'hidden' }],
  [event('gone', '{"listingKey":"a:1","version":4,"reason":"new word"}'), { kind: 'gone', key: 'a:1', version: 4, reason: 'left' }],
  [event('position', '{"position":"p","behind_ms":1200}'), { kind: 'position', position: 'p', behindMs: 1200 }],
  [event('gap', '{"position":"p","reason":"old"}'), { kind: 'gap', position: 'p' }],
  [event('resumed', '{"from":"o","position":"p"}'), { kind: 'resumed', from: 'o', position: 'p' }],
  [event('change', '{"listing":null}'), null],
  [event('change', 'no json'), null],
  [event('change', '[]'), null],
  [event('later', '{}'), null],
])('reads %j', (from, told) => expect(readEvent(from)).toEqual(told));

test.each([
  [1, 0, 250],
  [1, 1, 500],
  [2, 0, 500],
  [3, 0.5, 1500],
  [100, 0, 10_000],
  [100, 1, 20_000],
])('try %i with chance %d waits %i ms', (tries, random, ms) => expect(backoffMs(tries, random)).toBe(ms));
