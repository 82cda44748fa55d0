import { afterEach, expect, test, vi } from 'vitest';
import { freePort } from '../../support/environment.js';

/** Nodes listen for each other on the port + 10000. */
const PEER_OFFSET = 10_000;

afterEach(() => vi.unstubAllEnvs());

/** Draws ports as a test file of another worker does. */
async function draw(worker: number, count: number): Promise<number[]> {
  vi.stubEnv('VITEST_POOL_ID', String(worker));
  return Promise.all(Array.from({ length: count }, freePort));
}

test('free ports are never given twice, nor to test files that run at the same time', async () => {
  const ports = [await draw(1, 500), await draw(2, 500)];
  const all = ports.flat();
  expect(new Set([...all, ...all.map((port) => port + PEER_OFFSET)]).size).toBe(2 * all.length);
  const [one, two] = ports as [number[], number[]];
  expect(Math.max(...one) < Math.min(...two) || Math.max(...two) < Math.min(...one)).toBe(true);
});
