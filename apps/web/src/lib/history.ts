/** A listing's events as a price line and as sentences. */
import { fieldName, money, moneyChange } from './format';
import { factText } from './facts';
import type { Fields, HistoryEvent } from './listing';

/** A price from a moment on, until the next one. */
export interface PriceStep {
  at: number;
  amount: number;
  kind: 'list' | 'closed' | 'assessed';
  event: HistoryEvent;
}

const priceFields = [
  ['ClosePrice', 'closed'],
  ['ListPrice', 'list'],
  ['TaxAssessedValue', 'assessed'],
] as const;

/** The time an event speaks of: what the source says, else when we learned of it. */
export function eventTime(event: HistoryEvent): number {
  const said = Date.parse(event.as_of ?? '');
  return Number.isNaN(said) ? Date.parse(event.at) : said;
}

/** The steps of the line, oldest first. A listing that has both keeps to its prices; assessments are drawn only where nothing else is. */
export function priceSteps(events: readonly HistoryEvent[]): PriceStep[] {
  const steps = events.flatMap((event) => stepOf(event)).filter((step) => Number.isFinite(step.at));
  const priced = steps.some((step) => step.kind !== 'assessed');
  return steps.filter((step) => !priced || step.kind !== 'assessed').sort((a, b) => a.at - b.at);
}

function stepOf(event: HistoryEvent): PriceStep[] {
  for (const [field, kind] of priceFields) {
    const amount = event.after?.[field];
    if (typeof amount === 'number' && amount !== event.before?.[field]) return [{ at: eventTime(event), amount, kind, event }];
  }
  return [];
}

const titles: Record<HistoryEvent['type'], string> = {
  added: 'Added',
  price: 'Price changed',
  status: 'Status changed',
  assessment: 'Assessment changed',
  fields: 'Details changed',
  back_on_market: 'Back on market',
  deleted: 'Removed by its source',
  corrected: 'Corrected',
};

export interface EventLine {
  title: string;
  changes: { name: string; before: string | null; after: string | null; delta: string | null }[];
}

/** The most changed fields that are listed one by one. */
const changesMax = 8;

export function eventLine(event: HistoryEvent, currency: string | undefined, locale?: string): EventLine {
  const title = titles[event.type] ?? 'Changed';
  const before = event.before ?? {};
  const after = event.after ?? {};
  const fields = event.type === 'added' ? ['StandardStatus', 'ListPrice', 'ClosePrice', 'TaxAssessedValue'].filter((field) => field in after) : [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const context: Fields = currency === undefined ? {} : { Currency: currency };
  const text = (field: string, value: unknown): string | null => (value === null || value === undefined ? null : factText(field, value, context, locale));
  return {
    title,
    changes: fields.slice(0, changesMax).map((field) => ({
      name: fieldName(field),
      before: text(field, before[field]),
      after: text(field, after[field]),
      delta: delta(field, before[field], after[field], locale),
    })),
  };
}

function delta(field: string, before: unknown, after: unknown, locale?: string): string | null {
  const isPrice = priceFields.some(([name]) => name === field);
  return isPrice && typeof before === 'number' && typeof after === 'number' ? moneyChange(before, after, locale) : null;
}

/** What the line shows, for those who cannot see it. */
export function priceSummary(steps: readonly PriceStep[], locale?: string): string {
  const first = steps[0];
  const last = steps.at(-1);
  if (first === undefined || last === undefined) return 'No price is known.';
  if (steps.length === 1) return `One price: ${money(first.amount, locale)}.`;
  return `${steps.length} prices, from ${money(first.amount, locale)} to ${money(last.amount, locale)}.`;
}
