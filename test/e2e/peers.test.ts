import { afterEach, expect, it } from 'vitest';
import { waitUntil } from '../support/environment.js';
import { render, textOf } from '../support/reply.js';
import { StaticCluster } from '../support/static-cluster.js';

const KEYSPACES = [{ name: 'db0', db: 0, shards: [0] }];
let cluster: StaticCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

const start = async (...flags: string[]) => {
  cluster = await StaticCluster.start(1, 1, KEYSPACES, ['--cluster-node-timeout', '1000', ...flags]);
  const [store, gateway] = cluster.nodes as [(typeof cluster.nodes)[0], (typeof cluster.nodes)[0]];
  return { store, gateway, keyspace: [...cluster.topology.keyspaces.keys()][0]! };
};

it('other nodes are let in where clients find the house full', async () => {
  const { store, gateway } = await start('--maxclients', '2');
  const clients = [await store.connect(), await store.connect()];
  for (const client of clients) expect(await client.rendered('PING')).toBe('+PONG');
  const quiet = await store.connect();
  expect(render(await quiet.next())).toBe('-ERR max number of clients reached');
  const talkative = await store.connect();
  expect(await talkative.rendered('PING')).toBe('-ERR max number of clients reached');
  const through = await gateway.connect();
  expect(await through.rendered('SET', 'k', 'v')).toBe('+OK');
  const list = textOf(await clients[0]!.command('CLIENT', 'LIST'));
  expect(list).toMatch(/name=peer-gateway .* db=-1 keyspace=db0 /);
  const strange = await store.connect();
  expect(await strange.rendered('VASTO.PEER', 'other', 'x')).toMatch(
    /^-ERR this store belongs to cluster test/,
  );
  await waitUntil('who is no node is sent away', () => strange.socket.closed);
  for (const client of [...clients, quiet, talkative, through]) client.close();
});

it('a secret is asked of nodes, and is not shown', async () => {
  const { store, gateway, keyspace } = await start('--cluster-secret', 'sesame', '--requirepass', 'pass');
  const through = await gateway.connect();
  await through.command('AUTH', 'pass');
  expect(await through.rendered('SET', 'k', 'v')).toBe('+OK');
  const strange = await store.connect();
  expect(await strange.rendered('VASTO.PEER', 'test', keyspace)).toMatch(/^-NOAUTH .*secret/);
  expect(await strange.rendered('VASTO.PEER', 'test', keyspace, 'SECRET', 'no')).toMatch(
    /^-NOAUTH .*wrong secret/,
  );
  expect(await strange.rendered('GET', 'k')).toMatch(/^-NOAUTH/);
  expect(await strange.rendered('VASTO.PEER', 'test', 'unknown', 'SECRET', 'sesame')).toMatch(/^-VASTOMOVED/);
  expect(await strange.rendered('VASTO.PEER', 'test', keyspace, 'SECRET', 'sesame')).toBe('+OK');
  expect(await strange.rendered('GET', 'k')).toBe('$"v"');
  expect(await strange.rendered('SELECT', '5')).toBe('+OK');
  expect(await strange.rendered('GET', 'k')).toBe('$"v"');
  through.close();
  strange.close();
});
