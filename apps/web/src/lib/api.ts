/** The gateway's HTTP interface. Every failure becomes a `Problem`: what happened, and what to do. */
import type { Detail, ExplainStep, HistoryEvent, ListingPage, MapAnswer, Stats } from './listing';
import { formatFilters, type Filters } from './query';

/** Longer than any healthy answer takes. */
const timeoutMs = 15_000;

export type ProblemKind = 'unreachable' | 'slow' | 'refused' | 'unknown-listing' | 'deleted-listing' | 'forbidden' | 'broken';

/** A failure in words for a person. */
export class Problem extends Error {
  constructor(
    readonly kind: ProblemKind,
    readonly title: string,
    readonly advice: string,
  ) {
    super(title);
    this.name = 'Problem';
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
  error?: { code?: string; message?: string };
}

async function refusal(response: Response): Promise<Problem> {
  const body = (await response.json().catch(() => ({}))) as ErrorBody;
  const message = body.error?.message;
  if (response.status === 404) return new Problem('unknown-listing', 'No listing has this key.', 'The address may be mistyped, or the listing comes from a feed that is not loaded here.');
  if (response.status === 410) return new Problem('deleted-listing', 'This listing was removed by its source.', 'Its history is kept below.');
  if (response.status === 403 || response.status === 401) return new Problem('forbidden', 'This is for operators only.', 'Sign in with an operator token.');
  if (response.status < 500) return new Problem('refused', 'The server did not accept this search.', message ?? 'Reset the filters and try again.');
  return new Problem('broken', 'The server failed to answer.', message ?? 'Try again; if it keeps failing, look at its log.');
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const limits = [AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])];
  const response = await fetch(path, { headers: { accept: 'application/json' }, signal: AbortSignal.any(limits) });
  if (!response.ok) throw await refusal(response);
  if (!(response.headers.get('content-type') ?? '').includes('json'))
    throw new Problem('broken', 'The answer is not from the listing server.', 'Check that the page is served by it, or that the proxy points to it.');
  return (await response.json()) as T;
}

export function getListings(filters: Filters, page: { limit: number; after?: string }, signal?: AbortSignal): Promise<ListingPage> {
  const params = formatFilters(filters);
  params.set('limit', String(page.limit));
  if (page.after !== undefined) params.set('after', page.after);
  return get(`/listings?${params}`, signal);
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
