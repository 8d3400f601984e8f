/** Price pins and group marks, drawn once for each text and kept by name in the map's atlas. */
import { short } from '../lib/format';
import { palettes, type Palette, type Theme } from './palette';

/** The name says all that is drawn, so that equal pins share one picture. */
export const pinName = (theme: Theme, text: string, status: string | undefined): string => `pin|${theme}|${markOf(status)}|${text}`;

export const clusterName = (theme: Theme, count: number): string => `cluster|${theme}|${clusterSize(count)}|${short(count)}`;

/** For sale, under contract, or over: told by the form of the mark, not by its colour. */
type Mark = 'open' | 'contract' | 'over';

export function markOf(status: string | undefined): Mark {
  if (status === 'Active' || status === 'Coming Soon' || status === undefined) return 'open';
  return status === 'Pending' || status === 'Active Under Contract' || status === 'Hold' ? 'contract' : 'over';
}

export function clusterSize(count: number): number {
  return Math.min(60, 30 + 2 * Math.round(3 * Math.log10(Math.max(1, count))));
}

export interface Picture {
  data: ImageData;
  pixelRatio: number;
}

const family = `'Inter Variable', Inter, system-ui, sans-serif`;

export const pictureFont = `600 12px ${family}`;

function canvas(width: number, height: number, ratio: number): CanvasRenderingContext2D {
  const element = document.createElement('canvas');
  element.width = Math.ceil(width * ratio);
  element.height = Math.ceil(height * ratio);
  // Kept in plain memory: reading it back from a graphics card would make the page wait for all that is being drawn there, for each new price.
  const context = element.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new Error('This browser gives no canvas to draw on.');
  context.scale(ratio, ratio);
  return context;
}

/** Draws the picture of a name, or nothing where the name is not one of ours. */
export function picture(name: string, ratio: number): Picture | null {
  const [kind, theme, form, text] = name.split('|');
  if ((theme !== 'light' && theme !== 'dark') || form === undefined || text === undefined) return null;
  if (kind === 'pin') return drawPin(text, form as Mark, palettes[theme], ratio);
  return kind === 'cluster' ? drawCluster(text, Number(form), palettes[theme], ratio) : null;
}

/** Only measures texts, so one serves all. */
let measure: CanvasRenderingContext2D | null = null;

const pinHeight = 24;
const tail = 5;
const markWidth = 11;

function drawPin(text: string, mark: Mark, p: Palette, ratio: number): Picture {
  measure ??= canvas(1, 1, 1);
  measure.font = pictureFont;
  const lead = mark === 'open' ? 0 : markWidth;
  const width = Math.ceil(measure.measureText(text).width) + lead + 16;
  const margin = 3;
  const c = canvas(width + 2 * margin, pinHeight + tail + 2 * margin, ratio);
  c.translate(margin, margin);
  c.shadowColor = 'rgb(0 0 0 / 0.22)';
  c.shadowBlur = 3 * ratio;
  c.shadowOffsetY = ratio;
  bubble(c, width);
  c.fillStyle = p.pin;
  c.fill();
  c.shadowColor = 'transparent';
  c.lineWidth = 1;
  c.strokeStyle = p.pinEdge;
  c.stroke();
  if (mark !== 'open') drawMark(c, mark, p);
  c.font = pictureFont;
  c.textBaseline = 'middle';
  c.fillStyle = mark === 'over' ? p.pinQuiet : p.pinText;
  c.fillText(text, 8 + lead, pinHeight / 2 + 0.5);
  return { data: c.getImageData(0, 0, c.canvas.width, c.canvas.height), pixelRatio: ratio };
}

function bubble(c: CanvasRenderingContext2D, width: number): void {
  const radius = 7;
  const middle = width / 2;
  c.beginPath();
  c.moveTo(radius, 0);
  c.arcTo(width, 0, width, pinHeight, radius);
  c.arcTo(width, pinHeight, middle + tail, pinHeight, radius);
  c.lineTo(middle + tail, pinHeight);
  c.lineTo(middle, pinHeight + tail);
  c.lineTo(middle - tail, pinHeight);
  c.arcTo(0, pinHeight, 0, 0, radius);
  c.arcTo(0, 0, width, 0, radius);
  c.closePath();
}

function drawMark(c: CanvasRenderingContext2D, mark: Mark, p: Palette): void {
  const x = 12;
  const y = pinHeight / 2;
  c.beginPath();
  c.lineWidth = 1.5;
  c.strokeStyle = p.pinQuiet;
  c.fillStyle = p.pinQuiet;
  if (mark === 'over') {
    c.moveTo(x - 3, y - 3);
    c.lineTo(x + 3, y + 3);
    c.moveTo(x + 3, y - 3);
    c.lineTo(x - 3, y + 3);
    c.stroke();
    return;
  }
  c.arc(x, y, 3.5, 0, 2 * Math.PI);
  c.stroke();
  c.beginPath();
  c.arc(x, y, 3.5, -Math.PI / 2, Math.PI / 2);
  c.fill();
}

function drawCluster(text: string, size: number, p: Palette, ratio: number): Picture {
  const ring = 4;
  const whole = size + 2 * ring;
  const c = canvas(whole, whole, ratio);
  const middle = whole / 2;
  c.fillStyle = p.cluster;
  c.globalAlpha = 0.22;
  c.beginPath();
  c.arc(middle, middle, size / 2 + ring, 0, 2 * Math.PI);
  c.fill();
  c.globalAlpha = 1;
  c.beginPath();
  c.arc(middle, middle, size / 2, 0, 2 * Math.PI);
  c.fill();
  c.font = `600 ${size < 36 ? 11 : size < 48 ? 12 : 13}px ${family}`;
  c.textAlign = 'center';
  c.textBaseline = 'middle';
  c.fillStyle = p.clusterText;
  c.fillText(text, middle, middle + 0.5);
  return { data: c.getImageData(0, 0, c.canvas.width, c.canvas.height), pixelRatio: ratio };
}
