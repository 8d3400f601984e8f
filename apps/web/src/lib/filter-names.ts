/** What a filter button says: its name while it does nothing, else what it does. */
import { short } from './format';
import { regions } from './places';
import type { Filters } from './query';

export type FilterSection = 'place' | 'status' | 'price' | 'rooms' | 'type' | 'feed';

const idle: Record<FilterSection, string> = { place: 'Place', status: 'Status', price: 'Price', rooms: 'Rooms', type: 'Type', feed: 'Feed' };

const said: Record<FilterSection, (filters: Filters) => string> = {
  place: ({ city, state, country }) => [city, regions.find((region) => region.code === state)?.name ?? state].filter(Boolean).join(', ') || { US: 'United States', CA: 'Canada' }[country] || country,
  status: ({ status }) => (status.length > 1 ? `${status[0]} +${status.length - 1}` : (status[0] ?? '')),
  price: ({ price_min: low, price_max: high }) => {
    if (low !== null && high !== null) return `$${short(low)}\u2013$${short(high)}`;
    if (low !== null) return `from $${short(low)}`;
    return high === null ? '' : `to $${short(high)}`;
  },
  rooms: ({ beds_min: beds, baths_min: baths }) => [beds === null ? '' : `${beds}+ bd`, baths === null ? '' : `${baths}+ ba`].filter(Boolean).join(', '),
  type: ({ type }) => type,
  feed: ({ feed }) => feed,
};

export function filterName(section: FilterSection, filters: Filters): { text: string; on: boolean } {
  const text = said[section](filters);
  return text === '' ? { text: idle[section], on: false } : { text, on: true };
}

export const filterTitle = (section: FilterSection): string => idle[section];
