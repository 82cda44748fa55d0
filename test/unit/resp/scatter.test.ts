import { Buffer } from 'node:buffer';
import { describe, expect, test, vi } from 'vitest';
import { shardsOfSlots } from '../../../src/cluster/jump-hash.js';
import type { Link } from '../../../src/cluster/link.js';
import type { ReplyReceiver } from '../../../src/cluster/link-request.js';
import { findCommand } from '../../../src/commands/table.js';
import { Keyspace, type ShardPlace } from '../../../src/node/keyspaces.js';
import type { Connection } from '../../../src/resp/connection.js';
import { scatter } from '../../../src/resp/scatter.js';
import type { RespServer } from '../../../src/resp/server.js';
import { Session } from '../../../src/resp/session.js';

const OK = '+OK\r\n';
const MOVED = '-VASTOMOVED shard 1 is not here\r\n';

/** A store whose shards are all elsewhere, and give these replies one after the other, then OK. */
function rig(...replies: string[]) {
  const values = { 'cluster-node-timeout': 10_000 };
  const asked: string[] = [];
  const keyspace = new Keyspace('k');
  const grow = () => {
    const { places } = keyspace;
    const place: ShardPlace = { shard: places.length, store: `s${places.length}`, local: undefined };
    keyspace.places = [...places, place];
    keyspace.shardsOfSlots = shardsOfSlots(keyspace.places.length);
  };
  grow();
  grow();
  const orphan = (shard: number) => {
    keyspace.places = keyspace.places.map((place) =>
      place.shard === shard ? { ...place, store: '' } : place,
    );
  };
  const link = {
    isCongested: false,
    send: (receiver: ReplyReceiver, frame: Buffer) => {
      asked.push(/\d+\/\d+/.exec(frame.latin1Slice())![0]);
      const reply = Buffer.from(replies.shift() ?? OK);
      queueMicrotask(() => receiver.deliver(reply, 0));
    },
  };
  const server = {
    config: { values },
    links: {
      to: (store: string) => {
        if (store === '') throw new Error('there is no store that it could lead to');
        return link as unknown as Link;
      },
    },
    forwardedCommands: 0,
  } as unknown as RespServer;
  const run = (...words: string[]) =>
    new Promise<string>((resolve) => {
      const connection = {
        session: new Session(1),
        pushReady: () => undefined,
        countUnderWay: () => undefined,
        replies: { reserve: () => ({ deliver: (bytes: Buffer) => resolve(bytes.latin1Slice()) }) },
      } as unknown as Connection;
      const args = words.map((word) => Buffer.from(word));
      scatter(server, connection, findCommand(words[0]!)!, args, args[0]!, keyspace);
    });
  return { asked, grow, orphan, run, values };
}

describe('FLUSHDB over several shards', () => {
  test('empties a shard once though another one has moved', async () => {
    const { asked, run } = rig(OK, MOVED, MOVED);
    expect(await run('flushdb')).toBe(OK);
    expect(asked).toEqual(['0/2', '1/2', '1/2', '1/2']);
  });

  test('empties all again when there are more of them meanwhile', async () => {
    const { asked, grow, run } = rig(OK, MOVED);
    const reply = run('flushdb');
    grow();
    expect(await reply).toBe(OK);
    expect(asked).toEqual(['0/2', '1/2', '0/3', '1/3', '2/3']);
  });
});

describe('a part that is asked again', () => {
  // The first of the keys is in shard 0, the second one in shard 1.
  test.each([['flushdb'], ['dbsize'], ['del', 'b', 'a'], ['mget', 'b', 'a']])(
    'fails at once where its shard has become nobody’s: %s',
    async (...words) => {
      const { orphan, run } = rig(OK, MOVED);
      const reply = run(...words);
      orphan(1);
      expect(await reply).toMatch(/^-CLUSTERDOWN shard 1 of keyspace .* is on no store/);
    },
  );
});

test('a part is not asked again for ever where the clock was set back meanwhile', async () => {
  const { run, values } = rig(OK, ...new Array<string>(100).fill(MOVED));
  values['cluster-node-timeout'] = 50;
  const { now } = Date;
  const reply = run('del', 'b', 'a');
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000);
  expect(await reply).toMatch(/^-CLUSTERDOWN/);
  clock.mockRestore();
});
