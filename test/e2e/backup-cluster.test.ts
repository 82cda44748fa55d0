import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { readManifest } from '../../src/cli/backup/directory.js';
import { keyspaceByName } from '../../src/cluster/topology.js';
import { adminAt, adminOf, readBackup } from '../support/backups.js';
import { haveOpenssl, TestAuthority } from '../support/certificates.js';
import type { RawClient } from '../support/client.js';
import { TestCluster } from '../support/cluster.js';
import { freePort, temporaryDir, waitUntil } from '../support/environment.js';
import { numberOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

const ROWS = 2000;
const VALUE = 'x'.repeat(300);
const ELEMENTS = 8000;

async function fill(client: RawClient): Promise<number> {
  for (let from = 0; from < ROWS; from += 1000)
    await client.pipeline(
      Array.from({ length: 1000 }, (_, index) => ['SET', `row:${from + index}`, `${from + index} ${VALUE}`]),
    );
  const pairs = Array.from({ length: ELEMENTS }, (_, index) => [
    `field ${index} of the hash`,
    `value ${index}`,
  ]);
  await client.command('HSET', 'hash', ...pairs.flat());
  await client.command('SET', 'timed', 'v', 'EVENTTIME', Date.now() - 86_400_000);
  return ROWS + 2;
}

/** Bytes in files of a directory. */
function bytesIn(directory: string): number {
  try {
    return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  } catch {
    return 0;
  }
}

describe.skipIf(SUBJECT === 'redis')('a backup of a cluster', () => {
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    await cluster?.stop();
    cluster = undefined;
  });

  async function selected(keyspace: string, store = 0): Promise<RawClient> {
    const client = await cluster!.stores[store]!.connect();
    expect(await client.rendered('SELECT', keyspace)).toBe('+OK');
    return client;
  }

  /** Of each copy of each shard how many keys it has, as the store that holds it says. */
  async function keysOfCopies(name: string): Promise<number[][]> {
    const topology = await cluster!.control.fetchTopology();
    const { id, shards } = keyspaceByName(topology, name)!;
    return Promise.all(
      shards.map(({ stores }, shard) =>
        Promise.all(
          stores.map(async (store) => {
            const { port } = topology.stores.get(store)!;
            const client = await cluster!.stores.find((node) => node.port === port)!.connect3();
            const state = await client.command('VASTO.RESTORE', 'STATE', id, shard);
            client.close();
            if (state.type !== 'map') throw new Error('no state');
            return numberOf(state.items[1]!);
          }),
        ),
      ),
    );
  }

  test('goes on when a store is killed and comes back, and so does the restore to other shards and copies', {
    timeout: 240_000,
  }, async () => {
    cluster = await TestCluster.start({ stores: 3 });
    await cluster.createKeyspace('orders', { shards: 3, replicas: 1 });
    const client = await selected('orders');
    const keys = await fill(client);
    const directory = join(temporaryDir(), 'orders');

    const making = adminOf(cluster, 'backup', 'orders', directory, '--rate', '0.5', '--json');
    await waitUntil('some of the backup is there', () => bytesIn(directory) > 200_000, 30_000);
    await cluster.stores[1]!.kill9();
    await cluster.stores[1]!.start();
    const made = await making;
    expect([made.stderr, made.code]).toEqual(['', 0]);
    expect(JSON.parse(made.stdout).backup).toMatchObject({ keys, keyspace: { shards: 3 } });

    const restoring = adminOf(
      cluster,
      ...['restore', directory, 'copies', '--shards', '4', '--replicas', '2'],
      ...['--rate', '0.5', '--json'],
    );
    const owned = async () => (await keysOfCopies('copies').catch(() => [])).flat();
    await waitUntil(
      'some of it is restored',
      async () => (await owned()).some((count) => count > 100),
      30_000,
    );
    await cluster.stores[2]!.kill9();
    await cluster.stores[2]!.start();
    const restored = await restoring;
    expect([restored.stderr, restored.code]).toEqual(['', 0]);
    let copies: number[][] = [];
    // Where the store was away for long, others took its shards over, and give them back now.
    await waitUntil(
      'the copies are at rest',
      async () => {
        copies = await keysOfCopies('copies').catch(() => []);
        return copies.length === 4;
      },
      60_000,
    );
    expect(copies.map(([owner, copy]) => owner === copy)).toEqual([true, true, true, true]);
    expect(copies.reduce((sum, [owner]) => sum + owner!, 0)).toBe(keys);
    const again = join(temporaryDir(), 'copies');
    expect((await adminOf(cluster, 'backup', 'copies', again)).code).toBe(0);
    expect(await readBackup(again)).toEqual(await readBackup(directory));
    // What is written now is later, on every copy.
    const writer = await selected('copies');
    await writer.command('SET', 'row:7', 'later');
    expect(await writer.text('GET', 'row:7')).toBe('later');
    expect(await writer.rendered('HGET', 'hash', 'field 7777 of the hash')).toContain('value 7777');
    for (const each of [client, writer]) each.close();
  });

  test('is not said to be restored where a copy came meanwhile, until that has all of it', {
    timeout: 120_000,
  }, async () => {
    cluster = await TestCluster.start({ stores: 2 });
    await cluster.createKeyspace('orders', { shards: 1 });
    await cluster.createKeyspace('copied', { shards: 1 });
    const client = await selected('orders');
    const keys = await fill(client);
    const directory = join(temporaryDir(), 'orders');
    expect((await adminOf(cluster, 'backup', 'orders', directory)).code).toBe(0);
    const restoring = adminOf(cluster, 'restore', directory, 'copied', '--rate', '0.2');
    const some = async () => (await keysOfCopies('copied'))[0]![0]! > 100;
    await waitUntil('some of it is restored', some, 30_000);
    await cluster.control.beginChange({ kind: 'replicas', keyspace: 'copied', replicas: 2 });
    const restored = await restoring;
    expect([restored.code, restored.stderr]).toEqual([
      1,
      expect.stringMatching(/got other copies .* may lack a part of the backup\n.*restore --merge/),
    ]);
    const merged = await adminOf(cluster, 'restore', directory, 'copied', '--merge');
    expect([merged.stderr, merged.code]).toEqual(['', 0]);
    expect(await keysOfCopies('copied')).toEqual([[keys, keys]]);
    client.close();
  });

  test.each([8, 4])(
    'has each key once though the keyspace gets %i shards meanwhile',
    {
      timeout: 240_000,
    },
    async (shards) => {
      cluster = await TestCluster.start({ stores: 2 });
      // Not all of them are read at the same time.
      await cluster.createKeyspace('orders', { shards: 6 });
      const client = await selected('orders');
      const keys = await fill(client);
      const directory = join(temporaryDir(), 'orders');
      // Those that go are to be read when they have gone.
      const rate = shards < 6 ? '0.15' : '0.5';
      const making = adminOf(cluster, 'backup', 'orders', directory, '--rate', rate, '--json');
      await waitUntil('some of the backup is there', () => bytesIn(directory) > 200_000, 30_000);
      await cluster.control.beginChange({ kind: 'resize', keyspace: 'orders', shards });
      const begunMs = Date.now();
      const made = await making;
      expect([made.stderr, made.code]).toEqual(['', 0]);
      expect(JSON.parse(made.stdout).backup).toMatchObject({ keys });
      expect((await readBackup(directory)).size).toBe(keys);
      // What was read before would not fit to the rest.
      const { files } = await readManifest(directory);
      expect(Math.min(...files.map(({ takenAtMs }) => takenAtMs))).toBeGreaterThan(begunMs - 1000);
      client.close();
    },
  );

  test('is made with the secret of the cluster, and not without', async () => {
    const secret = join(temporaryDir(), 'secret');
    writeFileSync(secret, 'of the cluster', { mode: 0o600 });
    cluster = await TestCluster.start({ stores: 1, gateways: 1, flags: ['--cluster-secret-file', secret] });
    await cluster.createKeyspace('orders', { shards: 2 });
    const client = await selected('orders');
    await client.command('SET', 'a', '1');
    const directory = join(temporaryDir(), 'orders');
    const refused = await adminOf(cluster, 'backup', 'orders', directory);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('set cluster-secret')]);
    const made = await adminOf(cluster, 'backup', 'orders', directory, '--secret-file', secret);
    expect([made.stderr, made.code]).toEqual(['', 0]);
    const restored = await adminOf(
      cluster,
      'restore',
      directory,
      'again',
      '--shards',
      '3',
      '--secret-file',
      secret,
    );
    expect([restored.stderr, restored.code]).toEqual(['', 0]);
    // The gateway has nothing of it: the only store has.
    const more = await adminAt(cluster.gateways[0]!.port, 'restore', directory, 'through', '--json');
    expect([more.stderr, more.code]).toEqual(['', 0]);
    expect(JSON.parse(more.stdout).restored).toMatchObject({ applied: 1, shards: 2 });
    client.close();
  });

  test.skipIf(!haveOpenssl())(
    'goes over TLS, with a password, through a master and through a gateway; not where a copy is away',
    {
      timeout: 120_000,
    },
    async () => {
      const authority = new TestAuthority();
      const { cert, key } = authority.issue('node');
      const ports = [await freePort(), await freePort(), await freePort()];
      const files = ['--tls-ca-cert-file', authority.ca, '--tls-cert-file', cert, '--tls-key-file', key];
      cluster = await TestCluster.start({
        stores: 2,
        gateways: 1,
        flags: ['--tls-cluster', 'yes', ...files],
        storeFlags: (store) => ['--tls-port', String(ports[store])],
        gatewayFlags: ['--tls-port', String(ports[2])],
      });
      await cluster.createKeyspace('orders', { shards: 2, replicas: 2 });
      const client = await selected('orders');
      for (let row = 0; row < 20; row++) await client.command('SET', `row:${row}`, 'v');
      client.close();
      for (const node of cluster.nodes)
        expect(await node.ask('CONFIG', 'SET', 'requirepass', 'pw')).toBe('+OK');
      const tls = ['--tls', '--cacert', authority.ca, '--cert', cert, '--key', key];
      const directory = join(temporaryDir(), 'orders');
      const making = ['backup', 'orders', directory, ...tls];
      const refused = await adminOf(cluster, ...making);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('--password')]);
      const made = await adminOf(cluster, ...making, '--password', 'pw');
      expect([made.stderr, made.code]).toEqual(['', 0]);
      const restoring = [
        'restore',
        directory,
        'again',
        '--shards',
        '3',
        ...tls,
        '--password',
        'pw',
        '--json',
      ];
      const restored = await adminAt(ports[2]!, ...restoring);
      expect([restored.stderr, restored.code]).toEqual(['', 0]);
      expect(JSON.parse(restored.stdout).restored).toMatchObject({ applied: 20, shards: 3 });
      await cluster.stores[1]!.kill9();
      await waitUntil('the master knows', async () =>
        (await cluster!.control.stores()).some(({ alive }) => !alive),
      );
      const partly = await adminOf(
        cluster,
        'restore',
        directory,
        'again',
        '--merge',
        ...tls,
        '--password',
        'pw',
      );
      expect([partly.code, partly.stderr]).toEqual([
        1,
        expect.stringMatching(
          new RegExp(
            `keyspace again has copies on .*:${cluster.stores[1]!.port}, which is away: .*store replace`,
          ),
        ),
      ]);
    },
  );

  test('is made with the password of a server, and not without', async () => {
    const server = await TestServer.start({ workers: 1, password: 'pw', flags: ['--requirepass', 'pw'] });
    const client = await server.connect();
    await client.command('AUTH', 'pw');
    await client.command('SET', 'a', '1');
    const directory = join(temporaryDir(), 'db0');
    const refused = await adminAt(server.port, 'backup', 'db0', directory);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('wants a password')]);
    const made = await adminAt(server.port, 'backup', 'db0', directory, '--password', 'pw');
    expect([made.stderr, made.code]).toEqual(['', 0]);
    client.close();
    await server.stop();
  });

  test('that is interrupted is of no use, and says so', async () => {
    const server = await TestServer.start({ workers: 1 });
    const client = await server.connect();
    await fill(client);
    const directory = join(temporaryDir(), 'db0');
    const making = adminAt(server.port, 'backup', 'db0', directory, '--rate', '0.2');
    await waitUntil('some of the backup is there', () => bytesIn(directory) > 200_000, 30_000);
    const { process: id } = JSON.parse(readFileSync(join(directory, 'unfinished.json'), 'utf8')) as {
      process: number;
    };
    process.kill(id, 'SIGKILL');
    expect((await making).code).toBe(null);
    const refused = await adminAt(server.port, 'restore', directory, 'never');
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(
        /the backup in .* was not finished: that of keyspace db0, begun at .*make another one/,
      ),
    ]);
    const made = await adminAt(server.port, 'backup', 'db0', directory);
    expect([made.stderr, made.code]).toEqual(['', 0]);
    expect(readdirSync(directory)).toHaveLength(2);
    client.close();
    await server.stop();
  });
});
