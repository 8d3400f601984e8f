/** The map itself. This file and all it imports is loaded only after the list is on screen. */
import { AttributionControl, LngLatBounds, MapLibreMap, Marker, NavigationControl, setWorkerUrl, type GeoJSONSource, type MapMouseEvent } from 'maplibre-gl';
import 'maplibre-gl/dist/maplibre-gl.css';
import workerUrl from 'virtual:map-worker';
import { pinPrice } from '../lib/format';
import type { Box, Cluster, MapAnswer, Pin } from '../lib/listing';
import { clusterName, picture, pictureFont, pinName } from './pictures';
import { palettes, type Theme } from './palette';
import { fineData, fineLayers, fineSource, fineZoom, mapStyle } from './style';

setWorkerUrl(workerUrl);

/** All of the contiguous states and the inhabited south of Canada. */
export const home: Box = [-127, 24.5, -60, 57];

/** The frame that can be looked at. Its west stays clear of the antimeridian: at 180 degrees exactly, the library wraps the view to it. */
const frame: [number, number, number, number] = [-178, 4, -22, 84];

export interface MapEvents {
  /** The view changed; `byReader` when a hand did it, not the page. */
  moved(box: Box, zoom: number, byReader: boolean): void;
  hovered(key: string | null): void;
  opened(key: string): void;
  /** Something could not be loaded; `whole` when the map has not been drawn yet and will not be. */
  failed(message: string, whole: boolean): void;
}

export interface MarkedPin {
  key: string;
  lon: number;
  lat: number;
  text: string;
}

const collection = (features: GeoJSON.Feature[]): GeoJSON.FeatureCollection => ({ type: 'FeatureCollection', features });

export class ListingMap {
  readonly #map: MapLibreMap;
  readonly #events: MapEvents;
  readonly #reduced: boolean;
  readonly #sizes: ResizeObserver;
  #theme: Theme;
  #answer: MapAnswer = { total: 0, clusters: [], pins: [] };
  #ready = false;
  #answered = false;
  #fine = false;
  #byPage = 0;
  #mark: Marker | null = null;
  #pulses = new Map<string, Marker>();

  constructor(container: HTMLElement, start: { box: Box | null; theme: Theme; reduced: boolean }, events: MapEvents) {
    this.#events = events;
    this.#theme = start.theme;
    this.#reduced = start.reduced;
    this.#map = new MapLibreMap({
      container,
      style: mapStyle(start.theme),
      bounds: [...(start.box ?? home)],
      fitBoundsOptions: { padding: start.box === null ? 16 : 0 },
      maxBounds: frame,
      maxZoom: 18,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      renderWorldCopies: false,
      fadeDuration: start.reduced ? 0 : 120,
      // The gateway answers with groups of its own; what the map itself draws is small.
      refreshExpiredTiles: false,
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.keyboard.disableRotation();
    this.#map.addControl(new NavigationControl({ showCompass: false }), 'bottom-right');
    this.#map.addControl(new AttributionControl({ compact: true }), 'bottom-left');
    this.#listen();
    this.#sizes = new ResizeObserver(() => this.#map.resize());
    this.#sizes.observe(container);
    // What to show can be asked for while the base is still being drawn.
    events.moved(this.box(), this.#map.getZoom(), false);
  }

  #listen(): void {
    const map = this.#map;
    map.on('error', (event) => this.#events.failed(event.error.message, !this.#ready));
    map.on('load', () => void this.#begin());
    map.on('moveend', () => {
      const byReader = this.#byPage === 0;
      if (!byReader) this.#byPage -= 1;
      this.#loadFine();
      if (this.#ready) this.#events.moved(this.box(), map.getZoom(), byReader);
    });
    map.on('resize', () => (this.#byPage = 0));
    map.on('mousemove', ['pins', 'dots'], (event) => this.#hover(event.features?.[0]?.properties['key']));
    map.on('mouseleave', ['pins', 'dots'], () => this.#hover(null));
    map.on('mouseenter', 'clusters', () => (map.getCanvas().style.cursor = 'pointer'));
    map.on('mouseleave', 'clusters', () => (map.getCanvas().style.cursor = ''));
    map.on('click', (event) => this.#click(event));
  }

  /** The pictures are drawn with the page's font, so it must be there first; a font that fails is replaced, not waited for. */
  async #begin(): Promise<void> {
    await document.fonts.load(pictureFont).catch(() => []);
    this.#ready = true;
    this.#show();
    this.#loadFine();
  }

  #hover(key: unknown): void {
    this.#map.getCanvas().style.cursor = typeof key === 'string' ? 'pointer' : '';
    this.#events.hovered(typeof key === 'string' ? key : null);
  }

  #click(event: MapMouseEvent): void {
    const reach = 4;
    const { x, y } = event.point;
    const hit = this.#map.queryRenderedFeatures([[x - reach, y - reach], [x + reach, y + reach]], { layers: ['clusters', 'pins', 'dots'] })[0];
    const key: unknown = hit?.properties['key'];
    if (typeof key === 'string') return this.#events.opened(key);
    const index: unknown = hit?.properties['index'];
    const cluster = typeof index === 'number' ? this.#answer.clusters[index] : undefined;
    if (cluster !== undefined) this.#openCluster(cluster);
  }

  /** Looks at what is in a group: as a move of the reader's, so the search follows. */
  #openCluster(cluster: Cluster): void {
    const [west, south, east, north] = cluster.box;
    const zoom = this.#map.getZoom();
    const camera = this.#map.cameraForBounds(new LngLatBounds([west, south], [east, north]), { padding: 48, maxZoom: 16 });
    const nearer = Math.max(camera?.zoom ?? 0, zoom + 1);
    this.#map.easeTo({ center: camera?.center ?? [cluster.lon, cluster.lat], zoom: Math.min(nearer, 16), duration: this.#reduced ? 0 : 350 });
  }

  box(): Box {
    const bounds = this.#map.getBounds();
    const cut = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));
    return [cut(bounds.getWest(), -180, 180), cut(bounds.getSouth(), -90, 90), cut(bounds.getEast(), -180, 180), cut(bounds.getNorth(), -90, 90)];
  }

  /** Moves to a box because the page says so. */
  fit(box: Box): void {
    const at = this.box();
    const [width, height] = [at[2] - at[0], at[3] - at[1]];
    const slack = [width, height, width, height].map((size) => size * 0.02);
    if (box.every((edge, i) => Math.abs(edge - (at[i] ?? 0)) <= (slack[i] ?? 0))) return;
    this.#byPage += 1;
    this.#map.fitBounds([...box], { animate: !this.#reduced, duration: 350, padding: 0 });
  }

  show(answer: MapAnswer): void {
    this.#answer = answer;
    this.#answered = true;
    if (!this.#ready) return;
    this.#show();
    this.#loadFine();
  }

  #show(): void {
    const point = (at: { lon: number; lat: number }, properties: Record<string, unknown>): GeoJSON.Feature => ({
      type: 'Feature',
      properties,
      geometry: { type: 'Point', coordinates: [at.lon, at.lat] },
    });
    const pin = (p: Pin): GeoJSON.Feature =>
      point(p, { key: p.key, status: p.status, order: p.status === 'Active' ? 0 : 1, picture: pinName(this.#theme, pinPrice(p.price, p.currency), p.status) });
    const cluster = (c: Cluster, index: number): GeoJSON.Feature => point(c, { index, count: c.count, picture: clusterName(this.#theme, c.count) });
    const pins = this.#answer.pins.map(pin);
    const clusters = this.#answer.clusters.map(cluster);
    for (const drawn of [...pins, ...clusters]) this.#draw(String(drawn.properties?.['picture']));
    void this.#map.getSource<GeoJSONSource>('pins')?.setData(collection(pins));
    void this.#map.getSource<GeoJSONSource>('clusters')?.setData(collection(clusters));
  }

  #draw(name: string): void {
    if (this.#map.hasImage(name)) return;
    const drawn = picture(name, Math.max(2, Math.ceil(devicePixelRatio)));
    if (drawn !== null) this.#map.addImage(name, drawn.data, { pixelRatio: drawn.pixelRatio });
  }

  /** Fetches the fine borders the first time someone is near enough to see them. */
  #loadFine(): void {
    const map = this.#map;
    if (this.#fine || !this.#ready || !this.#answered || map.getZoom() < fineZoom) return;
    this.#fine = true;
    // Listings first: the fine borders would keep the worker from them.
    map.once('idle', () => this.#addFine());
  }

  #addFine(): void {
    const map = this.#map;
    map.addSource(fineSource, { type: 'geojson', data: fineData, tolerance: 0.3 });
    for (const { layer, before } of fineLayers(this.#theme)) map.addLayer(layer, before);
    const arrived = (event: { sourceId?: string }): void => {
      if (event.sourceId !== fineSource || !map.isSourceLoaded(fineSource)) return;
      map.off('sourcedata', arrived);
      map.setLayerZoomRange('land', 0, fineZoom);
      map.setLayerZoomRange('country', 0, fineZoom);
      // Provinces have no finer form: their lines stay, those of the states give way.
      map.setFilter('region', ['any', ['==', ['get', 'kind'], 'province'], ['<', ['zoom'], fineZoom]]);
    };
    map.on('sourcedata', arrived);
  }

  /** Raises one pin over the others. It is an element of the page, so it is never lost among its neighbours. */
  mark(pin: MarkedPin | null): void {
    this.#mark?.remove();
    this.#mark = null;
    if (pin === null) return;
    const element = document.createElement('div');
    element.className = 'marked-pin';
    element.textContent = pin.text;
    this.#mark = new Marker({ element, anchor: 'bottom' }).setLngLat([pin.lon, pin.lat]).addTo(this.#map);
    element.setAttribute('aria-hidden', 'true');
    element.removeAttribute('role');
    element.removeAttribute('aria-label');
    element.removeAttribute('tabindex');
  }

  /** Marks pins that changed just now. The ring plays once by style sheet, and rests still for those who asked for less motion. */
  pulse(keys: ReadonlySet<string>): void {
    for (const [key, marker] of this.#pulses) if (!keys.has(key)) this.#dropPulse(key, marker);
    for (const pin of this.#answer.pins) if (keys.has(pin.key) && !this.#pulses.has(pin.key)) this.#pulses.set(pin.key, this.#ring(pin));
  }

  #dropPulse(key: string, marker: Marker): void {
    marker.remove();
    this.#pulses.delete(key);
  }

  #ring(pin: Pin): Marker {
    const element = document.createElement('div');
    element.className = 'pin-pulse';
    element.setAttribute('aria-hidden', 'true');
    return new Marker({ element, anchor: 'center' }).setLngLat([pin.lon, pin.lat]).addTo(this.#map);
  }

  paint(theme: Theme): void {
    if (theme === this.#theme || !this.#ready) return;
    this.#theme = theme;
    const fine = fineLayers(theme).map(({ layer }) => layer).filter(({ id }) => this.#map.getLayer(id) !== undefined);
    for (const layer of [...mapStyle(theme).layers, ...fine])
      for (const [name, value] of Object.entries(layer.paint ?? {})) this.#map.setPaintProperty(layer.id, name as never, value as never);
    this.#show();
  }

  /** The colour that stands where nothing is drawn yet. */
  static background(theme: Theme): string {
    return palettes[theme].water;
  }

  destroy(): void {
    this.#sizes.disconnect();
    this.#map.remove();
  }
}
