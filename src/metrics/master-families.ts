import { storeLag } from '../cluster/copy-state.js';
import type { ChangeStatus, FollowStatus, StoreStatus } from '../cluster/manager.js';
import { addressOf, liveKeyspaces } from '../cluster/topology.js';
import type { MasterView } from '../master/master.js';
import { type Family, gauge, gauges, type Row } from './family.js';

function ofStores(of: (status: StoreStatus) => number | undefined): (view: MasterView) => Row[] {
  return ({ stores }) =>
    stores.flatMap((status): Row[] => {
      const value = of(status);
      return value === undefined ? [] : [[value, addressOf(status.entry)]];
    });
}

function ofChanges(of: (change: ChangeStatus) => number): (view: MasterView) => Row[] {
  return ({ changes }) => changes.map((change) => [of(change), change.keyspace]);
}

/** Sums of what the owners of a keyspace's shards say of them. */
function ofKeyspaces(field: 'keys' | 'bytes'): (view: MasterView) => Row[] {
  return ({ topology, stores }) => {
    const sums = new Map<string, number>();
    for (const { entry, shards } of stores)
      for (const each of shards) {
        const owner = topology.keyspaces.get(each.keyspace)?.shards[each.shard]?.stores[0];
        if (owner === entry.id) sums.set(each.keyspace, (sums.get(each.keyspace) ?? 0) + each[field]);
      }
    return liveKeyspaces(topology).map(({ id, name }) => [sums.get(id) ?? 0, name]);
  };
}

/** Of each copy that does not own its shard, how it follows the owner's. */
function ofCopies(of: (follow: FollowStatus) => number): (view: MasterView) => Row[] {
  return ({ topology, stores }) =>
    stores.flatMap(({ entry, shards }) =>
      shards.flatMap(({ keyspace, shard, follows }): Row[] => {
        const known = topology.keyspaces.get(keyspace);
        const owner = known?.shards[shard]?.stores[0];
        const follow = follows.find((each) => each.store === owner && each.shard === shard);
        if (known === undefined || follow === undefined) return [];
        return [[of(follow), known.name, String(shard), addressOf(entry)]];
      }),
    );
}

const COPY = ['keyspace', 'shard', 'store'];

/** What a master knows that others do not. */
export const MASTER_FAMILIES: readonly Family<MasterView>[] = [
  gauge('vasto_master_settled', 'Whether it knows what stores remember, and acts.', ({ isSettled }) =>
    Number(isSettled),
  ),
  gauge(
    'vasto_master_stores_alive',
    'Stores that it hears.',
    ({ stores }) => stores.filter(({ alive }) => alive).length,
  ),
  gauges(
    'vasto_master_store_up',
    'Whether it hears the store.',
    ['store'],
    ofStores(({ alive }) => Number(alive)),
  ),
  gauges(
    'vasto_master_store_last_seen_timestamp_seconds',
    'When it heard the store last, Unix time.',
    ['store'],
    ofStores(({ seenAtMs }) => (seenAtMs === 0 ? undefined : seenAtMs / 1000)),
  ),
  gauges(
    'vasto_master_store_disk_free_bytes',
    "Free on the store's disk.",
    ['store'],
    ofStores(({ freeBytes }) => freeBytes),
  ),
  gauges(
    'vasto_master_store_shards',
    'Shards that the store has.',
    ['store'],
    ofStores(({ shards }) => shards.length),
  ),
  gauges(
    'vasto_master_store_lag_seconds',
    'The longest for which the store has lacked something that a copy elsewhere has.',
    ['store'],
    ofStores(({ shards }) => storeLag(shards).lagMs / 1000),
  ),
  gauges('vasto_master_keyspace_keys', "Keys, as the shards' owners say.", ['keyspace'], ofKeyspaces('keys')),
  gauges(
    'vasto_master_keyspace_bytes',
    "Bytes of one copy, as the shards' owners say.",
    ['keyspace'],
    ofKeyspaces('bytes'),
  ),
  gauges(
    'vasto_master_copy_lag_seconds',
    'For how long the owner of the shard has had something that this copy lacks.',
    COPY,
    ofCopies(({ lagMs }) => lagMs / 1000),
  ),
  gauges(
    'vasto_master_copy_lag_records',
    'Records of the owner that this copy lacks; 0 while it is made.',
    COPY,
    ofCopies(({ lagRecords }) => lagRecords),
  ),
  gauges(
    'vasto_master_copy_tailing',
    "Whether this copy is complete and follows the owner's writes.",
    COPY,
    ofCopies(({ state }) => Number(state === 'tailing')),
  ),
  gauges(
    'vasto_master_change_rows',
    'Rows that a change has brought.',
    ['keyspace'],
    ofChanges(({ rows }) => rows),
  ),
  gauges(
    'vasto_master_change_expected_rows',
    'Rows that it is to bring, estimated.',
    ['keyspace'],
    ofChanges(({ rowsTotal }) => rowsTotal),
  ),
  gauges(
    'vasto_master_change_bytes',
    'Bytes that a change has brought.',
    ['keyspace'],
    ofChanges(({ bytes }) => bytes),
  ),
  gauges(
    'vasto_master_change_expected_bytes',
    'Bytes that it is to bring, estimated.',
    ['keyspace'],
    ofChanges(({ bytesTotal }) => bytesTotal),
  ),
  gauges(
    'vasto_master_change_resting',
    'Whether the change is done, but for what stores that are away may alone have.',
    ['keyspace'],
    ofChanges(({ isResting }) => Number(isResting)),
  ),
];
