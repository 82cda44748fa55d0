import { describe, expect, test } from 'vitest';
import { ListArguments } from '../../../src/base/arguments.js';
import { Config } from '../../../src/base/config.js';
import { findCommand } from '../../../src/commands/table.js';
import { SlowLog } from '../../../src/resp/slow-log.js';

const CLIENT = { address: '127.0.0.1:5', session: { name: 'me' } };
const GET = findCommand('get')!;

function slowLog(lengthMax = 128): SlowLog {
  return new SlowLog(Config.load({ flags: ['--slowlog-max-len', String(lengthMax)] }));
}

describe('the slow log', () => {
  test('keeps the last ones, newest first, under growing numbers', () => {
    const log = slowLog(2);
    for (const key of ['a', 'b', 'c']) log.addFront(CLIENT, GET, ListArguments.of('GET', key), 7);
    expect(log.length).toBe(2);
    expect(log.latest(10).map((entry) => [entry.id, entry.arguments])).toEqual([
      [2, ['GET', 'c']],
      [1, ['GET', 'b']],
    ]);
    expect(log.latest(1).map((entry) => entry.id)).toEqual([2]);
    expect(log.latest(0)).toEqual([]);
    expect(log.latest(Number.POSITIVE_INFINITY).length).toBe(2);
    log.clear();
    expect(log.length).toBe(0);
    log.addFront(CLIENT, GET, ListArguments.of('GET', 'd'), 7);
    expect(log.latest(1)[0]?.id).toBe(3);
  });

  test('of length 0 keeps nothing', () => {
    const log = slowLog(0);
    log.addFront(CLIENT, GET, ListArguments.of('GET', 'a'), 7);
    expect(log.length).toBe(0);
  });

  test('tells client, time and duration; a worker may report a client that has left', () => {
    const log = slowLog();
    log.addFront(CLIENT, GET, ListArguments.of('GET', 'a'), 7);
    log.addShard(undefined, {
      clientId: 9,
      command: GET.index,
      microseconds: 12,
      unixMs: 1_700_000_000_999,
      arguments: ['GET', 'b'],
    });
    const [shard, front] = log.latest(2);
    expect(front).toMatchObject({ microseconds: 7, address: '127.0.0.1:5', clientName: 'me' });
    expect(shard).toMatchObject({
      microseconds: 12,
      unixSeconds: 1_700_000_000,
      address: '',
      clientName: '',
      arguments: ['GET', 'b'],
    });
  });

  test('shortens long arguments and long lists of them', () => {
    const log = slowLog();
    const many = Array.from({ length: 40 }, (_, index) => `a${index}`);
    log.addFront(CLIENT, GET, ListArguments.of('GET', 'x'.repeat(130), 'y'.repeat(128)), 1);
    log.addFront(CLIENT, GET, ListArguments.of(...many), 1);
    log.addFront(CLIENT, GET, ListArguments.of(...many.slice(0, 32)), 1);
    const [exact, longList, longArgument] = log.latest(3).map((entry) => entry.arguments);
    expect(longArgument).toEqual(['GET', `${'x'.repeat(128)}... (2 more bytes)`, 'y'.repeat(128)]);
    expect(longList).toEqual([...many.slice(0, 31), '... (9 more arguments)']);
    expect(exact).toEqual(many.slice(0, 32));
  });

  test('shows no passwords', () => {
    const log = slowLog();
    const set = findCommand('config')!.children.get('set')!;
    log.addFront(CLIENT, findCommand('auth')!, ListArguments.of('AUTH', 'default', 'pw'), 1);
    log.addFront(CLIENT, findCommand('auth')!, ListArguments.of('AUTH', 'pw'), 1);
    log.addFront(
      CLIENT,
      findCommand('hello')!,
      ListArguments.of('HELLO', '3', 'auth', 'u', 'pw', 'SETNAME', 'n'),
      1,
    );
    log.addFront(CLIENT, set, ListArguments.of('CONFIG', 'SET', 'timeout', '0', 'RequirePass', 'pw'), 1);
    expect(log.latest(4).map((entry) => entry.arguments.join(' '))).toEqual([
      'CONFIG SET timeout 0 RequirePass (redacted)',
      'HELLO 3 auth (redacted) (redacted) SETNAME n',
      'AUTH (redacted)',
      'AUTH (redacted) (redacted)',
    ]);
  });
});
