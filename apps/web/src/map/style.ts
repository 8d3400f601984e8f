/** The quiet base: land, water, borders and names. Everything louder is a listing. */
import type { ExpressionSpecification, FilterSpecification, LayerSpecification, StyleSpecification } from 'maplibre-gl';
import { regions, towns } from '../lib/places';
import coarseUrl from './generated/coarse.geojson?url';
import fineUrl from './generated/fine.geojson?url';
import { palettes, type Palette, type Theme } from './palette';

/** The zoom from which the fine borders are worth their download. */
export const fineZoom = 5.5;

export const fineSource = 'fine';

const font = ['Inter Variable', 'Inter', 'sans-serif'];

const kind = (...kinds: string[]): FilterSpecification => ['in', ['get', 'kind'], ['literal', kinds]];

const none = { type: 'FeatureCollection' as const, features: [] };

function points<T extends { lon: number; lat: number }>(places: readonly T[], properties: (place: T) => Record<string, unknown>): GeoJSON.FeatureCollection {
  return {
    type: 'FeatureCollection',
    features: places.map((place) => ({ type: 'Feature', properties: properties(place), geometry: { type: 'Point', coordinates: [place.lon, place.lat] } })),
  };
}

const lineWidth = (far: number, near: number): ExpressionSpecification => ['interpolate', ['linear'], ['zoom'], 3, far, 10, near];

function coarseLayers(p: Palette): LayerSpecification[] {
  return [
    { id: 'land-rest', type: 'fill', source: 'coarse', filter: kind('land-rest'), paint: { 'fill-color': p.land } },
    { id: 'land', type: 'fill', source: 'coarse', filter: kind('land'), paint: { 'fill-color': p.land } },
    { id: 'lake', type: 'fill', source: 'coarse', filter: kind('lake'), paint: { 'fill-color': p.lake } },
    { id: 'region', type: 'line', source: 'coarse', filter: kind('state', 'province'), paint: { 'line-color': p.region, 'line-width': lineWidth(0.7, 1.2) } },
    { id: 'country', type: 'line', source: 'coarse', filter: kind('country'), paint: { 'line-color': p.country, 'line-width': lineWidth(0.9, 1.6) } },
  ];
}

/** Put under `lake` once the fine borders are there; the coarse land and states then give way to them. */
export function fineLayers(theme: Theme): { layer: LayerSpecification; before: string }[] {
  const p = palettes[theme];
  const source = fineSource;
  const minzoom = fineZoom;
  return [
    // The two atlases do not meet exactly at the borders on land: a broad strip of land closes the gaps.
    {
      layer: { id: 'fine-seam', type: 'line', source, minzoom, filter: kind('country'), paint: { 'line-color': p.land, 'line-width': ['interpolate', ['exponential', 2], ['zoom'], 5, 1, 12, 80] } },
      before: 'lake',
    },
    { layer: { id: 'fine-land', type: 'fill', source, minzoom, filter: kind('land'), paint: { 'fill-color': p.land } }, before: 'lake' },
    { layer: { id: 'fine-county', type: 'line', source, minzoom: 6, filter: kind('county'), paint: { 'line-color': p.county, 'line-width': lineWidth(0.5, 1.2) } }, before: 'region' },
    { layer: { id: 'fine-region', type: 'line', source, minzoom, filter: kind('state'), paint: { 'line-color': p.region, 'line-width': lineWidth(0.7, 1.4) } }, before: 'country' },
    { layer: { id: 'fine-country', type: 'line', source, minzoom, filter: kind('country'), paint: { 'line-color': p.country, 'line-width': lineWidth(0.9, 1.8) } }, before: 'town' },
  ];
}

function labelLayers(p: Palette): LayerSpecification[] {
  const halo = { 'text-halo-color': p.halo, 'text-halo-width': 1.2 };
  return [
    {
      id: 'town',
      type: 'symbol',
      source: 'towns',
      // A rank is shown from the zoom at which it stops crowding.
      filter: ['>=', ['zoom'], ['match', ['get', 'rank'], 1, 3.4, 2, 4.6, 3, 6.4, 4, 8.6, 10]],
      layout: { 'text-field': ['get', 'name'], 'text-font': font, 'text-size': ['interpolate', ['linear'], ['zoom'], 4, 11, 12, 14], 'symbol-sort-key': ['get', 'rank'], 'text-padding': 6 },
      paint: { 'text-color': p.label, ...halo },
    },
    {
      id: 'region-name',
      type: 'symbol',
      source: 'regions',
      minzoom: 2.6,
      maxzoom: 8,
      layout: {
        'text-field': ['step', ['zoom'], ['get', 'code'], 4.4, ['upcase', ['get', 'name']]],
        'text-font': font,
        'text-size': ['interpolate', ['linear'], ['zoom'], 3, 10, 7, 12],
        'text-letter-spacing': 0.08,
        'text-max-width': 8,
        'text-padding': 4,
      },
      paint: { 'text-color': p.labelFaint, ...halo },
    },
  ];
}

/** Listings: groups and prices are pictures drawn by `pictures.ts`, so their text is as sharp as the page's. */
function listingLayers(p: Palette): LayerSpecification[] {
  return [
    {
      id: 'dots',
      type: 'circle',
      source: 'pins',
      paint: {
        'circle-radius': ['interpolate', ['linear'], ['zoom'], 4, 2.5, 12, 4.5],
        'circle-color': ['match', ['get', 'status'], 'Active', p.accent, p.pinQuiet],
        'circle-stroke-color': p.pin,
        'circle-stroke-width': 1,
      },
    },
    {
      id: 'pins',
      type: 'symbol',
      source: 'pins',
      layout: { 'icon-image': ['get', 'picture'], 'icon-anchor': 'bottom', 'icon-padding': 1, 'symbol-sort-key': ['get', 'order'] },
    },
    {
      id: 'clusters',
      type: 'symbol',
      source: 'clusters',
      layout: { 'icon-image': ['get', 'picture'], 'icon-allow-overlap': true, 'symbol-sort-key': ['get', 'count'] },
    },
  ];
}

export function mapStyle(theme: Theme): StyleSpecification {
  const p = palettes[theme];
  return {
    version: 8,
    sources: {
      coarse: { type: 'geojson', data: coarseUrl, tolerance: 0.3, attribution: 'Natural Earth, U.S. Census Bureau' },
      towns: { type: 'geojson', data: points(towns, (town) => ({ name: town.name, rank: town.rank })) },
      regions: { type: 'geojson', data: points(regions, (region) => ({ name: region.name, code: region.code })) },
      pins: { type: 'geojson', data: none },
      clusters: { type: 'geojson', data: none },
    },
    layers: [{ id: 'water', type: 'background', paint: { 'background-color': p.water } }, ...coarseLayers(p), ...labelLayers(p), ...listingLayers(p)],
  };
}

export const fineData = fineUrl;
