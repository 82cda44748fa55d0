import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { Random, testSeed } from '../support/random.js';
import { SUBJECT, TestServer } from '../support/server.js';

describe.skipIf(SUBJECT === 'redis')("Vasto's own commands", () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
    client = await server.connect();
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  beforeEach(async () => {
    await client.command('FLUSHALL');
  });

  async function restart(): Promise<void> {
    client.close();
    server = await server.restart();
    client = await server.connect();
  }

  test('the latest event time wins, whatever the order of arrival', async () => {
    await client.command('SET', 'k', 'new', 'EVENTTIME', '2000');
    await client.command('SET', 'k', 'old', 'EVENTTIME', '1000');
    expect(await client.rendered('GET', 'k')).toBe('$"new"');
    expect(await client.rendered('SET', 'k', 'newer', 'EVENTTIME', '3000')).toBe('+OK');
    expect(await client.rendered('GET', 'k')).toBe('$"newer"');
    expect(await client.rendered('SET', 'k', 'now')).toBe('+OK');
    await client.command('SET', 'k', 'late', 'EVENTTIME', '4000');
    expect(await client.rendered('GET', 'k')).toBe('$"now"');
  });

  test('a deletion has its event time too', async () => {
    await client.command('SET', 'k', 'v', 'EVENTTIME', '2000');
    expect(await client.rendered('VASTO.DEL', 'k', 'EVENTTIME', '1000')).toBe(':0');
    expect(await client.rendered('GET', 'k')).toBe('$"v"');
    expect(await client.rendered('VASTO.DEL', 'k', 'EVENTTIME', '3000')).toBe(':1');
    await client.command('SET', 'k', 'older', 'EVENTTIME', '2500');
    expect(await client.rendered('EXISTS', 'k')).toBe(':0');
    await client.command('SET', 'k', 'newer', 'EVENTTIME', '3500');
    expect(await client.rendered('GET', 'k')).toBe('$"newer"');
  });

  test('a deletion that comes before its write', async () => {
    expect(await client.rendered('VASTO.DEL', 'unseen', 'EVENTTIME', '5000')).toBe(':0');
    await client.command('SET', 'unseen', 'v', 'EVENTTIME', '4000');
    expect(await client.rendered('EXISTS', 'unseen')).toBe(':0');
    expect(await client.rendered('DBSIZE')).toBe(':0');
  });

  test('event times outlast a restart', async () => {
    await client.command('SET', 'k', 'v', 'EVENTTIME', '2000');
    await client.command('VASTO.DEL', 'gone', 'EVENTTIME', '2000');
    await restart();
    await client.command('SET', 'k', 'old', 'EVENTTIME', '1999');
    await client.command('SET', 'gone', 'old', 'EVENTTIME', '1999');
    expect(await client.rendered('MGET', 'k', 'gone')).toBe('*[$"v" _]'.replace('_', '$-1'));
  });

  test('any order of arrival gives the same end, restarts between or not', async () => {
    const r = new Random(testSeed('event times'));
    const expected: string[] = [];
    const sent: string[][] = [];
    for (let k = 0; k < 100; k++) {
      const times = Array.from({ length: r.int(1, 6) }, (_, i) => 1000 + i * 100 + r.int(0, 99));
      const writes = times.map((time) =>
        r.chance(0.3)
          ? ['VASTO.DEL', `p:${k}`, 'EVENTTIME', String(time)]
          : ['SET', `p:${k}`, `at ${time}`, 'EVENTTIME', String(time)],
      );
      const last = writes[writes.length - 1]!;
      expected.push(last[0] === 'SET' ? `$"${last[2]}"` : '$-1');
      for (const write of writes) sent.splice(r.int(0, sent.length), 0, write);
    }
    const half = Math.floor(sent.length / 2);
    await client.pipeline(sent.slice(0, half));
    await restart();
    await client.pipeline(sent.slice(half));
    const keys = expected.map((_, k) => `p:${k}`);
    expect(await client.rendered('MGET', ...keys)).toBe(`*[${expected.join(' ')}]`);
    const live = expected.filter((value) => value !== '$-1').length;
    expect(await client.rendered('DBSIZE')).toBe(`:${live}`);
  });

  test('arguments are checked', async () => {
    for (const time of ['abc', '-1', '1.5', '']) {
      expect(await client.rendered('SET', 'k', 'v', 'EVENTTIME', time)).toMatch(/^-ERR /);
      expect(await client.rendered('VASTO.DEL', 'k', 'EVENTTIME', time)).toMatch(/^-ERR /);
    }
    expect(await client.rendered('SET', 'k', 'v', 'EVENTTIME')).toBe('-ERR syntax error');
    expect(await client.rendered('VASTO.DEL', 'k', 'BOGUS', '1')).toBe('-ERR syntax error');
    expect(await client.rendered('VASTO.DEL', 'k')).toBe(
      "-ERR wrong number of arguments for 'vasto.del' command",
    );
    // A clock years ahead would lock the key for as long.
    expect(await client.rendered('SET', 'k', 'v', 'EVENTTIME', Date.now() * 2)).toMatch(/^-ERR /);
  });

  test('VASTO.PREFIX lists in key order, in pages', async () => {
    const names = Array.from({ length: 120 }, (_, i) => `u:${String(i).padStart(3, '0')}`);
    await client.command(
      'MSET',
      ...names.flatMap((name) => [name, `v${name}`]),
      't:z',
      '1',
      'v',
      '1',
      'u',
      '1',
    );
    expect(await client.rendered('VASTO.PREFIX', 'u:')).toBe(
      `*[${names.map((name) => `$"${name}"`).join(' ')}]`,
    );
    expect(await client.rendered('VASTO.PREFIX', 'u:', 'LIMIT', '2')).toBe('*[$"u:000" $"u:001"]');
    expect(await client.rendered('VASTO.PREFIX', 'u:', 'AFTER', 'u:001', 'LIMIT', '1', 'VALUES')).toBe(
      '*[$"u:002" $"vu:002"]',
    );
    expect(await client.rendered('VASTO.PREFIX', 'u:', 'AFTER', 'u:119')).toBe('*[]');
    expect(await client.rendered('VASTO.PREFIX', 'nothing')).toBe('*[]');
    expect(await client.rendered('VASTO.PREFIX', 'u:', 'LIMIT', '0')).toMatch(/^-ERR /);
    expect(await client.rendered('VASTO.PREFIX', 'u:', 'BOGUS')).toBe('-ERR syntax error');
  });

  test('VASTO.PREFIX with bytes that are no text', async () => {
    await client.command('MSET', '\xff', '1', '\xff\xff', '2', '\xff\0', '3', '\xfe', '4');
    expect(await client.rendered('VASTO.PREFIX', '\xff')).toBe('*[$"\\xff" $"\\xff\\x00" $"\\xff\\xff"]');
    expect(await client.rendered('VASTO.PREFIX', '')).toBe(
      '*[$"\\xfe" $"\\xff" $"\\xff\\x00" $"\\xff\\xff"]',
    );
  });

  test('VASTO.MAX and VASTO.MIN', async () => {
    expect(await client.rendered('VASTO.MAX', 'm', '5')).toBe('$"5"');
    expect(await client.rendered('VASTO.MAX', 'm', '3')).toBe('$"5"');
    expect(await client.rendered('VASTO.MAX', 'm', '7.5')).toBe('$"7.5"');
    expect(await client.rendered('VASTO.MIN', 'm', '7.25')).toBe('$"7.25"');
    expect(await client.rendered('VASTO.MIN', 'm', '8')).toBe('$"7.25"');
    expect(await client.rendered('VASTO.MAX', 'm', 'abc')).toBe('-ERR value is not a valid float');
    await client.command('SET', 'text', 'abc');
    expect(await client.rendered('VASTO.MAX', 'text', '1')).toBe('-ERR value is not a valid float');
    expect(await client.rendered('VASTO.MAX', 'm')).toBe(
      "-ERR wrong number of arguments for 'vasto.max' command",
    );
    await client.command('VASTO.MAX', 'm', '100');
    await client.command('EXPIRE', 'm', '1000');
    await client.command('VASTO.MAX', 'm', '200');
    expect(await client.rendered('TTL', 'm')).toMatch(/:(1000|999)/);
    await restart();
    expect(await client.rendered('GET', 'm')).toBe('$"200"');
  });

  test('they work within MULTI', async () => {
    await client.pipeline([
      ['MULTI'],
      ['VASTO.MAX', 'x', '1'],
      ['SET', 'y', 'v', 'EVENTTIME', '5'],
      ['VASTO.PREFIX', ''],
    ]);
    expect(await client.rendered('EXEC')).toBe('*[$"1" +OK *[$"x" $"y"]]');
  });
});
