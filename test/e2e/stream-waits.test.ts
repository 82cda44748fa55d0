import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeCommand, type RawClient } from '../support/client.js';
import { haveTool, waitUntil } from '../support/environment.js';
import { render } from '../support/reply.js';
import { type ServerKind, TestServer } from '../support/server.js';

const KINDS: readonly ServerKind[] = haveTool('redis-server') ? ['vasto', 'redis'] : ['vasto'];

describe.each(KINDS)('clients that wait for streams, on %s', (kind) => {
  let server: TestServer;
  let client: RawClient;
  const opened: RawClient[] = [];

  beforeAll(async () => {
    server = await TestServer.start({ kind, ...(kind === 'vasto' && { workers: 2 }) });
    client = await server.connect();
  });

  beforeEach(async () => {
    for (const each of opened.splice(0)) each.close();
    await blockedAre(0);
    await client.command('FLUSHALL');
  });

  afterAll(async () => {
    for (const each of opened) each.close();
    client.close();
    await server.stop();
  });

  async function blockedAre(count: number): Promise<void> {
    await waitUntil(`${count} clients wait`, async () =>
      (await client.text('INFO', 'clients')).includes(`blocked_clients:${count}\r\n`),
    );
  }

  /** A further client that has sent a command and waits, `ahead` others before it. */
  async function waiting(ahead: number, ...words: (string | number)[]): Promise<RawClient> {
    const each = ahead % 2 === 0 ? await server.connect() : await server.connect3();
    opened.push(each);
    each.socket.write(encodeCommand(words));
    await blockedAre(ahead + 1);
    return each;
  }

  const next = async (from: RawClient) => render(await from.next());

  test('all who read get what is new, of the stream that has it', async () => {
    await client.command('XADD', 'a', '1-0', 'f', 'old');
    const one = await waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 'a', 'b', '$', '$');
    const two = await waiting(1, 'XREAD', 'COUNT', 1, 'BLOCK', 0, 'STREAMS', 'b', 'a', '0', '2-5');
    await client.command('XADD', 'a', '2-0', 'f', 'new');
    expect(await next(one)).toBe('*[*[$"a" *[*[$"2-0" *[$"f" $"new"]]]]]');
    await blockedAre(1);
    await client.pipeline([
      ['MULTI'],
      ['XADD', 'b', '1-0', 'f', 'x'],
      ['XADD', 'b', '2-0', 'f', 'y'],
      ['EXEC'],
    ]);
    expect(await next(two)).toBe('%[$"b" *[*[$"1-0" *[$"f" $"x"]]]]');
    await blockedAre(0);
  });

  test('the consumers of a group get each entry once, those of another group once more', async () => {
    await client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    await client.command('XGROUP', 'CREATE', 's', 'other', '$');
    const read = (group: string, consumer: string) =>
      ['XREADGROUP', 'GROUP', group, consumer, 'BLOCK', 0, 'STREAMS', 's', '>'] as const;
    const one = await waiting(0, ...read('g', 'one'));
    const two = await waiting(1, ...read('g', 'two'));
    const three = await waiting(2, ...read('other', 'three'));
    await client.command('XADD', 's', '1-0', 'f', 'first');
    expect(await next(one)).toBe('*[*[$"s" *[*[$"1-0" *[$"f" $"first"]]]]]');
    expect(await next(three)).toBe('*[*[$"s" *[*[$"1-0" *[$"f" $"first"]]]]]');
    await blockedAre(1);
    await client.command('XADD', 's', '2-0', 'f', 'second');
    expect(await next(two)).toBe('%[$"s" *[*[$"2-0" *[$"f" $"second"]]]]');
    expect(await client.rendered('XPENDING', 's', 'g')).toBe(
      '*[:2 $"1-0" $"2-0" *[*[$"one" $"1"] *[$"two" $"1"]]]',
    );
  });

  test('what is pending is given at once', async () => {
    await client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    const history = ['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '0'];
    expect(await client.rendered(...history)).toBe('*[*[$"s" *[]]]');
  });

  test('who waits for a group or a key that goes is told', async () => {
    const group = ['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', 0, 'STREAMS', 's', '>'];
    await client.command('XGROUP', 'CREATE', 's', 'g', '$', 'MKSTREAM');
    const one = await waiting(0, ...group);
    await client.command('XGROUP', 'DESTROY', 's', 'g');
    expect(await next(one)).toMatch(/^-NOGROUP/);
    await client.command('XGROUP', 'CREATE', 's', 'g', '$');
    const two = await waiting(0, ...group);
    const three = await waiting(1, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', '$');
    await client.command('DEL', 's');
    expect(await next(two)).toBe('-UNBLOCKED the stream key no longer exists');
    await blockedAre(1);
    await client.command('XADD', 's', '1-0', 'f', 'v');
    expect(await next(three)).toBe('%[$"s" *[*[$"1-0" *[$"f" $"v"]]]]');
  });

  test('a stream that is renamed is one that is ready', async () => {
    const one = await waiting(0, 'XREAD', 'BLOCK', 0, 'STREAMS', 's', '0');
    await client.command('XADD', 'source', '1-0', 'f', 'v');
    await client.command('RENAME', 'source', 's');
    expect(await next(one)).toBe('*[*[$"s" *[*[$"1-0" *[$"f" $"v"]]]]]');
  });

  test('the time runs out; in MULTI nothing waits; times that are none', async () => {
    expect(await client.rendered('XREAD', 'BLOCK', 20, 'STREAMS', 's', '$')).toBe('*-1');
    const replies = await client.pipeline([
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
      expect(await client.rendered('XREAD', 'BLOCK', time, 'STREAMS', 's', '$')).toBe(text);
  });
});
