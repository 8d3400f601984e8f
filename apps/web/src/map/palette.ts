/** Colours of the map. They follow the tokens of `app.css`; the map draws outside of the reach of style sheets. */
export type Theme = 'light' | 'dark';

export interface Palette {
  water: string;
  land: string;
  lake: string;
  county: string;
  region: string;
  country: string;
  label: string;
  labelFaint: string;
  halo: string;
  pin: string;
  pinText: string;
  pinEdge: string;
  pinQuiet: string;
  accent: string;
  accentText: string;
  cluster: string;
  clusterText: string;
}

export const palettes: Record<Theme, Palette> = {
  light: {
    water: '#d9e4e8',
    land: '#f5f4f0',
    lake: '#d9e4e8',
    county: '#e6e3db',
    region: '#cfcbc0',
    country: '#aaa59a',
    label: '#5d6360',
    labelFaint: '#8b908c',
    halo: '#f5f4f0',
    pin: '#ffffff',
    pinText: '#17201e',
    pinEdge: '#c3c8c4',
    pinQuiet: '#69716e',
    accent: '#0b6b5d',
    accentText: '#ffffff',
    cluster: '#0b6b5d',
    clusterText: '#ffffff',
  },
  dark: {
    water: '#0d1416',
    land: '#1a2122',
    lake: '#0d1416',
    county: '#232b2c',
    region: '#323c3d',
    country: '#4b5758',
    label: '#9aa5a2',
    labelFaint: '#6f7a78',
    halo: '#1a2122',
    pin: '#2a3334',
    pinText: '#eef2f0',
    pinEdge: '#4a5556',
    pinQuiet: '#9aa5a2',
    accent: '#4fd1b8',
    accentText: '#06231e',
    cluster: '#2b9c87',
    clusterText: '#04201b',
  },
};
