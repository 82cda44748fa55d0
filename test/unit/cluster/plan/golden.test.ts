import { describe, expect, it } from 'vitest';
import type { Plan, PlanContext } from '../../../../src/cluster/plan/plan.js';
import { planRebalance } from '../../../../src/cluster/plan/rebalance.js';
import { planDrain, planReplace } from '../../../../src/cluster/plan/replace.js';
import { planReplicas } from '../../../../src/cluster/plan/replicas.js';
import { planResize } from '../../../../src/cluster/plan/resize.js';
import { abortChange, nextStep } from '../../../../src/cluster/plan/steps.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';
import { historyText } from './golden.js';
import { SAMPLE, Simulation } from './simulation.js';
import { entryOf, planContext } from './worlds.js';

type Planner = (entry: KeyspaceEntry, context: PlanContext) => Plan;

/** Plans, and carries out what is planned, one after the other; all of it as text. */
function story(simulation: Simulation, ...planners: readonly Planner[]): string {
  return planners
    .map((planner) => {
      const plan = planner(simulation.entry!, planContext(simulation));
      if ('reason' in plan) return `cannot: ${plan.reason}`;
      const [entry] = plan.entries;
      if (entry === undefined) return 'nothing to do';
      simulation.publish(entry, 'planned');
      simulation.settle();
      return [...plan.explanation, historyText(simulation, entry.epoch)].join('\n');
    })
    .join('\n\n');
}

/** A store dies, and its shards are owned by others. */
function die(simulation: Simulation, id: string): void {
  simulation.stores.get(id)!.crash();
  simulation.hear(id);
  simulation.failOver();
  simulation.goOn();
}

const golden = (name: string) => `./golden/${name}.txt`;

describe('the main scenarios read well', () => {
  const world = (shards: number, replicas: number, ids: string) =>
    new Simulation([...ids], entryOf({ shards, replicas, stores: [...ids] }));

  it('growing from 3 to 4 shards', async () => {
    const text = story(world(3, 1, 'abcd'), (entry, context) => planResize(entry, 4, context));
    await expect(text).toMatchFileSnapshot(golden('grow'));
  });

  it('growing from 3 to 4 shards with two copies of each', async () => {
    const text = story(world(3, 2, 'abcd'), (entry, context) => planResize(entry, 4, context));
    await expect(text).toMatchFileSnapshot(golden('grow-copies'));
  });

  it('shrinking from 4 to 3 shards', async () => {
    const text = story(world(4, 1, 'abcd'), (entry, context) => planResize(entry, 3, context));
    await expect(text).toMatchFileSnapshot(golden('shrink'));
  });

  it('several in a row', async () => {
    const text = story(
      world(1, 1, 'ab'),
      (entry, context) => planResize(entry, 2, context),
      (entry, context) => planResize(entry, 3, context),
      (entry, context) => planResize(entry, 3, context),
      (entry, context) => planResize(entry, 1, context),
      (entry, context) => planResize(entry, 0, context),
    );
    await expect(text).toMatchFileSnapshot(golden('row'));
  });

  it('replacing a store that is there', async () => {
    const text = story(world(3, 2, 'abcd'), (entry, context) => planReplace([entry], 'a', 'd', context));
    await expect(text).toMatchFileSnapshot(golden('replace'));
  });

  it('replacing a dead store, which comes back later', async () => {
    const simulation = world(2, 2, 'abcd');
    for (const slot of SAMPLE) simulation.write(slot);
    die(simulation, 'a');
    const lines = ['a dies, with writes that nobody else has', historyText(simulation, 2)];
    const plan = planReplace([simulation.entry!], 'a', 'auto', planContext(simulation));
    if ('reason' in plan) throw new Error(plan.reason);
    lines.push(...plan.explanation);
    const [entry] = plan.entries;
    simulation.publish(entry!, 'planned');
    simulation.goOn();
    lines.push(historyText(simulation, entry!.epoch));
    lines.push(`then: ${JSON.stringify(nextStep(simulation.entry!, simulation.living, simulation.context))}`);
    const { epoch } = simulation.entry!;
    simulation.settle();
    lines.push('a comes back', historyText(simulation, epoch + 1));
    await expect(lines.join('\n')).toMatchFileSnapshot(golden('replace-dead'));
  });

  it('a dead store with the only copy cannot be replaced, nor can one grow', () => {
    const simulation = world(2, 1, 'abc');
    die(simulation, 'a');
    const text = story(
      simulation,
      (entry, context) => planReplace([entry], 'a', 'auto', context),
      (entry, context) => planResize(entry, 3, context),
    );
    expect(text).toBe(
      [
        'cannot: keyspace orders: shard 0 has no living copy: start host-a:7001 again',
        'cannot: keyspace orders: shard 0 has no living copy: start host-a:7001 again',
      ].join('\n\n'),
    );
  });

  it('draining a store', async () => {
    const text = story(world(4, 1, 'abcd'), (entry, context) => planDrain([entry], 'd', context));
    await expect(text).toMatchFileSnapshot(golden('drain'));
  });

  it('more copies, then fewer', async () => {
    const text = story(
      world(2, 1, 'abc'),
      (entry, context) => planReplicas(entry, 2, context),
      (entry, context) => planReplicas(entry, 1, context),
    );
    await expect(text).toMatchFileSnapshot(golden('replicas'));
  });

  it('stores that have joined get their share', async () => {
    const entry = entryOf({ shards: 4, replicas: 1, stores: [...'ab'] });
    const text = story(new Simulation([...'abcd'], entry), (before, context) =>
      planRebalance([before], context),
    );
    await expect(text).toMatchFileSnapshot(golden('rebalance'));
  });

  it('an owner that dies, and gets its shard back', async () => {
    const simulation = world(2, 2, 'abc');
    for (const slot of SAMPLE) simulation.write(slot);
    die(simulation, 'a');
    for (const slot of SAMPLE) simulation.write(slot);
    const lines = ['a dies', historyText(simulation, 2)];
    const { epoch } = simulation.entry!;
    simulation.settle();
    lines.push('a comes back', historyText(simulation, epoch + 1));
    await expect(lines.join('\n')).toMatchFileSnapshot(golden('failover'));
  });

  it('a change that is given up', async () => {
    const simulation = world(3, 1, 'abcd');
    const plan = planResize(simulation.entry!, 4, planContext(simulation));
    if ('reason' in plan) throw new Error(plan.reason);
    simulation.publish(plan.entries[0]!, 'planned');
    const aborted = abortChange(simulation.entry!, simulation.context);
    if ('reason' in aborted) throw new Error(aborted.reason);
    simulation.publish(aborted.entry, 'aborted');
    simulation.settle();
    await expect(historyText(simulation, 2)).toMatchFileSnapshot(golden('abort'));
  });
});
