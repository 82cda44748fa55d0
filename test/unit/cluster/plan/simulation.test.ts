import { describe, expect, it } from 'vitest';
import { dutiesIn } from '../../../../src/cluster/plan/duties.js';
import { isSameShards, type Plan } from '../../../../src/cluster/plan/plan.js';
import { planResize } from '../../../../src/cluster/plan/resize.js';
import { abortChange } from '../../../../src/cluster/plan/steps.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';
import type { Random } from '../../../support/random.js';
import { seeded } from '../../../support/replay.js';
import { SAMPLE, Simulation } from './simulation.js';
import { entryOf, planContext } from './worlds.js';

const IDS = ['a', 'b', 'c', 'd', 'e'];

/** Whoever takes writes of a slot is alone, and has all that was acknowledged. */
function checkOwners(simulation: Simulation): void {
  for (const slot of SAMPLE) {
    const takers = [...simulation.stores.values()].filter((store) => store.takes(slot) !== undefined);
    if (takers.length > 1)
      throw new Error(`slot ${slot} has the owners ${takers.map(({ id }) => id).join(', ')}`);
    const acknowledged = simulation.ledger.get(slot) ?? 0;
    for (const taker of takers) {
      const has = taker.takes(slot)!.rows.get(slot) ?? 0;
      if (has !== acknowledged)
        throw new Error(`${taker.id} takes slot ${slot} with ${has}, and ${acknowledged} was acknowledged`);
    }
  }
}

/** Everybody has what is his, and nothing else. */
function checkSettled(simulation: Simulation): void {
  const entry = simulation.entry!;
  for (const store of simulation.stores.values()) {
    const { shards } = dutiesIn(entry, store.id);
    expect([...store.copies.keys()].sort((a, b) => a - b)).toEqual(shards.map(({ shard }) => shard));
    for (const { shard, slots } of shards) {
      const rows = [...store.copies.get(shard)!.rows].sort(([a], [b]) => a - b);
      const expected = [...simulation.ledger].filter(([slot]) => slots.has(slot)).sort(([a], [b]) => a - b);
      expect([store.id, shard, rows]).toEqual([store.id, shard, expected]);
    }
  }
  for (const slot of SAMPLE)
    if (!simulation.write(slot))
      throw new Error(`nobody takes writes of slot ${slot}: ${simulation.story()}`);
}

function begin(simulation: Simulation, plan: Plan): KeyspaceEntry | undefined {
  if ('reason' in plan || plan.entries.length === 0) return undefined;
  simulation.publish(plan.entries[0]!, 'begins');
  return plan.entries[0]!;
}

/** One thing that can happen at any time. */
function happen(simulation: Simulation, random: Random): void {
  const store = simulation.stores.get(random.pick(IDS))!;
  const kind = random.int(0, 99);
  if (kind < 30) simulation.write(random.pick(SAMPLE));
  else if (kind < 50) {
    // Any of the later ones may come, so that some are missed.
    const news = simulation.published.filter(({ epoch }) => epoch > store.entry!.epoch);
    if (store.isAlive && news.length > 0) store.apply(random.pick(news));
  } else if (kind < 70) {
    const { feeds } = dutiesIn(store.entry!, store.id);
    if (store.isAlive && feeds.length > 0) store.follow(random.pick(feeds), random.int(1, 20));
  } else if (kind < 80) simulation.hear(store.id);
  else if (kind < 90) simulation.step();
  else if (kind < 92) store.sweep();
  else if (kind < 93) store.expire();
  else if (kind < 96) simulation.nowMs += random.int(0, 2500);
}

describe('a change under any interleaving', () => {
  it('ends in the target, with one complete owner for each slot all the time', async () => {
    await seeded(60, (random) => {
      const replicas = random.int(1, 3);
      const simulation = new Simulation(IDS, entryOf({ shards: random.int(1, 5), replicas, stores: IDS }));
      for (let change = 0; change < 3; change++) {
        for (const slot of SAMPLE) simulation.write(slot);
        const begun = begin(
          simulation,
          planResize(simulation.entry!, random.int(1, 6), planContext(simulation)),
        );
        for (let turn = 0; turn < 400; turn++) {
          happen(simulation, random);
          if (turn % 3 === 0) checkOwners(simulation);
        }
        const unchanged = simulation.entry!.change;
        if (unchanged !== undefined && random.chance(0.3)) {
          const aborted = abortChange(simulation.entry!, simulation.context);
          if ('entry' in aborted) simulation.publish(aborted.entry, 'aborted');
        }
        const target =
          begun?.change !== undefined && 'target' in begun.change ? begun.change.target : undefined;
        const isUndone = simulation.entry!.change?.phase === 'undo';
        const before = simulation.entry!.shards;
        simulation.settle();
        checkOwners(simulation);
        checkSettled(simulation);
        const goal = isUndone ? before : (target ?? before);
        const plain = (shards: typeof goal) => shards.map(({ stores }) => ({ stores }));
        expect(isSameShards(plain(simulation.entry!.shards), plain(goal))).toBe(true);
      }
    });
  });
});
