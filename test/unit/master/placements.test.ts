import { describe, expect, it } from 'vitest';
import type { ShardStatus } from '../../../src/cluster/manager.js';
import { dutiesIn } from '../../../src/cluster/plan/duties.js';
import type { CopyReport } from '../../../src/cluster/plan/reports.js';
import { type KeyspaceEntry, keyspaceByName } from '../../../src/cluster/topology.js';
import type { Master } from '../../../src/master/master.js';
import type { FakeStore } from '../../support/fake-cluster.js';
import { quiet } from '../../support/fake-cluster.js';
import { cluster, failure, join, log, makeMaster, request, timers } from '../../support/masters.js';

const NAME = 'orders';

const entryOf = (master: Master): KeyspaceEntry => keyspaceByName(master.topology, NAME)!;
const phaseOf = (master: Master) => entryOf(master).change?.phase ?? 'done';

/** What a store reports that has done all that its duties say. */
function copiesOf(entry: KeyspaceEntry, store: string): CopyReport[] {
  const { shards, feeds } = dutiesIn(entry, store);
  const mark = entry.change?.since ?? 0;
  return shards.map(({ shard, held }) => ({
    shard,
    failure: '',
    isComplete: true,
    isClean: true,
    holding: held.isEmpty ? 0 : mark,
    expired: 0,
    feeds: feeds
      .filter(({ to }) => to.shard === shard)
      .map(({ from }) => ({ from, isLevel: true, mark, position: 1 })),
  }));
}

function say(store: FakeStore, entry: KeyspaceEntry, facts: { free?: number; bytes?: number } = {}): void {
  const { free = 1000, bytes = 1 } = facts;
  const shards = entry.shards.flatMap(({ stores }, shard): ShardStatus[] =>
    stores.includes(store.id)
      ? [{ keyspace: entry.id, shard, keys: 1, bytes, state: 'open', follows: [] }]
      : [],
  );
  store.stream?.send({
    kind: 'report',
    freeBytes: free,
    totalBytes: 10_000,
    shards,
    keyspaces: [{ keyspace: entry.id, epoch: entry.epoch, copies: copiesOf(entry, store.id) }],
  });
}

/** Has all stores do what the entry says, until nothing changes any more. @returns the phases on the way */
async function carryOut(master: Master, stores: readonly FakeStore[]): Promise<string[]> {
  const phases = [phaseOf(master)];
  for (let round = 0; round < 20 && phases.at(-1) !== 'done'; round++) {
    for (const store of stores) say(store, entryOf(master));
    await timers.advance(300);
    if (phaseOf(master) !== phases.at(-1)) phases.push(phaseOf(master));
  }
  return phases;
}

async function withKeyspace(stores: number, shards: number): Promise<[Master, FakeStore[]]> {
  const [master, all] = await cluster(stores);
  await master.createKeyspace(request(NAME, { shards }));
  for (const store of all) say(store, entryOf(master));
  await quiet();
  return [master, all];
}

describe('changes of placement', () => {
  it('go on from what stores report, phase by phase', async () => {
    const [master, stores] = await withKeyspace(2, 1);
    await master.beginChange({ kind: 'resize', keyspace: NAME, shards: 2 });
    expect((await master.changeStatuses()).map(({ kind, phase }) => [kind, phase])).toEqual([
      ['resize', 'prepare'],
    ]);
    expect(await carryOut(master, stores)).toEqual(['prepare', 'handover', 'takeover', 'cleanup', 'done']);
    expect(entryOf(master).shards).toHaveLength(2);
    expect(await master.changeStatuses()).toEqual([]);
  });

  it('are tried again where the hand-over takes too long, and tell what they wait for', async () => {
    const [master, stores] = await withKeyspace(2, 1);
    await master.beginChange({ kind: 'resize', keyspace: NAME, shards: 2 });
    for (const store of stores) say(store, entryOf(master));
    await timers.advance(10);
    expect(phaseOf(master)).toBe('handover');
    // Nobody holds anything.
    await timers.advance(2500);
    expect(phaseOf(master)).toBe('prepare');
    expect(entryOf(master).change).toMatchObject({ attempts: 1 });
    expect(log.some((line) => line.includes('the hand-over is to be tried again'))).toBe(true);
    await timers.advance(10);
    expect((await master.changeStatuses())[0]!.waitsFor.join()).toContain('has not been told yet');
    expect((await carryOut(master, stores)).at(-1)).toBe('done');
  });

  it('are refused where there is no room for what is to come, and nothing is begun', async () => {
    const [master, stores] = await withKeyspace(2, 2);
    for (const store of stores) say(store, entryOf(master), { free: 100, bytes: 1000 });
    await quiet();
    const [from, to] = stores as [FakeStore, FakeStore];
    const shard = entryOf(master).shards.findIndex(({ stores: [owner] }) => owner === from.id);
    for (const change of [
      { kind: 'drain', store: from.id },
      { kind: 'move', keyspace: NAME, shard, from: from.id, to: to.id },
    ] as const)
      expect(await failure(master.beginChange(change))).toMatch(/^IMPOSSIBLE .*(free|room)/);
    expect(phaseOf(master)).toBe('done');
    expect(master.topology.stores.get(from.id)!.isDrained).toBeUndefined();
  });

  it('name stores by address or the beginning of their id, and say which there are', async () => {
    const [master] = await withKeyspace(2, 1);
    expect(await failure(master.beginChange({ kind: 'drain', store: 'nowhere:1' }))).toMatch(
      /^NOT_FOUND no store is "nowhere:1": there are 127\.0\.0\.1:7001 \(\w{8}\), /,
    );
    expect(await failure(master.beginChange({ kind: 'drain', store: '0000' }))).toMatch(
      /^NOT_FOUND several stores are "0000"/,
    );
  });

  it('end with an abort before others have taken over', async () => {
    const [master, stores] = await withKeyspace(2, 1);
    const before = entryOf(master).shards;
    await master.beginChange({ kind: 'resize', keyspace: NAME, shards: 2 });
    await master.beginChange({ kind: 'abort', keyspace: NAME });
    expect(await carryOut(master, stores)).toEqual(['undo', 'done']);
    expect(entryOf(master).shards).toEqual(before);
    expect(await failure(master.beginChange({ kind: 'abort', keyspace: NAME }))).toBe(
      `IMPOSSIBLE keyspace ${NAME} is not being changed`,
    );
  });
});

describe('a store that is drained', () => {
  const holders = (master: Master) => new Set(entryOf(master).shards.flatMap(({ stores }) => stores));

  it('gets nothing more, whatever is restarted, until somebody says so', async () => {
    const [master, stores] = await withKeyspace(2, 4);
    const [one, two] = stores as [FakeStore, FakeStore];
    await master.beginChange({ kind: 'drain', store: one.id });
    expect((await carryOut(master, stores)).at(-1)).toBe('done');
    expect([...holders(master)]).toEqual([two.id]);
    // Other stores come, the master is another one; what it knows is what they remember.
    master.close();
    const next = makeMaster();
    for (const store of stores) join(next, store);
    await quiet();
    expect(next.topology.stores.get(one.id)).toMatchObject({ isDrained: true });
    await next.createKeyspace(request('later', { shards: 4, near: one.id }));
    const later = keyspaceByName(next.topology, 'later')!;
    expect(new Set(later.shards.flatMap((held) => held.stores))).toEqual(new Set([two.id]));
    for (const change of [{ kind: 'rebalance' }, { kind: 'resize', keyspace: NAME, shards: 5 }] as const) {
      for (const store of stores) say(store, entryOf(next));
      await quiet();
      await next.beginChange(change);
      await carryOut(next, stores);
      expect([...holders(next)]).toEqual([two.id]);
    }
    const back = { kind: 'move', keyspace: NAME, shard: 0, from: two.id, to: one.id } as const;
    expect(await failure(next.beginChange(back))).toMatch(/^IMPOSSIBLE .*is drained: undrain it/);
    expect(await failure(next.createKeyspace(request('copies', { replicas: 2 })))).toMatch(
      /1 that are drained: undrain them/,
    );
    await next.beginChange({ kind: 'undrain', store: one.id });
    expect(next.topology.stores.get(one.id)!.isDrained).toBeUndefined();
    await next.beginChange(back);
    await carryOut(next, stores);
    expect(entryOf(next).shards[0]!.stores).toEqual([one.id]);
  });

  it.each([true, false])(
    'stays what it is (%s) though it comes from elsewhere, before those who know, to a master that knows nothing',
    async (isDrained) => {
      const [master, stores] = await withKeyspace(2, 4);
      const [one, two] = stores as [FakeStore, FakeStore];
      if (!isDrained) await master.beginChange({ kind: 'drain', store: one.id });
      await quiet();
      const { topology } = one;
      if (isDrained) await master.beginChange({ kind: 'drain', store: one.id });
      else await master.beginChange({ kind: 'undrain', store: one.id });
      await quiet();
      master.close();
      await timers.advance(1000);
      const next = makeMaster();
      one.topology = topology;
      one.entry = { ...one.entry, port: 7999 };
      join(next, one);
      await quiet();
      await timers.advance(100);
      const moved = next.topology.stores.get(one.id)!;
      expect(moved).toMatchObject({ port: 7999 });
      expect(moved.isDrained === true).toBe(!isDrained);
      join(next, two);
      await quiet();
      expect(next.topology.stores.get(one.id)).toMatchObject({ port: 7999 });
      expect(next.topology.stores.get(one.id)!.isDrained === true).toBe(isDrained);
      expect(two.topology.stores.get(one.id)!.isDrained === true).toBe(isDrained);
    },
  );

  it('is not said to be where it cannot be', async () => {
    const [master, [one]] = (await cluster(1)) as [Master, FakeStore[]];
    await master.createKeyspace(request(NAME));
    say(one!, entryOf(master));
    await quiet();
    expect(await failure(master.beginChange({ kind: 'drain', store: one!.id }))).toMatch(/^IMPOSSIBLE /);
    expect(master.topology.stores.get(one!.id)!.isDrained).toBeUndefined();
  });
});
