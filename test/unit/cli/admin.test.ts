import { describe, expect, it } from 'vitest';
import { placementNotes, topologyChanges } from '../../../src/cli/cluster-views.js';
import { progressText } from '../../../src/cli/progress.js';
import { admin, FakeMaster, withOrders } from '../../support/fake-master.js';

describe('vasto admin', () => {
  it('makes a keyspace', async () => {
    const { code, out, err } = await admin('keyspace create orders --shards 4 --db 9');
    expect([code, out, err]).toEqual([0, 'created keyspace orders with 4 shards and the number 9\n', '']);
  });

  it('prints JSON wherever --json stands', async () => {
    const keyspace = { id: 'id-k', name: 'k', db: null, shards: 1, replicas: 1, tags: ['x', 'y'] };
    for (const line of ['--json keyspace create k --tags x,y', 'keyspace create k --tags x,y --json']) {
      const { code, out } = await admin(line);
      expect([code, JSON.parse(out)]).toEqual([0, { keyspace }]);
    }
  });

  it('lists and describes', async () => {
    const master = await withOrders();
    expect((await admin('keyspace list', master)).out).toMatch(
      /^NAME +DB +SHARDS +COPIES +TAGS +ID\norders +7 +3 +1 +- +id-orders\n$/,
    );
    const text = (await admin('keyspace describe orders', master)).out;
    expect(text).toContain('number 7, 3 shards in 1 copy, 30 keys, 6.0 kB');
    expect(text).toMatch(/ 1 +\d+ +owner +10\.0\.0\.1:7098 +z2 +open +10 +2\.0 kB\n/);
    expect(text).toContain('- 3 shards on 2 stores (2, 1), as even as can be');
    const { keyspace } = JSON.parse((await admin('keyspace describe orders --json', master)).out);
    expect(keyspace).toMatchObject({ name: 'orders', keys: 30, bytes: 6144 });
    expect(
      keyspace.placement.map((each: { slots: number }) => each.slots).reduce((a: number, b: number) => a + b),
    ).toBe(16384);
    expect(keyspace.placement[1].copies).toEqual([
      { id: 'b', address: '10.0.0.1:7098', zone: 'z2', state: 'up', data: null },
    ]);
  });

  it('tells which shards a dead store takes along', async () => {
    const master = await withOrders();
    master.bIsUp = false;
    const { keyspace } = JSON.parse((await admin('keyspace describe orders --json', master)).out);
    expect(keyspace.placement[1].state).toBe('store is down');
    expect(keyspace.notes.join('\n')).toContain(
      'shard 1: the store is down, commands for its keys fail until it is back',
    );
    expect((await admin('stores', master)).out).toMatch(/7098 +down/);
  });

  it('shows the topology', async () => {
    const { out } = await admin('topology', await withOrders());
    expect(out).toMatch(/^cluster c1, epoch 2/);
    expect(out).toMatch(/orders +7 +10\.0\.0\.1:7097: 0,2; 10\.0\.0\.1:7098: 1\n/);
  });

  it('deletes with --yes only, where nobody can be asked', async () => {
    const master = await withOrders();
    expect(await admin('keyspace delete orders', master)).toMatchObject({ code: 1, out: '' });
    expect(master.calls).toEqual([]);
    expect(await admin('keyspace delete orders --yes --json', master)).toMatchObject({
      code: 0,
      out: '{"deleted":"orders"}\n',
    });
    expect(master.calls).toEqual(['delete orders']);
  });

  it('asks a person for the name', async () => {
    const master = await withOrders();
    expect(await admin('keyspace delete orders', master, 'yes')).toMatchObject({ code: 1 });
    expect(master.calls).toEqual([]);
    expect(await admin('keyspace delete orders', master, 'orders')).toMatchObject({ code: 0 });
    expect(master.calls).toEqual(['delete orders']);
    expect((await admin('keyspace delete nope', master, 'nope')).err).toContain(
      "no keyspace is named 'nope': there is orders",
    );
  });

  it('shows progress to people', async () => {
    const master = await withOrders();
    expect((await admin('keyspace compact orders', master)).err).toBe('');
    expect((await admin('keyspace compact orders', master, '')).err).toContain('50 %  shard 1 of 2');
    expect(progressText(3, 3, 'x')).toBe(`[${'#'.repeat(30)}] 100 %  x`);
    expect(progressText(0, 0, 'x')).toContain('  0 %');
  });

  it.each([
    ['keyspace create taken', 1, 'EXISTS'],
    ['keyspace describe nope', 1, 'NOT_FOUND'],
    ['keyspace create a --shards 0', 2, 'USAGE'],
    ['keyspace create a --shards 9999', 2, 'USAGE'],
    ['stores --master a --server b', 2, 'USAGE'],
    ['stores --master a:b', 2, 'USAGE'],
    ['wait-ready --for x', 2, 'USAGE'],
    ['wait-ready --stores 3 --for 0', 1, 'REFUSED'],
  ])('%s: exit code %d', async (line, code, name) => {
    const seen = await admin(`${line} --json`);
    expect([seen.code, seen.out, JSON.parse(seen.err).error.code]).toEqual([code, '', name]);
    expect((await admin(line)).err).toMatch(/^vasto admin: /);
  });

  it.each([
    '',
    'keyspace',
    'keyspace nope',
    'keyspace create',
    'keyspace create a b',
    'stores --nope',
    'stores --timeout x',
  ])('%j is wrong usage', async (line) => {
    expect((await admin(line)).code).toBe(2);
  });

  it('names both ways when nobody can be reached, and closes the client', async () => {
    const master = new FakeMaster();
    master.isDown = true;
    const { code, err, out } = await admin('stores', master);
    expect([code, out, master.closed]).toEqual([3, '', 1]);
    expect(err).toContain('the master is away');
    expect(err).toContain('--master');
    expect(err).toContain('--server');
    expect((await admin('wait-ready --for 0', master)).code).toBe(3);
  });

  it('is ready when the stores are up and a keyspace is served', async () => {
    const master = await withOrders();
    expect(await admin('wait-ready --stores 2 --keyspace orders', master)).toMatchObject({
      code: 0,
      out: 'ready\n',
    });
    master.bIsUp = false;
    const { code, err } = await admin('wait-ready --keyspace orders --for 0', master);
    expect([code, err]).toEqual([
      1,
      "vasto admin: not ready: 1 of 3 shards of keyspace 'orders' not served\n",
    ]);
  });

  it('passes on whom to talk to', async () => {
    const { targets } = await admin('stores --server 10.0.0.9:7000 --user u --password p --timeout 2');
    expect(targets).toMatchObject([
      {
        kind: 'server',
        name: '10.0.0.9:7000',
        server: { user: 'u', password: 'p', timeoutMs: 2000, protocol: 3 },
      },
    ]);
  });
});

describe('what is told of a cluster', () => {
  const base = { clusterId: 'c', epoch: 1, stores: [], keyspaces: [] };
  const keyspace = { id: '1', name: 'k', db: null, shards: 1, replicas: 1, tags: [], placement: [['a']] };
  const address = { id: 'a', address: 'h:1', zone: '', tags: [], isDrained: false };

  it('names what changed', () => {
    expect(topologyChanges(base, { ...base, keyspaces: [keyspace], stores: [address] })).toEqual([
      'keyspace k is there, in 1 shard',
      'store h:1 has joined',
    ]);
    const before = { ...base, keyspaces: [keyspace], stores: [address] };
    expect(topologyChanges(before, { ...base, stores: [{ ...address, address: 'h:2' }] })).toEqual([
      'keyspace k is deleted',
      'store h:1 is at h:2 now',
    ]);
    expect(topologyChanges(before, { ...before, keyspaces: [{ ...keyspace, db: 3 }] })).toEqual([
      'keyspace k has the number 3 now',
    ]);
    expect(topologyChanges(before, { ...before, keyspaces: [{ ...keyspace, placement: [['b']] }] })).toEqual([
      'shards of keyspace k have moved',
    ]);
    const resized = { ...keyspace, shards: 2, placement: [['a'], ['b']] };
    expect(topologyChanges(before, { ...before, keyspaces: [resized] })).toEqual([
      'keyspace k has 2 shards now',
    ]);
    const copied = { ...keyspace, replicas: 2, placement: [['a', 'b']] };
    expect(topologyChanges(before, { ...before, keyspaces: [copied] })).toEqual([
      'keyspace k has 2 copies of each shard now',
    ]);
    expect(topologyChanges(before, before)).toEqual([]);
  });

  it('says whether copies are apart', () => {
    const copy = (id: string, zone: string) => ({ id, address: id, zone, state: 'up' as const, data: null });
    const shard = { shard: 0, slots: 1, state: 'open', keys: 1, bytes: 1 };
    const notes = (zone: string) =>
      placementNotes(
        { ...keyspace, replicas: 2 },
        [{ ...shard, copies: [copy('a', 'z1'), copy('b', zone)] }],
        [],
      ).join('\n');
    expect(notes('z2')).toContain('in different zones');
    expect(notes('z2')).not.toContain('is down');
    expect(notes('z1')).toContain('1 of 1 shard have copies in the same zone');
  });

  it('says what becomes of shards whose store is down', () => {
    const copy = (id: string, state: 'up' | 'down') => ({ id, address: id, zone: id, state, data: null });
    const shard = { slots: 1, state: null, keys: 1, bytes: 1 };
    const notes = placementNotes(
      { ...keyspace, replicas: 2 },
      [
        { ...shard, shard: 0, copies: [copy('a', 'down'), copy('b', 'up')] },
        { ...shard, shard: 1, copies: [copy('a', 'down'), copy('c', 'down')] },
      ],
      [],
    ).join('\n');
    expect(notes).toContain('shard 0: the store is down, commands wait until a copy has taken over');
    expect(notes).toContain('shard 1: the store is down, commands for its keys fail until it is back');
  });
});
