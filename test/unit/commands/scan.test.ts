import { beforeEach, describe, expect, test, vi } from 'vitest';
import { itemsOf, render, textOf } from '../../support/reply.js';
import { KeyHarness } from './key-harness.js';

let harness: KeyHarness;
beforeEach(() => {
  harness = new KeyHarness();
  for (let id = 100; id < 150; id++) {
    harness.set(`user:${id}:name`, 'x');
    harness.set(`user:${id}:mail`, 'x');
  }
  harness.set('other', 'x');
});

/** Scans to the end; the keys of every step. */
function scanAll(...options: string[]): string[][] {
  const steps: string[][] = [];
  let cursor = '0';
  do {
    const [next, keys] = itemsOf(harness.reply('SCAN', cursor, ...options));
    cursor = textOf(next!);
    steps.push(itemsOf(keys!).map(textOf));
  } while (cursor !== '0');
  return steps;
}

describe('SCAN', () => {
  test('gives every key once, in byte order, COUNT at a time', () => {
    const steps = scanAll('COUNT', '25');
    expect(steps.map((step) => step.length)).toEqual([25, 25, 25, 25, 1]);
    expect(steps.flat()).toEqual([...harness.view.rows.keys()].sort());
    expect(scanAll()[0]).toHaveLength(10);
  });

  test('a range that COUNT fills exactly ends at once', () => {
    expect(scanAll('COUNT', '101')).toHaveLength(1);
  });

  test('COUNT counts visited keys, those that MATCH rejects too', () => {
    const steps = scanAll('MATCH', 'user:*:name', 'COUNT', '10');
    expect(steps).toHaveLength(10);
    expect(steps.flat()).toHaveLength(50);
  });

  test('MATCH seeks to its literal prefix', () => {
    const visit = vi.spyOn(harness.view, 'visit');
    expect(scanAll('MATCH', 'user:142:*', 'COUNT', '10')).toEqual([['user:142:mail', 'user:142:name']]);
    expect(visit.mock.calls.map(([range]) => range)).toEqual([{ prefix: 'user:142:' }]);
  });

  test('a literal pattern is looked up', () => {
    const visit = vi.spyOn(harness.view, 'visit');
    expect(scanAll('MATCH', 'other')).toEqual([['other']]);
    expect(scanAll('MATCH', 'user:')).toEqual([[]]);
    expect(scanAll('MATCH', 'other', 'TYPE', 'hash')).toEqual([[]]);
    expect(visit).not.toHaveBeenCalled();
  });

  test('TYPE filters, in any case', () => {
    expect(scanAll('TYPE', 'STRING', 'COUNT', '1000').flat()).toHaveLength(101);
    expect(scanAll('TYPE', 'hash', 'COUNT', '1000').flat()).toEqual([]);
    expect(scanAll('TYPE', 'nonsense', 'COUNT', '50')).toEqual([[], [], []]);
  });

  test('keys that come and go between steps do not disturb the others', () => {
    const [cursor, keys] = itemsOf(harness.reply('SCAN', '0', 'COUNT', '3'));
    const last = textOf(itemsOf(keys!).at(-1)!);
    harness.run(`DEL ${last}`);
    harness.set('aaa', 'x');
    const rest = itemsOf(itemsOf(harness.reply('SCAN', textOf(cursor!), 'COUNT', '1000'))[1]!).map(textOf);
    expect(rest).toEqual([...harness.view.rows.keys()].sort().filter((key) => key > last));
  });

  test('an unknown cursor is an error, never a silent end', () => {
    for (const cursor of ['12345', '18446744073709551615', '-5'])
      expect(harness.run(`SCAN ${cursor}`)).toMatch(/^-ERR invalid cursor: /);
    const [cursor] = itemsOf(harness.reply('SCAN', '0'));
    harness.run(`SCAN ${textOf(cursor!)} COUNT 1000`);
    expect(harness.run(`SCAN ${textOf(cursor!)}`)).toMatch(/^-ERR invalid cursor: /);
  });

  test.each([
    ['SCAN x COUNT 0', '-ERR invalid cursor'],
    ['SCAN 18446744073709551616', '-ERR invalid cursor'],
    ['SCAN 0 COUNT 0', '-ERR syntax error'],
    ['SCAN 0 COUNT -1', '-ERR syntax error'],
    ['SCAN 0 COUNT x', '-ERR value is not an integer or out of range'],
    ['SCAN 0 COUNT', '-ERR syntax error'],
    ['SCAN 0 BOGUS 1', '-ERR syntax error'],
    ['SCAN 99 BOGUS 1', '-ERR syntax error'],
  ])('%s: %s', (line, reply) => {
    expect(harness.run(line)).toBe(reply);
  });

  test('a huge COUNT is as KEYS', () => {
    expect(scanAll('COUNT', '9223372036854775807')).toHaveLength(1);
  });
});

describe('KEYS', () => {
  test('in byte order, sought by literal prefix', () => {
    const visit = vi.spyOn(harness.view, 'visit');
    expect(harness.run('KEYS user:14[12]:m*')).toBe('*[$"user:141:mail" $"user:142:mail"]');
    expect(visit.mock.calls[0]![0]).toEqual({ prefix: 'user:14' });
    expect(itemsOf(harness.reply('KEYS', '*'))).toHaveLength(101);
  });

  test('a literal pattern is looked up', () => {
    expect(harness.run('KEYS other')).toBe('*[$"other"]');
    expect(harness.run('KEYS oth\\er')).toBe('*[$"other"]');
    expect(harness.run('KEYS none')).toBe('*[]');
  });

  test('the empty key', () => {
    harness.view.flush();
    harness.set('', 'x');
    expect(harness.run('KEYS *')).toBe('*[$""]');
    expect(render(harness.reply('KEYS', '**'))).toBe('*[]');
    expect(scanAll()).toEqual([['']]);
  });
});
