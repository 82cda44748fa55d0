import { dutiesIn, type ShardDuty, storesConcerned } from '../../../../src/cluster/plan/duties.js';
import { explain } from '../../../../src/cluster/plan/explain.js';
import type { Feed } from '../../../../src/cluster/plan/feeds.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';
import type { Simulation } from './simulation.js';

/** An entry with what each store has to do, as text. */
export function entryText(entry: KeyspaceEntry): string[] {
  const lines = entry.change === undefined ? [] : explain(entry, (id) => id).slice(1);
  for (const [shard, { stores, home }] of entry.shards.entries())
    lines.push(`  shard ${shard}: ${stores.join(', ')}${home === undefined ? '' : ` (at home on ${home})`}`);
  if (entry.change === undefined) return lines;
  for (const store of storesConcerned(entry).sort()) {
    const { shards, feeds } = dutiesIn(entry, store);
    for (const duty of shards) {
      lines.push(`  ${store} ${dutyText(duty)}`);
      for (const feed of feeds) if (feed.to.shard === duty.shard) lines.push(`    ${feedText(feed)}`);
    }
  }
  return lines;
}

function dutyText({ shard, role, slots, held, given, awaited, wanted, kept }: ShardDuty): string {
  const parts = [`shard ${shard}: ${role}`];
  if (!slots.isEmpty) parts.push(`answers for ${slots.size} slots`);
  if (!held.isEmpty) parts.push(`holds writes of ${held.size}`);
  if (!given.isEmpty) parts.push(`has given ${given.size}`);
  for (const { store, shard: from, slots: those } of awaited)
    parts.push(`awaits the mark of ${store}/${from} for ${those.size}`);
  if (!wanted.equals(slots)) parts.push(`wants ${wanted.size}`);
  if (!kept.equals(wanted)) parts.push(`keeps ${kept.size}`);
  return parts.join(', ');
}

function feedText({ from, slots, purpose, start }: Feed): string {
  return `${purpose} from ${from.store}/${from.shard}: ${slots.size} slots, ${start}`;
}

/** What a simulation has published since some entry, as text. */
export function historyText(simulation: Simulation, since: number): string {
  return simulation.published
    .filter(({ epoch }) => epoch >= since)
    .flatMap((entry) => [
      `${entry.change?.phase ?? 'settled'}: ${simulation.reasons.get(entry.epoch)}`,
      ...entryText(entry),
    ])
    .join('\n');
}
