import { describe, expect, it } from 'vitest';
import { planFailover } from '../../../../src/cluster/plan/failover.js';
import type { CopyReport, FeedReport, KeyspaceReport } from '../../../../src/cluster/plan/reports.js';
import { planResize } from '../../../../src/cluster/plan/resize.js';
import {
  abortChange,
  HANDOVER_MAX_MS,
  nextStep,
  type Step,
  type StepContext,
} from '../../../../src/cluster/plan/steps.js';
import type { KeyspaceEntry } from '../../../../src/cluster/topology.js';
import { copyReport } from '../../../support/reports.js';
import { Simulation } from './simulation.js';
import { entryOf, planContext } from './worlds.js';

/** A keyspace that grows from one shard, on a, to two, the second on b; nothing has been done yet. */
function growing(): KeyspaceEntry {
  const simulation = new Simulation(['a', 'b'], entryOf({ shards: 1, stores: ['a', 'b'] }));
  const plan = planResize(simulation.entry!, 2, planContext(simulation));
  if ('reason' in plan) throw new Error(plan.reason);
  return plan.entries[0]!;
}

let epoch = 100;

function contextAt(nowMs: number, heard: readonly string[] = ['a', 'b']): StepContext {
  return {
    newEpoch: () => ++epoch,
    nowMs,
    hasHeard: (id) => heard.includes(id),
    storeText: (id) => `store ${id}`,
  };
}

const feed = (facts: Partial<FeedReport> = {}): FeedReport => ({
  from: { store: 'a', shard: 0 },
  isLevel: true,
  mark: 0,
  position: 0,
  ...facts,
});

const reports = (entry: KeyspaceEntry, a: CopyReport | undefined, b: CopyReport | undefined) =>
  new Map<string, KeyspaceReport>([
    ...(a ? [['a', { epoch: entry.epoch, copies: [a] }] as const] : []),
    ...(b ? [['b', { epoch: entry.epoch, copies: [b] }] as const] : []),
  ]);

const textOf = (step: Step) => ('reasons' in step ? step.reasons : 'why' in step ? [step.why] : [step.kind]);

const entered = (step: Step): KeyspaceEntry => {
  if (step.kind !== 'enter') throw new Error(textOf(step).join());
  return step.entry;
};

describe('nextStep says what it waits for', () => {
  it('while copies are filled', () => {
    const entry = growing();
    const said = (b: CopyReport | undefined, a: CopyReport | undefined = copyReport(0)) =>
      textOf(nextStep(entry, reports(entry, a, b), contextAt(0)));
    expect(said(undefined)).toEqual(['shard 1 on store b: the store is away']);
    expect(said(copyReport(7))).toEqual(['shard 1 on store b: it is not open yet']);
    expect(said(copyReport(1, { failure: 'the disk is full' }))).toEqual([
      'shard 1 on store b: the disk is full',
    ]);
    const copying = feed({ isLevel: false });
    expect(said(copyReport(1, { isComplete: false, feeds: [copying] }))).toEqual([
      'shard 1 on store b: it copies shard 0 on store a',
    ]);
    expect(said(copyReport(1, { feeds: [feed({ isLevel: false })] }))).toEqual([
      'shard 1 on store b: it is behind shard 0 on store a',
    ]);
    const stale = new Map([
      ...reports(entry, copyReport(0), undefined),
      ['b', { epoch: 1, copies: [copyReport(1)] }],
    ]);
    expect(textOf(nextStep(entry, stale, contextAt(0)))).toEqual([
      'shard 1 on store b: it has not been told yet',
    ]);
    const alone = reports(entry, undefined, copyReport(1, { feeds: [feed()] }));
    expect(textOf(nextStep(entry, alone, contextAt(0)))).toContain(
      'shard 1 on store b: shard 0 on store a is away',
    );
  });

  it('at a hand-over, which is tried again later each time', () => {
    const ready = (entry: KeyspaceEntry) => reports(entry, copyReport(0), copyReport(1, { feeds: [feed()] }));
    let entry = growing();
    let nowMs = 0;
    for (const delayMs of [0, 250, 500, 1000]) {
      const early = nextStep(entry, ready(entry), contextAt(nowMs + Math.max(0, delayMs - 1)));
      if (delayMs > 0) expect(textOf(early)).toEqual(['the next hand-over is tried in 1 ms']);
      nowMs += delayMs;
      entry = entered(nextStep(entry, ready(entry), contextAt(nowMs)));
      expect(entry.change?.phase).toBe('handover');
      const since = entry.change!.since;
      const said = (a: Partial<CopyReport>, mark = 0, atMs = nowMs) =>
        nextStep(
          entry,
          reports(entry, copyReport(0, a), copyReport(1, { feeds: [feed({ mark })] })),
          contextAt(atMs),
        );
      expect(textOf(said({}))).toEqual(['shard 0 on store a is to hold writes']);
      expect(textOf(said({ holding: since }))).toEqual([
        'shard 1 on store b gets the last writes of shard 0 on store a',
      ]);
      // What somebody says of an earlier hand-over does not count.
      expect(said({ holding: since - 1, expired: since - 1 }, since).kind).toBe('wait');
      expect(entered(said({ holding: since }, since)).change?.phase).toBe('takeover');
      expect(entered(said({}, 0, nowMs + HANDOVER_MAX_MS + 1)).change?.phase).toBe('prepare');
      entry = entered(said({ expired: since }));
      expect(entry.change).toMatchObject({ phase: 'prepare' });
    }
    expect(entry.change?.attempts).toBe(4);
    expect(textOf(nextStep(entry, ready(entry), contextAt(nowMs)))).toEqual([
      'the next hand-over is tried in 2000 ms',
    ]);
  });

  it('and waits for no time that a clock which was set back, or the one of another master, has still to come to', () => {
    const ready = (entry: KeyspaceEntry) => reports(entry, copyReport(0), copyReport(1, { feeds: [feed()] }));
    const first = entered(nextStep(growing(), ready(growing()), contextAt(3_600_000)));
    // The owner has said nothing of holding its writes.
    const again = entered(nextStep(first, ready(first), contextAt(1000)));
    expect(again.change).toMatchObject({ phase: 'prepare', attempts: 1 });
    expect(entered(nextStep(again, ready(again), contextAt(500))).change?.phase).toBe('handover');
  });

  it('and a master that has just begun decides nothing over the head of one that is away', () => {
    const first = growing();
    const ready = reports(first, copyReport(0), copyReport(1, { feeds: [feed()] }));
    const entry = entered(nextStep(first, ready, contextAt(0)));
    const left = reports(entry, copyReport(0), undefined);
    const step = nextStep(entry, left, contextAt(60_000, ['a']));
    expect(step).toEqual({
      kind: 'wait',
      reasons: ['store b has not been heard, and may know that the takeover has begun'],
    });
    const withoutA = reports(entry, undefined, copyReport(1));
    expect(planFailover(entry, withoutA, contextAt(60_000, ['b']))).toMatchObject({ entry: undefined });
    // Somebody may.
    expect(abortChange(entry, contextAt(60_000, ['a']))).toMatchObject({
      entry: { change: { phase: 'undo' } },
    });
  });
});

describe('abortChange', () => {
  it('says when it is too late, or nothing to do', () => {
    const simulation = new Simulation(['a', 'b'], entryOf({ shards: 1, stores: ['a', 'b'] }));
    const reason = (entry: KeyspaceEntry) => {
      const aborted = abortChange(entry, contextAt(0));
      return 'reason' in aborted ? aborted.reason : 'possible';
    };
    expect(reason(simulation.entry!)).toBe('keyspace orders is not being changed');
    const plan = planResize(simulation.entry!, 2, planContext(simulation));
    if ('reason' in plan) throw new Error(plan.reason);
    simulation.publish(plan.entries[0]!, 'planned');
    simulation.settle();
    const phases = simulation.published.map((entry) => [entry.change?.phase ?? 'none', reason(entry)]);
    const late =
      'the new holders of keyspace orders have taken over already: let it finish, then change it back';
    expect(phases).toEqual([
      ['none', 'keyspace orders is not being changed'],
      ['prepare', 'possible'],
      ['handover', 'possible'],
      ['takeover', late],
      ['cleanup', late],
      ['none', 'keyspace orders is not being changed'],
    ]);
    const aborted = abortChange(plan.entries[0]!, contextAt(0));
    if ('reason' in aborted) throw new Error(aborted.reason);
    expect(reason(aborted.entry)).toBe('the change of keyspace orders is being undone already');
  });
});

it('no copy takes over that has not heard of what its shard is now: it had everything of what that was', () => {
  const { change: _, ...settledEntry } = { ...growing(), epoch: 50 };
  const entry: KeyspaceEntry = { ...settledEntry, shards: [{ stores: ['a', 'b'] }] };
  const heardAt = (at: number) => new Map([['b', { epoch: at, copies: [copyReport(0)] }]]);
  const before = planFailover(entry, heardAt(49), contextAt(0));
  expect(before.entry).toBeUndefined();
  expect(before.stuck).toEqual(['shard 0: store a is away, and no other copy that is there has everything']);
  const after = planFailover(entry, heardAt(50), contextAt(0));
  expect(after.entry?.shards[0]).toMatchObject({ stores: ['b', 'a'], home: 'a' });
});

it('nor is the mark of one awaited, in a takeover, that has not: it may never have everything of what the shard is now', () => {
  const { change: _, ...settledEntry } = { ...growing(), epoch: 50 };
  const entry: KeyspaceEntry = {
    ...settledEntry,
    shards: [{ stores: ['c'] }],
    change: {
      kind: 'move',
      id: 'change',
      attempts: 0,
      startedAtMs: 0,
      since: 50,
      replicas: 1,
      sinceMs: 0,
      phase: 'takeover',
      former: [{ stores: ['a', 'b'] }],
    },
  };
  const heardAt = (at: number) =>
    new Map([
      ['b', { epoch: at, copies: [copyReport(0)] }],
      ['c', { epoch: 50, copies: [copyReport(0)] }],
    ]);
  const context = contextAt(0, ['b', 'c']);
  expect(planFailover(entry, heardAt(49), context).entry).toBeUndefined();
  expect(planFailover(entry, heardAt(50), context).entry?.change).toMatchObject({
    former: [{ stores: ['b', 'a'] }],
  });
});
