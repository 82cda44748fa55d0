import { describe, expect, it } from 'vitest';
import type { AdminContext } from '../../../src/cli/admin-actions.js';
import { change, progressOf } from '../../../src/cli/admin-changes.js';
import { MasterCluster } from '../../../src/cli/master-cluster.js';
import { type ChangeRequest, type ChangeStatus, ManagerError } from '../../../src/cluster/manager.js';
import { admin, FakeMaster } from '../../support/fake-master.js';

function status(facts: Partial<ChangeStatus> = {}): ChangeStatus {
  return {
    id: 'c1',
    keyspace: 'orders',
    kind: 'resize',
    phase: 'prepare',
    startedAtMs: Date.now(),
    attempts: 0,
    rows: 50,
    rowsTotal: 200,
    bytes: 1 << 20,
    bytesTotal: 4 << 20,
    waitsFor: [],
    isResting: false,
    ...facts,
  };
}

function changing(...statuses: FakeMaster['statuses']): FakeMaster {
  const master = new FakeMaster();
  master.begun = { id: 'c1', explanation: ['shard 1 goes to b'] };
  master.statuses = statuses;
  return master;
}

describe('vasto admin, of where keyspaces are', () => {
  it.each<[string, ChangeRequest]>([
    ['keyspace resize orders 4', { kind: 'resize', keyspace: 'orders', shards: 4 }],
    ['keyspace replicas orders 2 --detach', { kind: 'replicas', keyspace: 'orders', replicas: 2 }],
    ['keyspace move orders 1 a b', { kind: 'move', keyspace: 'orders', shard: 1, from: 'a', to: 'b' }],
    ['keyspace abort orders', { kind: 'abort', keyspace: 'orders' }],
    ['store replace a', { kind: 'replace', store: 'a', by: '' }],
    ['store replace a b', { kind: 'replace', store: 'a', by: 'b' }],
    ['store drain a', { kind: 'drain', store: 'a' }],
    ['rebalance --json', { kind: 'rebalance' }],
  ])('%s', async (line, request) => {
    const master = changing();
    expect((await admin(line, master)).code).toBe(0);
    expect(master.calls.map((call) => JSON.parse(call))).toEqual([request]);
  });

  it.each([
    'keyspace resize orders',
    'keyspace resize orders x',
    'keyspace resize orders 4 5',
    'keyspace move orders 1 a',
    'keyspace abort orders --detach',
    'store',
    'store drain',
    'rebalance now',
    'tasks x',
  ])('%j is wrong usage', async (line) => {
    expect((await admin(line)).code).toBe(2);
  });

  it('waits until it is over, other changes or not, and tells what goes where', async () => {
    const other = status({ id: 'c2', keyspace: 'bills' });
    const master = changing([status(), other], [status({ phase: 'cleanup' }), other], [other]);
    const { code, out, err } = await admin('keyspace resize orders 4', master, '');
    expect([code, out]).toEqual([0, 'shard 1 goes to b\ndone\n']);
    expect(err).toContain(' 25 %  prepare: 50 rows of 200, 1.0 MB');
    expect(err).toContain('cleanup: ');
    expect(master.statuses).toEqual([]);
  });

  it('does not wait for what stores that are away may alone have', async () => {
    const master = changing([status({ isResting: true })], [status()]);
    expect((await admin('store replace a', master)).code).toBe(0);
    expect(master.statuses).toHaveLength(1);
  });

  it('goes on waiting while the master is away, or knows nothing yet', async () => {
    const master = changing(
      new ManagerError('UNAVAILABLE', 'nobody there'),
      new ManagerError('IMPOSSIBLE', 'no store has registered since the master was started'),
      [status()],
    );
    const { code, out } = await admin('keyspace resize orders 4', master);
    expect([code, out]).toEqual([0, 'shard 1 goes to b\ndone\n']);
    expect(master.statuses).toEqual([]);
  });

  it('says that it was aborted', async () => {
    const { code, err } = await admin('keyspace resize orders 4', changing([status({ phase: 'undo' })]));
    expect([code, err]).toEqual([
      1,
      'vasto admin: the change was aborted: what had been prepared is removed\n',
    ]);
    const aborting = changing([status({ phase: 'undo' })]);
    expect((await admin('keyspace abort orders --json', aborting)).code).toBe(0);
  });

  it('waits neither with --detach nor where there is nothing to do', async () => {
    const master = changing([status()]);
    expect((await admin('keyspace resize orders 4 --detach', master)).out).toBe(
      "shard 1 goes to b\nit goes on: 'tasks' tells how far it has come\n",
    );
    master.begun = { id: '', explanation: [] };
    expect((await admin('rebalance', master)).out).toBe('nothing is to be done\n');
    expect(JSON.parse((await admin('rebalance --json', master)).out)).toEqual({
      change: { id: null, kind: 'rebalance', explanation: [] },
    });
    expect(master.statuses).toHaveLength(1);
  });

  it('lists what is going on', async () => {
    const waiting = status({ waitsFor: ['store a is away'], attempts: 2, kind: 'move' });
    const { out } = await admin('tasks', changing([waiting]));
    expect(out).toMatch(
      /^keyspace orders: move: prepare: 50 rows of 200, 1\.0 MB, .*, 2 hand-overs given up\n {2}waits: store a is away\n$/,
    );
    expect(JSON.parse((await admin('tasks --json', changing([waiting]))).out)).toEqual({ tasks: [waiting] });
    const resting = changing([status({ isResting: true })]);
    expect((await admin('tasks', resting)).out).toMatch(/, rests: other changes may begin\n$/);
    expect((await admin('tasks', changing())).out).toBe('nothing is being changed\n');
  });

  it('is waited for no more by somebody who leaves', async () => {
    const stop = new AbortController();
    const shown: string[] = [];
    const context: AdminContext = {
      cluster: new MasterCluster(changing(...Array.from({ length: 9 }, () => [status()]))),
      isJson: false,
      out: () => undefined,
      err: (text) => {
        shown.push(text);
        stop.abort();
      },
      errIsTerminal: true,
      ask: undefined,
      stop: stop.signal,
    };
    const request = { kind: 'rebalance' } as const;
    await expect(change(context, request, true)).rejects.toThrow("the change goes on: 'tasks' tells");
    expect(shown).toHaveLength(1);
  });
});

it('progress is that of all keyspaces of a change', () => {
  const statuses = [status(), status({ keyspace: 'bills', phase: 'handover', rows: 100, rowsTotal: 100 })];
  expect(progressOf(statuses, 2000)).toEqual({
    done: 150,
    total: 300,
    phase: 'prepare, handover: 150 rows of 300, 2.0 MB, 1.0 MB/s, 6 s left',
  });
});
