/** Commands: what a person wants changed, and what became of it. All of it pure; the queue is in `outbox.svelte.ts`. */
import { fieldName, money } from './format';
import type { Fields } from './listing';
import type { Result } from './news';

export type Action = 'edit' | 'withdraw' | 'add';

/** Waiting to be sent; taken by the server; decided by the log; or turned away at the door. */
export type CommandState = 'queued' | 'sent' | 'accepted' | 'refused' | 'superseded';

export interface Command {
  id: string;
  /** Orders the commands of this device. */
  n: number;
  listingKey: string;
  /** How people call the listing. */
  title: string;
  action: Action;
  basedOn: number;
  set: Fields;
  /** What the fields said when the person decided. */
  before: Fields;
  madeAt: number;
  state: CommandState;
  /** How often it went out; a command that never did may still be changed. */
  tries: number;
  sentAt: number | null;
  settledAt: number | null;
  code?: string;
  reason?: string;
  field?: string;
  version?: number;
}

export const isOpen = (command: Command): boolean => command.state === 'queued' || command.state === 'sent';

/** What is sent. `add` has no key: the server makes it from the id. */
export function bodyOf(command: Command): Record<string, unknown> {
  const { id, listingKey, action, basedOn, set } = command;
  return { commandId: id, ...(action === 'add' ? {} : { listingKey }), action, basedOn, set };
}

export const addedKey = (id: string): string => `hand:${id}`;

/**
 * The next command that may go out. Commands on one listing go one after the other: the later one is based on what the earlier one makes,
 * which only its result tells.
 */
export function nextToSend(commands: readonly Command[], skip: ReadonlySet<string> = new Set()): Command | null {
  const busy = new Set<string>();
  for (const command of [...commands].sort((a, b) => a.n - b.n)) {
    if (command.state === 'queued' && !busy.has(command.listingKey) && !skip.has(command.id)) return command;
    if (isOpen(command)) busy.add(command.listingKey);
  }
  return null;
}

/** Commands that were taken but whose result is overdue. Sending them again asks for it. */
export function overdue(commands: readonly Command[], now: number, patienceMs: number): Command[] {
  return commands.filter((command) => command.state === 'sent' && now - (command.sentAt ?? 0) > patienceMs);
}

/** The commands that a result changes, in their new form. */
export function settle(commands: readonly Command[], result: Result, now: number): Command[] {
  const command = commands.find(({ id }) => id === result.commandId);
  if (command === undefined) return [];
  const state = stateOf(command, result);
  if (state === null) return [];
  const { code, reason, field, version } = result;
  const told = { ...(code === undefined ? {} : { code }), ...(reason === undefined ? {} : { reason }), ...(field === undefined ? {} : { field }), ...(version === undefined ? {} : { version }) };
  const settled: Command = { ...command, ...told, state, settledAt: now };
  if (state !== 'accepted' || version === undefined) return [settled];
  // What was decided while this one was pending was decided in sight of it.
  const later = commands.filter((other) => other.state === 'queued' && other.tries === 0 && other.listingKey === command.listingKey && other.n > command.n && other.basedOn < version);
  return [settled, ...later.map((other) => ({ ...other, basedOn: version }))];
}

/** A result may come twice, and late: nothing goes back from being decided, except that a feed may still take over. */
function stateOf(command: Command, { outcome }: Result): CommandState | null {
  if (outcome === 'superseded') return command.state === 'superseded' ? null : 'superseded';
  if (!isOpen(command)) return null;
  return outcome === 'refused' ? 'refused' : 'accepted';
}

/** Joins a new edit with one on the same listing that has not gone out yet, so that no edit waits for a result it does not need. */
export function joined(commands: readonly Command[], edit: Pick<Command, 'listingKey' | 'action' | 'set' | 'before'>): Command | null {
  if (edit.action !== 'edit') return null;
  const open = commands.filter((command) => command.listingKey === edit.listingKey && isOpen(command));
  const last = open.at(-1);
  if (last === undefined || last.state !== 'queued' || last.tries > 0 || last.action === 'withdraw') return null;
  return { ...last, set: { ...last.set, ...edit.set }, before: { ...edit.before, ...last.before } };
}

const refusals: Record<string, string> = {
  stale: 'Someone else, or the feed, changed this listing first. Look at what it says now, then change it again.',
  unknown_listing: 'The listing is no longer there.',
  exists: 'The listing is there already. Edit it instead.',
  cross_site: 'The server takes changes from its own page only.',
  token_not_allowed: 'Your token does not allow changes.',
};

/** The state of a command as one word, and as a sentence where more is to be said. */
export function stateWords(command: Command): { word: string; more: string | null } {
  switch (command.state) {
    case 'queued':
      return command.code === 'token_required' ? { word: 'Needs a token', more: 'The server wants to know who you are. Enter a token to send it.' } : { word: 'Waiting to be sent', more: null };
    case 'sent':
      return { word: 'Pending', more: null };
    case 'accepted':
      return { word: 'Accepted', more: null };
    case 'superseded':
      return { word: 'Replaced by the feed', more: superseded(command) };
    default:
      return { word: command.code === 'stale' ? 'Not applied: out of date' : 'Not applied', more: refusals[command.code ?? ''] ?? command.reason ?? 'The server gave no reason.' };
  }
}

function superseded({ field }: Command): string {
  return `${field === undefined ? 'The feed' : `For ${fieldName(field).toLowerCase()} the feed`} has a new value of its own, and that counts from then on.`;
}

const moneyNames = new Set(['ListPrice', 'ClosePrice', 'TaxAssessedValue']);

export function valueWords(field: string, value: unknown): string {
  if (value === null || value === undefined || value === '') return 'none';
  if (typeof value === 'number') return moneyNames.has(field) ? money(value) : value.toLocaleString();
  return String(value);
}

/** A command in one line: `List price $520,000 → $505,000`. */
export function commandLine(command: Pick<Command, 'action' | 'set' | 'before'>): string {
  if (command.action === 'withdraw') return 'Withdraw from the market';
  if (command.action === 'add') return 'Add this listing';
  const line = (field: string): string =>
    field === 'PublicRemarks' ? 'Remarks changed' : `${fieldName(field)} ${valueWords(field, command.before[field])} → ${valueWords(field, command.set[field])}`;
  return Object.keys(command.set).map(line).join(', ');
}

/** The latest command that concerns a field, while it is under way or ended otherwise than wished. */
export function onField(commands: readonly Command[], field: string): Command | null {
  const concerns = (command: Command): boolean => (command.action === 'edit' && field in command.set) || (command.action === 'withdraw' && field === 'StandardStatus');
  const last = commands.filter(concerns).at(-1);
  return last ?? null;
}
