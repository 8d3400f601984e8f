/** The gateway's HTTP interface. Every failure becomes a `Problem`: what happened, and what to do. */
import { bodyOf, type Command } from './command';
import type { DeadLetter, FlowState } from './flow';
import type { Detail, ExplainStep, HistoryEvent, ListingPage, MapAnswer, Stats } from './listing';
import { formatFilters, type Filters } from './query';

/** Longer than any healthy answer takes. */
const timeoutMs = 15_000;

export type ProblemKind = 'unreachable' | 'slow' | 'refused' | 'unknown-listing' | 'deleted-listing' | 'forbidden' | 'token' | 'busy' | 'broken';

/** A failure in words for a person. */
export class Problem extends Error {
  constructor(
    readonly kind: ProblemKind,
    readonly title: string,
    readonly advice: string,
    readonly more: { code?: string; field?: string; retryMs?: number } = {},
  ) {
    super(title);
    this.name = 'Problem';
  }

  /** The server's own word for it. */
  get code(): string | null {
    return this.more.code ?? null;
  }

  /** The field that it is about. */
  get field(): string | null {
    return this.more.field ?? null;
  }

  /** How long the server asks to be left alone. */
  get retryMs(): number {
    return this.more.retryMs ?? 0;
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new Problem('slow', 'The server takes too long to answer.', 'It may be catching up with a large load. Try again in a moment.');
  return new Problem('unreachable', 'The server cannot be reached.', 'Check that it is running and that you are connected.');
}

interface ErrorBody {
  error?: { code?: string; message?: string; field?: string };
}

async function refusal(response: Response): Promise<Problem> {
  const body = (await response.json().catch(() => ({}))) as ErrorBody;
  const { code, message, field } = body.error ?? {};
  const more = { ...(code === undefined ? {} : { code }), ...(field === undefined ? {} : { field }), retryMs: 1000 * (Number(response.headers.get('retry-after')) || 0) };
  if (response.status === 404) return new Problem('unknown-listing', 'No listing has this key.', 'The address may be mistyped, or the listing comes from a feed that is not loaded here.', more);
  if (response.status === 410) return new Problem('deleted-listing', 'This listing was removed by its source.', 'Its history is kept below.', more);
  if (response.status === 401) return new Problem('token', 'The server wants a token.', message ?? 'Enter the token that you were given.', more);
  if (response.status === 403) return new Problem('forbidden', 'This is not for everyone.', message ?? 'Sign in with a token that allows it.', more);
  if (response.status === 429 || response.status === 503) return new Problem('busy', 'The server is busy.', message ?? 'Try again in a moment.', more);
  if (response.status < 500) return new Problem('refused', 'The server did not accept this.', message ?? 'Reset the filters and try again.', more);
  return new Problem('broken', 'The server failed to answer.', message ?? 'Try again; if it keeps failing, look at its log.', more);
}

let token: string | null = null;

/** Sends a token along from now on, or none. */
export function setToken(value: string | null): void {
  token = value;
}

/** Where in the log an answer was read; a stream of changes can go on from there. */
export interface Read<T> {
  value: T;
  position: string | null;
}

async function ask<T>(path: string, init: RequestInit, signal?: AbortSignal): Promise<Read<T>> {
  const limits = [AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])];
  const headers = { accept: 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...(init.headers as Record<string, string> | undefined) };
  const response = await fetch(path, { ...init, headers, signal: AbortSignal.any(limits) });
  if (!response.ok) throw await refusal(response);
  if (!(response.headers.get('content-type') ?? '').includes('json'))
    throw new Problem('broken', 'The answer is not from the listing server.', 'Check that the page is served by it, or that the proxy points to it.');
  return { value: (await response.json()) as T, position: response.headers.get('conveyance-position') };
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask<T>(path, {}, signal)).value;
}

const post = <T>(path: string, body: unknown): Promise<Read<T>> => ask<T>(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

/** Who the server takes us for. */
export interface Me {
  can_command: boolean;
  operator: boolean;
}

export function getMe(signal?: AbortSignal): Promise<Me> {
  return get('/me', signal);
}

/** Answers once the command is durable; what becomes of it is told by the stream of changes. */
export async function sendCommand(command: Command): Promise<void> {
  await post('/commands', bodyOf(command));
}

export function getFlow(signal?: AbortSignal): Promise<FlowState> {
  return get('/flow/state', signal);
}

export async function getDeadLetters(service: string, limit: number, signal?: AbortSignal): Promise<DeadLetter[]> {
  const answer = await get<{ dead_letters?: DeadLetter[]; items?: DeadLetter[] }>(`/dead-letters?service=${encodeURIComponent(service)}&limit=${limit}`, signal);
  return answer.dead_letters ?? answer.items ?? [];
}

export async function redrive(service: string, which: { positions: unknown[] } | { all: true }): Promise<void> {
  await post('/dead-letters/redrive', { service, ...which });
}

export function getListings(filters: Filters, page: { limit: number; after?: string }, signal?: AbortSignal): Promise<Read<ListingPage>> {
  const params = formatFilters(filters);
  params.set('limit', String(page.limit));
  if (page.after !== undefined) params.set('after', page.after);
  return ask(`/listings?${params}`, {}, signal);
}

export function getMap(filters: Filters, zoom: number, signal?: AbortSignal): Promise<MapAnswer> {
  const params = formatFilters(filters);
  params.delete('sort');
  params.set('zoom', String(Math.floor(zoom)));
  return get(`/map?${params}`, signal);
}

const listingPath = (key: string): string => `/listings/${encodeURIComponent(key)}`;

export function getListing(key: string, signal?: AbortSignal): Promise<Detail> {
  return get(listingPath(key), signal);
}

export async function getHistory(key: string, signal?: AbortSignal): Promise<HistoryEvent[]> {
  return (await get<{ events: HistoryEvent[] }>(`${listingPath(key)}/history`, signal)).events;
}

export async function getExplanation(key: string, signal?: AbortSignal): Promise<ExplainStep[]> {
  return (await get<{ steps: ExplainStep[] }>(`${listingPath(key)}/explain`, signal)).steps;
}

export function getStats(signal?: AbortSignal): Promise<Stats> {
  return get('/stats', signal);
}
