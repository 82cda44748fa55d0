import { expect, it } from 'vitest';
import { CollectionHarness } from './collection-harness.js';

const ELEMENTS = 3000;
const REFUSED =
  '-ERR the command would hold more than 1 MB in memory until it is done; a node with a higher maxmemory has room for more, from its start on';

/** As many elements as do not go into 1 MB, and half as many. */
function filled(): CollectionHarness {
  const harness = new CollectionHarness({ heldBytesMax: 1 << 20 });
  for (const [suffix, count] of [
    ['', ELEMENTS],
    ['-half', ELEMENTS / 2],
  ] as const) {
    const numbers = Array.from({ length: count }, (_, index) => index);
    harness.run(`SADD set${suffix} ${numbers.join(' ')}`);
    harness.run(`ZADD zset${suffix} ${numbers.map((number) => `${number} ${number}`).join(' ')}`);
    harness.run(`HSET hash${suffix} ${numbers.map((number) => `${number} ${'v'.repeat(200)}`).join(' ')}`);
    harness.run(`RPUSH list${suffix} ${numbers.map((number) => `${number}`.padEnd(400, '0')).join(' ')}`);
  }
  harness.run('SET to before');
  return harness;
}

it.each([
  'COPY KEY to REPLACE set',
  'COPY KEY to REPLACE zset',
  'COPY KEY to REPLACE hash',
  'COPY KEY to REPLACE list',
  'SUNIONSTORE to KEY set',
  'SINTERSTORE to KEY KEY set',
  'SDIFFSTORE to KEY no-set set',
  'SUNION KEY set',
  'ZUNIONSTORE to 1 KEY zset',
  'ZINTERSTORE to 2 KEY KEY zset',
  'ZDIFFSTORE to 2 KEY no-set zset',
  'ZDIFF 2 KEY no-set zset',
  'ZRANGESTORE to KEY 0 -1 zset',
  'GEOSEARCHSTORE to KEY FROMMEMBER 0 BYRADIUS 100 km zset',
  'GEOSEARCHSTORE to KEY FROMMEMBER 0 BYBOX 100 100 km ASC STOREDIST zset',
  'GEORADIUS KEY -179.9 -85 100 km STORE to zset',
  'GEORADIUSBYMEMBER KEY 0 100 km COUNT 2900 ANY STOREDIST to zset',
  'SORT KEY STORE to set',
  'SORT KEY BY nosort STORE to zset',
])('a command that would hold more than there is room for is refused: %s', (line) => {
  const harness = filled();
  const [, command, key] = /^(.*) (\S+)$/.exec(line)!;
  expect(harness.run(command!.replaceAll('KEY', key!))).toBe(REFUSED);
  expect(harness.run('GET to')).toBe('$"before"');
  expect(harness.run(command!.replaceAll('KEY', `${key}-half`))).not.toMatch(/^-/);
});

it('what leaves little is not refused, whatever it comes from', () => {
  const harness = filled();
  expect(harness.run('SINTERSTORE to set set-half')).toBe(`:${ELEMENTS / 2}`);
  expect(harness.run('ZDIFFSTORE to 2 zset zset-half')).toBe(`:${ELEMENTS / 2}`);
  expect(harness.run('ZRANGESTORE to zset 10 19')).toBe(':10');
  expect(harness.run('GEOSEARCHSTORE to zset FROMMEMBER 0 BYRADIUS 100 km COUNT 5')).toBe(':5');
  expect(harness.run('GEOSEARCH zset FROMMEMBER 0 BYRADIUS 100 km')).not.toMatch(/^-/);
  expect(harness.run('SORT list BY nosort LIMIT 0 5 STORE to')).toBe(':5');
});

it('places that are found are counted before they are sorted and replied', () => {
  const harness = new CollectionHarness({ heldBytesMax: 1 << 19 });
  const places = Array.from({ length: ELEMENTS }, (_, index) => `${index} ${index}`);
  harness.run(`ZADD zset ${places.join(' ')}`);
  const search = 'GEOSEARCH zset FROMMEMBER 0 BYRADIUS 100 km COUNT 5';
  expect(harness.run(search)).toBe(REFUSED.replace('1 MB', '0 MB'));
  expect(harness.run(`${search} ANY`)).not.toMatch(/^-/);
});
