/** What the stream of changes tells, read from its events. */
import type { Summary } from './listing';
import type { ServerEvent } from './sse';

export type Outcome = 'accepted' | 'refused' | 'superseded' | 'duplicate';

/** What became of a command of this device. */
export interface Result {
  commandId: string;
  listingKey?: string;
  outcome: Outcome;
  code?: string;
  reason?: string;
  field?: string;
  version?: number;
}

export type News =
  | { kind: 'change'; listing: Summary }
  | { kind: 'gone'; key: string; version: number; reason: 'left' | 'deleted' | 'hidden' }
  | { kind: 'result'; result: Result };

/** How a stream begins, and how far it is. */
export type Signal =
  | { kind: 'live'; position: string }
  | { kind: 'resumed'; from: string; position: string }
  | { kind: 'gap'; position: string }
  | { kind: 'position'; position: string; behindMs: number };

type Body = Record<string, unknown>;

function bodyOf(data: string): Body | null {
  try {
    const body: unknown = JSON.parse(data);
    return typeof body === 'object' && body !== null && !Array.isArray(body) ? (body as Body) : null;
  } catch {
    return null;
  }
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const whole = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);

/** Reads one event. Kinds that are not known are skipped: a newer server may tell more than this page understands. */
export function readEvent(event: ServerEvent): News | Signal | null {
  const body = bodyOf(event.data);
  if (body === null) return null;
  switch (event.event) {
    case 'change':
      return changeOf(body);
    case 'gone':
      return { kind: 'gone', key: text(body['listingKey']), version: whole(body['version']), reason: reasonOf(body['reason']) };
    case 'result':
      return { kind: 'result', result: body as unknown as Result };
    case 'live':
    case 'gap':
      return { kind: event.event, position: text(body['position']) };
    case 'resumed':
      return { kind: 'resumed', from: text(body['from']), position: text(body['position']) };
    case 'position':
      return { kind: 'position', position: text(body['position']), behindMs: whole(body['behind_ms']) };
    default:
      return null;
  }
}

function changeOf(body: Body): News | null {
  const listing = body['listing'];
  if (typeof listing !== 'object' || listing === null || typeof (listing as Body)['ListingKey'] !== 'string') return null;
  const version = typeof body['version'] === 'number' ? { Version: body['version'] } : {};
  return { kind: 'change', listing: { ...(listing as Summary), ...version } };
}

function reasonOf(value: unknown): 'left' | 'deleted' | 'hidden' {
  return value === 'deleted' || value === 'hidden' ? value : 'left';
}

export const isNews = (told: News | Signal): told is News => told.kind === 'change' || told.kind === 'gone' || told.kind === 'result';
