import type { ChangeStatus, ShardStatus } from '../cluster/manager.js';
import { feedsOf } from '../cluster/plan/feeds.js';
import { slotsOfShard } from '../cluster/slot-set.js';
import type { KeyspaceEntry } from '../cluster/topology.js';
import type { StoreHealth } from './state.js';

/** What the change of a keyspace waits for. */
export interface Waiting {
  /** For people. */
  readonly reasons: readonly string[];
  /** It is done, but for what stores that are away may alone have. */
  readonly isResting: boolean;
}

/** How far a keyspace's change has come, from what stores report. */
export function changeStatus(
  entry: KeyspaceEntry,
  health: ReadonlyMap<string, StoreHealth>,
  { reasons: waitsFor, isResting }: Waiting,
): ChangeStatus[] {
  const { change, id, name, shards } = entry;
  if (change === undefined) return [];
  const shardOf = (store: string, shard: number): ShardStatus | undefined =>
    health.get(store)?.shards.find((each) => each.keyspace === id && each.shard === shard);
  const sums = { rows: 0, rowsTotal: 0, bytes: 0, bytesTotal: 0 };
  for (const { from, to, slots, purpose, start } of feedsOf(entry)) {
    if (purpose !== 'fill' || start !== 'copy') continue;
    const source = shardOf(from.store, from.shard);
    const share = slots.size / slotsOfShard(shards.length, from.shard).size;
    const follow = shardOf(to.store, to.shard)?.follows.find(
      ({ store, shard }) => store === from.store && shard === from.shard,
    );
    const rows = Math.round((source?.keys ?? 0) * share);
    const bytes = Math.round((source?.bytes ?? 0) * share);
    const isCopied = follow?.state === 'tailing';
    sums.rowsTotal += Math.max(rows, follow?.copiedRows ?? 0);
    sums.bytesTotal += Math.max(bytes, follow?.copiedBytes ?? 0);
    sums.rows += isCopied ? Math.max(rows, follow.copiedRows) : (follow?.copiedRows ?? 0);
    sums.bytes += isCopied ? Math.max(bytes, follow.copiedBytes) : (follow?.copiedBytes ?? 0);
  }
  const { kind, phase, startedAtMs, attempts } = change;
  return [
    { id: change.id, keyspace: name, kind, phase, startedAtMs, attempts, ...sums, waitsFor, isResting },
  ];
}
