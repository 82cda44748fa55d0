import { describe, expect, test } from 'vitest';
import { haveTool } from '../support/environment.js';
import { render } from '../support/reply.js';
import type { ServerKind } from '../support/server.js';
import { next, WaitingRoom } from '../support/waiting-room.js';

const KINDS: readonly ServerKind[] = haveTool('redis-server') ? ['vasto', 'redis'] : ['vasto'];

describe.each(KINDS)('clients that wait for streams, on %s', (kind) => {
  const room = new WaitingRoom(kind, [2, 3]);

  test('a stream that is named twice counts once, with its first id', async () => {
    await room.client.command('XADD', 'a', '5-0', 'f', 'old');
    const one = await room.waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 'a', 'b', 'a', '7-0', '$', '$');
    const two = await room.waiting(1, 'XREAD', 'BLOCK', 0, 'STREAMS', 'a', 'a', '$', '7-0');
    await room.client.command('XADD', 'a', '6-0', 'f', 'x');
    expect(await next(two)).toBe('%[$"a" *[*[$"6-0" *[$"f" $"x"]]]]');
    await room.waiters(1);
    await room.client.command('XADD', 'a', '8-0', 'f', 'y');
    expect(await next(one)).toBe('*[*[$"a" *[*[$"8-0" *[$"f" $"y"]]]]]');
  });

  test('all who read get what is new, of the stream that has it', async () => {
    await room.client.command('XADD', 'a', '1-0', 'f', 'old');
    const one = await room.waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 'a', 'b', '$', '$');
    const two = await room.waiting(1, 'XREAD', 'COUNT', 1, 'BLOCK', 0, 'STREAMS', 'b', 'a', '0', '2-5');
    await room.client.command('XADD', 'a', '2-0', 'f', 'new');
    expect(await next(one)).toBe('*[*[$"a" *[*[$"2-0" *[$"f" $"new"]]]]]');
    await room.waiters(1);
    await room.client.pipeline([
      ['MULTI'],
      ['XADD', 'b', '1-0', 'f', 'x'],
      ['XADD', 'b', '2-0', 'f', 'y'],
      ['EXEC'],
    ]);
    expect(await next(two)).toBe('%[$"b" *[*[$"1-0" *[$"f" $"x"]]]]');
    await room.waiters(0);
  });

  test('the consumers of a group get each entry once, those of another group once more', async () => {
    await room.client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    await room.client.command('XGROUP', 'CREATE', 's', 'other', '$');
    const read = (group: string, consumer: string) =>
      ['XREADGROUP', 'GROUP', group, consumer, 'BLOCK', 0, 'STREAMS', 's', '>'] as const;
    const one = await room.waiting(0, ...read('g', 'one'));
    const two = await room.waiting(1, ...read('g', 'two'));
    const three = await room.waiting(2, ...read('other', 'three'));
    await room.client.command('XADD', 's', '1-0', 'f', 'first');
    expect(await next(one)).toBe('*[*[$"s" *[*[$"1-0" *[$"f" $"first"]]]]]');
    expect(await next(three)).toBe('*[*[$"s" *[*[$"1-0" *[$"f" $"first"]]]]]');
    await room.waiters(1);
    await room.client.command('XADD', 's', '2-0', 'f', 'second');
    expect(await next(two)).toBe('%[$"s" *[*[$"2-0" *[$"f" $"second"]]]]');
    expect(await room.client.rendered('XPENDING', 's', 'g')).toBe(
      '*[:2 $"1-0" $"2-0" *[*[$"one" $"1"] *[$"two" $"1"]]]',
    );
  });

  test('what is pending is given at once', async () => {
    await room.client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    const history = ['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '0'];
    expect(await room.client.rendered(...history)).toBe('*[*[$"s" *[]]]');
  });

  test('who waits for a group or a key that goes is told', async () => {
    const group = ['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>'];
    await room.client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    const one = await room.waiting(0, ...group);
    await room.client.command('XGROUP', 'DESTROY', 's', 'g');
    expect(await next(one)).toMatch(/^-NOGROUP/);
    await room.client.command('XGROUP', 'CREATE', 's', 'g', '$');
    const two = await room.waiting(0, ...group);
    const three = await room.waiting(1, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', '$');
    await room.client.command('DEL', 's');
    expect(await next(two)).toBe('-UNBLOCKED the stream key no longer exists');
    await room.waiters(1);
    await room.client.command('XGROUP', 'CREATE', 'ends', 'g', '$', 'MKSTREAM');
    const four = await room.waiting(1, 'XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 'ends', '>');
    await room.client.command('PEXPIRE', 'ends', 5);
    expect(await next(four)).toBe('-UNBLOCKED the stream key no longer exists');
    await room.client.command('XADD', 's', '1-0', 'f', 'v');
    expect(await next(three)).toBe('%[$"s" *[*[$"1-0" *[$"f" $"v"]]]]');
  });

  test('a stream that is renamed is one that is ready', async () => {
    const one = await room.waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', '0');
    await room.client.command('XADD', 'source', '1-0', 'f', 'v');
    await room.client.command('RENAME', 'source', 's');
    expect(await next(one)).toBe('*[*[$"s" *[*[$"1-0" *[$"f" $"v"]]]]]');
  });

  test('databases that change places: who waits is served by what is there then', async () => {
    const { client } = room;
    const elsewhere = async (...commands: string[][]) => {
      await client.pipeline([['SELECT', '1'], ...commands, ['SELECT', '0']]);
    };
    await client.command('XADD', 's', '5-0', 'f', 'old');
    await elsewhere(
      ['XADD', 's', '3-0', 'f', 'v'],
      ['SET', 'list', 'no list'],
      ['XGROUP', 'CREATE', 'other', 'g', '$', 'MKSTREAM'],
    );
    const one = await room.waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', '$');
    const two = await room.waiting(1, 'BLPOP', 'list', 0);
    await client.command('XGROUP', 'CREATE', 'g', 'g', '$', 'MKSTREAM');
    await client.command('XGROUP', 'CREATE', 'other', 'h', '$', 'MKSTREAM');
    const group = (name: string, key: string) =>
      ['XREADGROUP', 'GROUP', name, 'c', 'BLOCK', 0, 'STREAMS', key, '>'] as const;
    const three = await room.waiting(2, ...group('g', 'g'));
    const four = await room.waiting(3, ...group('h', 'other'));
    await client.command('SWAPDB', 0, 1);
    expect(await next(three)).toBe('-UNBLOCKED the stream key no longer exists');
    expect(await next(four)).toMatch(
      /^-NOGROUP the consumer group this client was blocked on no longer exists/,
    );
    await room.waiters(2);
    await client.command('XADD', 's', '4-0', 'f', 'not new');
    await room.waiters(2);
    await client.command('XADD', 's', '6-0', 'f', 'new');
    expect(await next(one)).toBe('*[*[$"s" *[*[$"6-0" *[$"f" $"new"]]]]]');
    await client.command('DEL', 'list');
    await client.command('RPUSH', 'list', 'x');
    expect(await next(two)).toBe('*[$"list" $"x"]');
  });

  test('the time runs out; in MULTI nothing waits; times that are none', async () => {
    expect(await room.client.rendered('XREAD', 'BLOCK', 20, 'STREAMS', 's', '$')).toBe('*-1');
    const replies = await room.client.pipeline([
      ['MULTI'],
      ['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$'],
      ['PING'],
      ['EXEC'],
    ]);
    expect(render(replies[3]!)).toBe('*[*-1 +PONG]');
    for (const [time, text] of [
      ['-1', '-ERR timeout is negative'],
      ['1.5', '-ERR timeout is not an integer or out of range'],
    ] as const)
      expect(await room.client.rendered('XREAD', 'BLOCK', time, 'STREAMS', 's', '$')).toBe(text);
  });
});
