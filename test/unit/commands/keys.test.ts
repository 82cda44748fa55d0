import { beforeEach, describe, expect, test } from 'vitest';
import { SetValue } from '../../../src/types/collections/set.js';
import { RowFlag } from '../../../src/types/row.js';
import { render } from '../../support/reply.js';
import { KeyHarness } from './key-harness.js';

const SAME = '-ERR source and destination objects are the same';

let harness: KeyHarness;
beforeEach(() => {
  harness = new KeyHarness();
});

describe('DEL, UNLINK, EXISTS, TOUCH, TYPE', () => {
  test('DEL counts a key once, EXISTS as often as it is named', () => {
    harness.set('a', '1');
    harness.set('b', '2');
    expect(harness.run('EXISTS a a b none')).toBe(':3');
    expect(harness.run('DEL a a none')).toBe(':1');
    expect(harness.run('UNLINK a b')).toBe(':1');
    expect(harness.run('DBSIZE')).toBe(':0');
  });

  test('an expired key is not there', () => {
    harness.set('a', '1', harness.nowMs + 10);
    harness.nowMs += 10;
    expect(harness.run('EXISTS a')).toBe(':0');
    expect(harness.run('DEL a')).toBe(':0');
  });

  test('TOUCH renews the access time, EXISTS and TYPE leave it', () => {
    harness.set('a', '1');
    harness.nowMs += 5000;
    expect(harness.run('EXISTS a')).toBe(':1');
    expect(harness.run('TYPE a')).toBe('+string');
    expect(harness.run('OBJECT IDLETIME a')).toBe(':5');
    expect(harness.run('TOUCH a none')).toBe(':1');
    expect(harness.run('OBJECT IDLETIME a')).toBe(':0');
    expect(harness.run('TYPE none')).toBe('+none');
  });
});

describe('RENAME and RENAMENX', () => {
  test('carry value, expiry and encoding, and replace the target with its expiry', () => {
    const endMs = harness.nowMs + 60_000;
    harness.set('a', 'value', endMs, RowFlag.Raw);
    harness.set('b', 'old');
    expect(harness.run('RENAME a b')).toBe('+OK');
    expect(harness.run('EXISTS a')).toBe(':0');
    expect(harness.run('PEXPIRETIME b')).toBe(`:${endMs}`);
    expect(harness.run('OBJECT ENCODING b')).toBe('$"raw"');
    harness.set('c', 'no expiry');
    expect(harness.run('RENAME c b')).toBe('+OK');
    expect(harness.run('TTL b')).toBe(':-1');
  });

  test('a key that is missing, the same, or taken', () => {
    harness.set('a', '1');
    harness.set('b', '2');
    expect(harness.run('RENAME none b')).toBe('-ERR no such key');
    expect(harness.run('RENAMENX none b')).toBe('-ERR no such key');
    expect(harness.run('RENAME a a')).toBe('+OK');
    expect(harness.run('RENAMENX a a')).toBe(':0');
    expect(harness.run('RENAMENX a b')).toBe(':0');
    expect(harness.run('RENAMENX a c')).toBe(':1');
    expect(harness.run('EXISTS a b c')).toBe(':2');
  });

  test('a collection goes along, with its expiry, and what it replaces goes', () => {
    const { view } = harness;
    const set = new SetValue(view.collections);
    set.add('member');
    view.setCollection('set', set, harness.nowMs + 10_000);
    harness.set('other', '1');
    expect(harness.run('RENAME set other')).toBe('+OK');
    expect(harness.run('EXISTS set')).toBe(':0');
    expect(harness.run('TYPE other')).toBe('+set');
    expect(harness.run('PTTL other')).toBe(':10000');
    expect(view.peek('other')!.collection).toBe(set);
  });

  test('a copy of a collection is another one', () => {
    const { view } = harness;
    const set = new SetValue(view.collections);
    for (let member = 0; member < 300; member++) set.add(`m${member}`);
    view.setCollection('set', set, 0);
    expect(harness.run('COPY set twin')).toBe(':1');
    set.delete('m7');
    const twin = view.peek('twin')!.collection as SetValue;
    expect([set.size, twin.size, twin.has('m7')]).toEqual([299, 300, true]);
    expect(twin.version).not.toBe(set.version);
  });
});

describe('COPY and MOVE', () => {
  test('COPY keeps the expiry and needs REPLACE for a taken key', () => {
    harness.set('a', '1', harness.nowMs + 10_000);
    harness.set('b', '2');
    expect(harness.run('COPY a b')).toBe(':0');
    expect(harness.run('COPY a b replace')).toBe(':1');
    expect(harness.run('TTL b')).toBe(':10');
    expect(harness.run('COPY none c')).toBe(':0');
    expect(harness.run('COPY a a')).toBe(SAME);
    expect(harness.run('COPY a c BOGUS')).toBe('-ERR syntax error');
  });

  test('COPY … DB writes to the other database, or the same', () => {
    harness.set('a', '1');
    expect(harness.run('COPY a a DB 1')).toBe(':1');
    expect(harness.run('COPY a a DB 1')).toBe(':0');
    expect(harness.run('COPY a a DB 1 REPLACE')).toBe(':1');
    expect(harness.other.find('a')?.value).toBe('1');
    const self = harness.bytes(['COPY', 'a', 'a', 'DB', '0'], harness.view).latin1Slice();
    expect(self).toBe(`${SAME}\r\n`);
    harness.bytes(['COPY', 'a', 'b', 'DB', '0'], harness.view);
    expect(harness.run('EXISTS b')).toBe(':1');
  });

  test('COPY without DB stays in its database whatever the target', () => {
    harness.set('a', '1');
    expect(harness.run('COPY a b')).toBe(':1');
    expect(harness.other.find('b')).toBeUndefined();
  });

  test('MOVE takes a key with its expiry, unless the other database has it', () => {
    harness.set('a', '1', harness.nowMs + 10_000);
    expect(harness.run('MOVE a 1')).toBe(':1');
    expect(harness.other.find('a')?.expiresAtMs).toBe(harness.nowMs + 10_000);
    expect(harness.run('MOVE a 1')).toBe(':0');
    harness.set('a', '2');
    expect(harness.run('MOVE a 1')).toBe(':0');
    expect(harness.run('EXISTS a')).toBe(':1');
    expect(harness.bytes(['MOVE', 'a', '0'], harness.view).latin1Slice()).toBe(`${SAME}\r\n`);
  });
});

describe('RANDOMKEY, DBSIZE, FLUSHDB', () => {
  test('RANDOMKEY picks a key that is there', () => {
    expect(harness.run('RANDOMKEY')).toBe('$-1');
    harness.set('only', '1');
    expect(harness.run('RANDOMKEY')).toBe('$"only"');
    harness.version = 3;
    harness.run('FLUSHDB');
    expect(harness.run('RANDOMKEY')).toBe('_');
  });

  test('FLUSHDB takes ASYNC or SYNC and nothing else', () => {
    for (const line of ['FLUSHDB', 'FLUSHDB async', 'FLUSHDB SYNC']) {
      harness.set('a', '1');
      expect(harness.run(line)).toBe('+OK');
      expect(harness.run('DBSIZE')).toBe(':0');
    }
    harness.set('a', '1');
    expect(harness.run('FLUSHDB later')).toBe('-ERR syntax error');
    expect(harness.run('FLUSHDB SYNC ASYNC')).toBe('-ERR syntax error');
    expect(harness.run('DBSIZE')).toBe(':1');
  });

  test('keys are bytes', () => {
    harness.set('\0\xff\r\n', '1');
    expect(render(harness.reply('EXISTS', Buffer.from([0, 255, 13, 10])))).toBe(':1');
  });
});
