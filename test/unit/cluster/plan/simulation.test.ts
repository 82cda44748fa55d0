import { describe, expect, it } from 'vitest';
import { dutiesIn } from '../../../../src/cluster/plan/duties.js';
import { isSameShards, type Plan } from '../../../../src/cluster/plan/plan.js';
import { planRebalance } from '../../../../src/cluster/plan/rebalance.js';
import { planDrain, planMove, planReplace } from '../../../../src/cluster/plan/replace.js';
import { planReplicas } from '../../../../src/cluster/plan/replicas.js';
import { planResize } from '../../../../src/cluster/plan/resize.js';
import { abortChange } from '../../../../src/cluster/plan/steps.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';
import type { Random } from '../../../support/random.js';
import { seeded } from '../../../support/replay.js';
import { SAMPLE, type SimulatedStore, Simulation } from './simulation.js';
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

/** What may go wrong. */
interface Troubles {
  readonly crashes: boolean;
  readonly failovers: boolean;
}

/** One thing that can happen at any time. */
function happen(simulation: Simulation, random: Random, { crashes, failovers }: Troubles): void {
  const store = simulation.stores.get(random.pick(IDS))!;
  const kind = random.int(0, 99);
  if (kind < 30) simulation.write(random.pick(SAMPLE), random.int(0, 10));
  else if (kind < 50) {
    // Any of the later ones may come, so that some are missed.
    const news = simulation.published.filter(({ epoch }) => epoch > store.entry!.epoch);
    if (store.isAlive && news.length > 0) store.apply(random.pick(news));
  } else if (kind < 70) {
    const { feeds } = dutiesIn(store.entry!, store.id);
    if (store.isAlive && feeds.length > 0) store.follow(random.pick(feeds), random.int(1, 20));
  } else if (kind < 78) simulation.hear(store.id);
  else if (kind < 88) simulation.step();
  else if (kind < 90 && store.isAlive) store.sweep();
  else if (kind < 91) store.expire();
  else if (kind < 93) simulation.nowMs += random.int(0, 2500);
  else if (kind < 97) trouble(simulation, random, store, { crashes, failovers });
}

function trouble(
  simulation: Simulation,
  random: Random,
  store: SimulatedStore,
  { crashes, failovers }: Troubles,
): void {
  const kind = random.int(0, 9);
  if (crashes && kind < 2) {
    store.crash();
    simulation.journal.push(`${store.id} crashes`);
  } else if (crashes && kind < 6) store.isAlive = true;
  else if (crashes && kind < 7) simulation.restartMaster();
  else if (failovers && kind < 8) simulation.miss(store.id);
  else if (failovers) simulation.failOver();
}

/** Some change, or none where none can be. */
function planAnything(simulation: Simulation, random: Random): Plan {
  const entry = simulation.entry!;
  const context = planContext(simulation);
  if (entry.change !== undefined) return { reason: 'busy' };
  switch (random.int(0, 6)) {
    case 0:
      return planReplicas(entry, random.int(1, 3), context);
    case 1:
      return planReplace([entry], random.pick(IDS), random.chance(0.5) ? 'auto' : random.pick(IDS), context);
    case 2:
      return planMove(entry, 0, entry.shards[0]!.stores[0]!, random.pick(IDS), context);
    case 3:
      return planDrain([entry], random.pick(IDS), context);
    case 4:
      return planRebalance([entry], context);
    default:
      return planResize(entry, random.int(1, 6), context);
  }
}

/** Several changes in a row, with everything that may happen, and then the check that all is well. */
function live(random: Random, troubles: Troubles): void {
  const replicas = random.int(troubles.failovers ? 2 : 1, 3);
  const simulation = new Simulation(IDS, entryOf({ shards: random.int(1, 5), replicas, stores: IDS }));
  for (let change = 0; change < 3; change++) {
    for (const slot of SAMPLE) simulation.write(slot);
    const begun = begin(simulation, planAnything(simulation, random));
    for (let turn = 0; turn < 400; turn++) {
      happen(simulation, random, troubles);
      if (!troubles.failovers && turn % 3 === 0) checkOwners(simulation);
    }
    if (simulation.entry === undefined) {
      // All were away when the master began.
      for (const store of simulation.stores.values()) store.isAlive = true;
      simulation.restartMaster();
    }
    if (random.chance(0.2)) {
      const aborted = abortChange(simulation.entry!, simulation.context);
      if ('entry' in aborted) simulation.publish(aborted.entry, 'aborted');
    }
    const isUndone = simulation.published.some(
      ({ epoch, change: of }) => epoch > (begun?.epoch ?? 0) && of?.phase === 'undo',
    );
    const before = simulation.entry!.shards;
    simulation.settle();
    try {
      checkSettled(simulation);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}: ${simulation.story()}`, { cause });
    }
    if (!troubles.failovers) {
      checkOwners(simulation);
      const target = begun?.change !== undefined && 'target' in begun.change ? begun.change.target : before;
      const plain = (shards: typeof target) => shards.map(({ stores }) => ({ stores }));
      expect(isSameShards(plain(simulation.entry!.shards), plain(isUndone ? before : target))).toBe(true);
    }
  }
}

describe('changes under any interleaving', () => {
  it('end in the target, with one complete owner for each slot all the time', async () => {
    await seeded(60, (random) => live(random, { crashes: false, failovers: false }));
  });

  it('do so when stores and masters crash at any moment, and come back', async () => {
    await seeded(60, (random) => live(random, { crashes: true, failovers: false }));
  });

  it('lose nothing by failovers, when all are back, also of what two owners took at once', async () => {
    await seeded(60, (random) => live(random, { crashes: true, failovers: true }));
  });
});
