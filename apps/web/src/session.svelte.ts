/** Who looks at the page: whether they may change listings, and whether they run the place. */
import { getMe, setToken, isAbort } from './lib/api';

const storageKey = 'conveyance.token';

function kept(): string | null {
  try {
    return localStorage.getItem(storageKey);
  } catch {
    return null;
  }
}

class Session {
  /** Null until the server said so: an unanswered question offers nothing and forbids nothing. */
  canCommand = $state<boolean | null>(null);
  operator = $state(false);
  hasToken = $state(false);
  /** Open while a token is asked for. */
  asking = $state(false);

  constructor() {
    const token = kept();
    setToken(token);
    this.hasToken = token !== null;
  }

  async load(): Promise<void> {
    try {
      const me = await getMe();
      this.canCommand = me.can_command;
      this.operator = me.operator;
    } catch (error) {
      if (isAbort(error)) return;
      // Without an answer what was known stays.
    }
  }

  /** Tries a token. Returns what is wrong with it, or null where it is good; a bad one is not kept. */
  async enter(token: string): Promise<string | null> {
    const before = kept();
    setToken(token);
    try {
      const me = await getMe();
      if (!me.can_command && !me.operator) throw new Error('This token allows nothing here. Ask whoever runs the server for one that does.');
      this.#keep(token);
      this.canCommand = me.can_command;
      this.operator = me.operator;
      return null;
    } catch (error) {
      setToken(before);
      return error instanceof Error ? error.message : String(error);
    }
  }

  async forget(): Promise<void> {
    this.#keep(null);
    setToken(null);
    this.canCommand = null;
    this.operator = false;
    await this.load();
  }

  #keep(token: string | null): void {
    this.hasToken = token !== null;
    try {
      if (token === null) localStorage.removeItem(storageKey);
      else localStorage.setItem(storageKey, token);
    } catch {
      // Storage may be forbidden; the token then lasts as long as the page.
    }
  }
}

export const session = new Session();
