import { beforeEach, describe, expect, test, vi } from 'vitest';
import { itemsOf } from '../../support/reply.js';
import { KeyHarness } from './key-harness.js';

let harness: KeyHarness;
beforeEach(() => {
  harness = new KeyHarness();
});

describe('VASTO.PREFIX', () => {
  beforeEach(() => {
    for (const key of ['a', 'b:1', 'b:2', 'b:3', 'c'])
      harness.set(key, `value of ${key}`.replaceAll(' ', '-'));
  });

  test('keys in byte order, paged with AFTER and LIMIT', () => {
    const visit = vi.spyOn(harness.view, 'visit');
    expect(harness.run('VASTO.PREFIX b:')).toBe('*[$"b:1" $"b:2" $"b:3"]');
    expect(visit.mock.calls[0]!.slice(0, 2)).toEqual([{ prefix: 'b:' }, false]);
    expect(harness.run('VASTO.PREFIX b: LIMIT 2')).toBe('*[$"b:1" $"b:2"]');
    expect(harness.run('VASTO.PREFIX b: limit 2 after b:2')).toBe('*[$"b:3"]');
    expect(harness.run('VASTO.PREFIX none')).toBe('*[]');
  });

  test('VALUES gives a flat array in both protocols', () => {
    for (const version of [2, 3] as const) {
      harness.version = version;
      expect(harness.run('VASTO.PREFIX b: VALUES LIMIT 2')).toBe(
        '*[$"b:1" $"value-of-b:1" $"b:2" $"value-of-b:2"]',
      );
    }
  });

  test('10,000 keys unless LIMIT tells otherwise', () => {
    for (let index = 0; index < 10_010; index++) harness.set(`n${index}`, '');
    expect(itemsOf(harness.reply('VASTO.PREFIX', 'n'))).toHaveLength(10_000);
    expect(itemsOf(harness.reply('VASTO.PREFIX', 'n', 'LIMIT', '20000'))).toHaveLength(10_010);
  });

  test.each([
    ['LIMIT 0', '-ERR LIMIT must be a positive integer'],
    ['LIMIT x', '-ERR value is not an integer or out of range'],
    ['LIMIT', '-ERR syntax error'],
    ['AFTER', '-ERR syntax error'],
    ['BOGUS', '-ERR syntax error'],
  ])('%s: %s', (options, reply) => {
    expect(harness.run(`VASTO.PREFIX b: ${options}`)).toBe(reply);
  });
});

describe('VASTO.MAX and VASTO.MIN', () => {
  test('keep the winner as it was written, and the expiry', () => {
    expect(harness.run('VASTO.MAX k 10')).toBe('$"10"');
    harness.run('EXPIRE k 100');
    expect(harness.run('VASTO.MAX k 9.99')).toBe('$"10"');
    expect(harness.run('VASTO.MAX k 1.05e1')).toBe('$"1.05e1"');
    expect(harness.run('VASTO.MAX k 10.50')).toBe('$"1.05e1"');
    expect(harness.run('VASTO.MIN k 11')).toBe('$"1.05e1"');
    expect(harness.run('VASTO.MIN k -3')).toBe('$"-3"');
    expect(harness.run('TTL k')).toBe(':100');
    expect(harness.run('OBJECT ENCODING k')).toBe('$"int"');
  });

  test('64-bit integers are compared exactly', () => {
    harness.set('k', '9223372036854775806');
    expect(harness.run('VASTO.MAX k 9223372036854775807')).toBe('$"9223372036854775807"');
    expect(harness.run('VASTO.MIN k 9223372036854775806.5')).toBe('$"9223372036854775806.5"');
    expect(harness.run('VASTO.MIN k 1e4000')).toBe('$"9223372036854775806.5"');
    expect(harness.run('VASTO.MAX k 1e4000')).toBe('$"1e4000"');
  });

  test('what is no number', () => {
    for (const word of ['x', 'nan', 'inf', '-infinity', '1e', ''])
      expect(harness.run(`VASTO.MAX k ${word}`)).toBe('-ERR value is not a valid float');
    expect(harness.run('EXISTS k')).toBe(':0');
    harness.set('k', 'text');
    expect(harness.run('VASTO.MIN k 1')).toBe('-ERR value is not a valid float');
    harness.set('k', '1'.repeat(100_000));
    expect(harness.run('VASTO.MIN k 1')).toBe('-ERR value is not a valid float');
  });
});

describe('VASTO.DEL', () => {
  test('removes what is older, and keeps an older write out', () => {
    const { nowMs } = harness;
    harness.view.setString('k', 'x', 0, nowMs - 100);
    expect(harness.run(`VASTO.DEL k EVENTTIME ${nowMs - 200}`)).toBe(':0');
    expect(harness.run('EXISTS k')).toBe(':1');
    expect(harness.run(`VASTO.DEL k eventtime ${nowMs}`)).toBe(':1');
    expect(harness.view.setString('k', 'y', 0, nowMs - 50)).toBe(false);
    expect(harness.run('EXISTS k')).toBe(':0');
    expect(harness.run(`VASTO.DEL none EVENTTIME ${nowMs}`)).toBe(':0');
    expect(harness.view.setString('none', 'y', 0, nowMs - 50)).toBe(false);
  });

  test('event times too far ahead name the directive', () => {
    harness.set('k', 'x');
    const drift = harness.settings.eventTimeDriftMaxMs;
    expect(harness.run(`VASTO.DEL k EVENTTIME ${harness.nowMs + drift + 1}`)).toMatch(
      /^-ERR .*event-time-drift-max-ms/,
    );
    expect(harness.run(`VASTO.DEL k EVENTTIME ${harness.nowMs + drift}`)).toBe(':1');
  });

  test('malformed arguments', () => {
    expect(harness.run('VASTO.DEL k EVENTTIME x')).toBe("-ERR invalid event time in 'vasto.del' command");
    expect(harness.run('VASTO.DEL k AT 5')).toBe('-ERR syntax error');
  });
});
