import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { seeded } from '../support/replay.js';
import { textOf } from '../support/reply.js';
import { TestServer } from '../support/server.js';

const KEYS = 40;

/** Values that differ in every byte, of some that are cut into parts and some that go out with many others. */
const valueAt = (key: number) => `${String.fromCharCode(48 + key)}`.repeat(1000 + key * 4000);

describe('large replies, whose memory is used again', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
  });

  afterAll(() => server.stop());

  test('are whole for who reads at once, who reads slowly and who leaves', () =>
    seeded(1, async (random) => {
      const writer = await server.connect();
      for (let key = 0; key < KEYS; key++) await writer.command('SET', `key:${key}`, valueAt(key));
      const wrong: string[] = [];
      const ask = async (client: RawClient, count: number) => {
        const keys = Array.from({ length: count }, () => random.int(0, KEYS - 1));
        const replies = client.pipeline(keys.map((key) => ['GET', `key:${key}`]));
        return (await replies).forEach((reply, index) => {
          if (textOf(reply) !== valueAt(keys[index]!)) wrong.push(`key:${keys[index]}`);
        });
      };
      const fast = Array.from({ length: 8 }, async () => {
        const client = await server.connect();
        for (let round = 0; round < 40; round++) await ask(client, random.int(1, 6));
        client.close();
      });
      const slow = Array.from({ length: 3 }, async () => {
        const [client, other] = [await server.connect(), await server.connect()];
        for (let round = 0; round < 5; round++) {
          client.socket.pause();
          const asked = ask(client, 50);
          // Others get replies meanwhile, more than sockets hold.
          await ask(other, 20);
          client.socket.resume();
          await asked;
        }
        client.close();
        other.close();
      });
      const leaving = Array.from({ length: 10 }, async () => {
        const [client, other] = [await server.connect(), await server.connect()];
        client.socket.pause();
        const asked = ask(client, 60).catch(() => undefined);
        await ask(other, 5);
        other.close();
        client.socket.destroy();
        await asked;
      });
      await Promise.all([...fast, ...slow, ...leaving]);
      writer.close();
      expect(wrong).toEqual([]);
    }));
});
