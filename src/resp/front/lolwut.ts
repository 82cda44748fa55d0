import type { Arguments } from '../../base/arguments.js';
import { NOT_AN_INTEGER } from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import { REDIS_VERSION, VERSION } from '../../base/version.js';
import { type FrontContext, type FrontHandlers, now } from './handlers.js';

const COLUMNS = 64;
const ROWS = 16;
const SIZE_MAX = 400;

/** LOLWUT [VERSION version [columns rows]]: a landscape, another each time. There is one for all versions. */
export const lolwutHandlers: FrontHandlers = { lolwut: now(lolwut) };

function lolwut({ reply }: FrontContext, args: Arguments): void {
  const numbers: number[] = [];
  if (args.count > 2 && args.token(1) === 'VERSION')
    for (let index = 2; index < args.count; index++) {
      const number = parseInteger(args.text(index));
      if (number === undefined) {
        reply.error(NOT_AN_INTEGER);
        return;
      }
      numbers.push(number);
    }
  const [, columns = COLUMNS, rows = ROWS] = numbers;
  const size = (wanted: number) => Math.min(Math.max(1, wanted), SIZE_MAX);
  const picture = drawLandscape(size(columns), size(rows), Math.random);
  reply.verbatim(
    `${picture}\nWide open country, as each of us sees it once. Redis ver. ${REDIS_VERSION}, Vasto ver. ${VERSION}\n`,
  );
}

/** Ranges of hills, far to near: how high they stand, how steep they are, and what they are made of. */
const RANGES = [
  { height: 0.75, steepness: 0.9, fill: '.' },
  { height: 0.5, steepness: 0.6, fill: ':' },
  { height: 0.25, steepness: 0.4, fill: '#' },
] as const;
const STAR_SHARE = 0.03;

/** A night sky with a moon over ranges of hills. */
export function drawLandscape(columns: number, rows: number, random: () => number): string {
  const cells = Array.from({ length: rows }, () =>
    Array.from({ length: columns }, () => (random() < STAR_SHARE ? "*.'+"[Math.floor(random() * 4)]! : ' ')),
  );
  drawMoon(cells, columns * (0.15 + random() * 0.7), rows * 0.2, rows * 0.14);
  for (const { height, steepness, fill } of RANGES) {
    const skyline = walk(columns, rows * height, steepness, random);
    skyline.forEach((top, column) => {
      for (let row = Math.max(0, rows - Math.round(top)); row < rows; row++) cells[row]![column] = fill;
    });
  }
  return cells.map((line) => line.join('').trimEnd()).join('\n');
}

/** Characters are twice as high as they are wide. */
const ASPECT = 2;

function drawMoon(cells: string[][], column: number, row: number, radius: number): void {
  cells.forEach((line, y) => {
    line.forEach((_, x) => {
      if (Math.hypot((x - column) / ASPECT, y - row) <= radius) line[x] = 'O';
    });
  });
}

/** Heights that wander around a mean and are drawn back to it. */
function walk(length: number, mean: number, steepness: number, random: () => number): number[] {
  let height = mean;
  let slope = 0;
  return Array.from({ length }, () => {
    slope = slope * 0.8 + (random() - 0.5) * steepness + (mean - height) * 0.04;
    height += slope;
    return Math.max(0, height);
  });
}
