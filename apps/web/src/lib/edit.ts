/** What a form says, read into fields to set. The server checks again; this is so that a person is told at once. */
import { fieldName } from './format';
import type { Fields } from './listing';

export const statuses = ['Active', 'Coming Soon', 'Active Under Contract', 'Pending', 'Hold', 'Closed', 'Withdrawn', 'Canceled', 'Expired'] as const;

export const remarksMax = 4_000;

/** Above this a price is a slip of the hand. */
const amountMax = 10_000_000_000;

/** Texts as they stand in the form, by field. An empty one means: no value. */
export type FormTexts = Record<string, string>;

export interface Read {
  set: Fields;
  /** By field, what is wrong with it. */
  problems: Record<string, string>;
}

/** Reads `$520,000`, `520k` or `1.2m`; null where it is not an amount of money. */
export function amountOf(text: string): number | null {
  const [, digits, scale] = /^\$?\s*([\d\s,]*\.?\d+|[\d\s,]+)\s*([kKmM]?)$/.exec(text.trim()) ?? [];
  if (digits === undefined) return null;
  const value = Number(digits.replace(/[\s,]/g, '')) * ({ k: 1e3, m: 1e6 }[(scale ?? '').toLowerCase()] ?? 1);
  return Number.isFinite(value) && value <= amountMax ? Math.round(value * 100) / 100 : null;
}

const kinds: Record<string, 'money' | 'whole' | 'number' | 'text'> = { ListPrice: 'money', BedroomsTotal: 'whole', BathroomsTotalInteger: 'whole', LivingArea: 'number' };

const wanted = { money: 'An amount, for example 520,000 or 520k.', whole: 'A whole number, for example 3.', number: 'A number, for example 1,850.' };

const longest: Record<string, number> = { PublicRemarks: remarksMax, UnparsedAddress: 255, City: 255, PostalCode: 10 };

function valueOf(field: string, text: string): { value: unknown } | { problem: string } {
  const kind = kinds[field] ?? 'text';
  if (kind === 'text') {
    const max = longest[field];
    return max !== undefined && [...text].length > max ? { problem: `At most ${max.toLocaleString()} characters.` } : { value: text };
  }
  const value = kind === 'money' ? amountOf(text) : Number(text.replace(/,/g, ''));
  if (value === null || !Number.isFinite(value) || value < 0 || (kind === 'whole' && !Number.isInteger(value))) return { problem: wanted[kind] };
  return { value };
}

/** The fields in which the form differs from what is there. */
export function readForm(texts: FormTexts, before: Fields): Read {
  const read: Read = { set: {}, problems: {} };
  for (const [field, raw] of Object.entries(texts)) {
    const text = raw.trim();
    const was = before[field] ?? null;
    if (text === '') {
      if (field === 'StandardStatus' || was === null) continue;
      read.set[field] = null;
      continue;
    }
    const parsed = valueOf(field, text);
    if ('problem' in parsed) read.problems[field] = parsed.problem;
    else if (parsed.value !== was) read.set[field] = parsed.value;
  }
  return read;
}

/** What a new listing cannot do without. */
const needed = ['UnparsedAddress', 'City', 'StateOrProvince', 'ListPrice', 'StandardStatus'];

export function readNew(texts: FormTexts): Read {
  const read = readForm(texts, {});
  for (const field of needed) if (!(field in read.set) && !(field in read.problems)) read.problems[field] = `${fieldName(field)} is needed.`;
  if ('LivingArea' in read.set) read.set['LivingAreaUnits'] = read.set['Country'] === 'CA' ? 'Square Meters' : 'Square Feet';
  return read;
}
