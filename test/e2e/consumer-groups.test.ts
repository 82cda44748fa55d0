import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestServer } from '../support/server.js';

type Entry = [id: string, fields: string[]];

const STREAM = 'jobs';
const GROUP = 'workers';
const JOBS = 600;

/** Jobs that are spread over consumers with ioredis, as its users do it: of which some die, and so does the server. */
describe('a consumer group', () => {
  let server: TestServer;
  const clients: Redis[] = [];

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
  });

  afterAll(async () => {
    for (const client of clients) client.disconnect();
    await server.stop();
  });

  function connect(): Redis {
    const client = new Redis({ port: server.port, host: '127.0.0.1', maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  }

  const newFor = async (client: Redis, name: string): Promise<Entry[]> => {
    const args = ['GROUP', GROUP, name, 'COUNT', 10, 'BLOCK', 500, 'STREAMS', STREAM, '>'] as const;
    const found = (await client.xreadgroup(...args)) as [string, Entry[]][] | null;
    return found?.[0]?.[1] ?? [];
  };

  /** Reads, and acknowledges, until there is nothing more; what it read first it leaves, if it is to die. */
  async function consume(name: string, done: Map<string, number>, dies: boolean): Promise<void> {
    const client = connect();
    for (let round = 0; ; round++) {
      const entries = await newFor(client, name);
      if (entries.length === 0 || (dies && round === 3)) return client.disconnect();
      for (const [id, [, job]] of entries) {
        expect(await client.xack(STREAM, GROUP, id)).toBe(1);
        done.set(job!, (done.get(job!) ?? 0) + 1);
      }
    }
  }

  test('every job is done once, though consumers die, and the server', { timeout: 60_000 }, async () => {
    const producer = connect();
    await producer.xgroup('CREATE', STREAM, GROUP, '$', 'MKSTREAM');
    const done = new Map<string, number>();
    const consumers = [
      consume('a', done, false),
      consume('b', done, false),
      consume('dies', done, true),
      consume('dies, too', done, true),
    ];
    for (let job = 0; job < JOBS; job += 50) {
      const pipeline = producer.pipeline();
      for (let each = job; each < job + 50; each++) pipeline.xadd(STREAM, '*', 'job', String(each));
      await pipeline.exec();
    }
    await Promise.all(consumers);
    const summary = (await producer.xpending(STREAM, GROUP)) as [number, string, string, [string, string][]];
    expect(done.size + summary[0]).toBe(JOBS);
    expect(summary[3].map(([name]) => name)).toEqual(['dies', 'dies, too']);

    await server.kill9();
    server = await server.restart();
    const rescuer = connect();
    expect(await rescuer.xpending(STREAM, GROUP)).toEqual(summary);
    for (let cursor = '0-0'; ; ) {
      const claimed = await rescuer.xautoclaim(STREAM, GROUP, 'rescuer', 0, cursor, 'COUNT', 7);
      const [next, entries, gone] = claimed as [string, Entry[], string[]];
      expect(gone).toEqual([]);
      for (const [id, [, job]] of entries) {
        done.set(job!, (done.get(job!) ?? 0) + 1);
        await rescuer.xack(STREAM, GROUP, id);
      }
      cursor = next;
      if (cursor === '0-0') break;
    }
    expect([...done.values()].every((times) => times === 1)).toBe(true);
    expect(done.size).toBe(JOBS);
    const groups = (await rescuer.xinfo('GROUPS', STREAM)) as unknown[][];
    expect(groups[0]).toContain(JOBS);
    expect(await rescuer.xlen(STREAM)).toBe(JOBS);
    expect(await rescuer.xtrim(STREAM, 'MAXLEN', '~', 100)).toBe(JOBS - 100);
  });
});
