import { expect, it } from 'vitest';
import { EMPTY_TOPOLOGY, type KeyspaceEntry, withKeyspace } from '../../../src/cluster/topology.js';
import { Keyspaces } from '../../../src/node/keyspaces.js';
import type { ShardRoute } from '../../../src/workers/pool.js';

const entry = (id: string, changes: Partial<KeyspaceEntry> = {}): KeyspaceEntry => ({
  id,
  epoch: 1,
  name: id,
  db: undefined,
  replicas: 1,
  tags: [],
  shards: [{ stores: ['self'] }, { stores: ['other'] }],
  deleted: false,
  ...changes,
});

const route = { shard: 9 } as ShardRoute;

it('tells local shards from those of other stores', () => {
  const keyspaces = new Keyspaces('self', () => route);
  keyspaces.apply(withKeyspace(EMPTY_TOPOLOGY, entry('a')));
  expect(keyspaces.named('a')?.places).toEqual([
    { shard: 0, store: 'self', local: route },
    { shard: 1, store: 'other', local: undefined },
  ]);
  const gateway = new Keyspaces('', () => route);
  gateway.apply(withKeyspace(EMPTY_TOPOLOGY, entry('a', { shards: [{ stores: [] }] })));
  expect(gateway.named('a')?.places[0]?.local).toBeUndefined();
});

it('changes what sessions hold in place', () => {
  const keyspaces = new Keyspaces('self', () => route);
  let changes = 0;
  keyspaces.onChange(() => changes++);
  keyspaces.apply(withKeyspace(EMPTY_TOPOLOGY, entry('a', { db: 3 })));
  const held = keyspaces.numbered(3)!;
  const renamed = entry('a', { name: 'b', db: 4, epoch: 2, shards: [{ stores: ['self'] }] });
  keyspaces.apply(withKeyspace(EMPTY_TOPOLOGY, renamed));
  expect(keyspaces.named('b')).toBe(held);
  expect(keyspaces.numbered(4)).toBe(held);
  expect([keyspaces.named('a'), keyspaces.numbered(3)]).toEqual([undefined, undefined]);
  expect(held.places).toHaveLength(1);
  expect(changes).toBe(2);
});

it('marks what was deleted, and gives its name to a later one', () => {
  const keyspaces = new Keyspaces('self', () => route);
  keyspaces.apply(withKeyspace(EMPTY_TOPOLOGY, entry('a')));
  const held = keyspaces.withId('a')!;
  const gone = withKeyspace(EMPTY_TOPOLOGY, entry('a', { deleted: true, epoch: 2 }));
  keyspaces.apply(withKeyspace(gone, entry('a2', { name: 'a', epoch: 3 })));
  expect(held.deleted).toBe(true);
  expect(keyspaces.withId('a')).toBeUndefined();
  expect(keyspaces.named('a')?.id).toBe('a2');
});

it('lists databases by number, then the others by name', () => {
  const keyspaces = new Keyspaces('self', () => route);
  let topology = EMPTY_TOPOLOGY;
  for (const each of [entry('z'), entry('b', { db: 10 }), entry('c', { db: 2 }), entry('a')])
    topology = withKeyspace(topology, each);
  keyspaces.apply(topology);
  expect(keyspaces.all().map(({ name }) => name)).toEqual(['c', 'b', 'a', 'z']);
});
