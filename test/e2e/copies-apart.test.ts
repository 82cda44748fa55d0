import { afterEach, describe, expect, test } from 'vitest';
import { encodeCommand } from '../support/client.js';
import { Copies, infoOf, randomWrite } from '../support/copies.js';
import { waitUntil } from '../support/environment.js';
import type { Random } from '../support/random.js';
import { seeded } from '../support/replay.js';
import { render } from '../support/reply.js';
import { SUBJECT } from '../support/server.js';
import type { StaticNode } from '../support/static-cluster.js';
import { waitForWaiting } from '../support/waiting-room.js';

describe.skipIf(SUBJECT === 'redis')('copies whose stores all take writes', () => {
  let copies: Copies | undefined;

  afterEach(async () => {
    await copies?.stop();
    copies = undefined;
  });

  /** Writes to all, at the same time. */
  async function write(nodes: readonly StaticNode[], random: Random, count: number): Promise<void> {
    await Promise.all(
      nodes.map(async (node) => {
        const client = await node.connect();
        for (let left = count; left > 0; left -= 50)
          await client.pipeline(Array.from({ length: Math.min(50, left) }, () => randomWrite(random)));
        client.close();
      }),
    );
  }

  test(
    'come to be the same, whatever was cut, killed and written',
    () =>
      seeded(1, async (random) => {
        copies = await Copies.start(3);
        const { nodes } = copies;
        await write(nodes, random, 300);
        await copies.same();
        let keys = 0;
        for (let round = 0; round < 4; round++) {
          copies.cut();
          await write(nodes, random, 300);
          const victim = random.pick(nodes);
          await victim.kill();
          await write(
            nodes.filter((node) => node !== victim),
            random,
            200,
          );
          copies.mend();
          await victim.start();
          await write(nodes, random, 100);
          keys += (await copies.same()).size;
        }
        // One round may end with a FLUSHDB, but hardly each of them.
        expect(keys).toBeGreaterThan(0);
      }),
    180_000,
  );

  test('serve who waits at one for what is written at the other', async () => {
    copies = await Copies.start(2);
    const [first, second] = copies.nodes as [StaticNode, StaticNode];
    await copies.level();
    const [writer, asked] = await Promise.all([first.connect(), second.connect()]);
    await writer.command('XGROUP', 'CREATE', 'group', 'g', '$', 'MKSTREAM');
    await copies.level();
    const commands = [
      ['BLPOP', 'list', '0'],
      ['BLPOP', 'list', '0'],
      ['BZPOPMAX', 'zset', '0'],
      ['XREAD', 'BLOCK', '0', 'STREAMS', 'stream', '$'],
      ['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', '0', 'STREAMS', 'group', '>'],
      ['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', '0', 'STREAMS', 'group', '>'],
    ];
    const waiters = await Promise.all(commands.map(() => second.connect()));
    for (const [index, words] of commands.entries()) {
      waiters[index]!.send(encodeCommand(words));
      await waitForWaiting(asked, index + 1);
    }
    await writer.pipeline([
      ['RPUSH', 'list', 'a', 'b', 'c'],
      ['ZADD', 'zset', '1', 'm', '2', 'n'],
      ['XADD', 'stream', '1-1', 'f', 'v'],
      ['XADD', 'group', '1-1', 'f', 'v'],
    ]);
    const replies: string[] = [];
    for (const waiter of waiters.slice(0, 5)) replies.push(render(await waiter.next()));
    expect(replies).toEqual([
      '*[$"list" $"a"]',
      '*[$"list" $"b"]',
      '*[$"zset" $"n" $"2"]',
      '*[*[$"stream" *[*[$"1-1" *[$"f" $"v"]]]]]',
      '*[*[$"group" *[*[$"1-1" *[$"f" $"v"]]]]]',
    ]);
    // What the waiting took goes back the other way.
    const left: [string[], string][] = [
      [['LRANGE', 'list', '0', '-1'], '*[$"c"]'],
      [['ZRANGE', 'zset', '0', '-1'], '*[$"m"]'],
      [['XPENDING', 'group', 'g'], '*[:1 $"1-1" $"1-1" *[*[$"c" $"1"]]]'],
    ];
    for (const [[name, ...args], reply] of left)
      await waitUntil(`${name} is ${reply}`, async () => (await writer.rendered(name!, ...args)) === reply);
    await writer.command('DEL', 'group');
    expect(render(await waiters[5]!.next())).toBe('-UNBLOCKED the stream key no longer exists');
    await waitForWaiting(asked, 0);
    for (const client of [writer, asked, ...waiters]) client.close();
  });

  test('hand over what one had alone when its store died, and take what it missed', async () => {
    copies = await Copies.start(2);
    const [first, second] = copies.nodes as [StaticNode, StaticNode];
    await copies.level();
    copies.cut();
    const alone = await first.connect();
    expect(await alone.rendered('SET', 'mine', 'alone')).toBe('+OK');
    expect(await alone.rendered('SET', 'both', 'older')).toBe('+OK');
    alone.close();
    await first.kill();
    const other = await second.connect();
    await other.command('SET', 'both', 'newer');
    await other.command('SET', 'yours', 'meanwhile');
    other.close();
    copies.mend();
    await first.start();
    expect(await copies.same()).toEqual(
      new Map([
        ['both', '$"newer" :-1'],
        ['mine', '$"alone" :-1'],
        ['yours', '$"meanwhile" :-1'],
      ]),
    );
  }, 120_000);

  test('copy anew when the log did not reach back: nothing that was deleted comes back, nothing is lost', async () => {
    copies = await Copies.start(2, ['--feed-log-bytes-max', '1mb']);
    const [first, second] = copies.nodes as [StaticNode, StaticNode];
    const client = await first.connect();
    await client.pipeline(Array.from({ length: 100 }, (_, index) => ['SET', `old${index}`, 'v']));
    await copies.same();
    copies.cut();
    const other = await second.connect();
    await other.command('SET', 'only here', 'kept');
    other.close();
    await client.pipeline(Array.from({ length: 50 }, (_, index) => ['DEL', `old${index}`]));
    for (let round = 0; round < 20; round++)
      await client.pipeline(
        Array.from({ length: 50 }, (_, index) => ['SET', `new${index}`, `${round}`.padEnd(3000)]),
      );
    client.close();
    copies.mend();
    const contents = await copies.same();
    expect([...contents.keys()].filter((key) => key.startsWith('old'))).toHaveLength(50);
    expect(contents.get('only here')).toBe('$"kept" :-1');
    expect(second.output).toContain('begins with a copy anew, because its log does not reach back');
  }, 120_000);

  test('tell who follows, and how far behind', async () => {
    copies = await Copies.start(2);
    const [first, second] = copies.nodes as [StaticNode, StaticNode];
    await copies.level();
    expect(await infoOf(first)).toMatchObject({ connected_slaves: '1', vasto_feeds: '1' });
    copies.cut();
    const client = await first.connect();
    await client.command('SET', 'a', '1');
    expect(await client.rendered('WAIT', 1, 300)).toBe(':0');
    await waitUntil('the lag shows', async () => Number((await infoOf(second)).vasto_feeds_lag_ms) > 500);
    copies.mend();
    expect(await client.rendered('WAIT', 1, 20_000)).toBe(':1');
    expect((await infoOf(first)).slave0).toMatch(
      /^ip=127\.0\.0\.1,port=\d+,state=online,offset=[1-9]\d*,lag=\d+,lag_records=0$/,
    );
    client.close();
  }, 120_000);
});
