import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { StringHarness } from './string-harness.js';

const NOT_A_SKETCH = '-WRONGTYPE Key is not a valid HyperLogLog string value.';
const CORRUPT = '-INVALIDOBJ Corrupted HLL object detected';

let harness: StringHarness;
beforeEach(() => {
  harness = new StringHarness();
});

function addMany(key: string, from: number, to: number): void {
  for (let at = from; at < to; at += 500) {
    const elements = Array.from({ length: Math.min(500, to - at) }, (_, index) => `element:${at + index}`);
    harness.reply('PFADD', key, ...elements);
  }
}

test('PFADD tells whether something changed', () => {
  expect(harness.run('PFADD k a b c')).toBe(':1');
  expect(harness.run('PFADD k a b c')).toBe(':0');
  expect(harness.run('PFADD k')).toBe(':0');
  expect(harness.run('PFADD empty')).toBe(':1');
  expect(harness.run('PFCOUNT empty')).toBe(':0');
  expect(harness.run('PFCOUNT none')).toBe(':0');
});

// Digests of what GET gave on redis-server 7.0.15 after the same PFADDs and one PFCOUNT.
test.each([
  [100, 99, '4d1b3bef5d497d64c4202942021f568e478230c6'],
  [1000, 997, '600cc26e1c0791fccdb3cde0fabfa0c84550674a'],
  [2000, 2004, '52443fcb41e355a8d4fd9fe24dd9521b2588e69f'],
  [5000, 5005, '53485147483a2d8ffe68eef8b23c4bbca046ca27'],
  [20_000, 19_986, '0aff780e7abbc86b0d2fda3540cc64226a21b452'],
])('%d elements are byte for byte as in Redis', (elements, count, digest) => {
  addMany('k', 0, elements);
  expect(harness.run('PFCOUNT k')).toBe(`:${count}`);
  const bytes = Buffer.from(harness.value('k')!, 'latin1');
  expect(createHash('sha1').update(bytes).digest('hex')).toBe(digest);
});

test('the small sketch of a, b, c', () => {
  harness.run('PFADD k a b c');
  harness.run('PFCOUNT k');
  expect(Buffer.from(harness.value('k')!, 'latin1').toString('hex')).toBe(
    '48594c4c01000000030000000000000060f38050b1844bfb80425a',
  );
});

describe('PFMERGE and PFCOUNT of several', () => {
  test('the union, sparse or dense', () => {
    addMany('a', 0, 1000);
    addMany('b', 500, 5000);
    addMany('all', 0, 5000);
    const union = harness.run('PFCOUNT a b none');
    expect(union).toBe(harness.run('PFCOUNT all'));
    expect(harness.run('PFMERGE d a b none')).toBe('+OK');
    expect(harness.run('PFCOUNT d')).toBe(union);
    expect(harness.value('d')).toBe(harness.value('all'));
    expect(harness.run('PFMERGE new')).toBe('+OK');
    expect(harness.run('PFCOUNT new')).toBe(':0');
  });

  test('the destination counts, too, and keeps its expiry', () => {
    harness.run('PFADD d x y');
    harness.view.setExpiry(harness.view.find('d')!, harness.view.nowMs + 1000);
    harness.run('PFADD a z');
    harness.run('PFMERGE d a');
    expect(harness.run('PFCOUNT d')).toBe(':3');
    expect(harness.view.peek('d')!.expiresAtMs).toBe(harness.view.nowMs + 1000);
  });
});

describe('what is no sketch', () => {
  test.each([
    '',
    'text',
    'HYLX\x01'.padEnd(20, '\0'),
    'HYLL\x02'.padEnd(20, '\0'),
    'HYLL\0'.padEnd(12_303, '\0'),
  ])('value %#', (value) => {
    harness.rendered('SET', 'k', value);
    for (const line of ['PFADD k x', 'PFCOUNT k', 'PFCOUNT none k', 'PFMERGE d k', 'PFMERGE k d']) {
      expect(harness.run(line)).toBe(NOT_A_SKETCH);
    }
  });

  test('keys of other types', () => {
    harness.setList('l');
    for (const line of ['PFADD l x', 'PFCOUNT l', 'PFMERGE d l']) {
      expect(harness.run(line)).toMatch(/^-WRONGTYPE Operation/);
    }
  });

  test('corrupt registers leave the key as it is', () => {
    const corrupt = `${'HYLL\x01'.padEnd(15, '\0')}\x80\x05`;
    harness.set('k', corrupt);
    for (const line of ['PFADD k x', 'PFCOUNT k', 'PFCOUNT k k', 'PFMERGE d k']) {
      expect(harness.run(line)).toBe(CORRUPT);
    }
    expect(harness.value('k')).toBe(corrupt);
    expect(harness.value('d')).toBeUndefined();
  });
});
