import { connect, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { MASTER_MESSAGE_BYTES_MAX, MASTER_MESSAGES_WAITING_MAX } from '../../../src/base/limits.js';
import type { TopologyListener } from '../../../src/cluster/follower.js';
import type { KeyspaceRequest, TaskProgress } from '../../../src/cluster/manager.js';
import { masterMethods } from '../../../src/master/proto.js';
import { callOnce } from '../../../src/master/reach.js';
import type { WireStoreMessage } from '../../../src/master/wire-types.js';
import { freePort, waitUntil } from '../../support/environment.js';
import { FakeStore, storeEntry } from '../../support/fake-cluster.js';
import { clientOf, GrpcMaster, NotingListener } from '../../support/grpc-master.js';

const ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function started(...args: Parameters<typeof GrpcMaster.start>): Promise<GrpcMaster> {
  const master = await GrpcMaster.start(...args);
  ends.push(() => master.close());
  return master;
}

/** A master with stores that have registered. */
async function cluster(count: number): Promise<[GrpcMaster, FakeStore[]]> {
  const grpc = await started();
  const stores = grpc.stores(count);
  await waitUntil('the stores are up', () => stores.every(({ clusterId }) => clusterId !== ''));
  return [grpc, stores];
}

function request(name: string, facts: Partial<KeyspaceRequest> = {}): KeyspaceRequest {
  return { name, shards: 1, replicas: 1, tags: [], ...facts };
}

async function failure(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'none',
    (error: Error & { code?: string }) => `${error.code} ${error.message}`,
  );
}

/** A bare gRPC client, for what ours would never say. */
function bare(grpc: GrpcMaster): Client {
  const client = new Client(grpc.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_send_message_length': -1,
  });
  ends.push(() => client.close());
  return client;
}

describe('a master over gRPC', () => {
  it('takes stores in, and changes what they hold', async () => {
    const [grpc, [one, two]] = await cluster(2);
    expect(one!.clusterId).toMatch(/^[0-9a-f]{16}$/);
    expect(two!.clusterId).toBe(one!.clusterId);
    const client = grpc.client();
    const entry = await client.createKeyspace(request('orders', { shards: 4, db: 7, tags: [] }));
    expect(entry).toMatchObject({ name: 'orders', db: 7, replicas: 1, deleted: false });
    expect(new Set(entry.shards.map(({ stores }) => stores[0]))).toEqual(new Set([one!.id, two!.id]));
    for (const store of [one!, two!]) expect(store.topology.keyspaces.get(entry.id)).toEqual(entry);
    expect((await client.fetchTopology()).keyspaces.get(entry.id)).toEqual(entry);
    await client.swapDatabases(7, 8);
    expect((await client.fetchTopology()).keyspaces.get(entry.id)!.db).toBe(8);
    await client.deleteKeyspace('orders');
    expect(one!.topology.keyspaces.get(entry.id)!.deleted).toBe(true);
    expect((await client.stores()).map(({ entry: { id }, alive }) => [id, alive])).toEqual([
      [one!.id, true],
      [two!.id, true],
    ]);
  });

  it('says what it refuses, and why, in each of its ways', async () => {
    const [grpc, [one]] = await cluster(1);
    const client = grpc.client();
    await client.createKeyspace(request('a'));
    expect(await failure(client.createKeyspace(request('a b')))).toMatch(/^INVALID a name is/);
    expect(await failure(client.createKeyspace(request('a')))).toMatch(
      /^EXISTS there is a keyspace a already/,
    );
    expect(await failure(client.deleteKeyspace('b'))).toBe('NOT_FOUND there is no keyspace "b"');
    expect(await failure(client.createKeyspace(request('b', { tags: ['ssd'] })))).toMatch(
      /^IMPOSSIBLE cannot/,
    );
    one!.onTopology = () => 'the disk is full';
    expect(await failure(client.createKeyspace(request('c')))).toMatch(
      /^FAILED keyspace c was not created: .*full/,
    );
    one!.onTopology = () => undefined;
    const pending = failure(client.createKeyspace(request('d')));
    await waitUntil('it is under way', () => one!.heard.length > 4);
    await waitUntil('it is locked', async () =>
      (await failure(client.deleteKeyspace('d'))).startsWith('BUSY keyspace d is being created'),
    );
    one!.leave();
    expect(await pending).toMatch(/^FAILED keyspace d was not created/);
  });

  it('makes one of many that are asked for at once', async () => {
    const [grpc] = await cluster(2);
    const clients = Array.from({ length: 8 }, () => grpc.client());
    const entries = await Promise.all(
      clients.map((client) => client.createKeyspace(request('db3', { db: 3, mayExist: true }))),
    );
    expect(new Set(entries.map(({ id }) => id)).size).toBe(1);
    const outcomes = await Promise.all(clients.map((client) => failure(client.createKeyspace(request('x')))));
    expect(outcomes.filter((outcome) => outcome === 'none')).toHaveLength(1);
    for (const outcome of outcomes) expect(outcome).toMatch(/^(none|EXISTS|BUSY)/);
  });

  it('tells followers topologies and events, and goes on telling them after it was away', async () => {
    const [grpc] = await cluster(1);
    const client = grpc.client();
    const listener = new NotingListener();
    const stop = client.follow(listener);
    await waitUntil('it is told', () => listener.heard.length === 2);
    expect(listener.heard).toEqual(['connected', 'topology 1 []']);
    await client.createKeyspace(request('a'));
    await waitUntil('it is told', () => listener.heard.length === 4);
    expect(listener.heard.slice(2)).toEqual(['topology 1 [a]', 'keyspace a created: 1 shard on 1 store']);
    await grpc.stop();
    await waitUntil('it knows', () => listener.heard.at(-1) === 'gone');
    await started({}, '', grpc.port);
    await waitUntil('it is told', () => listener.heard.slice(4).includes('topology 1 [a]'));
    stop();
    const heard = listener.heard.length;
    await client.createKeyspace(request('b'));
    expect(listener.heard).toHaveLength(heard);
  });

  it('knows everything again when it is started anew', async () => {
    const [grpc, stores] = await cluster(3);
    const client = grpc.client({ patienceMs: 10_000 });
    const entry = await client.createKeyspace(request('orders', { shards: 6 }));
    await grpc.stop();
    // Asked while there is nobody: answered when there is, and when what the stores know is known.
    const topology = client.fetchTopology();
    const again = await started({ settleMs: 1500 }, '', grpc.port);
    expect((await topology).keyspaces.get(entry.id)).toEqual(entry);
    expect((await topology).clusterId).toBe(stores[0]!.clusterId);
    await waitUntil('all are back', async () => (await client.stores()).every(({ alive }) => alive));
    expect(again.log.filter((line) => line.endsWith('is back'))).toHaveLength(3);
    expect(await failure(client.createKeyspace(request('orders')))).toMatch(/^EXISTS/);
  });

  it('shows how far a long task is, and ends it with its outcome', async () => {
    const [grpc, [store]] = await cluster(1);
    const client = grpc.client();
    await client.createKeyspace(request('a', { shards: 2 }));
    store!.onCompact = ({ task, shard }) => {
      const tell = (done: number) =>
        store!.stream?.send({ kind: 'progress', task, progress: { done, total: 100, phase: '' } });
      tell(50);
      setImmediate(() => {
        tell(100);
        store!.stream?.send({
          kind: 'finished',
          task,
          ...(shard === 1 && isBroken ? { error: 'no space' } : {}),
        });
      });
    };
    let isBroken = false;
    const seen: TaskProgress[] = [];
    await client.compactKeyspace('a', (progress) => seen.push(progress));
    expect(seen.at(-1)).toEqual({ done: 200, total: 200, phase: '2 of 2 shards compacted' });
    isBroken = true;
    expect(await failure(client.compactKeyspace('a', () => undefined))).toMatch(
      /^FAILED keyspace a was not compacted everywhere: .*no space/,
    );
    expect(await failure(client.compactKeyspace('b', () => undefined))).toMatch(/^NOT_FOUND/);
  });

  it('hears when a store leaves, and when its connection breaks', async () => {
    const [grpc, [one]] = await cluster(2);
    one!.leave();
    await waitUntil('it is noticed', () => grpc.log.some((line) => line.endsWith('is gone: it left')));
  });
});

describe('who is not let in', () => {
  it('those without the secret; they learn why, and a node goes on trying', async () => {
    const grpc = await started({}, 'cluster-secret right');
    expect(await failure(grpc.client({}, 'cluster-secret wrong').stores())).toMatch(
      /^IMPOSSIBLE the master at .* does not know this node: wrong secret/,
    );
    const warnings: string[] = [];
    const logger = { notice: () => undefined, warning: (text: string) => void warnings.push(text) };
    const client = grpc.client({ logger });
    const store = new FakeStore(storeEntry(1));
    client.keepRegistered({ converse: (stream) => store.connect(stream) });
    await waitUntil('it is told', () => warnings.length > 0);
    expect(warnings[0]).toMatch(/nodes of this cluster show a secret: set cluster-secret; trying again/);
    expect(client.problem).toContain('set cluster-secret');
    expect((await grpc.client({}, 'cluster-secret right').stores()).length).toBe(0);
    expect(store.heard).toEqual([]);
  });

  it('a store of another cluster, which does not come again by itself', async () => {
    const [grpc] = await cluster(1);
    const stranger = new FakeStore(storeEntry(9));
    stranger.topology = { ...stranger.topology, clusterId: 'another' };
    let conversations = 0;
    grpc.client().keepRegistered({
      converse: (stream) => {
        conversations++;
        stranger.connect(stream);
      },
    });
    await waitUntil('it is refused', () => stranger.refusal !== undefined);
    expect(stranger.refusal).toMatch(
      /^it belongs to the cluster another, and this master serves the cluster/,
    );
    await pause(500);
    expect(conversations).toBe(1);
    expect((await grpc.client().stores()).length).toBe(1);
  });

  it('what speaks another protocol; others are not disturbed', async () => {
    const [grpc] = await cluster(1);
    const socket = connect({ host: '127.0.0.1', port: grpc.port });
    socket.on('error', () => undefined).resume();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write('PING\r\nPING\r\n');
    await closed;
    expect((await grpc.client().stores()).length).toBe(1);
  });
});

describe('what is too much', () => {
  it('a message beyond the limit ends its call alone', async () => {
    const [grpc] = await cluster(1);
    const client = bare(grpc);
    const name = 'x'.repeat(MASTER_MESSAGE_BYTES_MAX + 1);
    const error = await callOnce(client, masterMethods().DeleteKeyspace, { name }, 20_000).catch(
      (failed: unknown) => failed,
    );
    expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect((await grpc.client().stores()).length).toBe(1);
  });

  it('a malformed message ends its conversation alone', async () => {
    const [grpc] = await cluster(1);
    const { path, requestSerialize, responseDeserialize } = masterMethods().Register;
    const call = bare(grpc).makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
    );
    const ended = new Promise((resolve) => call.once('error', resolve));
    call.on('data', () => undefined);
    call.write({ applied: { epoch: 2 ** 60 } } satisfies WireStoreMessage);
    expect(await ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: 'malformed message: epoch is not a whole number up to 2^53',
    });
    expect((await grpc.client().stores()).length).toBe(1);
  });

  it('a follower that does not read is told no more, and hears so when it reads', async () => {
    const grpc = await started();
    const listeners: TopologyListener[] = [];
    let followers = 0;
    grpc.master.follow = (listener) => {
      listeners.push(listener);
      followers++;
      return () => followers--;
    };
    const { path, requestSerialize, responseDeserialize } = masterMethods().Follow;
    const call = bare(grpc).makeServerStreamRequest(path, requestSerialize, responseDeserialize, {});
    const ended = new Promise((resolve) => call.once('error', resolve));
    await new Promise((resolve) => call.once('metadata', resolve));
    const text = 'x'.repeat(1000);
    let told = 0;
    while (followers > 0 && told < 10_000) listeners[0]!.event({ atMs: told++, text });
    // What is on its way, in gRPC and in the kernel, does not count.
    expect(told).toBeGreaterThan(MASTER_MESSAGES_WAITING_MAX);
    expect(followers).toBe(0);
    call.on('data', () => undefined);
    expect(await ended).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: 'this follower does not read',
    });
  });

  it('a follower that is behind is told the latest topology, not each', async () => {
    const [grpc] = await cluster(1);
    const listener = new NotingListener();
    const original = grpc.master.follow.bind(grpc.master);
    grpc.master.follow = (follower) => {
      for (let epoch = 1; epoch <= 5; epoch++)
        follower.topology({ ...grpc.master.topology, clusterId: `c${epoch}` });
      return original(follower);
    };
    grpc.client().follow(listener);
    await waitUntil('it is told', () => listener.heard.length > 2);
    // The one that was being sent, and the last one.
    expect(listener.heard).toEqual(['connected', 'topology 1 []', 'topology 1 []']);
  });
});

describe('several addresses', () => {
  it('are tried in order, and those that are not there are told when none is', async () => {
    const [one, two] = [await freePort(), await freePort()];
    const client = clientOf([`127.0.0.1:${one}`, `127.0.0.1:${two}`], { patienceMs: 0 });
    ends.push(() => client.close());
    const text = await failure(client.stores());
    expect(text).toMatch(
      /^UNAVAILABLE no master can be reached \(connect ECONNREFUSED 127.0.0.1:\d+; connect/,
    );
    await started({}, '', two);
    expect(await client.stores()).toEqual([]);
  });

  it('one that takes connections and says nothing is passed over', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    ends.push(() => void silent.close());
    const grpc = await started();
    const { port } = silent.address() as { port: number };
    const client = clientOf([`127.0.0.1:${port}`, grpc.address], { answerMs: 300 });
    ends.push(() => client.close());
    expect(await client.stores()).toEqual([]);
  });

  it('a client that is closed says so', async () => {
    const client = clientOf([`127.0.0.1:${await freePort()}`]);
    const waiting = failure(client.stores());
    client.close();
    expect(await waiting).toMatch(/^UNAVAILABLE/);
    expect(await failure(client.stores())).toMatch(/^UNAVAILABLE/);
  });
});
