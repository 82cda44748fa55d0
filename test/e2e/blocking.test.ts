import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeCommand } from '../support/client.js';
import { haveTool } from '../support/environment.js';
import { numberOf, render } from '../support/reply.js';
import { type ServerKind, TestServer } from '../support/server.js';
import { next, WaitingRoom, waitForWaiting } from '../support/waiting-room.js';

const KINDS: readonly ServerKind[] = haveTool('redis-server') ? ['vasto', 'redis'] : ['vasto'];

describe.each(KINDS)('commands that wait, on %s', (kind) => {
  const room = new WaitingRoom(kind);

  test('who came first is served first, and gets what was there first', async () => {
    const one = await room.waiting(0, 'BZPOPMIN', 'a', 'b', 0);
    const two = await room.waiting(1, 'BZPOPMAX', 'b', 0);
    const three = await room.waiting(2, 'BZMPOP', 0, 2, 'b', 'c', 'MIN', 'COUNT', 5);
    await room.client.command('ZADD', 'b', 1, 'x', 2, 'y', 3, 'z', 4, 'w');
    expect([await next(one), await next(two), await next(three)]).toEqual([
      '*[$"b" $"x" $"1"]',
      '*[$"b" $"w" $"4"]',
      '*[$"b" *[*[$"y" $"2"] *[$"z" $"3"]]]',
    ]);
    expect(await room.client.rendered('EXISTS', 'b')).toBe(':0');
    await room.waiters(0);
  });

  test('it is served before the command behind the write runs', async () => {
    const one = await room.waiting(0, 'BZPOPMIN', 'a', 0);
    const replies = await room.client.pipeline([
      ['ZADD', 'a', '1', 'x'],
      ['ZCARD', 'a'],
      ['ZADD', 'a', '1', 'y'],
      ['ZCARD', 'a'],
    ]);
    expect(replies.map(render)).toEqual([':1', ':0', ':1', ':1']);
    expect(await next(one)).toMatch(/x/);
  });

  test('behind EXEC, from the key that was written first', async () => {
    const one = await room.waiting(0, 'BZPOPMIN', 'a', 'b', 0);
    await room.client.pipeline([
      ['MULTI'],
      ['ZADD', 'c', '1', 'n'],
      ['ZADD', 'b', '1', 'm'],
      ['ZADD', 'a', '1', 'n'],
      ['EXEC'],
    ]);
    expect(await next(one)).toMatch(/b.*m/s);
    expect(await room.client.rendered('ZCARD', 'a')).toBe(':1');
  });

  test('every write that makes a key ready serves', async () => {
    const writes: (string | Buffer)[][][] = [
      [['RENAME', 'source', 'key']],
      [['COPY', 'source', 'key']],
      [
        ['SET', 'key', 'of another type'],
        ['COPY', 'source', 'key', 'REPLACE'],
      ],
      [['ZUNIONSTORE', 'key', '1', 'source']],
      [['ZINTERSTORE', 'key', '2', 'source', 'source']],
      // Redis 7.0 forgets those who wait here.
      ...(kind === 'redis'
        ? []
        : [
            [
              ['SET', 'key', 'of another type'],
              ['ZUNIONSTORE', 'key', '1', 'source'],
            ],
          ]),
      [['ZDIFFSTORE', 'key', '2', 'source', 'none']],
      [['ZRANGESTORE', 'key', 'source', '0', '-1']],
      [['ZINCRBY', 'key', '3', 'm']],
      [['GEOADD', 'key', '1', '2', 'm']],
      [
        ['GEOADD', 'places', '1', '2', 'm'],
        ['GEOSEARCHSTORE', 'key', 'places', 'FROMMEMBER', 'm', 'BYRADIUS', '1', 'm'],
      ],
      [
        ['GEOADD', 'places', '1', '2', 'm'],
        ['GEORADIUSBYMEMBER', 'places', 'm', '1', 'm', 'STORE', 'key'],
      ],
      [['MULTI'], ['DEL', 'key'], ['RENAMENX', 'source', 'key'], ['EXEC']],
      [
        ['SELECT', '3'],
        ['ZADD', 'key', '1', 'm'],
        ['MOVE', 'key', '0'],
        ['SELECT', '0'],
      ],
      [
        ['SELECT', '3'],
        ['ZADD', 'key', '1', 'm'],
        ['SWAPDB', '3', '0'],
        ['SELECT', '0'],
      ],
    ];
    for (const write of writes) {
      await room.client.command('FLUSHALL');
      await room.client.command('ZADD', 'source', 1, 'm');
      const one = await room.waiting(0, 'BZPOPMIN', 'key', 0);
      await room.client.pipeline(write as string[][]);
      expect(await next(one), JSON.stringify(write)).toMatch(/m/);
      expect(await room.client.rendered('EXISTS', 'key')).toBe(':0');
      await room.waiters(0);
    }
  });

  test('databases that change places serve who came first, however old connections are, and who was on the way', async () => {
    // Databases that are new have shards of other workers, so that those change their owners, too.
    for (let other = 4; other < 12; other++) {
      const older = await room.enter();
      const younger = await room.enter();
      await room.send(younger, 0, ['BLPOP', 'list', 0]);
      await room.send(older, 1, ['BLPOP', 'list', 0]);
      const late = await room.enter();
      late.send(encodeCommand(['BLPOP', 'list', 0]));
      await room.client.pipeline([
        ['SELECT', String(other)],
        ['RPUSH', 'list', 'a', 'b', 'c'],
        ['SWAPDB', String(other), '0'],
        ['SELECT', '0'],
      ]);
      expect([await next(younger), await next(older), await next(late)]).toEqual([
        '*[$"list" $"a"]',
        '*[$"list" $"b"]',
        '*[$"list" $"c"]',
      ]);
      await room.waiters(0);
    }
  });

  test('a key of another type is waited on', async () => {
    const one = await room.waiting(0, 'BZPOPMIN', 'a', 0);
    await room.client.pipeline([
      ['SET', 'a', 's'],
      ['DEL', 'a'],
      ['SADD', 'a', 's'],
    ]);
    expect(await room.client.rendered('BZPOPMIN', 'none', 'a', 0)).toMatch(/^-WRONGTYPE/);
    await room.client.command('DEL', 'a');
    await room.client.command('ZADD', 'a', 1, 'm');
    expect(await next(one)).toMatch(/m/);
  });

  test('the time runs out', async () => {
    const one = await room.enter();
    expect(await one.rendered('BZPOPMIN', 'a', '0.03')).toBe('*-1');
    expect(await one.rendered('BZMPOP', '0.0001', 1, 'a', 'MIN')).toBe('*-1');
    await room.client.command('ZADD', 'a', 1, 'm');
    expect(await room.client.rendered('ZCARD', 'a')).toBe(':1');
  });

  test('in MULTI nothing waits', async () => {
    const replies = await room.client.pipeline([['MULTI'], ['BZPOPMIN', 'a', '0'], ['PING'], ['EXEC']]);
    expect(render(replies[3]!)).toBe('*[*-1 +PONG]');
  });

  test('what is sent behind it waits, too', async () => {
    const one = await room.enter();
    one.socket.write(
      Buffer.concat([
        encodeCommand(['PING', 'before']),
        encodeCommand(['BZPOPMIN', 'a', 0]),
        encodeCommand(['PING', 'after']),
        encodeCommand(['BZPOPMIN', 'a', 0]),
      ]),
    );
    expect(await next(one)).toMatch(/before/);
    await room.waiters(1);
    await room.client.command('ZADD', 'a', 1, 'first');
    expect(await next(one)).toMatch(/first/);
    expect(await next(one)).toMatch(/after/);
    await room.waiters(1);
    await room.client.command('ZADD', 'a', 1, 'second');
    expect(await next(one)).toMatch(/second/);
  });

  test('what is sent behind it may be much', async () => {
    const one = await room.waiting(0, 'BZPOPMIN', 'a', 0);
    const value = 'x'.repeat(10_000);
    for (let index = 0; index < 500; index++) one.send(encodeCommand(['ECHO', value]));
    await room.client.command('ZADD', 'a', 1, 'm');
    expect(await next(one)).toMatch(/m/);
    for (let index = 0; index < 500; index++) expect(await next(one)).toBe(`$"${value}"`);
  });

  test('nothing is taken for a client that has left, or been killed', async () => {
    const one = await room.waiting(0, 'BZPOPMIN', 'a', 0);
    const two = await room.waiting(1, 'BZPOPMIN', 'a', 0);
    const three = await room.waiting(2, 'BZPOPMIN', 'a', 0);
    const id = /id=(\d+) addr=127.0.0.1:(\d+).* flags=b /g;
    const list = [...(await room.client.text('CLIENT', 'LIST')).matchAll(id)];
    expect(list.length).toBe(3);
    const killed = list.find(([, , port]) => Number(port) === two.socket.localPort)![1]!;
    one.close();
    expect(await room.client.rendered('CLIENT', 'KILL', 'ID', killed)).toBe(':1');
    await room.waiters(1);
    await room.client.command('ZADD', 'a', 1, 'm');
    expect(await next(three)).toMatch(/m/);
  });

  test('a client that closes its side only is gone', async () => {
    const one = await room.waiting(0, 'BZPOPMIN', 'a', 0);
    one.socket.end();
    await room.waiters(0);
    await room.client.command('ZADD', 'a', 1, 'm');
    expect(await room.client.rendered('ZCARD', 'a')).toBe(':1');
  });

  test('CLIENT UNBLOCK', async () => {
    const [one, two] = [await room.enter(), await room.enter()];
    const ids: number[] = [];
    for (const [ahead, each] of [one, two].entries()) {
      ids.push(numberOf(await each.command('CLIENT', 'ID')));
      await room.send(each, ahead, ['BZPOPMIN', 'a', 0]);
    }
    expect(await room.client.rendered('CLIENT', 'UNBLOCK', ids[0]!)).toBe(':1');
    expect(await next(one)).toBe('*-1');
    expect(await room.client.rendered('CLIENT', 'UNBLOCK', ids[1]!, 'ERROR')).toBe(':1');
    expect(await next(two)).toMatch(/UNBLOCKED client unblocked via CLIENT UNBLOCK/);
    expect(await room.client.rendered('CLIENT', 'UNBLOCK', ids[1]!)).toBe(':0');
    expect(await room.client.rendered('CLIENT', 'UNBLOCK', 999999)).toBe(':0');
    await room.waiters(0);
  });

  test('lists: several elements, moves that serve others, destinations of the wrong type', async () => {
    const one = await room.waiting(0, 'BLPOP', 'a', 'b', 0);
    const two = await room.waiting(1, 'BRPOP', 'a', 0);
    const three = await room.waiting(2, 'BLMPOP', 0, 1, 'a', 'RIGHT', 'COUNT', 2);
    const four = await room.waiting(3, 'BLMOVE', 'a', 'wrong', 'LEFT', 'RIGHT', 0);
    const five = await room.waiting(4, 'BRPOPLPUSH', 'a', 'c', 0);
    const six = await room.waiting(5, 'BLPOP', 'c', 0);
    await room.client.command('SET', 'wrong', 'no list');
    await room.client.command('RPUSH', 'a', 1, 2, 3, 4, 5);
    const replies: string[] = [];
    for (const each of [one, two, three, four, five, six]) replies.push(await next(each));
    expect(replies).toEqual([
      '*[$"a" $"1"]',
      '*[$"a" $"5"]',
      '*[$"a" *[$"4" $"3"]]',
      '-WRONGTYPE Operation against a key holding the wrong kind of value',
      '$"2"',
      '*[$"c" $"2"]',
    ]);
    expect(await room.client.rendered('DBSIZE')).toBe(':1');
    expect(await room.client.rendered('BLMOVE', 'a', 'b', 'LEFT', 'LEFT', '0.01')).toBe('*-1');
    expect(await room.client.rendered('BRPOPLPUSH', 'a', 'b', '0.01')).toBe('*-1');
    const inMulti = await room.client.pipeline([
      ['MULTI'],
      ['BLMOVE', 'a', 'b', 'LEFT', 'LEFT', '0'],
      ['EXEC'],
    ]);
    expect(render(inMulti[2]!)).toBe('*[$-1]');
  });

  test('lists: LINSERT and others do not serve, RESTORE and SORT … STORE do', async () => {
    await room.client.pipeline([
      ['RPUSH', 'source', '2', '1'],
      ['RPUSH', 'other', 'x'],
    ]);
    const dump = await room.client.command('DUMP', 'source');
    const one = await room.waiting(0, 'BLPOP', 'key', 0);
    await room.client.command('SORT', 'source', 'STORE', 'key');
    expect(await next(one)).toBe('*[$"key" $"1"]');
    await room.client.command('DEL', 'key');
    for (const write of [
      ['LMOVE', 'source', 'key', 'LEFT', 'LEFT'],
      ['RPOPLPUSH', 'source', 'key'],
      ['COPY', 'other', 'key'],
    ]) {
      await room.client.pipeline([
        ['DEL', 'key', 'source'],
        ['RPUSH', 'source', '2', '1'],
      ]);
      const each = await room.waiting(0, 'BLMOVE', 'key', 'into', 'LEFT', 'LEFT', 0);
      await room.client.command(...write);
      expect(await next(each), write.join(' ')).toMatch(/^\$"[12x]"$/);
    }
    await room.client.pipeline([
      ['DEL', 'key', 'into'],
      ['SET', 'text', 'abc'],
    ]);
    const patient = await room.waiting(0, 'BLPOP', 'key', 0);
    await room.client.pipeline([
      ['LPUSHX', 'key', 'x'],
      ['LINSERT', 'key', 'BEFORE', 'x', 'y'],
      ['COPY', 'text', 'key'],
      ['DEL', 'key'],
      ['MULTI'],
      ['RPUSH', 'key', 'x'],
      ['LPOP', 'key'],
      ['EXEC'],
    ]);
    await room.waiters(1);
    patient.close();
    await room.waiters(0);
    const two = await room.waiting(0, 'BLPOP', 'key', 0);
    await room.client.command('RESTORE', 'key', 0, 'data' in dump ? dump.data : '');
    expect(await next(two)).toBe('*[$"key" $"2"]');
  });

  test('arguments are looked at in the order of Redis', async () => {
    for (const [words, text] of [
      ['BLMOVE a b LEFT x y', 'ERR syntax error'],
      ['BLMOVE a b LEFT LEFT y', 'ERR timeout is not a float or out of range'],
      ['BRPOPLPUSH a b -1', 'ERR timeout is negative'],
      ['BLPOP a -1.5', 'ERR timeout is negative'],
      ['BLPOP a nan', 'ERR timeout is not a float or out of range'],
      ...['inf', '-inf', '1e400', '-1e400', '1.18e4932', '0x1p1025', '9223372036854776'].map(
        (timeout) => [`BLPOP a ${timeout}`, 'ERR timeout is negative'] as const,
      ),
      ...['1.19e4932', '-1e4933', '0x1p16384', '1e-4960', '1e', ''].map(
        (timeout) => [`BLPOP a ${timeout}`, 'ERR timeout is not a float or out of range'] as const,
      ),
      ['BLMPOP x 0 a LEFT', 'ERR numkeys should be greater than 0'],
      ['BLMPOP x 1 a LEFT', 'ERR timeout is not a float or out of range'],
      ['BLMPOP 0 1 a LEFT COUNT 0', 'ERR count should be greater than 0'],
      ['BZMPOP x 1 a LOW', 'ERR syntax error'],
    ] as const)
      expect(await room.client.rendered(...words.split(' ')), words).toBe(`-${text}`);
  });

  test('a timeout may be too small or too large for a double', async () => {
    expect(await room.client.rendered('BLPOP', 'a', '1e-4950')).toBe('*-1');
    const one = await room.waiting(0, 'BLPOP', 'a', '9.2e15');
    await room.client.command('RPUSH', 'a', 'x');
    expect(await next(one)).toBe('*[$"a" $"x"]');
  });

  test('streams: everybody is given what is new to them', async () => {
    await room.client.command('XADD', 's', '1-1', 'f', 'old');
    const all = await room.waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', 't', '$', 0);
    const later = await room.waiting(1, 'XREAD', 'COUNT', 1, 'BLOCK', 0, 'STREAMS', 's', '3-0');
    await room.client.command('XADD', 's', '2-1', 'f', 'new');
    expect(await next(all)).toBe('*[*[$"s" *[*[$"2-1" *[$"f" $"new"]]]]]');
    await room.waiters(1);
    await room.client.pipeline([
      ['MULTI'],
      ['XADD', 's', '4-1', 'f', 'a'],
      ['XADD', 's', '5-1', 'f', 'b'],
      ['EXEC'],
    ]);
    expect(await next(later)).toBe('*[*[$"s" *[*[$"4-1" *[$"f" $"a"]]]]]');
    expect(await room.client.rendered('XREAD', 'BLOCK', 20, 'STREAMS', 's', '$')).toBe('*-1');
    expect(await room.client.rendered('XREAD', 'BLOCK', 0, 'STREAMS', 's', '4-1')).toMatch(/5-1/);
    expect(await room.client.rendered('XREAD', 'BLOCK', 'x', 'STREAMS', 's', '$')).toMatch(
      /^-ERR timeout is not an/,
    );
  });

  test('streams: each entry goes to one consumer of a group', async () => {
    await room.client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    const read = ['XREADGROUP', 'GROUP', 'g'] as const;
    const one = await room.waiting(0, ...read, 'one', 'BLOCK', 0, 'STREAMS', 's', '>');
    const two = await room.waiting(1, ...read, 'two', 'COUNT', 1, 'BLOCK', 0, 'STREAMS', 's', '>');
    await room.client.command('XADD', 's', '1-1', 'f', 'a');
    expect(await next(one)).toBe('*[*[$"s" *[*[$"1-1" *[$"f" $"a"]]]]]');
    await room.client.command('XADD', 's', '2-1', 'f', 'b');
    expect(await next(two)).toBe('*[*[$"s" *[*[$"2-1" *[$"f" $"b"]]]]]');
    expect(await room.client.rendered('XPENDING', 's', 'g')).toBe(
      '*[:2 $"1-1" $"2-1" *[*[$"one" $"1"] *[$"two" $"1"]]]',
    );
  });

  test('streams: who waits for entries of a group is told when it has gone', async () => {
    const ends: [string[], RegExp][] = [
      [['XGROUP', 'DESTROY', 's', 'g'], /^-NOGROUP/],
      [['DEL', 's'], /^-UNBLOCKED the stream key no longer exists/],
      [['SET', 's', 'x'], /^-UNBLOCKED the stream key no longer exists/],
      [['FLUSHALL'], /^-UNBLOCKED the stream key no longer exists/],
      [['RENAME', 's', 'elsewhere'], /^-UNBLOCKED the stream key no longer exists/],
    ];
    for (const [end, message] of ends) {
      await room.client.command('DEL', 's');
      await room.client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
      const one = await room.waiting(0, 'XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>');
      await room.client.command(...end);
      expect(await next(one), end.join(' ')).toMatch(message);
    }
    await room.client.command('DEL', 's');
    const reading = await room.waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', '$');
    await room.client.pipeline([
      ['SET', 's', 'x'],
      ['DEL', 's'],
      ['XADD', 's', '1-1', 'f', 'v'],
    ]);
    expect(await next(reading)).toMatch(/1-1/);
  });

  test('500 clients are served in the order in which they came', async () => {
    const waiters = await Promise.all(Array.from({ length: 500 }, () => room.enter()));
    for (const [index, each] of waiters.entries()) {
      each.socket.write(encodeCommand(['BZPOPMIN', 'queue', `own${index}`, 0]));
      if (index % 50 === 49) await room.waiters(index + 1);
    }
    await room.client.command('ZADD', 'own250', 1, 'for 250');
    expect(await next(waiters[250]!)).toMatch(/for 250/);
    for (let index = 0; index < 500; index++) await room.client.command('ZADD', 'queue', index, `m${index}`);
    const taken: number[] = [];
    for (const [index, each] of waiters.entries())
      if (index !== 250) taken.push(Number(/"m(\d+)"/.exec(await next(each))![1]));
    expect(new Set(taken).size).toBe(499);
    // Those of one run of 50 may have been read in any order, but all of them before those of the next.
    const runs = Array.from({ length: 10 }, (_, run) =>
      taken.slice(run * 50 - (run > 5 ? 1 : 0), (run + 1) * 50 - (run >= 5 ? 1 : 0)),
    );
    for (let run = 1; run < 10; run++)
      expect(Math.min(...runs[run]!)).toBeGreaterThan(Math.max(...runs[run - 1]!));
    expect(await room.client.rendered('ZCARD', 'queue')).toBe(':1');
    await room.waiters(0);
  });
});

describe('commands that wait, when what they wait for goes elsewhere', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.start({ workers: 2, flags: ['--enable-debug-command', 'local'] });
  });
  afterAll(() => server.stop());

  test('shards that change their worker, workers that die, a server that ends', async () => {
    const [client, one, two, three] = await Promise.all(Array.from({ length: 4 }, () => server.connect()));
    const blockedAre = (count: number) => waitForWaiting(client!, count);
    await client!.pipeline([
      ['SET', 'x', '1'],
      ['SELECT', '1'],
      ['SET', 'x', '1'],
      ['SELECT', '0'],
    ]);
    await two!.command('SELECT', 1);
    one!.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    two!.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(2);
    // One of the two databases comes to the worker of the other one.
    const moved = await client!.pipeline([
      ['RPUSH', 'a', 'for one'],
      ['RPUSH', 'b', 'for two'],
      ['RENAME', 'b', 'c'],
      ['COPY', 'c', 'a', 'DB', '1'],
    ]);
    expect(moved.map(render)).toEqual([':1', ':1', '+OK', ':1']);
    expect(render(await one!.next())).toBe('*[$"a" $"for one"]');
    expect(render(await two!.next())).toBe('*[$"a" $"for two"]');
    one!.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    await client!.command('DEBUG', 'WORKER-CRASH', 0);
    await client!.command('DEBUG', 'WORKER-CRASH', 1);
    expect(render(await one!.next())).toMatch(/^-ERR the worker that ran the command died/);
    three!.send(encodeCommand(['BLPOP', 'a', 0]));
    await blockedAre(1);
    const since = Date.now();
    await server.stop();
    await three!.closed;
    // Nobody waits for what does not come: less than the time that replies under way are waited for.
    expect(Date.now() - since).toBeLessThan(5000);
  });
});
