import { expect, test } from 'vitest';
import type { FollowStatus, ShardStatus } from '../../../src/cluster/manager.js';
import type { Master } from '../../../src/master/master.js';
import { CLUSTER_FAMILIES } from '../../../src/metrics/cluster-families.js';
import { ExpositionBuilder } from '../../../src/metrics/exposition.js';
import { MASTER_FAMILIES, masterFigures } from '../../../src/metrics/master-families.js';
import { type FakeStore, quiet } from '../../support/fake-cluster.js';
import { cluster, makeMaster, request, timers } from '../../support/masters.js';
import { parseMetrics, type Scraped } from '../../support/metrics.js';

async function scrapeOf(master: Master): Promise<Scraped> {
  const exposition = new ExpositionBuilder();
  await exposition.add(CLUSTER_FAMILIES, master.topology);
  await exposition.add(MASTER_FAMILIES, masterFigures(master.view));
  return parseMetrics((await exposition.finish()).text);
}

function shardOf(keyspace: string, keys: number, follows: Partial<FollowStatus>[] = []): ShardStatus {
  const follow = { shard: 0, state: 'tailing', problem: '', isLevel: false, position: 1 } as const;
  return {
    keyspace,
    shard: 0,
    keys,
    bytes: keys * 10,
    state: 'open',
    follows: follows.map((facts) => ({
      ...follow,
      store: '',
      lagRecords: 0,
      lagMs: 0,
      copiedRows: 0,
      copiedBytes: 0,
      ...facts,
    })),
  };
}

function say(store: FakeStore, ...shards: ShardStatus[]): void {
  store.stream?.send({ kind: 'report', freeBytes: 5000, totalBytes: 9000, shards, keyspaces: [] });
}

test('a master tells of stores, keyspaces, and how far each copy is behind', async () => {
  const [master, stores] = await cluster(2);
  const { id, shards } = await master.createKeyspace(request('copied', { replicas: 2 }));
  const [owner, copy] = shards[0]!.stores.map((holder) => stores.find((store) => store.id === holder)!) as [
    FakeStore,
    FakeStore,
  ];
  say(owner, shardOf(id, 7, [{ store: copy.id }]));
  say(copy, shardOf(id, 3, [{ store: owner.id, lagRecords: 4, lagMs: 2500 }]));
  await quiet();
  const seen = await scrapeOf(master);
  const address = (store: FakeStore) => `127.0.0.1:${store.entry.port}`;
  const labels = `{keyspace="copied",shard="0",store="${address(copy)}"}`;
  expect(Object.fromEntries(seen)).toMatchObject({
    vasto_cluster_stores: 2,
    vasto_cluster_keyspaces: 1,
    vasto_master_settled: 1,
    vasto_master_stores_alive: 2,
    [`vasto_master_store_up{store="${address(copy)}"}`]: 1,
    [`vasto_master_store_disk_free_bytes{store="${address(copy)}"}`]: 5000,
    [`vasto_master_store_shards{store="${address(copy)}"}`]: 1,
    'vasto_master_keyspace_keys{keyspace="copied"}': 7,
    'vasto_master_keyspace_bytes{keyspace="copied"}': 70,
    [`vasto_master_copy_lag_seconds${labels}`]: 2.5,
    [`vasto_master_copy_lag_records${labels}`]: 4,
    [`vasto_master_copy_tailing${labels}`]: 1,
  });
  expect([...seen.keys()].filter((key) => key.startsWith('vasto_master_copy_lag_seconds'))).toHaveLength(1);
  expect([...seen.keys()].filter((key) => key.includes('change'))).toEqual([]);

  // What it said last is not what is so now.
  copy.leave();
  for (let second = 0; second < 10; second++) {
    await timers.advance(1000);
    say(owner, shardOf(id, 7));
    await quiet();
  }
  const later = await scrapeOf(master);
  expect(later.get('vasto_master_stores_alive')).toBe(1);
  expect(later.get(`vasto_master_store_up{store="${address(copy)}"}`)).toBe(0);
  expect(later.get(`vasto_master_copy_lag_seconds${labels}`)).toBeGreaterThanOrEqual(12.5);
  expect(later.get(`vasto_master_copy_tailing${labels}`)).toBe(0);
});

test('a master tells of a change: its kind, its phase, and what it has brought', async () => {
  const [master, [one, two]] = (await cluster(2)) as [Master, [FakeStore, FakeStore]];
  const { id } = await master.createKeyspace(request('growing', { near: one.id }));
  say(one, shardOf(id, 100));
  await quiet();
  await master.beginChange({ kind: 'replicas', keyspace: 'growing', replicas: 2 });
  say(two, shardOf(id, 40, [{ store: one.id, state: 'copying', copiedRows: 40, copiedBytes: 400 }]));
  await quiet();
  const seen = await scrapeOf(master);
  expect(Object.fromEntries(seen)).toMatchObject({
    'vasto_change_phase{keyspace="growing",kind="replicas",phase="prepare"}': 1,
    'vasto_change_abandoned_handovers{keyspace="growing"}': 0,
    'vasto_master_change_rows{keyspace="growing"}': 40,
    'vasto_master_change_expected_rows{keyspace="growing"}': 100,
    'vasto_master_change_bytes{keyspace="growing"}': 400,
    'vasto_master_change_expected_bytes{keyspace="growing"}': 1000,
    'vasto_master_change_resting{keyspace="growing"}': 0,
  });
  expect(seen.get('vasto_change_start_time_seconds{keyspace="growing"}')).toBe(timers.now() / 1000);
});

test('a master of which no store has heard yet says so', async () => {
  const seen = await scrapeOf(makeMaster({ settleMs: 2500 }));
  expect(seen.get('vasto_master_settled')).toBe(0);
  expect(seen.get('vasto_master_stores_alive')).toBe(0);
});
