/** The queue of commands as it is kept in this browser, shared by all tabs. */
import type { Command } from '../lib/command';
import { result, within } from './database';

interface Device {
  name: 'device';
  id: string;
  next: number;
}

/** Decided commands are kept for looking back at: this many. */
const decidedMax = 50;

const letters = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 20 letters that nobody else draws: results are told to whoever knows them. */
function newDevice(): string {
  return [...crypto.getRandomValues(new Uint8Array(20))].map((byte) => letters[byte % letters.length]).join('');
}

/** Takes the next number of this device; the first time it also makes the device's name. */
export function nextNumber(): Promise<{ device: string; n: number }> {
  return within('meta', 'readwrite', async (of) => {
    const known = await result<Device | undefined>(of('meta').get('device'));
    const device: Device = known ?? { name: 'device', id: newDevice(), next: 1 };
    await result(of('meta').put({ ...device, next: device.next + 1 }));
    return { device: device.id, n: device.next };
  });
}

export function deviceId(): Promise<string> {
  return within('meta', 'readwrite', async (of) => {
    const known = await result<Device | undefined>(of('meta').get('device'));
    if (known !== undefined) return known.id;
    const device: Device = { name: 'device', id: newDevice(), next: 1 };
    await result(of('meta').put(device));
    return device.id;
  });
}

export async function readCommands(): Promise<Command[]> {
  const commands = await within('commands', 'readonly', (of) => result<Command[]>(of('commands').getAll()));
  return commands.sort((a, b) => a.n - b.n);
}

/**
 * Changes the queue in one step: `change` sees what all tabs have put there, and gives the commands to write.
 * Old decided ones make room.
 */
export function changeCommands(change: (commands: Command[]) => Command[]): Promise<Command[]> {
  return within('commands', 'readwrite', async (of) => {
    const store = of('commands');
    const before = (await result<Command[]>(store.getAll())).sort((a, b) => a.n - b.n);
    const written = change(before);
    const after = new Map([...before, ...written].map((command) => [command.id, command]));
    await Promise.all(written.map((command) => result(store.put(JSON.parse(JSON.stringify(command))))));
    const all = [...after.values()].sort((a, b) => a.n - b.n);
    const decided = all.filter((command) => command.settledAt !== null);
    const old = new Set(decided.slice(0, Math.max(0, decided.length - decidedMax)).map(({ id }) => id));
    await Promise.all([...old].map((id) => result(store.delete(id))));
    return all.filter(({ id }) => !old.has(id));
  });
}

export function dropCommand(id: string): Promise<void> {
  return within('commands', 'readwrite', async (of) => void (await result(of('commands').delete(id))));
}
