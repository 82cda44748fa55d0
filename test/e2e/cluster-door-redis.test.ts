import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shardsOfSlots } from '../../src/cluster/jump-hash.js';
import { keySlot } from '../../src/cluster/slots.js';
import type { RawClient } from '../support/client.js';
import { haveTool } from '../support/environment.js';
import { RedisCluster } from '../support/redis-cluster.js';
import { itemsOf, numberOf, type Reply, render, textOf } from '../support/reply.js';
import { keyspaceId, StaticCluster } from '../support/static-cluster.js';

/** The stores of the keyspace's shards. */
const SHARDS = [0, 1, 2, 0];

/** Keys by where they are, as seen from the node that is asked. */
interface Keys {
  readonly here: string;
  /** In another slot of the same node. */
  readonly alsoHere: string;
  readonly there: string;
}

/** One side of the comparison: a node of a cluster. */
interface Side {
  readonly port: number;
  connect(): Promise<RawClient>;
  readonly keys: Keys;
  /** Ids of all nodes, that of the one asked first. */
  readonly ids: readonly string[];
}

/** Each script runs on a connection of its own; HERE, ALSO, THERE are keys, ID and OTHER ids of nodes. */
const SCRIPTS = scripts(`
SET HERE 1 / GET HERE / GET THERE / SET THERE 1 / EXISTS HERE THERE / MGET HERE ALSO / MGET {HERE}1 HERE
MSET HERE 1 ALSO 2 / MSET HERE 1 {HERE}2 2 / MSET HERE 1 ALSO / MSET HERE / DEL HERE ALSO / UNLINK HERE THERE
RENAME HERE THERE / RENAME HERE {HERE}2 / TOUCH HERE ALSO / BITOP AND HERE ALSO {HERE}1 / PFCOUNT HERE ALSO
OBJECT ENCODING THERE / OBJECT ENCODING HERE / MEMORY USAGE THERE / OBJECT FREQ / GET / GET HERE HERE
SELECT 0 / SELECT 1 / SELECT -1 / SELECT abc / SELECT 99999999999 / SELECT 0 0 / GET HERE / RESET / SELECT 1
SWAPDB 0 1 / SWAPDB a b / SWAPDB 0 / MOVE HERE 1 / MOVE THERE 1 / MOVE HERE 0 / MOVE HERE x
SET HERE 1 / COPY HERE {HERE}c / COPY HERE {HERE}c DB 1 / COPY HERE {HERE}c DB 0 / COPY HERE {HERE}d DB 0 / COPY HERE ALSO DB 1 / COPY THERE {THERE}2 / COPY HERE {HERE}c DB x / DEL HERE {HERE}c {HERE}d
MULTI / SELECT 1 / SELECT 0 / SWAPDB 0 1 / EXEC
MULTI / MOVE HERE 1 / COPY HERE {HERE}c DB 1 / PING / EXEC
MULTI / SET HERE 1 / INCR HERE / EXEC / DEL HERE
MULTI / SET HERE 1 / SET ALSO 1 / EXEC / EXEC / GET HERE
MULTI / GET THERE / SET HERE 1 / EXEC / GET HERE / EXEC
MULTI / MGET HERE ALSO / EXEC
MULTI / MGET HERE ALSO / GET THERE / SET ALSO 2 / SET HERE 2 / EXEC
MULTI / PING / ECHO x / EXEC / MULTI / DISCARD / MULTI / EXEC
MULTI / GET THERE / DISCARD / GET HERE
MULTI / GET / GET THERE / EXEC
MULTI / SET HERE 1 / MULTI / SET HERE 2 / EXEC / EXEC / GET HERE / DEL HERE
MULTI / SET HERE 1 / nosuch / GET THERE / SET HERE 2 / EXEC / PING / EXEC / GET HERE
MULTI / SET HERE 1 / GET THERE / MULTI / EXEC / MULTI / GET HERE / EXEC / MULTI / INCR HERE / SET HERE / EXEC / GET HERE
MULTI / SET HERE a / INCR HERE / GET HERE / EXEC / MULTI / GET HERE / GET ALSO / PING / EXEC / PING
WATCH HERE ALSO / WATCH THERE / WATCH HERE / WATCH ALSO / MULTI / SET HERE 1 / EXEC / DEL HERE
WATCH HERE / SET HERE 2 / MULTI / GET HERE / EXEC / DEL HERE
WATCH HERE / MULTI / WATCH ALSO / GET THERE / EXEC / UNWATCH
ASKING / GET THERE / ASKING / GET HERE / ASKING x / ASKING / PING / GET THERE / MULTI / ASKING / EXEC / ASKING / MULTI / GET THERE / EXEC
READONLY / GET THERE / SET THERE 1 / READWRITE / GET THERE / READONLY x / READWRITE x / MULTI / READONLY / READWRITE / EXEC
DBSIZE / SET HERE 1 / DBSIZE / KEYS * / RANDOMKEY / FLUSHDB / DBSIZE / SET HERE 1 / FLUSHALL / DBSIZE / FLUSHALL x / SCAN x
MULTI / SET HERE 1 / FLUSHALL / EXISTS HERE / EXEC
CLUSTER / CLUSTER nosuch / CLUSTER SLOTS x / CLUSTER NODES x / CLUSTER INFO x / CLUSTER SHARDS x / CLUSTER LINKS x / CLUSTER MYID x / CLUSTER HELP x
CLUSTER MYID / CLUSTER KEYSLOT / CLUSTER KEYSLOT HERE / CLUSTER KEYSLOT foo{bar}zap / CLUSTER KEYSLOT a b
CLUSTER COUNTKEYSINSLOT / CLUSTER COUNTKEYSINSLOT x / CLUSTER COUNTKEYSINSLOT -1 / CLUSTER COUNTKEYSINSLOT 16384 / CLUSTER COUNTKEYSINSLOT 99999999999999999999 / CLUSTER COUNTKEYSINSLOT 1.5 / CLUSTER COUNTKEYSINSLOT 0
CLUSTER GETKEYSINSLOT 0 / CLUSTER GETKEYSINSLOT x 1 / CLUSTER GETKEYSINSLOT 0 x / CLUSTER GETKEYSINSLOT 0 -1 / CLUSTER GETKEYSINSLOT 16384 1 / CLUSTER GETKEYSINSLOT 0 0 / CLUSTER GETKEYSINSLOT 0 10
CLUSTER COUNT-FAILURE-REPORTS / CLUSTER COUNT-FAILURE-REPORTS x / CLUSTER COUNT-FAILURE-REPORTS ID / CLUSTER COUNT-FAILURE-REPORTS OTHER
CLUSTER REPLICAS / CLUSTER REPLICAS x / CLUSTER REPLICAS ID / CLUSTER SLAVES OTHER / CLUSTER SLAVES x y / CLUSTER SAVECONFIG / CLUSTER SAVECONFIG x
CLUSTER ADDSLOTS / CLUSTER ADDSLOTSRANGE 1 / CLUSTER MEET x / CLUSTER FORGET / CLUSTER SETSLOT 1 / CLUSTER REPLICATE / CLUSTER SET-CONFIG-EPOCH / CLUSTER BUMPEPOCH x / CLUSTER DELSLOTSRANGE 1
MULTI / CLUSTER KEYSLOT x / CLUSTER COUNTKEYSINSLOT 1 / CLUSTER MYID / EXEC
WAIT 0 0 / COMMAND COUNT x / COMMAND GETKEYS MGET HERE ALSO / PING / ECHO a
`);

function scripts(text: string): string[][][] {
  const lines = text.trim().split('\n');
  return lines.map((line) => line.split(' / ').map((command) => command.split(' ')));
}

describe.skipIf(!haveTool('redis-server'))('a cluster door beside a node of Redis Cluster', () => {
  let redis: RedisCluster;
  let vasto: StaticCluster;
  let theirs: Side;
  let mine: Side;

  beforeAll(async () => {
    [redis, vasto] = await Promise.all([
      RedisCluster.start(),
      StaticCluster.start(3, 0, [{ name: 'k', db: undefined, shards: SHARDS }], [], () => ['k']),
    ]);
    theirs = await sideOf(redis.nodes[0]!.port, () => redis.nodes[0]!.connect());
    mine = await sideOf(vasto.stores[0]!.doorPort('k'), () => vasto.stores[0]!.connectDoor('k'));
  }, 60_000);
  afterAll(() => Promise.all([redis.stop(), vasto.stop()]));

  it.each([2, 3] as const)('says the same, word for word, in RESP%i', async (version) => {
    for (const script of SCRIPTS) {
      await theSame(mine, theirs, [script], version);
      for (const side of [mine, theirs]) await run(side, [['FLUSHALL']], 2);
    }
  });

  it.each([2, 3] as const)('does the same while a slot is on its way, in RESP%i', async (version) => {
    const slot = (side: Side) => keySlot(Buffer.from(side.keys.here));
    const targets = {
      theirs: await sideOf(redis.nodes[1]!.port, () => redis.nodes[1]!.connect(), theirs.keys.here),
      mine: await sideOf(
        vasto.stores[1]!.doorPort('k'),
        () => vasto.stores[1]!.connectDoor('k'),
        mine.keys.here,
      ),
    };
    // Once the slot moves, a key that is not there is sent for elsewhere.
    for (const side of [mine, theirs]) {
      const client = await side.connect();
      await client.command('SET', side.keys.here, '1');
      client.close();
    }
    const [from, to] = [vasto.stores[0]!, vasto.stores[1]!];
    const move = { keyspace: keyspaceId('k'), slot: slot(mine), from: from.storeId, to: to.storeId };
    await from.move({ ...move, shard: shardsOfSlots(SHARDS.length)[slot(mine)]! });
    await to.move({ ...move, shard: SHARDS.indexOf(1) });
    const [source, target] = [await redis.nodes[0]!.connect(), await redis.nodes[1]!.connect()];
    for (const [client, words] of [
      [target, ['IMPORTING', theirs.ids[0]!]],
      [source, ['MIGRATING', targets.theirs.ids[0]!]],
    ] as const)
      expect(await client.rendered('CLUSTER', 'SETSLOT', slot(theirs), ...words)).toBe('+OK');
    await theSame(targets.mine, targets.theirs, [[['ASKING'], ['SET', '{THERE}b', '2']]], version);
    await theSame(mine, theirs, MOVING_FROM, version);
    await theSame(targets.mine, targets.theirs, MOVING_TO, version);
    for (const client of [source, target]) {
      await client.rendered('CLUSTER', 'SETSLOT', slot(theirs), 'STABLE');
      client.close();
    }
  });

  it.each([2, 3] as const)('tells of itself in the same form, in RESP%i', async (version) => {
    const forms = ['SLOTS', 'SHARDS', 'NODES', 'INFO', 'MYID'];
    const [a, b] = [await formsAt(mine, forms, version), await formsAt(theirs, forms, version)];
    expect(a).toEqual(b);
  });
});

/** Scripts for the node that a slot leaves, and for the one it goes to; a and b are keys of it, which either has one of. */
const MOVING_FROM = scripts(`
GET HERE / GET {HERE}b / MGET HERE {HERE}b / MGET {HERE}b {HERE}c / MGET HERE HERE / SET {HERE}c 1 / EXISTS HERE {HERE}b
ASKING / GET {HERE}b / GET ALSO / GET THERE / MGET HERE ALSO
MULTI / GET HERE / EXEC / MULTI / GET HERE / GET {HERE}b / EXEC / MULTI / MGET HERE {HERE}b / EXEC / GET HERE
RENAME HERE {HERE}c / WATCH HERE / WATCH {HERE}b / WATCH HERE {HERE}b / UNWATCH
SET HERE 2 / APPEND HERE 3 / GET HERE / SET HERE 1
READONLY / GET {HERE}b / READWRITE
`);
const MOVING_TO = scripts(`
GET THERE / GET {THERE}b / SET {THERE}c 1 / ASKING / GET {THERE}b / GET {THERE}b / ASKING / GET THERE
ASKING / MGET THERE {THERE}b / ASKING / MGET {THERE}b {THERE}b / ASKING / SET {THERE}c 3 / ASKING / DEL {THERE}c
ASKING / PING / GET {THERE}b / ASKING / GET HERE / ASKING / MGET HERE {THERE}b
ASKING / MULTI / GET {THERE}b / EXEC / MULTI / ASKING / GET {THERE}b / EXEC
ASKING / WATCH {THERE}b / ASKING / WATCH {THERE}b {THERE}c / UNWATCH
ASKING / RENAME THERE {THERE}d / ASKING / INCR {THERE}b / ASKING / DECR {THERE}b
`);

/** @param there the key that is elsewhere, if not just any */
async function sideOf(port: number, connect: () => Promise<RawClient>, there?: string): Promise<Side> {
  const client = await connect();
  const owned = new Set<number>();
  const ids = [await client.text('CLUSTER', 'MYID')];
  for (const range of itemsOf(await client.command('CLUSTER', 'SLOTS'))) {
    const [first, last, owner] = itemsOf(range);
    const id = textOf(itemsOf(owner!)[2]!);
    if (!ids.includes(id)) ids.push(id);
    if (id !== ids[0]) continue;
    for (let slot = numberOf(first!); slot <= numberOf(last!); slot++) owned.add(slot);
  }
  client.close();
  const words = Array.from({ length: 100 }, (_, index) => `w${index}`);
  const [here, alsoHere] = words.filter((word) => owned.has(keySlot(Buffer.from(word))));
  const elsewhere = there ?? words.find((word) => !owned.has(keySlot(Buffer.from(word))))!;
  return { port, connect, keys: { here: here!, alsoHere: alsoHere!, there: elsewhere }, ids };
}

async function theSame(mine: Side, theirs: Side, all: readonly string[][][], version: 2 | 3): Promise<void> {
  for (const script of all)
    expect(await run(mine, script, version)).toEqual(await run(theirs, script, version));
}

/** The commands with what came of each, in words that do not depend on which keys and nodes there are. */
async function run(side: Side, script: readonly string[][], version: 2 | 3): Promise<string[]> {
  const { keys, ids } = side;
  const client = await side.connect();
  if (version === 3) await client.command('HELLO', 3);
  const names = new Map([
    ['HERE', keys.here],
    ['ALSO', keys.alsoHere],
    ['THERE', keys.there],
    ['ID', ids[0]!],
    ['OTHER', ids[1]!],
  ]);
  const lines: string[] = [];
  for (const command of script) {
    const words = command.map((word) =>
      word.replace(/^\{?(HERE|ALSO|THERE|ID|OTHER)\b/, (all, name) => all.replace(name, names.get(name)!)),
    );
    let text = await client.rendered(...words);
    for (const [name, value] of names) {
      text = text.replaceAll(`"${value}"`, `"${name}"`);
      text = text.replaceAll(`:${keySlot(Buffer.from(value))}`, `:slot of ${name}`);
    }
    text = text.replace(/(MOVED|ASK) (\d+) 127\.0\.0\.1:(\d+)/, (_, code, slot, port) => {
      const name = [...names].find(([, value]) => keySlot(Buffer.from(value)) === Number(slot))?.[0];
      return `${code} slot of ${name} ${Number(port) === side.port ? 'itself' : 'elsewhere'}`;
    });
    lines.push(`${command.join(' ')} -> ${text}`);
  }
  client.close();
  return lines;
}

/** Replies of CLUSTER with everything that differs from node to node taken out, and what repeats told once. */
async function formsAt(side: Side, names: readonly string[], version: 2 | 3): Promise<string[]> {
  const client = await side.connect();
  if (version === 3) await client.command('HELLO', 3);
  const forms: string[] = [];
  for (const name of names) {
    const reply = await client.command('CLUSTER', name);
    forms.push(`${name} ${formOf(reply)}`);
  }
  client.close();
  return forms;
}

const FIELDS_OF_INFO = /^(cluster_(state|slots_\w+|known_nodes|size|current_epoch|my_epoch)|total_\w+):/;

function formOf(reply: Reply): string {
  if ('items' in reply) {
    const items = reply.items.map(formOf);
    const open = reply.type === 'map' ? '%' : '*';
    // Slots of a shard, ranges, nodes: as many as there are.
    const distinct = items.filter((item, index) => items.indexOf(item) === index || reply.type === 'map');
    return `${open}[${distinct.join(' ')}]`;
  }
  if (reply.type === 'bulk' || reply.type === 'verbatim') {
    const text = reply.data.toString('latin1').replace(/^txt:/, '');
    const lines = text
      .split(/\r?\n/)
      .filter((line) => !line.startsWith('cluster_') || FIELDS_OF_INFO.test(line));
    const shapes = lines.map((line) =>
      line
        .replace(/[0-9a-f]{40}/g, 'ID')
        .replace(/127\.0\.0\.1/g, 'HOST')
        .replace(/HOST:\d+@\d+/, 'HOST:PORT@PORT')
        .replace(/ \d+ \d+ \d+ connected .*/, ' TIME TIME EPOCH connected RANGES')
        .replace(/(epoch|size):\d+/, '$1:N'),
    );
    return `${reply.type}(${[...new Set(shapes)].sort().join('|')})`;
  }
  return reply.type === 'integer' ? ':N' : render(reply);
}
