/** Reads a `text/event-stream` as it comes in, in pieces of any size. Pure: text in, events out. */

export interface ServerEvent {
  event: string;
  data: string;
  /** The position after this event, where it has one. */
  id: string | null;
}

/** The longest single line that is taken; a server that sends more is not ours. */
const lineMax = 1_000_000;

export class EventReader {
  /** How long the server asks to wait before coming back, in milliseconds. */
  retryMs: number | null = null;

  #rest = '';
  #event = '';
  #data: string[] = [];
  #id: string | null = null;

  /** Takes the next piece of the stream and returns the events that it completes. */
  read(piece: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const text = this.#rest + piece;
    // A carriage return at the very end may belong to a line feed that is still under way.
    const end = text.endsWith('\r') ? text.length - 1 : text.length;
    let from = 0;
    for (let at = from; at < end; at += 1) {
      const letter = text[at];
      if (letter !== '\n' && letter !== '\r') continue;
      this.#line(text.slice(from, at), events);
      if (letter === '\r' && text[at + 1] === '\n') at += 1;
      from = at + 1;
    }
    this.#rest = text.slice(from);
    if (this.#rest.length > lineMax) throw new Error('The stream of changes sends a line without end.');
    return events;
  }

  #line(line: string, events: ServerEvent[]): void {
    if (line === '') return this.#complete(events);
    if (line.startsWith(':')) return;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    else if (field === 'id') this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #complete(events: ServerEvent[]): void {
    if (this.#data.length > 0) events.push({ event: this.#event === '' ? 'message' : this.#event, data: this.#data.join('\n'), id: this.#id });
    this.#event = '';
    this.#data = [];
    this.#id = null;
  }
}
