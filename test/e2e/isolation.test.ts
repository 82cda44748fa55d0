import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { itemsOf, render } from '../support/reply.js';
import { TestServer } from '../support/server.js';

describe('commands and transactions are never seen half done', () => {
  let server: TestServer;
  let writers: RawClient[];
  let readers: RawClient[];

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
    writers = await Promise.all([server.connect(), server.connect(), server.connect()]);
    readers = await Promise.all([server.connect(), server.connect()]);
  });

  afterAll(async () => {
    for (const client of [...writers, ...readers]) client.close();
    await server.stop();
  });

  /** Reads until the writers are done; gives every reply. */
  async function readDuring(
    writing: Promise<unknown>,
    read: (reader: RawClient) => Promise<string[]>,
  ): Promise<string[][]> {
    let done = false;
    const finished = writing.then(() => {
      done = true;
    });
    const seen = await Promise.all(
      readers.map(async (reader) => {
        const own: string[][] = [];
        while (!done) own.push(await read(reader));
        return own;
      }),
    );
    await finished;
    return seen.flat();
  }

  test('MULTI', async () => {
    await writers[0]!.command('MSET', 'a', '0', 'b', '0', 'c', '0');
    const writing = Promise.all(
      writers.map(async (writer) => {
        for (let i = 0; i < 200; i++) {
          const once = [['MULTI'], ['INCR', 'a'], ['INCRBY', 'b', '1'], ['INCR', 'c'], ['EXEC']];
          await writer.pipeline([...once, ...once]);
        }
      }),
    );
    const seen = await readDuring(writing, async (reader) => {
      const replies = await reader.pipeline([['MULTI'], ['GET', 'a'], ['GET', 'b'], ['GET', 'c'], ['EXEC']]);
      return itemsOf(replies[4]!).map(render);
    });
    expect(seen.length).toBeGreaterThan(5);
    expect(seen.filter(([a, b, c]) => a !== b || b !== c)).toEqual([]);
    expect(await readers[0]!.rendered('MGET', 'a', 'b', 'c')).toBe('*[$"1200" $"1200" $"1200"]');
  });

  test('MSET and MGET', async () => {
    await writers[0]!.command('MSET', 'x', 'w', 'y', 'w', 'z', 'w');
    const writing = Promise.all(
      writers.map(async (writer, w) => {
        for (let i = 0; i < 300; i++)
          await writer.command('MSET', 'x', `${w}:${i}`, 'y', `${w}:${i}`, 'z', `${w}:${i}`);
      }),
    );
    const seen = await readDuring(writing, async (reader) =>
      itemsOf(await reader.command('MGET', 'x', 'y', 'z')).map(render),
    );
    expect(seen.filter(([x, y, z]) => x !== y || y !== z)).toEqual([]);
  });

  test('WATCH lets one of many win, and no update is lost', async () => {
    await writers[0]!.command('SET', 'n', '0');
    const increments = 60;
    await Promise.all(
      writers.map(async (writer) => {
        for (let done = 0; done < increments; ) {
          await writer.command('WATCH', 'n');
          const n = Number(await writer.text('GET', 'n'));
          const replies = await writer.pipeline([['MULTI'], ['SET', 'n', n + 1], ['EXEC']]);
          if (replies[2]!.type === 'array') done++;
        }
      }),
    );
    expect(await writers[0]!.rendered('GET', 'n')).toBe(`$"${increments * writers.length}"`);
  });

  test('replies come in the order of the requests, whichever worker answers', async () => {
    const [client] = writers;
    const commands = Array.from({ length: 3000 }, (_, i) =>
      i % 3 === 0 ? ['SELECT', String((i / 3) % 4)] : i % 3 === 1 ? ['SET', 'k', String(i)] : ['GET', 'k'],
    );
    const replies = await client!.pipeline(commands);
    const wrong = replies.filter((reply, i) => render(reply) !== (i % 3 === 2 ? `$"${i - 1}"` : '+OK'));
    expect(wrong).toEqual([]);
    await client!.command('SELECT', '0');
  });
});
