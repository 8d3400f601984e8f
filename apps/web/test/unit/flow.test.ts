import { describe, expect, it, test } from 'vitest';
import { MadeUpFlow } from '../../dev/flow.mjs';
import { ageText, edgeHealth, layout, rateText, serviceSize, sparkPath, strokeWidth, topicSize, worstEdge, type FlowEdge, type FlowState } from '../../src/lib/flow';

const state = (): FlowState => new MadeUpFlow().state() as unknown as FlowState;

describe('the picture', () => {
  const picture = layout(state(), 1342);
  const node = (name: string) => picture.nodes.find((one) => one.name === name);

  it('has every service and topic once, and every edge', () => {
    expect(picture.nodes).toHaveLength(4 + 6);
    expect(picture.lines).toHaveLength(state().edges.length);
  });

  it('runs from left to right, and only a command leads back', () => {
    expect(picture.lines.filter((line) => line.back).map((line) => `${line.edge.service} to ${line.edge.topic}`)).toEqual(['gateway to listing.changes']);
    for (const line of picture.lines) if (!line.back) expect(line.from.x).toBeLessThan(line.to.x);
    expect(['ingest', 'normalize', 'track', 'gateway'].map((name) => node(name)?.column)).toEqual([0, 2, 4, 6]);
  });

  it('takes the width that there is, and no less than it needs', () => {
    // Within a pixel for each gap.
    expect(1342 - picture.width).toBeLessThan(6);
    expect(picture.width).toBeLessThanOrEqual(1342);
    expect(layout(state(), 300).width).toBe(4 * serviceSize.width + 3 * topicSize.width + 6 * 24);
    expect(layout(state(), 9_000).width).toBe(4 * serviceSize.width + 3 * topicSize.width + 6 * 96);
  });

  it('puts nothing upon something else, and all within its frame', () => {
    const boxes = picture.nodes.map(({ kind, x, y }) => ({ x, y, ...(kind === 'service' ? serviceSize : topicSize) }));
    for (const [i, a] of boxes.entries()) {
      expect(a.x - a.width / 2).toBeGreaterThanOrEqual(0);
      expect(a.x + a.width / 2).toBeLessThanOrEqual(picture.width);
      expect(a.y + a.height / 2).toBeLessThanOrEqual(picture.height);
      for (const b of boxes.slice(i + 1)) expect(Math.abs(a.x - b.x) < (a.width + b.width) / 2 && Math.abs(a.y - b.y) < (a.height + b.height) / 2).toBe(false);
    }
  });

  it('leaves out the topics that services keep for themselves', () => {
    const own = { ...state(), edges: [...state().edges, { service: 'track', topic: 'track.dead-letters', direction: 'write' as const, rate_per_s: 0 }], topics: [...state().topics, { name: 'track.dead-letters', key: '', partitions: 8, retention: '', rate_per_s: 0, records: 0 }] };
    expect(layout(own, 1400).nodes).toHaveLength(10);
  });

  it('can be drawn of nothing', () => expect(layout({ services: [], topics: [], edges: [] }, 0)).toMatchObject({ nodes: [], lines: [], width: 0 }));
});

test.each<[Partial<FlowEdge>, string]>([
  [{ lag: 0, oldest_ms: null }, 'calm'],
  [{ lag: 9, oldest_ms: 4_999 }, 'calm'],
  [{ lag: 9, oldest_ms: 5_000 }, 'slow'],
  [{ lag: 9, oldest_ms: 30_000 }, 'stuck'],
  [{ lag: 0, oldest_ms: 90_000 }, 'calm'],
  [{ lag: 9, oldest_ms: 90_000, direction: 'write' }, 'calm'],
])('an edge with %j is %s', (change, health) => expect(edgeHealth({ service: 's', topic: 't', direction: 'read', rate_per_s: 1, ...change })).toBe(health));

it('finds the edge that waits longest', () => {
  expect(worstEdge(state())).toBe(null);
  const flow = new MadeUpFlow();
  flow.stuck = true;
  expect(worstEdge(flow.state() as unknown as FlowState)).toMatchObject({ service: 'track', topic: 'listing.changes' });
});

test.each([[0, '0/s'], [0.01, '<0.1/s'], [0.44, '0.4/s'], [12.4, '12/s'], [1234, '1.2K/s']])('%d is %s', (rate, text) => expect(rateText(rate)).toBe(text));
test.each([[null, '–'], [38, '38 ms'], [1_240, '1.2 s'], [59_600, '60 s'], [127_000, '2 min'], [5_400_000, '1.5 h']])('%d ms is %s', (ms, text) => expect(ageText(ms)).toBe(text));

it('draws more for a higher rate, within bounds', () => {
  const widths = [0, 0.1, 1, 10, 100, 1e4, 1e9].map(strokeWidth);
  expect([...widths].sort((a, b) => a - b)).toEqual(widths);
  expect(widths.at(-1)).toBeLessThanOrEqual(12);
});

test.each([[[], ''], [[5], 'M0 0'], [[0, 10], 'M0 20L100 0'], [[0, 0, 0], 'M0 20L50 20L100 20']])('a line through %j', (values, path) => expect(sparkPath(values, 100, 20)).toBe(path));
