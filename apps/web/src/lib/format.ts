/** Numbers, money and times as people read them. Everything here is pure: the present moment and the locale are arguments. */
import type { Currency, LastChange, Summary } from './listing';

/** What a price means: asked, paid, or only what an assessor put on it. */
export type PriceKind = 'list' | 'closed' | 'assessed';

export interface Price {
  amount: number;
  currency: Currency;
  kind: PriceKind;
}

const minus = '\u2212';

export function priceOf(listing: Pick<Summary, 'StandardStatus' | 'ListPrice' | 'ClosePrice' | 'TaxAssessedValue' | 'Currency'>): Price | null {
  const currency = listing.Currency ?? 'USD';
  if (listing.StandardStatus === 'Closed' && typeof listing.ClosePrice === 'number') return { amount: listing.ClosePrice, currency, kind: 'closed' };
  if (typeof listing.ListPrice === 'number') return { amount: listing.ListPrice, currency, kind: 'list' };
  if (typeof listing.ClosePrice === 'number') return { amount: listing.ClosePrice, currency, kind: 'closed' };
  if (typeof listing.TaxAssessedValue === 'number') return { amount: listing.TaxAssessedValue, currency, kind: 'assessed' };
  return null;
}

/** `$520,000`; which dollar it is stands beside it. */
export function money(amount: number, locale?: string): string {
  const digits = Number.isInteger(amount) ? 0 : 2;
  const text = Math.abs(amount).toLocaleString(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${amount < 0 ? minus : ''}$${text}`;
}

/** `+$12,000` or `−$15,000`. */
export function moneyChange(before: number, after: number, locale?: string): string {
  const change = after - before;
  return change < 0 ? money(change, locale) : `+${money(change, locale)}`;
}

function scaled(value: number): string {
  const digits = value < 10 ? 1 : 0;
  return Number(value.toFixed(digits)).toString();
}

/** A number in at most four characters: `950`, `2.4K`, `520K`, `1.2M`, `12M`. */
export function short(value: number): string {
  const size = Math.abs(value);
  const sign = value < 0 ? minus : '';
  if (size < 999.5) return sign + Math.round(size).toString();
  if (size < 999_500) return `${sign}${scaled(size / 1e3)}K`;
  if (size < 999_500_000) return `${sign}${size < 1e8 && size >= 1e7 ? Number((size / 1e6).toFixed(1)) : scaled(size / 1e6)}M`;
  return `${sign}${scaled(size / 1e9)}B`;
}

/** Two numbers in as few characters as tell them apart: `1.5M` and `1.54M` would not. */
export function shortPair(low: number, high: number): [string, string] {
  const pair: [string, string] = [short(low), short(high)];
  if (low === high || pair[0] !== pair[1]) return pair;
  const [scale, unit] = Math.abs(high) >= 999_500 ? ([1e6, 'M'] as const) : ([1e3, 'K'] as const);
  for (const digits of [2, 3]) {
    const closer: [string, string] = [`${(low / scale).toFixed(digits)}${unit}`, `${(high / scale).toFixed(digits)}${unit}`];
    if (closer[0] !== closer[1]) return closer;
  }
  return [count(low), count(high)];
}

/** What a pin on the map says: `$520K`, `$1.2M CA`. */
export function pinPrice(amount: number | null | undefined, currency: Currency | undefined): string {
  if (amount === null || amount === undefined) return '\u2013';
  return `$${short(amount)}${currency === 'CAD' ? ' CA' : ''}`;
}

const areaUnits: Record<string, string> = { 'Square Feet': 'sq ft', 'Square Meters': 'm²', Acres: 'acres', Hectares: 'ha' };

/** An area in the unit the listing itself uses. */
export function area(value: number, unit: string | undefined, locale?: string): string {
  const number = value.toLocaleString(locale, { maximumFractionDigits: value < 100 ? 2 : 0 });
  return unit === undefined ? number : `${number} ${areaUnits[unit] ?? unit.toLowerCase()}`;
}

export function count(value: number, locale?: string): string {
  return value.toLocaleString(locale);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return value === 1 ? one : many;
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** `just now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 d ago`, then the date. A time ahead of our clock is `just now`. */
export function relativeTime(at: string, now: number, locale?: string): string {
  const time = Date.parse(at);
  if (Number.isNaN(time)) return 'at an unknown time';
  const age = now - time;
  if (age < 5 * second) return 'just now';
  if (age < minute) return `${Math.floor(age / second)} s ago`;
  if (age < hour) return `${Math.floor(age / minute)} min ago`;
  if (age < day) return `${Math.floor(age / hour)} h ago`;
  if (age < 30 * day) return `${Math.floor(age / day)} d ago`;
  return date(at, locale);
}

/** `Mar 4, 2026`. A date without a time stays the day it names, in whichever zone it is read. */
export function date(at: string, locale?: string): string {
  const time = Date.parse(at);
  if (Number.isNaN(time)) return at;
  const day: Intl.DateTimeFormatOptions = { year: 'numeric', month: 'short', day: 'numeric' };
  return new Date(time).toLocaleDateString(locale, /^\d{4}-\d\d-\d\d$/.test(at) ? { ...day, timeZone: 'UTC' } : day);
}

/** The exact time, to the second, with its zone. */
export function exactTime(at: string, locale?: string): string {
  const time = Date.parse(at);
  if (Number.isNaN(time)) return at;
  return new Date(time).toLocaleString(locale, {
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    timeZoneName: 'short',
  });
}

/** `BathroomsTotalInteger` reads as `Bathrooms`, `YearBuilt` as `Year built`. */
export function fieldName(field: string): string {
  const known = fieldNames[field];
  if (known !== undefined) return known;
  const flag = field.replace(/YN$/, '');
  const words = flag.replace(/([a-z\d])([A-Z])/g, '$1 $2').replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2').split(/[ _]+/);
  return words.map((word, i) => (i === 0 || /^[A-Z]{2,}$/.test(word) ? word : word.toLowerCase())).join(' ');
}

const fieldNames: Record<string, string> = {
  BathroomsTotalInteger: 'Bathrooms',
  BedroomsTotal: 'Bedrooms',
  StandardStatus: 'Status',
  UnparsedAddress: 'Address',
  StateOrProvince: 'State or province',
  TaxAssessedValue: 'Assessed value',
  ListPrice: 'List price',
  ClosePrice: 'Close price',
  PropertySubType: 'Kind',
  PropertyType: 'Property type',
  PublicRemarks: 'Remarks',
  MlsStatus: 'MLS status',
};

/** What changed, in one line. `was` is a price to be struck out. */
export interface ChangeLine {
  text: string;
  was?: string;
  direction?: 'up' | 'down';
}

function valueText(value: unknown): string {
  if (value === null || value === undefined || value === '') return 'none';
  if (typeof value === 'number') return value.toLocaleString();
  return typeof value === 'string' ? value : JSON.stringify(value);
}

export function changeLine(change: LastChange | undefined, locale?: string): ChangeLine | null {
  if (change === undefined) return null;
  const { type, before, after } = change;
  if (type === 'added') return { text: 'New' };
  if (type === 'deleted') return { text: 'Removed' };
  if (type === 'back_on_market') return { text: 'Back on market' };
  if (type === 'status') return { text: `${valueText(before)} → ${valueText(after)}` };
  const money = type === 'price' || type === 'assessment';
  if (money && typeof before === 'number' && typeof after === 'number') return priceLine(before, after, locale);
  if (money && typeof after === 'number') return { text: type === 'price' ? 'Price set' : 'Assessed' };
  const name = change.field === undefined ? 'Details' : fieldName(change.field);
  const verb = type === 'corrected' ? 'corrected' : 'changed';
  const brief = change.field !== undefined && isBrief(before) && isBrief(after);
  return { text: brief ? `${name} ${valueText(before)} → ${valueText(after)}` : `${name} ${verb}` };
}

function isBrief(value: unknown): boolean {
  return value !== undefined && valueText(value).length <= 20;
}

function priceLine(before: number, after: number, locale?: string): ChangeLine {
  return { text: moneyChange(before, after, locale), was: money(before, locale), direction: after < before ? 'down' : 'up' };
}

/** The address on one line, as far as it is known. */
export function addressLine(listing: Pick<Summary, 'UnparsedAddress' | 'City' | 'StateOrProvince' | 'PostalCode'>): string {
  const street = listing.UnparsedAddress ?? '';
  const region = [listing.StateOrProvince, listing.PostalCode].filter((part) => part !== undefined && part !== '').join(' ');
  const missing = (part: string | undefined): part is string => part !== undefined && part !== '' && !street.toLowerCase().includes(part.toLowerCase());
  const parts = [street, listing.City, region].filter((part, i) => (i === 0 ? part !== '' : missing(part)));
  return parts.length === 0 ? 'Address not given' : parts.join(', ');
}
