/**
 * The queue of commands. Whatever a person decides is kept in this browser first and sent then, under the same id however often it takes;
 * the server applies an id once. Results come by the stream of changes.
 */
import { isAbort, problemOf, sendCommand } from './lib/api';
import { backoffMs } from './lib/backoff';
import { addedKey, isOpen, joined, nextToSend, overdue, settle, type Action, type Command } from './lib/command';
import type { Fields } from './lib/listing';
import type { Result } from './lib/news';
import { session } from './session.svelte';
import { changeCommands, deviceId, dropCommand, nextNumber, readCommands } from './store/commands';

/** A result that takes longer than this is asked for by sending the command again, which is harmless. */
const resultPatienceMs = 8_000;

const lookAgainMs = 4_000;

export interface Draft {
  listingKey: string | null;
  title: string;
  action: Action;
  basedOn: number;
  set: Fields;
  before: Fields;
}

class Outbox {
  commands = $state.raw<Command[]>([]);
  device = $state<string | null>(null);
  /** Why nothing can be kept here, where that is so. */
  broken = $state<string | null>(null);
  readonly open = $derived(this.commands.filter(isOpen));

  #sending = false;
  #tries = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #tabs: BroadcastChannel | null = null;

  /** Reads what earlier visits left. Returns what stops it. */
  start(): () => void {
    this.#tabs = new BroadcastChannel('conveyance.outbox');
    this.#tabs.onmessage = () => void this.#read().then(() => this.send());
    const again = (): void => void this.send();
    const look = setInterval(() => void this.#askOverdue(), lookAgainMs);
    addEventListener('online', again);
    void this.#read().then(again);
    return () => {
      removeEventListener('online', again);
      clearInterval(look);
      clearTimeout(this.#retry);
      this.#tabs?.close();
    };
  }

  async #read(): Promise<void> {
    try {
      this.device ??= await deviceId();
      this.commands = await readCommands();
      this.broken = null;
    } catch (error) {
      this.broken = error instanceof Error ? error.message : String(error);
    }
  }

  /** Commands on one listing, oldest first. */
  of(key: string): Command[] {
    return this.commands.filter((command) => command.listingKey === key);
  }

  /** Keeps a decision, then sends it. It is safe once this has returned. */
  async add(draft: Draft): Promise<Command> {
    const { device, n } = await nextNumber();
    this.device = device;
    const id = `${device}.${n}`;
    const fresh: Command = { ...draft, listingKey: draft.listingKey ?? addedKey(id), id, n, madeAt: Date.now(), state: 'queued', tries: 0, sentAt: null, settledAt: null };
    let written = fresh;
    await this.#change((commands) => [(written = joined(commands, fresh) ?? fresh)]);
    void this.send();
    return written;
  }

  /** Takes back what did not go out yet, or puts away what was decided. */
  async drop(id: string): Promise<void> {
    const command = this.commands.find((known) => known.id === id);
    if (command === undefined || (isOpen(command) && command.tries > 0)) return;
    await dropCommand(id);
    this.commands = this.commands.filter((known) => known.id !== id);
    this.#tabs?.postMessage('changed');
  }

  async take(result: Result): Promise<void> {
    await this.#change((commands) => settle(commands, result, Date.now()));
    void this.send();
  }

  async #change(change: (commands: Command[]) => Command[]): Promise<void> {
    let changed = false;
    this.commands = await changeCommands((commands) => {
      const written = change(commands);
      changed = written.length > 0;
      return written;
    });
    if (changed) this.#tabs?.postMessage('changed');
  }

  async #askOverdue(): Promise<void> {
    const late = overdue(this.commands, Date.now(), resultPatienceMs);
    if (late.length === 0 || !navigator.onLine) return;
    await this.#change((commands) => overdue(commands, Date.now(), resultPatienceMs).map((command) => ({ ...command, state: 'queued' as const })));
    void this.send();
  }

  /** Sends what waits. One tab at a time does, where the browser can arrange that; two would do no harm. */
  async send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    clearTimeout(this.#retry);
    try {
      const locks = navigator.locks as LockManager | undefined;
      if (locks === undefined) await this.#sendAll();
      else await locks.request('conveyance.outbox', () => this.#sendAll());
    } catch (error) {
      this.broken = error instanceof Error ? error.message : String(error);
    } finally {
      this.#sending = false;
    }
  }

  async #sendAll(): Promise<void> {
    this.commands = await readCommands();
    const skip = new Set<string>();
    for (let command = nextToSend(this.commands); command !== null; command = nextToSend(this.commands, skip)) {
      skip.add(command.id);
      if (!(await this.#sendOne(command))) return;
    }
  }

  /** Returns whether to go on with the next one. */
  async #sendOne(command: Command): Promise<boolean> {
    const { id } = command;
    const write = (change: (known: Command) => Command): Promise<void> => this.#change((commands) => commands.filter((known) => known.id === id && isOpen(known)).map(change));
    // From here on the server may have it: it is counted before it goes.
    await write((known) => ({ ...known, tries: known.tries + 1 }));
    try {
      await sendCommand(command);
      this.#tries = 0;
      await write((known) => ({ ...known, state: 'sent', sentAt: Date.now() }));
      return true;
    } catch (error) {
      const problem = problemOf(error);
      if (problem.kind === 'token') {
        await write((known) => ({ ...known, code: 'token_required' }));
        session.canCommand = false;
        return false;
      }
      if (problem.kind === 'refused' || problem.kind === 'forbidden' || problem.kind === 'unknown-listing') {
        await write((known) => ({ ...known, state: 'refused', settledAt: Date.now(), reason: problem.advice, ...(problem.code === null ? {} : { code: problem.code }), ...(problem.field === null ? {} : { field: problem.field }) }));
        return true;
      }
      if (!isAbort(error)) this.#later(problem.retryMs);
      return false;
    }
  }

  #later(waitMs: number): void {
    this.#tries += 1;
    this.#retry = setTimeout(() => void this.send(), Math.max(waitMs, backoffMs(this.#tries, Math.random())));
  }
}

export const outbox = new Outbox();
