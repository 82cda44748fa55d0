import { describe, expect, it } from 'vitest';
import type { Plan, PlanContext } from '../../../../src/cluster/plan/plan.js';
import { planResize } from '../../../../src/cluster/plan/resize.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';
import { historyText } from './golden.js';
import { Simulation } from './simulation.js';
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
});
