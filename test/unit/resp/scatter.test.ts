import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
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
  const asked: string[] = [];
  const keyspace = new Keyspace('k');
  const grow = () => {
    const { places } = keyspace;
    const place: ShardPlace = { shard: places.length, store: `s${places.length}`, local: undefined };
    keyspace.places = [...places, place];
  };
  grow();
  grow();
  const link = {
    isCongested: false,
    send: (receiver: ReplyReceiver, frame: Buffer) => {
      asked.push(/\d+\/\d+/.exec(frame.latin1Slice())![0]);
      const reply = Buffer.from(replies.shift() ?? OK);
      queueMicrotask(() => receiver.deliver(reply, 0));
    },
  };
  const server = {
    config: { values: { 'cluster-node-timeout': 10_000 } },
    links: { to: () => link as unknown as Link },
    forwardedCommands: 0,
  } as unknown as RespServer;
  const run = (name: string) =>
    new Promise<string>((resolve) => {
      const connection = {
        session: new Session(1),
        pushReady: () => undefined,
        countUnderWay: () => undefined,
        replies: { reserve: () => ({ deliver: (bytes: Buffer) => resolve(bytes.latin1Slice()) }) },
      } as unknown as Connection;
      const words = [Buffer.from(name)];
      scatter(server, connection, findCommand(name)!, words, words[0]!, keyspace);
    });
  return { asked, grow, run };
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
