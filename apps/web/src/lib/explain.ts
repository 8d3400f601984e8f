/** The stages of a listing as columns that can be read side by side. */
import { fieldName } from './format';
import type { ExplainStep, Stage } from './listing';

export interface ExplainRow {
  field: string;
  text: string;
  /** True where the stage before it had this field with another value, or not at all. A source's own columns have other names: nothing is compared with them. */
  fresh: boolean;
}

export interface ExplainColumn {
  step: ExplainStep;
  title: string;
  rows: ExplainRow[];
}

export const stageTitles: Record<Stage, string> = { raw: 'Raw', mapped: 'Mapped', command: 'By hand', tracked: 'Tracked', published: 'Published' };

/** A value longer than this is cut; the log has the rest. */
const textMax = 300;

function valueText(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'none');
  return text.length > textMax ? `${text.slice(0, textMax)}…` : text;
}

function fieldsOf(value: unknown): Map<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return new Map(Object.entries(value));
  return value === undefined || value === null ? new Map() : new Map([['value', value]]);
}

export function explainColumns(steps: readonly ExplainStep[]): ExplainColumn[] {
  let before: Map<string, unknown> | null = null;
  return steps.map((step) => {
    const compared = before;
    const fields = fieldsOf(step.value);
    const rows = [...fields]
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .map(([field, value]) => ({ field: step.stage === 'raw' ? field : fieldName(field), text: valueText(value), fresh: compared !== null && valueText(compared.get(field) ?? '') !== valueText(value) }));
    before = step.stage === 'raw' || step.stage === 'command' ? null : fields;
    return { step, title: stageTitles[step.stage] ?? step.stage, rows };
  });
}
