import { describe, expect, it } from 'vitest';
import { ReplyWriter, type RespVersion } from '../../../src/base/reply-writer.js';
import { type DoorMap, doorMap } from '../../../src/cluster/door-map.js';
import { clusterInfoText, nodesText, writeShards, writeSlots } from '../../../src/cluster/door-replies.js';
import { shardsOfSlots } from '../../../src/cluster/jump-hash.js';
import { SLOTS } from '../../../src/cluster/slots.js';
import { EMPTY_TOPOLOGY, withKeyspace, withStore } from '../../../src/cluster/topology.js';
import { itemsOf, mapOf, numberOf, type Reply, ReplyParser, render, textOf } from '../../support/reply.js';

const IDS = ['a', 'b', 'c'].map((letter) => letter.repeat(40));

/** The map that store a shows; stores are given by their letters. */
function mapOf3(shards: readonly string[]): DoorMap {
  const stores = IDS.reduce(
    (topology, id, index) =>
      withStore(topology, {
        id,
        epoch: 5,
        host: '10.0.0.1',
        port: 6379,
        tlsPort: 0,
        peerPort: 16379,
        zone: '',
        tags: [],
        doors: [{ port: 7000 + index, keyspace: 'k' }],
      }),
    EMPTY_TOPOLOGY,
  );
  const entry = {
    id: 'k',
    epoch: 9,
    name: 'k',
    db: undefined,
    replicas: 1,
    tags: [],
    shards: shards.map((letters) => ({ stores: [...letters].map((letter) => letter.repeat(40)) })),
    deleted: false,
  };
  return doorMap(withKeyspace(stores, entry), 'k', {
    id: IDS[0]!,
    host: '10.0.0.1',
    port: 7000,
    peerPort: 16379,
  });
}

function written(write: (reply: ReplyWriter) => void, version: RespVersion = 3): Reply {
  const writer = new ReplyWriter();
  writer.version = version;
  write(writer);
  const parser = new ReplyParser();
  parser.push(writer.written());
  const reply = parser.next()!;
  expect(parser.next()).toBeUndefined();
  return reply;
}

const nobodyIsAway = () => false;

describe('CLUSTER SLOTS', () => {
  it('tells of each range who holds it, the owner first', () => {
    const map = mapOf3(['ab', 'b']);
    const homes = shardsOfSlots(2);
    for (const version of [2, 3] as const) {
      const owners = new Array<string>(SLOTS);
      for (const range of itemsOf(written((reply) => writeSlots(reply, map), version))) {
        const [first, last, ...holders] = itemsOf(range);
        const told = holders.map(render).join();
        for (let slot = numberOf(first!); slot <= numberOf(last!); slot++) owners[slot] = told;
      }
      const none = version === 3 ? '%[]' : '*[]';
      const node = (index: number) => `*[$"10.0.0.1" :${7000 + index} $"${IDS[index]}" ${none}]`;
      expect(owners).toEqual(Array.from(homes, (shard) => (shard === 0 ? `${node(0)},${node(1)}` : node(1))));
    }
  });

  it('leaves out what nobody serves', () => {
    expect(render(written((reply) => writeSlots(reply, mapOf3(['x']))))).toBe('*[]');
  });
});

describe('CLUSTER SHARDS', () => {
  it('tells of owners and copies, of nodes without slots, and of those that are away', () => {
    const map = mapOf3(['ab']);
    const isAway = ({ id }: { id: string }) => id === IDS[1];
    const shards = itemsOf(written((reply) => writeShards(reply, map, true, isAway))).map(mapOf);
    const told = shards.map((shard) => ({
      slots: itemsOf(shard.get('slots')!).map(numberOf),
      nodes: itemsOf(shard.get('nodes')!).map((node) => {
        const fields = mapOf(node);
        const [id, role, health] = ['id', 'role', 'health'].map((name) => textOf(fields.get(name)!));
        return [id![0], role, health, numberOf(fields.get('tls-port')!)];
      }),
    }));
    expect(told).toEqual([
      {
        slots: [0, SLOTS - 1],
        nodes: [
          ['a', 'master', 'online', 7000],
          ['b', 'replica', 'fail', 7001],
        ],
      },
      { slots: [], nodes: [['c', 'master', 'online', 7002]] },
    ]);
  });
});

describe('CLUSTER NODES', () => {
  it('has a line for each node, with what it owns', () => {
    const [a, b, c] = IDS;
    expect(nodesText(mapOf3(['ab']), ({ id }) => id === c)).toBe(
      `${a} 10.0.0.1:7000@16379 myself,master - 0 0 9 connected 0-16383\n` +
        `${b} 10.0.0.1:7001@16379 master - 0 0 9 connected\n` +
        `${c} 10.0.0.1:7002@16379 master - 0 0 9 disconnected\n`,
    );
  });

  it('names a slot that stands alone by its number', () => {
    const lines = nodesText(mapOf3(['a', 'b', 'c']), nobodyIsAway)
      .trim()
      .split('\n');
    const ranges = lines.flatMap((line) => line.split(' ').slice(8));
    expect(ranges.some((range) => !range.includes('-'))).toBe(true);
    const slots = ranges.flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index);
    });
    expect(slots.sort((a, b) => a - b)).toEqual(Array.from({ length: SLOTS }, (_, slot) => slot));
  });
});

describe('CLUSTER INFO', () => {
  const field = (text: string, name: string) => new RegExp(`^${name}:(.*)\\r$`, 'm').exec(text)?.[1];

  it('counts slots by whether somebody serves them', () => {
    const whole = clusterInfoText(mapOf3(['a', 'b']), nobodyIsAway);
    expect(field(whole, 'cluster_state')).toBe('ok');
    expect(field(whole, 'cluster_slots_assigned')).toBe(String(SLOTS));
    expect([field(whole, 'cluster_known_nodes'), field(whole, 'cluster_size')]).toEqual(['3', '2']);
    expect([field(whole, 'cluster_current_epoch'), field(whole, 'cluster_my_epoch')]).toEqual(['9', '9']);
    const inPart = clusterInfoText(mapOf3(['a', 'x']), nobodyIsAway);
    expect(field(inPart, 'cluster_state')).toBe('fail');
    const away = clusterInfoText(mapOf3(['a', 'b']), ({ id }) => id === IDS[1]);
    const slots = shardsOfSlots(2).filter((shard) => shard === 1).length;
    expect(field(away, 'cluster_slots_fail')).toBe(String(slots));
    expect(field(away, 'cluster_slots_ok')).toBe(String(SLOTS - slots));
  });
});
