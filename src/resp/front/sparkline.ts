/** One column of a drawing: how high, and what stands below. */
export interface Column {
  readonly value: number;
  readonly label: string;
}

const COLUMNS_PER_ROW = 80;
const ROWS = 4;
/** Heights within a line of text, lowest first. */
const MARKS = '_o#';

/**
 * Draws a series, oldest column first, in as many bands of 80 columns as it takes. Labels are written downwards.
 * The lowest value lies on the ground and the highest reaches the top.
 */
export function drawSparkline(columns: readonly Column[]): string {
  const values = columns.map(({ value }) => value);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const steps = ROWS * MARKS.length - 1;
  const heightOf = (value: number) => (high === low ? 0 : Math.round(((value - low) / (high - low)) * steps));
  const bands: string[] = [];
  for (let from = 0; from < columns.length; from += COLUMNS_PER_ROW) {
    const band = columns.slice(from, from + COLUMNS_PER_ROW);
    bands.push(...picture(band.map(({ value }) => heightOf(value))), ...labels(band), '');
  }
  return bands.join('\n');
}

function picture(heights: readonly number[]): string[] {
  return Array.from({ length: ROWS }, (_, line) => {
    const ground = (ROWS - 1 - line) * MARKS.length;
    const marks = heights.map((height) => {
      const above = height - ground;
      if (above >= MARKS.length) return '|';
      return above < 0 ? ' ' : MARKS[above]!;
    });
    return marks.join('');
  });
}

function labels(band: readonly Column[]): string[] {
  const length = Math.max(...band.map(({ label }) => label.length));
  return Array.from({ length }, (_, line) => band.map(({ label }) => label[line] ?? ' ').join(''));
}
