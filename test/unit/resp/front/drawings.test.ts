import { expect, test } from 'vitest';
import { drawLandscape } from '../../../../src/resp/front/lolwut.js';
import { drawSparkline } from '../../../../src/resp/front/sparkline.js';

test('a sparkline reaches from the lowest value to the highest', () => {
  const drawn = drawSparkline([
    { value: 10, label: '12s' },
    { value: 120, label: '3s' },
    { value: 65, label: '1s' },
  ]);
  expect(drawn.split('\n')).toEqual([' # ', ' |_', ' ||', '_||', '131', '2ss', 's  ', '']);
});

test('equal values lie on the ground', () => {
  expect(drawSparkline([{ value: 7, label: '0s' }]).split('\n')).toEqual([' ', ' ', ' ', '_', '0', 's', '']);
});

test('a long series takes several bands', () => {
  const columns = Array.from({ length: 100 }, (_, index) => ({ value: index, label: '1s' }));
  const lines = drawSparkline(columns).split('\n');
  expect(lines.length).toBe(2 * 7);
  expect(Math.max(...lines.map((line) => line.length))).toBe(80);
});

test('a landscape has the size asked for, whatever chance brings', () => {
  for (const chance of [0, 0.02, 0.5, 0.999]) {
    const lines = drawLandscape(30, 8, () => chance).split('\n');
    expect(lines.length).toBe(8);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(30);
  }
});
