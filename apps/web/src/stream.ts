/**
 * The connection to `/changes`: opened, resumed where it stopped, and opened again when it breaks.
 * What it tells comes in batches, at once when it is quiet and a few times a second when much happens.
 */
import { backoffMs } from './lib/backoff';
import { isNews, readEvent, type News, type Signal } from './lib/news';
import { EventReader } from './lib/sse';

/** What a reader is told of the connection. */
export type Link =
  | { kind: 'connecting' }
  | { kind: 'live' }
  /** Told is what happened before; `behindMs` is how old that is, where it is known. */
  | { kind: 'catching'; behindMs: number | null }
  | { kind: 'offline'; since: number; retryAt: number };

export interface Listener {
  news(news: readonly News[]): void;
  /** The stream cannot tell what happened meanwhile: what is on screen must be fetched again. */
  fetchAgain(): void;
  link(link: Link): void;
}

/** What the connection needs of the world. */
export interface World {
  fetch: (address: string, init: RequestInit) => Promise<Response>;
  now: () => number;
  random: () => number;
  after: (ms: number, what: () => void) => () => void;
}

/** News that come closer together than this are told together. */
const batchMs = 120;

/** The server says something at least each 15 s; after this much silence the connection is dead, whatever the network says. */
const silenceMs = 40_000;

/** A view that is no older than this is called live. */
const behindMaxMs = 2_000;

/** After this much quiet, what was missed has been told. */
const caughtUpMs = 1_000;

export class ChangeStream {
  readonly #world: World;
  readonly #listener: Listener;
  #query: string | null = null;
  #position: string | null = null;
  #tries = 0;
  #since: number | null = null;
  #link: Link = { kind: 'connecting' };
  #open: AbortController | null = null;
  #generation = 0;
  #waiting: News[] = [];
  #cancelBatch: (() => void) | null = null;
  #cancelRetry: (() => void) | null = null;
  #cancelCaught: (() => void) | null = null;
  #paused = false;

  constructor(world: World, listener: Listener) {
    this.#world = world;
    this.#listener = listener;
  }

  /** True when what is told now is told for this query. */
  follows(query: string): boolean {
    return this.#query === query && (this.#link.kind === 'live' || this.#link.kind === 'catching');
  }

  /** Follows a query from a position, or from now where there is none. What was followed before is left. */
  follow(query: string, from: string | null): void {
    this.#flush();
    this.#query = query;
    this.#position = from;
    this.#restart();
  }

  /** Goes on elsewhere in the same moment: another query, from where the stream is. */
  turn(query: string): void {
    if (query !== this.#query && this.#query !== null) this.follow(query, this.#position);
  }

  /** Leaves the server alone while nobody looks. */
  pause(): void {
    this.#paused = true;
    this.#stop();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#query !== null) this.#restart();
  }

  /** Tries at once, as when the network says that it is back. */
  retry(): void {
    if (this.#link.kind === 'offline' && !this.#paused && this.#query !== null) this.#restart();
  }

  close(): void {
    this.#query = null;
    this.#stop();
  }

  #stop(): void {
    this.#generation += 1;
    this.#flush();
    for (const cancel of [this.#cancelRetry, this.#cancelCaught]) cancel?.();
    this.#open?.abort();
  }

  #restart(): void {
    this.#stop();
    if (!this.#paused) void this.#run(this.#generation);
  }

  async #run(generation: number): Promise<void> {
    const open = (this.#open = new AbortController());
    let wait = 0;
    try {
      wait = await this.#read(open, generation);
    } catch {
      // Whatever broke it, the answer is the same: come back.
    }
    open.abort();
    if (generation !== this.#generation) return;
    this.#flush();
    this.#lost(generation, wait);
  }

  #lost(generation: number, waitMs: number): void {
    this.#cancelCaught?.();
    this.#tries += 1;
    const now = this.#world.now();
    const delay = Math.max(waitMs, backoffMs(this.#tries, this.#world.random()));
    this.#since ??= now;
    this.#tell({ kind: 'offline', since: this.#since, retryAt: now + delay });
    this.#cancelRetry = this.#world.after(delay, () => generation === this.#generation && void this.#run(generation));
  }

  /** Reads one connection to its end. Returns how long the server asks to be left alone. */
  async #read(open: AbortController, generation: number): Promise<number> {
    let cancel = this.#world.after(silenceMs, () => open.abort());
    try {
      const headers: Record<string, string> = { accept: 'text/event-stream', ...(this.#position === null ? {} : { 'last-event-id': this.#position }) };
      const response = await this.#world.fetch(`/changes${this.#query === '' ? '' : `?${this.#query}`}`, { headers, signal: open.signal, cache: 'no-store' });
      if (!response.ok || response.body === null) return 1000 * Number(response.headers.get('retry-after') ?? 0) || 0;
      const events = new EventReader();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (generation !== this.#generation) return 0;
        if (done) return this.#link.kind === 'live' ? 0 : (events.retryMs ?? 0);
        cancel();
        cancel = this.#world.after(silenceMs, () => open.abort());
        for (const event of events.read(value)) {
          const told = readEvent(event);
          if (told !== null) this.#take(told, event.id);
        }
      }
    } finally {
      cancel();
    }
  }

  #take(told: News | Signal, id: string | null): void {
    if (isNews(told)) {
      this.#waiting.push(told);
      this.#batch();
    } else this.#signal(told);
    // Everything up to here is in the batch, which is told before anything else happens with the position.
    if (id !== null) this.#position = id;
    if (this.#link.kind === 'catching' && isNews(told)) this.#watchQuiet();
  }

  #signal(signal: Signal): void {
    if (signal.kind === 'position') {
      this.#position = signal.position || this.#position;
      this.#reached(signal.behindMs <= behindMaxMs ? { kind: 'live' } : { kind: 'catching', behindMs: signal.behindMs });
      return;
    }
    this.#flush();
    const resumed = signal.kind === 'resumed';
    if (!resumed) this.#position = signal.position || null;
    const nothingMissed = resumed && signal.from === signal.position;
    this.#reached(!resumed || nothingMissed ? { kind: 'live' } : { kind: 'catching', behindMs: null });
    if (!resumed) this.#listener.fetchAgain();
    else if (!nothingMissed) this.#watchQuiet();
  }

  #watchQuiet(): void {
    this.#cancelCaught?.();
    if (this.#link.kind === 'catching' && this.#link.behindMs === null) this.#cancelCaught = this.#world.after(caughtUpMs, () => this.#reached({ kind: 'live' }));
  }

  #reached(link: Link): void {
    this.#cancelCaught?.();
    this.#tries = 0;
    this.#since = null;
    this.#tell(link);
  }

  #tell(link: Link): void {
    this.#link = link;
    this.#listener.link(link);
  }

  /** The first news after a quiet time goes on at once; what follows it closely is gathered. */
  #batch(): void {
    if (this.#cancelBatch !== null) return;
    queueMicrotask(() => this.#tellNews());
    this.#cancelBatch = this.#world.after(batchMs, () => {
      this.#cancelBatch = null;
      if (this.#waiting.length > 0) this.#batch();
    });
  }

  #tellNews(): void {
    const news = this.#waiting.splice(0);
    if (news.length > 0) this.#listener.news(news);
  }

  #flush(): void {
    this.#cancelBatch?.();
    this.#cancelBatch = null;
    this.#tellNews();
  }
}
