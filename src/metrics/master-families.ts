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

/** A copy that does not own its shard. */
interface CopyFigures {
  readonly labels: readonly [keyspace: string, shard: string, store: string];
  /** How it follows the owner's, as its store said last; undefined where it has not said so. */
  readonly follow: FollowStatus | undefined;
  /** For how long there has been no word from a store that is away, milliseconds; 0 while it is there. */
  readonly silenceMs: number;
}

/** What a master's families are told from. */
export interface MasterFigures extends MasterView {
  readonly copies: readonly CopyFigures[];
}

export function masterFigures(view: MasterView): MasterFigures {
  const { topology, stores, nowMs } = view;
  const byStore = new Map(
    stores.map((status) => {
      const shards = new Map(status.shards.map((each) => [`${each.keyspace}/${each.shard}`, each]));
      return [status.entry.id, { ...status, shards }];
    }),
  );
  const copies: CopyFigures[] = [];
  for (const { id, name, shards } of liveKeyspaces(topology))
    for (const [shard, { stores: holders }] of shards.entries())
      for (const holder of holders.slice(1)) {
        const status = byStore.get(holder);
        if (status === undefined) continue;
        const follows = status.shards.get(`${id}/${shard}`)?.follows ?? [];
        copies.push({
          labels: [name, String(shard), addressOf(status.entry)],
          follow: follows.find((each) => each.store === holders[0] && each.shard === shard),
          silenceMs: status.alive ? 0 : Math.max(0, nowMs - status.seenAtMs),
        });
      }
  return { ...view, copies };
}

function ofCopies(
  of: (follow: FollowStatus, copy: CopyFigures) => number,
): (figures: MasterFigures) => Row[] {
  return ({ copies }) =>
    copies.flatMap((copy): Row[] =>
      copy.follow === undefined ? [] : [[of(copy.follow, copy), ...copy.labels]],
    );
}

const COPY = ['keyspace', 'shard', 'store'];

/** What a master knows that others do not. */
export const MASTER_FAMILIES: readonly Family<MasterFigures>[] = [
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
  gauges('vasto_master_keyspace_keys', "Keys, as the shards' owners say.", ['keyspace'], ofKeyspaces('keys')),
  gauges(
    'vasto_master_keyspace_bytes',
    "Bytes of one copy, as the shards' owners say.",
    ['keyspace'],
    ofKeyspaces('bytes'),
  ),
  gauges(
    'vasto_master_copy_lag_seconds',
    'For how long the owner of the shard has had something that this copy lacks; it grows while the store is away.',
    COPY,
    ofCopies(({ lagMs }, { silenceMs }) => (lagMs + silenceMs) / 1000),
  ),
  gauges(
    'vasto_master_copy_lag_records',
    'Records of the owner that this copy lacks.',
    COPY,
    ofCopies(({ lagRecords }) => lagRecords),
  ),
  gauges(
    'vasto_master_copy_tailing',
    "Whether this copy is complete and follows the owner's writes.",
    COPY,
    ({ copies }) =>
      copies.map(({ follow, silenceMs, labels }) => [
        Number(follow?.state === 'tailing' && silenceMs === 0),
        ...labels,
      ]),
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
