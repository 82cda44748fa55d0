import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BenchResult } from '../../src/cli/bench/result.js';
import { haveTool, waitUntil } from '../support/environment.js';
import { type ServerKind, TestServer, VASTO_MAIN } from '../support/server.js';
import { runTool } from '../support/tools.js';

const MIX = 'get:5,set:4,mget:1,mset:1,range:1,rmw:1,incr:2,insert:1,del:1,exists:1';

async function bench(
  ...args: string[]
): Promise<{ code: number | null; result: BenchResult; stderr: string }> {
  const { code, stdout, stderr } = await runTool(process.execPath, [VASTO_MAIN, 'bench', '--json', ...args]);
  return { code, result: JSON.parse(stdout || '{}') as BenchResult, stderr };
}

const servers: ServerKind[] = haveTool('redis-server') ? ['vasto', 'redis'] : ['vasto'];

describe.each(servers)('vasto bench against %s', (kind) => {
  let server: TestServer;
  let target: string[];

  beforeAll(async () => {
    server = await TestServer.start({ kind });
    target = ['--server', `127.0.0.1:${server.port}`];
  });

  afterAll(() => server.stop());

  it.each([
    ['--pipeline', '8', '--threads', '2'],
    ['--resp', '3', '--clients', '5'],
    ['--value-size', '32-100kb', '--requests', '2000', '--clients', '10'],
    ['--db', '3', '--distribution', 'zipf', '--rate', '20000', '--warmup', '200ms', '--duration', '500ms'],
  ])('%s %s %s %s: all checks pass', async (...options) => {
    const { code, result } = await bench(
      ...target,
      '--keys',
      '500',
      '--workload',
      MIX,
      '--requests',
      '20000',
      ...options,
    );
    expect(result.check.examples).toEqual([]);
    expect(result.errors.examples).toEqual([]);
    expect([code, result.ok, result.check.failures]).toEqual([0, true, 0]);
    expect(Object.keys(result.operations)).toHaveLength(10);
    expect(result.check.valuesChecked).toBeGreaterThan(500);
  });

  it('prints the seed, a table and a histogram', async () => {
    const args = [...target, '--requests', '1000', '--keys', '100', '--seed', '77', '--clean'];
    const { code, stdout } = await runTool(process.execPath, [VASTO_MAIN, 'bench', ...args]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^seed 77\n/);
    expect(stdout).toMatch(/│ all +│ +1,000 │/);
    expect(stdout).toContain('█');
    expect(stdout).toMatch(/checked [\d,]+ values: all right\n$/);
  });

  it('finds a value that somebody else changed', async () => {
    const client = await server.connect();
    await client.command('FLUSHALL');
    await client.command('SET', 'bench:0000000003', 'x'.repeat(100));
    const { code, result } = await bench(
      ...target,
      '--workload',
      'get',
      '--no-load',
      '--keys',
      '10',
      '--requests',
      '1000',
    );
    expect(code).toBe(1);
    expect(result.check.byProblem.corrupt).toBeGreaterThan(10);
    expect(result.check.examples[0]).toContain('bench:0000000003');
    client.close();
  });
});

it('a server that cannot be reached is an error that names it', async () => {
  const { code, stderr } = await bench('--server', '127.0.0.1:1');
  expect([code, stderr]).toEqual([
    1,
    'vasto: bench: cannot use 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n',
  ]);
});

it('a server that is killed and comes back is reported; what it acknowledged is there', async () => {
  const server = await TestServer.start();
  const args = ['--server', `127.0.0.1:${server.port}`, '--workload', 'set:1,get:1,incr:1', '--keys', '1000'];
  const running = bench(...args, '--duration', '4s');
  const client = await server.connect();
  while ((await client.rendered('EXISTS', 'bench:counter:0000000000')) !== ':1');
  await server.kill9();
  const again = await server.restart({ port: server.port });
  const { code, result } = await running;
  expect(code).toBe(1);
  expect(result.errors.disconnections).toBe(50);
  expect(result.check.examples).toEqual([]);
  expect(result.check.failures).toBe(0);
  await again.stop();
});

describe.skipIf(!haveTool('redis-server'))('vasto bench against a Redis Cluster', () => {
  let nodes: TestServer[];

  beforeAll(async () => {
    const flags = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'];
    nodes = await Promise.all([0, 1, 2].map(() => TestServer.start({ kind: 'redis', flags })));
    const addresses = nodes.map((node) => `127.0.0.1:${node.port}`);
    const create = ['--cluster', 'create', ...addresses, '--cluster-yes'];
    const { code, stdout } = await runTool('redis-cli', create);
    if (code !== 0) throw new Error(stdout);
    // All nodes agree who has which slot; until then, rebalancing is refused.
    for (const address of addresses) {
      await waitUntil(`${address} is part of the cluster`, async () => {
        return (await runTool('redis-cli', ['--cluster', 'check', address])).code === 0;
      });
    }
  });

  afterAll(() => Promise.all(nodes.map((node) => node.stop())));

  it('all checks pass, and all nodes are used', async () => {
    const target = ['--cluster', `127.0.0.1:${nodes[0]!.port}`];
    const { code, result } = await bench(
      ...target,
      '--workload',
      MIX,
      '--keys',
      '3000',
      '--requests',
      '20000',
      '--pipeline',
      '4',
    );
    expect(result.check.examples).toEqual([]);
    expect(result.errors.examples).toEqual([]);
    expect([code, result.cluster.redirections]).toEqual([0, 0]);
    for (const node of nodes) {
      const client = await node.connect();
      expect(Number((await client.rendered('DBSIZE')).slice(1))).toBeGreaterThan(500);
      client.close();
    }
  });

  it('follows slots that move while it runs', async () => {
    const target = ['--cluster', `127.0.0.1:${nodes[0]!.port}`];
    const seed = `127.0.0.1:${nodes[0]!.port}`;
    const weight = `${await nodeId(nodes[0]!)}=0.2`;
    const args = ['--cluster', 'rebalance', seed, '--cluster-threshold', '1', '--cluster-weight', weight];
    const moving = runTool('redis-cli', args);
    const { code, result } = await bench(
      ...target,
      '--workload',
      'get:5,set:5,incr:1',
      '--keys',
      '3000',
      '--duration',
      '4s',
    );
    const { stdout } = await moving;
    expect(stdout).toContain('Moving');
    expect(result.check.examples).toEqual([]);
    expect(result.errors.examples).toEqual([]);
    expect(code).toBe(0);
    expect(result.cluster.redirections).toBeGreaterThan(0);
  });
});

async function nodeId(node: TestServer): Promise<string> {
  const client = await node.connect();
  const reply = await client.rendered('CLUSTER', 'MYID');
  client.close();
  return /[0-9a-f]{40}/.exec(reply)![0];
}

describe.skipIf(!haveTool('redis-server'))('a plain door of a cluster', () => {
  it('is no cluster for --cluster', async () => {
    const server = await TestServer.start({ kind: 'redis' });
    const { code, stderr } = await bench('--cluster', `127.0.0.1:${server.port}`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/cluster support disabled/i);
    await server.stop();
  });
});
