import { beforeEach, describe, expect, it } from 'vitest';
import type { News } from '../../src/lib/news';
import { ChangeStream, type Link } from '../../src/stream';

interface Call {
  address: string;
  lastId: string | null;
  send: (text: string) => Promise<void>;
  end: () => Promise<void>;
}

/** A world whose time the test moves, and whose server it plays. */
class Played {
  calls: Call[] = [];
  refuse = false;
  now = 0;
  timers = new Map<number, { at: number; what: () => void }>();
  #next = 0;

  readonly world = {
    now: () => this.now,
    random: () => 1,
    after: (ms: number, what: () => void) => {
      const id = (this.#next += 1);
      this.timers.set(id, { at: this.now + ms, what });
      return () => void this.timers.delete(id);
    },
    fetch: (address: string, init: RequestInit): Promise<Response> => {
      if (this.refuse) return Promise.reject(new TypeError('no network'));
      const encoder = new TextEncoder();
      let control!: ReadableStreamDefaultController<Uint8Array>;
      const body = new ReadableStream<Uint8Array>({ start: (given) => void (control = given) });
      init.signal?.addEventListener('abort', () => {
        try {
          control.error(new DOMException('gone', 'AbortError'));
        } catch {
          // It had ended before.
        }
      });
      this.calls.push({
        address,
        lastId: (init.headers as Record<string, string>)['last-event-id'] ?? null,
        send: async (text) => (control.enqueue(encoder.encode(text)), settled()),
        end: async () => (control.close(), settled()),
      });
      return Promise.resolve(new Response(body));
    },
  };

  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    for (;;) {
      const [next] = [...this.timers].filter(([, timer]) => timer.at <= until).sort((a, b) => a[1].at - b[1].at);
      if (next === undefined) break;
      this.timers.delete(next[0]);
      this.now = next[1].at;
      next[1].what();
      await settled();
    }
    this.now = until;
    await settled();
  }
}

/** Lets promises that are ready go on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}

const change = (key: string, version: number, id: string): string =>
  `id: ${id}\nevent: change\ndata: ${JSON.stringify({ listing: { ListingKey: key, Version: version, Feed: 'a', ChangedAt: '2026-01-01T00:00:00Z' }, version })}\n\n`;
const live = 'event: live\ndata: {"position":"p0"}\n\n';
const resumed = (from: string, to: string): string => `event: resumed\ndata: {"from":"${from}","position":"${to}"}\n\n`;

let played: Played;
let told: string[];
let batches: number;
let fetched: number;
let links: Link[];
let stream: ChangeStream;

beforeEach(() => {
  played = new Played();
  told = [];
  batches = fetched = 0;
  links = [];
  stream = new ChangeStream(played.world, {
    news: (news: readonly News[]) => {
      batches += 1;
      told.push(...news.map((one) => (one.kind === 'change' ? `${one.listing.ListingKey}@${one.listing.Version}` : one.kind)));
    },
    fetchAgain: () => void (fetched += 1),
    link: (link) => void links.push(link),
  });
});

const call = (i = -1): Call => {
  const found = played.calls.at(i);
  if (found === undefined) throw new Error('nothing was asked for');
  return found;
};

describe('a stream', () => {
  it('goes on from the position of the answer it follows, and asks for nothing again', async () => {
    stream.follow('status=Active', 'p1');
    await settled();
    expect([call().address, call().lastId]).toEqual(['/changes?status=Active', 'p1']);
    await call().send(resumed('p1', 'p1'));
    expect(links.at(-1)).toEqual({ kind: 'live' });
    expect(fetched).toBe(0);
  });

  it('asks for what is on screen again where it begins from nowhere, or has a gap', async () => {
    stream.follow('', null);
    await settled();
    expect([call().address, call().lastId]).toEqual(['/changes', null]);
    await call().send(live);
    expect(fetched).toBe(1);
    await call().end();
    await played.pass(500);
    expect(call().lastId).toBe('p0');
    await call().send('event: gap\ndata: {"position":"q9","reason":"old"}\n\n');
    expect(fetched).toBe(2);
    await call().end();
    await played.pass(500);
    expect(call().lastId).toBe('q9');
  });

  it('comes back with the last id it told, ever later, and says since when it is away', async () => {
    stream.follow('', null);
    await settled();
    await call().send(live + change('a:1', 2, 'p5'));
    played.refuse = true;
    await call().end();
    await played.pass(2_000);
    expect(links.at(-1)).toMatchObject({ kind: 'offline', since: 0 });
    played.refuse = false;
    await played.pass(20_000);
    expect(call().lastId).toBe('p5');
    await call().send(resumed('p5', 'p7'));
    expect(links.at(-1)).toEqual({ kind: 'catching', behindMs: null });
    await call().send(change('a:1', 3, 'p6') + change('a:2', 1, 'p7'));
    expect(told).toEqual(['a:1@2', 'a:1@3', 'a:2@1']);
    await played.pass(1_000);
    expect(links.at(-1)).toEqual({ kind: 'live' });
  });

  it('takes a heartbeat as its position, and tells how far behind the server is', async () => {
    stream.follow('', null);
    await settled();
    await call().send(`${live}event: position\ndata: {"position":"p3","behind_ms":9000}\n\n`);
    expect(links.at(-1)).toEqual({ kind: 'catching', behindMs: 9_000 });
    await call().send('event: position\ndata: {"position":"p4","behind_ms":0}\n\n');
    expect(links.at(-1)).toEqual({ kind: 'live' });
    await call().end();
    await played.pass(500);
    expect(call().lastId).toBe('p4');
  });

  it('tells the first news at once and gathers those that follow', async () => {
    stream.follow('', null);
    await settled();
    await call().send(live);
    await call().send(change('a:1', 1, 'p1'));
    expect([told.length, batches]).toEqual([1, 1]);
    for (let i = 2; i < 50; i += 1) await call().send(change('a:1', i, `p${i}`));
    expect(batches).toBe(1);
    await played.pass(120);
    expect([told.length, batches]).toEqual([49, 2]);
  });

  it('leaves a connection that says nothing', async () => {
    stream.follow('', null);
    await settled();
    await call().send(live);
    await played.pass(39_000);
    expect(played.calls).toHaveLength(1);
    await call().send(': still here\n\n');
    await played.pass(39_000);
    expect(links.at(-1)).toEqual({ kind: 'live' });
    await played.pass(1_000);
    expect(links.at(-1)).toMatchObject({ kind: 'offline' });
    await played.pass(500);
    expect(played.calls).toHaveLength(2);
  });

  it('turns to another query where it is, and tells nothing of the one before', async () => {
    stream.follow('', null);
    await settled();
    await call().send(live + change('a:1', 1, 'p1'));
    const before = call();
    stream.turn('device=d');
    await settled();
    expect([call().address, call().lastId]).toEqual(['/changes?device=d', 'p1']);
    await expect(before.send(change('a:9', 1, 'p2'))).rejects.toThrow();
    expect(told).toEqual(['a:1@1']);
  });

  it('rests while nobody looks, and goes on where it was', async () => {
    stream.follow('', null);
    await settled();
    await call().send(live + change('a:1', 1, 'p1'));
    stream.pause();
    await played.pass(100_000);
    expect(played.calls).toHaveLength(1);
    stream.resume();
    await settled();
    expect(call().lastId).toBe('p1');
  });
});
