import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { keySlot, SLOTS } from '../../src/cluster/slots.js';
import type { RawClient } from '../support/client.js';
import { waitUntil } from '../support/environment.js';
import { itemsOf, mapOf, numberOf, type Reply, render, textOf } from '../support/reply.js';
import { StaticCluster } from '../support/static-cluster.js';

/** `orders` has five shards on three stores, `db0` one on store 0; store 2 has no door for `db0`. */
const KEYSPACES = [
  { name: 'db0', db: 0, shards: [0] },
  { name: 'orders', db: undefined, shards: [0, 1, 2, 1, 0] },
  { name: 'hidden', db: undefined, shards: [0, 2, 2] },
  { name: 'lone', db: undefined, shards: [2] },
];
const DOORS = [
  ['db0', 'orders', 'hidden', 'lone', 'unmade'],
  ['db0', 'orders', 'hidden'],
  ['orders'],
  ['orders', 'hidden'],
  ['alone'],
];
const GATEWAY = 3;
const KEYS = Array.from({ length: 200 }, (_, index) => `key:${index}`);

let cluster: StaticCluster;

beforeAll(async () => {
  cluster = await StaticCluster.start(
    3,
    2,
    KEYSPACES,
    ['--cluster-node-timeout', '1500'],
    (node) => DOORS[node]!,
  );
}, 60_000);
afterAll(() => cluster.stop());

function slotOf(key: string): number {
  return keySlot(Buffer.from(key));
}

/** The number of the store that owns a key, as the topology has it. */
function homeOf(keyspace: string, key: string): number {
  const { shards } = KEYSPACES.find(({ name }) => name === keyspace)!;
  return shards[shardsOfSlots(shards.length)[slotOf(key)]!]!;
}

function keyOn(keyspace: string, store: number): string {
  return KEYS.find((key) => homeOf(keyspace, key) === store)!;
}

interface Range {
  readonly first: number;
  readonly last: number;
  readonly port: number;
  readonly id: string;
}

async function slotsAt(client: RawClient): Promise<Range[]> {
  return itemsOf(await client.command('CLUSTER', 'SLOTS')).map((range) => {
    const [first, last, owner] = itemsOf(range);
    const [host, port, id] = itemsOf(owner!);
    expect(textOf(host!)).toBe('127.0.0.1');
    return { first: numberOf(first!), last: numberOf(last!), port: numberOf(port!), id: textOf(id!) };
  });
}

function portsBySlot(ranges: readonly Range[]): number[] {
  const ports = new Array<number>(SLOTS).fill(0);
  for (const { first, last, port } of ranges) ports.fill(port, first, last + 1);
  return ports;
}

describe('keys', () => {
  it('are served where they are, and asked for there', async () => {
    const clients = await Promise.all([0, 1, 2].map((node) => cluster.nodes[node]!.connectDoor('orders')));
    for (const key of KEYS) {
      const home = homeOf('orders', key);
      const moved = `-MOVED ${slotOf(key)} 127.0.0.1:${cluster.nodes[home]!.doorPort('orders')}`;
      for (const [node, client] of clients.entries()) {
        expect(await client.rendered('SET', key, 'v')).toBe(node === home ? '+OK' : moved);
        expect(await client.rendered('GET', key)).toBe(node === home ? '$"v"' : moved);
      }
    }
    // Each node counts, lists and scans what it has.
    const counts = await Promise.all(clients.map(async (client) => numberOf(await client.command('DBSIZE'))));
    const expected = [0, 1, 2].map((node) => KEYS.filter((key) => homeOf('orders', key) === node).length);
    expect(counts).toEqual(expected);
    for (const [node, client] of clients.entries()) {
      const mine = KEYS.filter((key) => homeOf('orders', key) === node).sort();
      const listed = itemsOf(await client.command('KEYS', '*')).map(textOf);
      expect(listed.sort()).toEqual(mine);
      expect((await scan(client)).sort()).toEqual(mine);
      expect(mine).toContain(await client.text('RANDOMKEY'));
      expect(await client.text('INFO', 'keyspace')).toContain(`db0:keys=${mine.length},`);
    }
    expect(await clients[1]!.rendered('FLUSHALL')).toBe('+OK');
    const left = await Promise.all(clients.map(async (client) => numberOf(await client.command('DBSIZE'))));
    expect(left).toEqual([expected[0], 0, expected[2]]);
    for (const client of clients) {
      await client.command('FLUSHDB');
      client.close();
    }
  });

  it('of two doors are of two keyspaces', async () => {
    const orders = await cluster.nodes[0]!.connectDoor('orders');
    const numbered = await cluster.nodes[0]!.connectDoor('db0');
    const key = keyOn('orders', 0);
    await orders.command('SET', key, 'orders');
    await numbered.command('SET', key, 'db0');
    expect(await orders.text('GET', key)).toBe('orders');
    expect(await numbered.text('GET', key)).toBe('db0');
    const plain = await cluster.nodes[2]!.connect();
    expect(await plain.text('GET', key)).toBe('db0');
    await plain.command('SELECT', 'orders');
    expect(await plain.text('GET', key)).toBe('orders');
    // FLUSHALL at a door leaves other keyspaces alone.
    expect(await orders.rendered('FLUSHALL')).toBe('+OK');
    expect(await numbered.text('GET', key)).toBe('db0');
    await numbered.command('FLUSHALL');
    for (const client of [orders, numbered, plain]) client.close();
  });

  it('of a store without a door are reached through another one, the same whoever is asked', async () => {
    const clients = await Promise.all([0, 1].map((node) => cluster.nodes[node]!.connectDoor('hidden')));
    const maps = await Promise.all(clients.map(async (client) => portsBySlot(await slotsAt(client))));
    expect(maps[1]).toEqual(maps[0]);
    const ports = [0, 1].map((node) => cluster.nodes[node]!.doorPort('hidden'));
    expect(new Set(maps[0])).toEqual(new Set(ports));
    for (const key of KEYS) {
      const node = ports.indexOf(maps[0]![slotOf(key)]!);
      expect(await clients[node]!.rendered('SET', key, 'v')).toBe('+OK');
      expect(await clients[1 - node]!.rendered('GET', key)).toMatch(/^-MOVED /);
    }
    const sizes = await Promise.all(clients.map(async (client) => numberOf(await client.command('DBSIZE'))));
    expect(sizes[0]! + sizes[1]!).toBe(KEYS.length);
    const scanned = (await Promise.all(clients.map(scan))).flat();
    expect(scanned.sort()).toEqual([...KEYS].sort());
    for (const client of clients) {
      await client.command('FLUSHALL');
      expect(await client.rendered('DBSIZE')).toBe(':0');
      client.close();
    }
  });

  it('are copied within the keyspace, wherever they are: database 0 is what the door shows', async () => {
    const plain = await cluster.nodes[0]!.connect();
    for (const name of ['lone', 'hidden']) {
      const client = await cluster.nodes[0]!.connectDoor(name);
      for (const tag of ['a', 'b', 'c', 'd'].map((letter) => `{${letter}}`)) {
        const moved = await client.rendered('SET', tag, 'v');
        if (moved !== '+OK') continue;
        const names = (number: number) => `${tag}${number}`;
        expect(await client.rendered('COPY', tag, names(1), 'DB', '0')).toBe(':1');
        expect(await client.rendered('COPY', tag, names(1), 'DB', '0')).toBe(':0');
        expect(await client.rendered('COPY', tag, names(1), 'replace', 'db', '0', 'REPLACE')).toBe(':1');
        expect(await client.rendered('COPY', tag, names(1), 'DB', '0', 'x')).toBe('-ERR syntax error');
        expect(await client.rendered('COPY', tag, names(1), 'DB')).toBe('-ERR syntax error');
        const block = await client.pipeline([
          ['MULTI'],
          ['COPY', tag, names(2), 'DB', '0'],
          ['COPY', tag, names(2), 'DB', '1'],
          ['EXEC'],
        ]);
        expect(block.map(render)[3]).toBe(
          '*[:1 -ERR Copying to another database is not allowed in cluster mode]',
        );
        expect(await client.rendered('EXISTS', names(1), names(2))).toBe(':2');
      }
      await client.command('FLUSHALL');
      client.close();
      expect(await plain.rendered('KEYS', '{*')).toBe('*[]');
    }
    plain.close();
  });

  it('of a keyspace that is not there get CLUSTERDOWN, until it is', async () => {
    const client = await cluster.nodes[0]!.connectDoor('unmade');
    const missing = "-CLUSTERDOWN keyspace 'unmade' does not exist: VASTO KEYSPACE CREATE unmade makes it";
    expect(await client.rendered('GET', 'a')).toBe(missing);
    expect(await client.rendered('DBSIZE')).toBe(missing);
    expect(await client.rendered('MULTI')).toBe('+OK');
    expect(await client.rendered('GET', 'a')).toBe(missing);
    expect(await client.rendered('EXEC')).toBe(missing);
    expect(await client.rendered('PING')).toBe('+PONG');
    expect(await client.text('CLUSTER', 'INFO')).toMatch(
      /^cluster_state:fail\r\ncluster_slots_assigned:0\r\n/,
    );
    expect(await slotsAt(client)).toEqual([]);
    await cluster.place([...KEYSPACES, { name: 'unmade', db: undefined, shards: [0] }], 2);
    expect(await client.rendered('SET', 'a', '1')).toBe('+OK');
    expect(await client.text('CLUSTER', 'INFO')).toMatch(
      /^cluster_state:ok\r\ncluster_slots_assigned:16384\r\n/,
    );
    client.close();
  });
});

async function scan(client: RawClient): Promise<string[]> {
  const found: string[] = [];
  let cursor = '0';
  do {
    const [next, keys]: readonly Reply[] = itemsOf(await client.command('SCAN', cursor, 'COUNT', '7'));
    cursor = textOf(next!);
    found.push(...itemsOf(keys!).map(textOf));
  } while (cursor !== '0');
  return found;
}

describe('a gateway', () => {
  it('tells cluster clients where to go, and serves what nobody else has a door for', async () => {
    const seed = await cluster.nodes[GATEWAY]!.connectDoor('orders');
    const store = await cluster.nodes[0]!.connectDoor('orders');
    expect(await slotsAt(seed)).toEqual(await slotsAt(store));
    expect(await seed.rendered('SET', KEYS[0]!, 'v')).toMatch(/^-MOVED /);
    expect([await seed.rendered('DBSIZE'), await seed.rendered('RANDOMKEY')]).toEqual([':0', '$-1']);
    expect(await seed.rendered('SCAN', '0')).toBe('*[$"0" *[]]');
    expect(await seed.rendered('FLUSHALL')).toBe('+OK');
    const gateway = cluster.nodes[GATEWAY + 1]!;
    await cluster.place([...KEYSPACES, { name: 'alone', db: undefined, shards: [0, 1, 2] }], 3);
    const client = await gateway.connectDoor('alone');
    expect(portsBySlot(await slotsAt(client))).toEqual(new Array(SLOTS).fill(gateway.doorPort('alone')));
    for (const key of KEYS) expect(await client.rendered('SET', key, 'v')).toBe('+OK');
    expect(await client.rendered('DBSIZE')).toBe(`:${KEYS.length}`);
    expect((await scan(client)).sort()).toEqual([...KEYS].sort());
    expect(await client.rendered('MGET', 'a', 'b')).toMatch(/^-CROSSSLOT/);
    const id = await client.text('CLUSTER', 'MYID');
    expect(id).toMatch(/^[0-9a-f]{40}$/);
    for (const each of [seed, store, client]) each.close();
  });
});

describe('transactions', () => {
  it('run in one slot, and are sent where it is', async () => {
    const client = await cluster.nodes[0]!.connectDoor('orders');
    const [here, there] = [keyOn('orders', 0), keyOn('orders', 1)];
    const other = KEYS.find((key) => homeOf('orders', key) === 0 && slotOf(key) !== slotOf(here))!;
    const all = await client.pipeline([['MULTI'], ['SET', here, '1'], ['INCR', here], ['EXEC']]);
    expect(all.map(render)).toEqual(['+OK', '+QUEUED', '+QUEUED', '*[+OK :2]']);
    const moved = await client.pipeline([
      ['MULTI'],
      ['SET', here, '1'],
      ['GET', there],
      ['EXEC'],
      ['GET', here],
    ]);
    expect(moved.map(render)).toEqual([
      '+OK',
      '+QUEUED',
      `-MOVED ${slotOf(there)} 127.0.0.1:${cluster.nodes[1]!.doorPort('orders')}`,
      '-EXECABORT Transaction discarded because of previous errors.',
      '$"2"',
    ]);
    const cross = await client.pipeline([
      ['MULTI'],
      ['SET', here, '1'],
      ['SET', other, '1'],
      ['EXEC'],
      ['EXEC'],
    ]);
    expect(cross.map(render)).toEqual([
      '+OK',
      '+QUEUED',
      '+QUEUED',
      "-CROSSSLOT Keys in request don't hash to the same slot",
      '-ERR EXEC without MULTI',
    ]);
    // As in Redis Cluster, keys of other slots may be watched.
    const rival = await cluster.nodes[0]!.connectDoor('orders');
    await client.pipeline([
      ['WATCH', here],
      ['WATCH', other],
    ]);
    await rival.command('SET', other, 'x');
    const watched = await client.pipeline([['MULTI'], ['SET', here, '9'], ['EXEC'], ['GET', here]]);
    expect(watched.map(render)).toEqual(['+OK', '+QUEUED', '*-1', '$"2"']);
    await client.command('FLUSHALL');
    for (const each of [client, rival]) each.close();
  });
});

describe('CLUSTER', () => {
  it('tells of the nodes and their slots in all forms alike', async () => {
    for (const version of [2, 3]) {
      const client = await cluster.nodes[1]!.connectDoor('orders');
      if (version === 3) await client.command('HELLO', 3);
      const ranges = await slotsAt(client);
      const ports = portsBySlot(ranges);
      const homes = shardsOfSlots(5);
      const expected = Array.from(homes, (shard) =>
        cluster.nodes[KEYSPACES[1]!.shards[shard]!]!.doorPort('orders'),
      );
      expect(ports).toEqual(expected);
      const shards = itemsOf(await client.command('CLUSTER', 'SHARDS'));
      expect(shards).toHaveLength(3);
      for (const shard of shards) {
        const fields = version === 3 ? mapOf(shard) : pairsOf(shard);
        const [node] = itemsOf(fields.get('nodes')!).map((each) =>
          version === 3 ? mapOf(each) : pairsOf(each),
        );
        const id = textOf(node!.get('id')!);
        const owned = ranges.filter((range) => range.id === id).flatMap(({ first, last }) => [first, last]);
        expect(itemsOf(fields.get('slots')!).map(numberOf)).toEqual(owned);
        expect(textOf(node!.get('role')!)).toBe('master');
      }
      const lines = (await client.text('CLUSTER', 'NODES')).trim().split('\n');
      expect(lines).toHaveLength(3);
      const myself = await client.text('CLUSTER', 'MYID');
      for (const line of lines) {
        const [id, address, flags, master, , , epoch, state, ...owned] = line.split(' ');
        const mine = ranges.filter((range) => range.id === id);
        expect(address).toBe(`127.0.0.1:${mine[0]!.port}@0`);
        expect(flags).toBe(id === myself ? 'myself,master' : 'master');
        expect([master, state]).toEqual(['-', 'connected']);
        expect(Number(epoch)).toBeGreaterThan(0);
        expect(owned).toEqual(
          mine.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)),
        );
      }
      client.close();
    }
  });

  it('counts and lists the keys of a slot', async () => {
    const client = await cluster.nodes[0]!.connectDoor('orders');
    const tag = keyOn('orders', 0);
    const keys = Array.from({ length: 1200 }, (_, index) => `{${tag}}${index}`);
    await client.pipeline(keys.map((key) => ['SET', key, '1']));
    const slot = slotOf(tag);
    expect(await client.rendered('CLUSTER', 'KEYSLOT', keys[5]!)).toBe(`:${slot}`);
    expect(await client.rendered('CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(`:${keys.length}`);
    const some = itemsOf(await client.command('CLUSTER', 'GETKEYSINSLOT', slot, 1000)).map(textOf);
    expect(new Set(some).size).toBe(1000);
    expect(some.every((key) => keys.includes(key))).toBe(true);
    expect(itemsOf(await client.command('CLUSTER', 'GETKEYSINSLOT', slot, 5000))).toHaveLength(1200);
    expect(await client.rendered('CLUSTER', 'GETKEYSINSLOT', slot, 0)).toBe('*[]');
    const elsewhere = slotOf(keyOn('orders', 1));
    expect(await client.rendered('CLUSTER', 'COUNTKEYSINSLOT', elsewhere)).toBe(':0');
    await client.command('FLUSHALL');
    client.close();
  });

  it('says what a Vasto operator does instead', async () => {
    const client = await cluster.nodes[0]!.connectDoor('orders');
    const words = [
      ['ADDSLOTS', '1'],
      ['SETSLOT', '1', 'STABLE'],
      ['MEET', '127.0.0.1', '1'],
      ['FORGET', 'x'],
      ['FAILOVER'],
      ['RESET'],
      ['BUMPEPOCH'],
    ];
    for (const each of words)
      expect(await client.rendered('CLUSTER', ...each)).toMatch(
        new RegExp(`^-ERR CLUSTER ${each[0]} is not how a Vasto cluster is run: .{20}`),
      );
    expect(await client.rendered('CLUSTER', 'SAVECONFIG')).toBe('+OK');
    client.close();
  });

  it('is off at the plain door, as in a Redis that is no cluster', async () => {
    const plain = await cluster.nodes[0]!.connect();
    const disabled = '-ERR This instance has cluster support disabled';
    for (const words of [['CLUSTER', 'SLOTS'], ['CLUSTER', 'HELP'], ['ASKING'], ['READONLY'], ['READWRITE']])
      expect(await plain.rendered(...words)).toBe(disabled);
    expect(await plain.text('INFO', 'cluster')).toContain('cluster_enabled:0');
    const door = await cluster.nodes[0]!.connectDoor('orders');
    expect(await door.text('INFO', 'cluster')).toContain('cluster_enabled:1');
    expect(await door.text('INFO', 'server')).toContain('redis_mode:cluster');
    expect(await door.rendered('HELLO')).toContain('$"mode" $"cluster"');
    expect(await door.rendered('VASTO.PEER', 'test', 'x')).toMatch(/^-ERR nodes come in by the plain door/);
    expect(await door.text('CLIENT', 'INFO')).toMatch(/ db=0 keyspace=orders /);
    for (const client of [plain, door]) client.close();
  });
});

/** The pairs of a flat array. */
function pairsOf(reply: Reply): Map<string, Reply> {
  const items = itemsOf(reply);
  return new Map(
    items.flatMap((item, index) => (index % 2 === 0 ? [[textOf(item), items[index + 1]!]] : [])),
  );
}

describe('a store that is away', () => {
  it('is told of as such, and costs only its own keys', async () => {
    const [client, hidden] = [
      await cluster.nodes[0]!.connectDoor('orders'),
      await cluster.nodes[0]!.connectDoor('hidden'),
    ];
    // What is forwarded makes the link by which this node knows of the store.
    const ports = portsBySlot(await slotsAt(hidden));
    const forwarded = KEYS.find(
      (key) => homeOf('hidden', key) === 2 && ports[slotOf(key)] === cluster.nodes[0]!.doorPort('hidden'),
    )!;
    expect(await hidden.rendered('SET', forwarded, '1')).toBe('+OK');
    const { storeId } = cluster.stores[2]!;
    const links = itemsOf(await client.command('CLUSTER', 'LINKS')).map(pairsOf);
    const link = links.find((each) => textOf(each.get('node')!) === storeId)!;
    expect([...link.keys()].sort()).toEqual(
      ['create-time', 'direction', 'events', 'node', 'send-buffer-allocated', 'send-buffer-used'].sort(),
    );
    expect(textOf(link.get('direction')!)).toBe('to');
    await cluster.stores[2]!.kill();
    expect(await hidden.rendered('GET', forwarded)).toMatch(
      /^-CLUSTERDOWN store \w{8} at \S+ cannot be reached/,
    );
    const nodes = await client.text('CLUSTER', 'NODES');
    expect(nodes).toMatch(new RegExp(`^${storeId} \\S+ master - 0 0 \\d+ disconnected `, 'm'));
    expect(nodes.match(/ connected /g)).toHaveLength(2);
    expect(await client.text('CLUSTER', 'INFO')).toMatch(/cluster_slots_fail:[1-9]/);
    expect(await client.rendered('SET', keyOn('orders', 0), 'v')).toBe('+OK');
    await cluster.stores[2]!.start();
    await cluster.stores[2]!.tell(cluster.topology);
    await waitUntil(
      'the store is reached again',
      async () => (await hidden.rendered('GET', forwarded)) === '$"1"',
    );
    expect((await client.text('CLUSTER', 'NODES')).match(/ connected /g)).toHaveLength(3);
    for (const each of [client, hidden]) each.close();
  });
});

describe('a change of the topology', () => {
  it('sends clients that were connected before to where their keys are now', async () => {
    const client = await cluster.nodes[1]!.connectDoor('orders');
    const key = keyOn('orders', 1);
    expect(await client.rendered('SET', key, 'v')).toBe('+OK');
    const before = await slotsAt(client);
    await cluster.place(
      KEYSPACES.map((plan) => (plan.name === 'orders' ? { ...plan, shards: [0, 2, 2, 2, 0] } : plan)),
      10,
    );
    const moved = `-MOVED ${slotOf(key)} 127.0.0.1:${cluster.nodes[2]!.doorPort('orders')}`;
    expect(await client.rendered('GET', key)).toBe(moved);
    expect(await slotsAt(client)).not.toEqual(before);
    expect(await client.rendered('DBSIZE')).toBe(':0');
    client.close();
  });
});
