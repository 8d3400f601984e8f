/** Light or dark: the system's choice until the reader makes one, which is kept in this browser. */
import type { Theme } from './map/palette';

const storageKey = 'conveyance.theme';

function kept(): Theme | null {
  try {
    const value = localStorage.getItem(storageKey);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
    return null;
  }
}

class ThemeChoice {
  #chosen = $state<Theme | null>(kept());
  #system = $state<Theme>('light');
  readonly current = $derived(this.#chosen ?? this.#system);

  constructor() {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const read = (): void => void (this.#system = dark.matches ? 'dark' : 'light');
    dark.addEventListener('change', read);
    read();
    this.#apply();
  }

  toggle(): void {
    this.#chosen = this.current === 'dark' ? 'light' : 'dark';
    this.#apply();
    try {
      localStorage.setItem(storageKey, this.#chosen);
    } catch {
      // As above.
    }
  }

  #apply(): void {
    if (this.#chosen !== null) document.documentElement.dataset['theme'] = this.#chosen;
  }
}

export const theme = new ThemeChoice();

export const reducedMotion = (): boolean => matchMedia('(prefers-reduced-motion: reduce)').matches;
