/** Geometry of the price line, in a box of the given size; the drawing is left to the component. */
import type { PriceStep } from './history';

export interface Mark {
  x: number;
  y: number;
  step: PriceStep;
}

export interface StepLine {
  /** An SVG path that keeps each price until the next one, and the last one until now. */
  path: string;
  /** The same, closed along the bottom. */
  surface: string;
  marks: Mark[];
  low: number;
  high: number;
}

/** Room above and below the line, as a part of its range. */
const margin = 0.15;

export function stepLine(steps: readonly PriceStep[], now: number, width: number, height: number): StepLine | null {
  const first = steps[0];
  if (first === undefined) return null;
  const end = Math.max(now, ...steps.map((step) => step.at));
  const span = Math.max(end - first.at, 1);
  const amounts = steps.map((step) => step.amount);
  const [low, high] = [Math.min(...amounts), Math.max(...amounts)];
  const range = high - low || Math.max(Math.abs(high), 1) * 0.2;
  const bottom = low === high ? low - range / 2 : low - range * margin;
  const top = low === high ? high + range / 2 : high + range * margin;
  const x = (at: number): number => round(((at - first.at) / span) * width);
  const y = (amount: number): number => round(height - ((amount - bottom) / (top - bottom)) * height);
  const marks = steps.map((step) => ({ x: x(step.at), y: y(step.amount), step }));
  const path = marks.map((mark, i) => (i === 0 ? `M${mark.x} ${mark.y}` : `H${mark.x}V${mark.y}`)).join('') + `H${width}`;
  return { path, surface: `${path}V${height}H0Z`, marks, low, high };
}

const round = (value: number): number => Math.round(value * 10) / 10;
