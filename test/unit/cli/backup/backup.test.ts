import { Buffer } from 'node:buffer';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { AdminContext } from '../../../../src/cli/admin-actions.js';
import { backup } from '../../../../src/cli/backup/backup.js';
import { readManifest } from '../../../../src/cli/backup/directory.js';
import type { ClusterClient, TopologyView } from '../../../../src/cli/cluster-client.js';
import type { Reply } from '../../../../src/cli/reply.js';
import { ConnectionError, type RespConnection } from '../../../../src/cli/resp-connection.js';
import { pause, temporaryDir } from '../../../support/environment.js';

const integer = (value: number): Reply => ({ type: 'integer', value: BigInt(value) });
const OPENED: Reply = {
  type: 'map',
  items: Object.entries({ snapshot: 7, 'taken-at-ms': 1, keys: 2, bytes: 3, epoch: 4, shards: 1 }).flatMap(
    ([name, value]) => [{ type: 'simple', text: name } as const, integer(value)],
  ),
};
const part = (isDone: number): Reply => ({
  type: 'array',
  items: [integer(isDone), integer(1), { type: 'bulk', data: Buffer.from('rows') }],
});

/** A cluster of one store that gives these replies to READ of the first shard; others have no end. */
function rig(...reads: (Reply | Error)[]) {
  return rigOf(1, ...reads);
}

function rigOf(shards: number, ...reads: (Reply | Error)[]) {
  const told: string[] = [];
  const connection = {
    command: async (words: readonly string[]) => {
      told.push(words.slice(1).join(' '));
      if (words[1] === 'OPEN') return OPENED;
      if (words[1] === 'CLOSE') return { type: 'simple', text: 'OK' };
      if (words[3] !== '0') await pause(1);
      if (words[3] !== '0') return part(0);
      const reply = reads.shift() ?? part(1);
      if (reply instanceof Error) throw reply;
      return reply;
    },
    close: () => told.push('closed'),
  };
  const keyspace = {
    id: 'k1',
    name: 'orders',
    db: null,
    shards,
    replicas: 1,
    tags: [],
    placement: Array.from({ length: shards }, () => ['s']),
  };
  const cluster = {
    topology: async () => ({ keyspaces: [keyspace] }) as unknown as TopologyView,
    openStore: async () => connection as unknown as RespConnection,
  } as Partial<ClusterClient> as ClusterClient;
  const nothing = () => undefined;
  const context: AdminContext = {
    cluster,
    isJson: true,
    out: nothing,
    err: nothing,
    errIsTerminal: false,
    ask: undefined,
  };
  const directory = join(temporaryDir(), 'backup');
  const run = () => backup(context, 'orders', directory, { replaces: false, bytesPerSecond: undefined });
  return { told, directory, run };
}

const OPEN = 'OPEN k1 0';
const READ = 'READ k1 0 7';
const CLOSE = 'CLOSE k1 0 7';

describe('a backup', () => {
  it('reads a snapshot to its end', async () => {
    const { told, directory, run } = rig(part(0), part(0));
    await run();
    expect(told).toEqual([OPEN, READ, READ, READ, READ, 'closed']);
    expect(await readManifest(directory)).toMatchObject({ keys: 3, files: [{ takenAtMs: 1 }] });
  });

  it('that fails lets go of the snapshot that it was reading', async () => {
    const { told, directory, run } = rig(part(0), { type: 'error', text: 'ERR the disk is broken' });
    await expect(run()).rejects.toThrow('the disk is broken');
    expect(told.slice(-2)).toEqual([CLOSE, 'closed']);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('does so before it tries again, also where that does not help', async () => {
    const { told, run } = rig(part(0), new ConnectionError('it is lost'));
    await run();
    const again = told.indexOf(OPEN, 1);
    expect(told.slice(again - 2, again)).toEqual([CLOSE, 'closed']);
    expect(told.slice(again)).toEqual([OPEN, READ, READ, 'closed']);
  });

  it('that fails at one shard does not go on with the others', async () => {
    const { told, run } = rigOf(3, { type: 'error', text: 'ERR the disk is broken' });
    await expect(run()).rejects.toThrow('the disk is broken');
    expect(told).toEqual(expect.arrayContaining([CLOSE, 'CLOSE k1 1 7', 'CLOSE k1 2 7']));
  });
});
