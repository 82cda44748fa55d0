import { SHARDS_MAX } from '../jump-hash.js';
import { place } from '../placement.js';
import { flowsBetween } from '../slot-set.js';
import type { KeyspaceEntry, ShardEntry } from '../topology.js';
import { addressIn, living, lostReason, type Plan, type PlanContext, planOf, zonesOf } from './plan.js';

/**
 * Another number of shards. Those that stay, stay where they are; new ones go where there is least. Jump hashing moves
 * slots only to new shards, or only out of those that go: no plan can move fewer.
 */
export function planResize(entry: KeyspaceEntry, shards: number, context: PlanContext): Plan {
  const { name, shards: before, replicas, tags } = entry;
  if (!Number.isInteger(shards) || shards < 1 || shards > SHARDS_MAX)
    return { reason: `a keyspace has 1 to ${SHARDS_MAX} shards, not ${shards}` };
  for (const shard of before.keys()) {
    const reason = lostReason(entry, shard, context);
    if (reason !== undefined) return { reason };
  }
  const kept = before.slice(0, shards);
  let target: readonly ShardEntry[] = kept;
  const explanation: string[] = [`keyspace ${name}: ${before.length} to ${shards} shards`];
  if (shards > before.length) {
    const placement = place(living(context), {
      shards,
      replicas,
      tags,
      begun: kept,
      zones: zonesOf(context),
    });
    if ('reason' in placement) return { reason: `keyspace ${name}: ${placement.reason}` };
    target = placement.shards.map((shard, number) => kept[number] ?? shard);
    explanation.push(...placement.explanation);
  }
  explanation.push(...flowTexts(before, target, context));
  return planOf('resize', [{ entry, target, explanation }], context);
}

/** Which slots go where. */
export function flowTexts(
  before: readonly ShardEntry[],
  target: readonly ShardEntry[],
  context: PlanContext,
): string[] {
  const ends = flowsBetween(before.length, target.length).filter(({ from, to }) => from !== to);
  const holders = ({ stores }: ShardEntry) => stores.map((id) => addressIn(context, id)).join(', ');
  return ends.map(
    ({ from, to, slots }) =>
      `shard ${to} on ${holders(target[to]!)} gets ${slots.size} slots of shard ${from} on ${holders(before[from]!)}`,
  );
}
