import { flowsBetween } from '../slot-set.js';
import type { ChangePhase, KeyspaceEntry, ShardEntry } from '../topology.js';

const PHASES: Readonly<Record<ChangePhase, string>> = {
  prepare: 'copies are filled, nothing is different for clients',
  handover: 'the last writes are handed over, further ones wait',
  takeover: 'new owners begin as former ones end',
  cleanup: 'former holders remove what is not theirs',
  undo: 'given up: what had been filled is removed',
};

/**
 * What a keyspace's change is about, in lines for people.
 * @param storeText how a store is named to them
 */
export function explain(entry: KeyspaceEntry, storeText: (id: string) => string): string[] {
  const { name, change, shards } = entry;
  if (change === undefined) return [`keyspace ${name} is not being changed`];
  const retries = change.attempts === 0 ? '' : `, ${change.attempts} hand-overs given up`;
  const lines = [`keyspace ${name}: ${change.kind}, ${change.phase} (${PHASES[change.phase]})${retries}`];
  const [before, after] = 'target' in change ? [shards, change.target] : [change.former, shards];
  const list = ({ stores }: ShardEntry) => stores.map(storeText).join(', ');
  for (const { from, to, slots } of flowsBetween(before.length, after.length)) {
    const source = before[from]!;
    // Of a shard that the change does not touch, or that is done with, nobody is named any more.
    if (source.stores.length === 0) continue;
    if (from !== to)
      lines.push(
        `  shard ${to} (${list(after[to]!)}) gets ${slots.size} slots of shard ${from} (${list(source)})`,
      );
    else if (list(source) !== list(after[to]!))
      lines.push(`  shard ${to} (${list(source)}) goes to ${list(after[to]!)}`);
  }
  return lines;
}
