/** The flow, asked for once a second while it is looked at. */
import { getFlow, isAbort, problemOf, type Problem } from './lib/api';
import type { FlowState } from './lib/flow';

const everyMs = 1_000;
/** A server that does not answer is asked less often. */
const failedMs = 4_000;

export class Flow {
  state = $state.raw<FlowState | null>(null);
  problem = $state.raw<Problem | null>(null);
  /** When the state was read. */
  at = $state(0);

  #timer: ReturnType<typeof setTimeout> | undefined;
  #load: AbortController | null = null;

  /** Returns what stops it. */
  start(): () => void {
    const seen = (): void => void (document.visibilityState === 'visible' && this.load());
    document.addEventListener('visibilitychange', seen);
    void this.load();
    return () => {
      document.removeEventListener('visibilitychange', seen);
      clearTimeout(this.#timer);
      this.#load?.abort();
    };
  }

  async load(): Promise<void> {
    clearTimeout(this.#timer);
    this.#load?.abort();
    const load = (this.#load = new AbortController());
    try {
      this.state = await getFlow(load.signal);
      this.problem = null;
      this.at = Date.now();
    } catch (error) {
      if (isAbort(error)) return;
      this.problem = problemOf(error);
    }
    if (load.signal.aborted || document.visibilityState !== 'visible') return;
    this.#timer = setTimeout(() => void this.load(), this.problem === null ? everyMs : failedMs);
  }
}
