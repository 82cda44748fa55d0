import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { CollectionHarness } from './collection-harness.js';

const RESULTS = 2000;
const MEMBERS = Array.from({ length: 40 }, (_, index) => `member-of-some-length-${index}`);
/** Of a row with one short member, far less than the text that its source is. */
const RESULT_BYTES_MAX = 900;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

it.each([
  ['SADD', 'SDIFFSTORE to source rest'],
  ['SADD', 'SORT source BY nosort LIMIT 0 1 STORE to'],
  ['ZADD', 'ZDIFFSTORE to 2 source rest'],
  ['ZADD', 'ZRANGESTORE to source 3 3'],
  ['ZADD', 'GEOSEARCHSTORE to source FROMMEMBER member-of-some-length-3 BYRADIUS 100 km COUNT 1'],
])('what is stored of a small collection does not hold all of it in memory: %s, %s', (adds, stores) => {
  const harness = new CollectionHarness();
  const add = (key: string, members: readonly string[]) =>
    harness.run(
      `${adds} ${key} ${members.map((member) => (adds === 'ZADD' ? `1 ${member}` : member)).join(' ')}`,
    );
  add('rest', MEMBERS.slice(1));
  const before = heapBytes();
  for (let index = 0; index < RESULTS; index++) {
    add('source', MEMBERS);
    expect(harness.run(stores)).toBe(':1');
    harness.run(`RENAME to result:${index}`);
    harness.run('DEL source');
  }
  expect((heapBytes() - before) / RESULTS).toBeLessThan(RESULT_BYTES_MAX);
});
