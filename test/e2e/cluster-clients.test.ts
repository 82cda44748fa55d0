import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Cluster } from 'ioredis';
import { createCluster } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { haveOpenssl, TestAuthority } from '../support/certificates.js';
import { RawClient } from '../support/client.js';
import { TestCluster } from '../support/cluster.js';
import { freePort, haveTool, waitUntil } from '../support/environment.js';
import { VASTO_MAIN } from '../support/server.js';
import { StaticCluster } from '../support/static-cluster.js';
import { runTool } from '../support/tools.js';

const STORES = 3;
const KEYS = Array.from({ length: 100 }, (_, index) => `key:${index}`);

let cluster: TestCluster;
/** The stores' doors for the keyspace orders, then that of the gateway. */
let orders: number[];
/** The stores' doors for database 0. */
let numbered: number[];

beforeAll(async () => {
  orders = await Promise.all(Array.from({ length: STORES + 1 }, freePort));
  numbered = await Promise.all(Array.from({ length: STORES }, freePort));
  const door = (port: number, keyspace: string) => ['--cluster-port', String(port), keyspace];
  cluster = await TestCluster.start({
    stores: STORES,
    gateways: 1,
    storeFlags: (store) => [...door(orders[store]!, 'orders'), ...door(numbered[store]!, 'db0')],
    gatewayFlags: door(orders[STORES]!, 'orders'),
  });
  await cluster.createKeyspace('orders', { shards: 8 });
}, 60_000);
afterAll(() => cluster.stop());

function connectIoredis(port: number): Cluster {
  return new Cluster([{ host: '127.0.0.1', port }], { lazyConnect: true });
}

function nodeRedisTo(port: number, RESP: 2 | 3) {
  const client = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }], RESP });
  client.on('error', () => undefined);
  return client;
}

describe('ioredis', () => {
  it('reaches every key, whichever node it begins at, a gateway too', async () => {
    for (const port of orders) {
      const client = connectIoredis(port);
      await client.connect();
      expect(await Promise.all(KEYS.map((key) => client.set(key, `${port} ${key}`)))).toEqual(
        KEYS.map(() => 'OK'),
      );
      expect(await Promise.all(KEYS.map((key) => client.get(key)))).toEqual(
        KEYS.map((key) => `${port} ${key}`),
      );
      const stores = client.nodes('master').map((node) => node.options.port);
      expect(stores.sort()).toEqual(orders.slice(0, STORES).sort());
      const sizes = await Promise.all(client.nodes('master').map((node) => node.dbsize()));
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(KEYS.length);
      expect(sizes.every((size) => size > 0 && size < KEYS.length)).toBe(true);
      expect(await client.mget('{t}1', '{t}2')).toEqual([null, null]);
      await expect(client.mget('a', 'b')).rejects.toThrow('CROSSSLOT');
      expect(await client.multi().set('{t}1', '1').incr('{t}1').exec()).toEqual([
        [null, 'OK'],
        [null, 2],
      ]);
      const pipeline = client.pipeline();
      for (let index = 0; index < 50; index++) pipeline.incr(`{t}n${index}`);
      expect((await pipeline.exec())!.every(([error, value]) => error === null && value === 1)).toBe(true);
      const found: string[] = [];
      for (const node of client.nodes('master'))
        for await (const keys of node.scanStream({ match: 'key:*', count: 10 })) found.push(...keys);
      expect(found.sort()).toEqual([...KEYS].sort());
      await Promise.all(client.nodes('master').map((node) => node.flushall()));
      client.disconnect();
    }
  });

  it('finds a database that nobody has used yet', async () => {
    const client = connectIoredis(numbered[1]!);
    await client.connect();
    expect(await client.set('a', '1')).toBe('OK');
    expect(await client.get('a')).toBe('1');
    // The plain door shows the same keyspace.
    expect(await cluster.stores[2]!.ask('GET', 'a')).toBe('$"1"');
    expect(client.nodes('master')).toHaveLength(1);
    client.disconnect();
  });
});

describe('node-redis', () => {
  it.each([2, 3] as const)('reaches every key in RESP%i', async (version) => {
    const client = nodeRedisTo(orders[version - 2]!, version);
    await client.connect();
    for (const key of KEYS) await client.set(key, `v ${key}`);
    expect(await Promise.all(KEYS.map((key) => client.get(key)))).toEqual(KEYS.map((key) => `v ${key}`));
    expect(client.masters).toHaveLength(STORES);
    expect(await client.multi().set('{t}1', '1').incr('{t}1').exec()).toEqual(['OK', 2]);
    for (const master of client.masters) await (await client.nodeClient(master)).flushAll();
    await client.close();
  });
});

describe.skipIf(!haveTool('redis-cli'))('redis-cli', () => {
  const cli = async (...args: string[]) => {
    const { stdout, stderr } = await runTool('redis-cli', args);
    return (stdout + stderr).trimEnd();
  };

  it('follows to where keys are with -c, and is told without', async () => {
    const port = String(orders[0]);
    let moved = 0;
    for (const key of KEYS.slice(0, 20)) {
      expect(await cli('-c', '-p', port, 'SET', key, '1')).toBe('OK');
      const told = await cli('-p', port, 'GET', key);
      if (told.startsWith('MOVED ')) moved++;
      else expect(told).toBe('1');
    }
    expect(moved).toBeGreaterThan(0);
    expect(moved).toBeLessThan(20);
  });

  it('checks the cluster, and asks all of its nodes', async () => {
    const address = `127.0.0.1:${orders[0]}`;
    const check = await cli('--cluster', 'check', address);
    expect(check).toContain('[OK] All nodes agree about slots configuration.');
    expect(check).toContain('[OK] All 16384 slots covered.');
    expect(await cli('--cluster', 'info', address)).toContain('[OK] 20 keys in 3 masters.');
    const called = await cli('--cluster', 'call', address, 'FLUSHALL');
    expect(called.match(/: OK/g)).toHaveLength(STORES);
  });
});

describe.skipIf(!haveTool('redis-benchmark'))('redis-benchmark', () => {
  it('loads all nodes with --cluster', async () => {
    const words = [
      '--cluster',
      '-p',
      String(orders[1]),
      '-t',
      'set,get,incr',
      '-n',
      '3000',
      '-r',
      '500',
      '-q',
    ];
    const { code, stdout, stderr } = await runTool('redis-benchmark', words);
    expect([code, stderr.replace(/WARNING.*\n/g, '')]).toEqual([0, '']);
    expect(stdout).toContain('Cluster has 3 master nodes');
    expect(stdout.match(/requests per second/g)).toHaveLength(3);
  });
});

/** The Python that has a client for clusters; undefined, loudly, where none has. */
function pythonWithRedis(): string | undefined {
  const names = ['python3', '/usr/bin/python3'];
  const found = names.find((name) => spawnSync(name, ['-c', 'import redis.cluster']).status === 0);
  if (found !== undefined) return found;
  const message = 'SKIPPED: Python has no redis.cluster (python3-redis), the tests that drive it did not run';
  if (process.env.CI === 'true') throw new Error(message);
  console.warn(message);
  return undefined;
}

const PYTHON = pythonWithRedis();

const PROGRAM = `
import sys
from redis.cluster import RedisCluster
client = RedisCluster(host='127.0.0.1', port=int(sys.argv[1]))
client.flushall()
for i in range(200):
    assert client.set('key:%d' % i, i)
assert [client.get('key:%d' % i) for i in range(200)] == [b'%d' % i for i in range(200)]
assert client.dbsize(target_nodes=RedisCluster.PRIMARIES) == 200
assert len(client.get_primaries()) == 3
assert sorted(client.scan_iter('key:*')) == sorted(b'key:%d' % i for i in range(200))
assert client.mget_nonatomic('key:1', 'key:2') == [b'1', b'2']
pipeline = client.pipeline()
for i in range(50):
    pipeline.incr('n:%d' % i)
assert pipeline.execute() == [1] * 50
assert client.cluster_info()['cluster_state'] == 'ok'
nodes = client.cluster_nodes()
assert len(nodes) == 3 and all(node['connected'] and node['slots'] for node in nodes.values())
assert client.cluster_keyslot('foo') == 12182
assert client.cluster_countkeysinslot(client.keyslot('key:1')) >= 1
client.flushall()
print('done')
`;

describe.skipIf(PYTHON === undefined)('redis-py', () => {
  it('reaches every key', async () => {
    const { stdout, stderr } = await runTool(PYTHON!, ['-', String(orders[2])], PROGRAM);
    expect([stdout, stderr]).toEqual(['done\n', '']);
  });
});

describe('vasto bench', () => {
  it('finds all nodes with --cluster, and every value as it was written', async () => {
    const words = [
      'bench',
      '--cluster',
      `127.0.0.1:${orders[0]}`,
      '--requests',
      '3000',
      '--clients',
      '4',
      '--json',
    ];
    const { code, stdout, stderr } = await runTool(process.execPath, [VASTO_MAIN, ...words]);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, check: { enabled: true, failures: 0 } });
  });
});

describe.skipIf(!haveOpenssl())('with TLS between nodes', () => {
  it('cluster doors speak it, too, and send clients to others that do', async () => {
    const authority = new TestAuthority();
    const { cert, key } = authority.issue('node');
    const doors = await Promise.all([freePort(), freePort()]);
    const ports = await Promise.all([freePort(), freePort()]);
    const files = ['--tls-ca-cert-file', authority.ca, '--tls-cert-file', cert, '--tls-key-file', key];
    const secured = await TestCluster.start({
      stores: 2,
      flags: ['--tls-cluster', 'yes', ...files],
      storeFlags: (store) => [
        ...['--tls-port', String(ports[store])],
        ...['--cluster-port', String(doors[store]), 'orders'],
      ],
    });
    await secured.createKeyspace('orders', { shards: 4 });
    const tls = { ca: readFileSync(authority.ca), cert: readFileSync(cert), key: readFileSync(key) };
    const client = new Cluster([{ host: '127.0.0.1', port: doors[0]! }], {
      lazyConnect: true,
      redisOptions: { tls },
    });
    await client.connect();
    for (const name of KEYS) expect(await client.set(name, 'v')).toBe('OK');
    expect(
      client
        .nodes('master')
        .map(({ options }) => options.port)
        .sort(),
    ).toEqual([...doors].sort());
    const raw = await RawClient.connect({ port: doors[0]!, tls });
    expect(await raw.rendered('CLUSTER', 'SHARDS')).toMatch(/\$"tls-port" :\d+/);
    raw.close();
    client.disconnect();
    // Who does not speak it is not heard.
    const plain = await RawClient.connect({ port: doors[1]! });
    plain.send('PING\r\n');
    await plain.closed;
    await secured.stop();
  });
});

describe('a keyspace', () => {
  it('that is deleted and made again is found by clients that were connected', async () => {
    const [port] = orders;
    const client = connectIoredis(port!);
    await client.connect();
    await client.set('a', '1');
    await cluster.control.deleteKeyspace('orders');
    const raw = await RawClient.connect({ port: port! });
    await waitUntil('the keyspace is gone', async () =>
      (await raw.rendered('GET', 'a')).startsWith('-CLUSTERDOWN'),
    );
    await cluster.createKeyspace('orders', { shards: 5 });
    await waitUntil('the keyspace is back', async () =>
      /^(\$-1|-MOVED)/.test(await raw.rendered('GET', 'a')),
    );
    expect(await client.get('a')).toBeNull();
    expect(await client.set('a', '2')).toBe('OK');
    raw.close();
    client.disconnect();
  });
});

describe('clients that were connected before a change of the topology', () => {
  it('go on after it', async () => {
    const plan = (shards: number[]) => [{ name: 'k', db: undefined, shards }];
    const changing = await StaticCluster.start(3, 0, plan([0, 1, 0, 1]), [], () => ['k']);
    const io = connectIoredis(changing.stores[0]!.doorPort('k'));
    const node = nodeRedisTo(changing.stores[1]!.doorPort('k'), 3);
    await Promise.all([io.connect(), node.connect()]);
    let epoch = 1;
    for (const shards of [
      [0, 1, 0, 1],
      [1, 2, 2, 0],
      [2, 2, 2, 2],
      [0, 1, 2, 0, 1],
      [1, 0],
    ]) {
      await changing.place(plan(shards), ++epoch);
      for (const [index, key] of KEYS.entries()) {
        const value = `${epoch}`;
        if (index % 2 === 0) {
          expect(await io.set(key, value)).toBe('OK');
          expect(await node.get(key)).toBe(value);
        } else {
          expect(await node.set(key, value)).toBe('OK');
          expect(await io.get(key)).toBe(value);
        }
      }
    }
    io.disconnect();
    await node.close();
    await changing.stop();
  });
});
