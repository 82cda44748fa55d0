import { beforeEach, expect, test } from 'vitest';
import { RowFlag } from '../../../src/types/row.js';
import { itemsOf, textOf } from '../../support/reply.js';
import { KeyHarness } from './key-harness.js';

let harness: KeyHarness;
beforeEach(() => {
  harness = new KeyHarness();
});

test.each([
  ['0', 'int'],
  ['-9223372036854775808', 'int'],
  ['9223372036854775808', 'embstr'],
  ['007', 'embstr'],
  ['', 'embstr'],
  ['x'.repeat(44), 'embstr'],
  ['x'.repeat(45), 'raw'],
])('OBJECT ENCODING of %j is %s', (value, encoding) => {
  harness.set('k', value);
  expect(harness.run('OBJECT ENCODING k')).toBe(`$"${encoding}"`);
  harness.set('k', value, 0, RowFlag.Raw);
  expect(harness.run('OBJECT ENCODING k')).toBe('$"raw"');
});

test.each([
  ['0', 2147483647],
  ['9999', 2147483647],
  ['10000', 1],
  ['-1', 1],
  ['text', 1],
])('OBJECT REFCOUNT of %s is %d', (value, count) => {
  harness.set('k', value);
  expect(harness.run('OBJECT REFCOUNT k')).toBe(`:${count}`);
});

test('OBJECT IDLETIME tells whole seconds and is no access', () => {
  harness.set('k', 'x');
  harness.nowMs += 2999;
  expect(harness.run('OBJECT IDLETIME k')).toBe(':2');
  harness.nowMs += 1;
  expect(harness.run('OBJECT IDLETIME k')).toBe(':3');
});

test('IDLETIME and FREQ exclude each other by policy', () => {
  harness.set('k', 'x');
  expect(harness.run('OBJECT FREQ k')).toMatch(/^-ERR An LFU maxmemory policy is not selected, /);
  harness.settings = { ...harness.settings, maxmemoryPolicy: 'volatile-lfu' };
  expect(harness.run('OBJECT FREQ k')).toBe(':5');
  expect(harness.run('OBJECT IDLETIME k')).toMatch(/^-ERR An LFU maxmemory policy is selected, /);
});

test('a missing key is nil to all of them', () => {
  for (const about of ['ENCODING', 'IDLETIME', 'FREQ', 'REFCOUNT'])
    expect(harness.run(`OBJECT ${about} none`)).toBe('$-1');
});

test('OBJECT HELP has a line for each subcommand', () => {
  const lines = itemsOf(harness.reply('OBJECT', 'HELP'));
  expect(lines.every((line) => line.type === 'simple')).toBe(true);
  expect(lines.map(textOf).filter((line) => /^[A-Z]/.test(line))).toEqual([
    'OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:',
    'ENCODING <key>',
    'FREQ <key>',
    'IDLETIME <key>',
    'REFCOUNT <key>',
    'HELP',
  ]);
});
