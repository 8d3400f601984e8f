/** The dataflow as the server tells it, and where its parts stand in the picture. */

export interface FlowService {
  name: string;
  kind: string;
  does: string;
  reads: string[];
  writes: string[];
  state: string;
  instances?: number;
  dead_letters: number;
  dead_letter_reasons: Record<string, number>;
  held: string[];
}

export interface FlowTopic {
  name: string;
  key: string;
  partitions: number;
  retention: string;
  rate_per_s: number;
  records: number;
}

export interface FlowEdge {
  service: string;
  topic: string;
  direction: 'read' | 'write';
  lag?: number;
  oldest_ms?: number | null;
  rate_per_s: number;
}

export interface FlowState {
  time_ms: number;
  services: FlowService[];
  topics: FlowTopic[];
  edges: FlowEdge[];
  conditions: string[];
  freshness: { p50_ms: number | null; p99_ms: number | null; samples: number };
  history: { seconds: number; topics: Record<string, number[]> };
}

export interface DeadLetter {
  id: string;
  key: string;
  code: string;
  message: string;
  time: string;
  feed?: string;
  file?: string;
  line?: string | number;
  redriven?: boolean;
}

/** Work that waits longer than this is worth a look; longer than the second, it is stuck. */
export const slowMs = 5_000;
export const stuckMs = 30_000;

export type Health = 'calm' | 'slow' | 'stuck';

export function edgeHealth(edge: FlowEdge): Health {
  const age = edge.direction === 'read' && (edge.lag ?? 0) > 0 ? (edge.oldest_ms ?? 0) : 0;
  return age >= stuckMs ? 'stuck' : age >= slowMs ? 'slow' : 'calm';
}

/** The worst edge: the one that the eye should find first. Null while all is calm. */
export function worstEdge(state: FlowState): FlowEdge | null {
  const troubled = state.edges.filter((edge) => edgeHealth(edge) !== 'calm');
  return troubled.sort((a, b) => (b.oldest_ms ?? 0) - (a.oldest_ms ?? 0))[0] ?? null;
}

export function serviceHealth(state: FlowState, service: FlowService): Health {
  if (service.held.length > 0) return 'stuck';
  const edges = state.edges.filter((edge) => edge.service === service.name).map(edgeHealth);
  return edges.includes('stuck') ? 'stuck' : edges.includes('slow') ? 'slow' : 'calm';
}

/** Each service has topics of its own for what failed; they are told with the service, not drawn. */
export const isOwnTopic = (topic: string): boolean => topic.endsWith('.dead-letters') || topic.endsWith('.redrive');

export interface Node {
  id: string;
  kind: 'service' | 'topic';
  name: string;
  column: number;
  x: number;
  y: number;
}

export interface Line {
  edge: FlowEdge;
  from: Node;
  to: Node;
  path: string;
  /** Where the words of the edge stand. */
  x: number;
  y: number;
  /** True where it leads back to an earlier column. */
  back: boolean;
}

export interface Picture {
  nodes: Node[];
  lines: Line[];
  width: number;
  height: number;
}

/** Sizes in pixels, on the page's grid of eight. */
export const serviceSize = { width: 152, height: 64 };
export const topicSize = { width: 144, height: 40 };
const columnGap = { min: 24, max: 96 };
const rowGap = 32;

/**
 * Services and topics in columns, left to right, each after what it takes from. Where the flow turns back (a command enters it again), the edge
 * that closes the circle is drawn underneath. The columns share the width that there is.
 */
export function layout(state: Pick<FlowState, 'services' | 'topics' | 'edges'>, room: number): Picture {
  const edges = state.edges.filter((edge) => !isOwnTopic(edge.topic));
  const columns = columnsOf(state, edges);
  const names = [...columns.keys()];
  const depth = Math.max(0, ...columns.values()) + 1;
  const ranks = Array.from({ length: depth }, (_, column) => names.filter((id) => columns.get(id) === column));
  order(ranks, edges);
  const rows = Math.max(1, ...ranks.map((rank) => rank.length));
  const row = serviceSize.height + rowGap;
  const nodes = new Map<string, Node>();
  const widths = ranks.map((rank) => Math.max(...rank.map((id) => sizeOf(id).width), 0));
  const free = room - widths.reduce((a, b) => a + b, 0);
  const gap = Math.min(columnGap.max, Math.max(columnGap.min, Math.floor(free / Math.max(1, depth - 1))));
  let x = 0;
  for (const [column, rank] of ranks.entries()) {
    const width = widths[column] ?? 0;
    rank.forEach((id, i) => nodes.set(id, { id, kind: id.startsWith('s:') ? 'service' : 'topic', name: id.slice(2), column, x: x + width / 2, y: ((rows - rank.length) / 2 + i + 0.5) * row }));
    x += width + gap;
  }
  const bottom = rows * row;
  const lines = edges.flatMap((edge) => lineOf(edge, nodes, bottom));
  const backs = lines.filter((line) => line.back).length;
  return { nodes: [...nodes.values()], lines, width: Math.max(0, x - gap), height: bottom + (backs > 0 ? 40 : 0) };
}

const sizeOf = (id: string): { width: number; height: number } => (id.startsWith('s:') ? serviceSize : topicSize);

/** From and to, by id. */
const endsOf = (edge: FlowEdge): [string, string] => (edge.direction === 'write' ? [`s:${edge.service}`, `t:${edge.topic}`] : [`t:${edge.topic}`, `s:${edge.service}`]);

/** Columns by the longest way, in the order in which the table names the services: an edge to an earlier one leads back and does not count. */
function columnsOf(state: Pick<FlowState, 'services' | 'topics'>, edges: readonly FlowEdge[]): Map<string, number> {
  const columns = new Map<string, number>();
  const written = new Map<string, number>();
  for (const service of state.services) {
    const id = `s:${service.name}`;
    const reads = edges.filter((edge) => edge.service === service.name && edge.direction === 'read');
    const after = reads.map((edge) => written.get(`t:${edge.topic}`)).filter((column) => column !== undefined);
    const column = after.length === 0 ? 0 : Math.max(...after) + 1;
    columns.set(id, column);
    for (const edge of edges) if (edge.service === service.name && edge.direction === 'write' && !written.has(`t:${edge.topic}`)) written.set(`t:${edge.topic}`, column + 1);
  }
  for (const topic of state.topics) {
    const id = `t:${topic.name}`;
    if (!isOwnTopic(topic.name) && edges.some((edge) => edge.topic === topic.name)) columns.set(id, written.get(id) ?? 0);
  }
  return columns;
}

/** Moves each node near the middle of what it is joined to in the column before, so that few edges cross. */
function order(ranks: string[][], edges: readonly FlowEdge[]): void {
  const place = new Map<string, number>();
  const note = (rank: readonly string[]): void => rank.forEach((id, i) => place.set(id, i - (rank.length - 1) / 2));
  ranks.forEach(note);
  for (const rank of ranks) {
    const middle = (id: string): number => {
      const from = edges.map(endsOf).filter(([, to]) => to === id).map(([start]) => place.get(start) ?? 0);
      return from.length === 0 ? 0 : from.reduce((a, b) => a + b, 0) / from.length;
    };
    // What is read by someone stands in the middle, what merely leaves at the edge.
    const followed = (id: string): number => (edges.some((edge) => endsOf(edge)[0] === id) ? 0 : 1);
    rank.sort((a, b) => followed(a) - followed(b) || middle(a) - middle(b));
    note(rank);
  }
}

function lineOf(edge: FlowEdge, nodes: ReadonlyMap<string, Node>, bottom: number): Line[] {
  const [start, end] = endsOf(edge);
  const from = nodes.get(start);
  const to = nodes.get(end);
  if (from === undefined || to === undefined) return [];
  const back = to.column <= from.column;
  const [x1, x2] = [from.x + sizeOf(start).width / 2, to.x - sizeOf(end).width / 2];
  if (back) {
    const low = bottom + 16;
    const [out, into] = [from.y + sizeOf(start).height / 2, to.y + sizeOf(end).height / 2];
    const path = `M${from.x} ${out}C${from.x} ${low + 16} ${from.x} ${low} ${from.x - 48} ${low}H${to.x + 48}C${to.x} ${low} ${to.x} ${low + 16} ${to.x} ${into}`;
    return [{ edge, from, to, path, x: (from.x + to.x) / 2, y: low, back }];
  }
  const bend = Math.max(16, (x2 - x1) / 2);
  return [{ edge, from, to, path: `M${x1} ${from.y}C${x1 + bend} ${from.y} ${x2 - bend} ${to.y} ${x2} ${to.y}`, x: (x1 + x2) / 2, y: Math.min(from.y, to.y) - serviceSize.height / 2, back }];
}

/** Width of an edge by its rate: each tenfold is as much wider, so that ten and ten thousand a second can both be seen. */
export function strokeWidth(rate: number): number {
  return rate <= 0 ? 1.5 : Math.min(12, 2 + 2 * Math.log10(1 + rate));
}

/** `0`, `0.4/s`, `12/s`, `1.2K/s`. */
export function rateText(rate: number): string {
  if (rate <= 0) return '0/s';
  if (rate < 0.05) return '<0.1/s';
  if (rate < 9.95) return `${Number(rate.toFixed(1))}/s`;
  return rate < 999.5 ? `${Math.round(rate)}/s` : `${Number((rate / 1000).toFixed(1))}K/s`;
}

/** `4 ms`, `1.2 s`, `3 min`, `2 h`. */
export function ageText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(ms < 9_950 ? 1 : 0))} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${Number((ms / 3_600_000).toFixed(1))} h`;
}

/** A line through numbers of the last minute, scaled to its box. */
export function sparkPath(values: readonly number[], width: number, height: number): string {
  const top = Math.max(1, ...values);
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  return values.map((value, i) => `${i === 0 ? 'M' : 'L'}${Math.round(i * step * 10) / 10} ${Math.round((height - (value / top) * height) * 10) / 10}`).join('');
}
