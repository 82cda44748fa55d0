import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '../../src/base/version.js';
import type { RawClient } from '../support/client.js';
import { TestCluster } from '../support/cluster.js';
import { infoOf } from '../support/copies.js';
import { freePort, waitUntil } from '../support/environment.js';
import { type Scraped, scrape } from '../support/metrics.js';
import { SUBJECT, TestServer } from '../support/server.js';

const NAME = 'told';
const KEYS = 40;

/** The fields of INFO, all sections. */
async function allOf(client: RawClient): Promise<Record<string, string>> {
  const text = await client.text('INFO', 'everything');
  const fields = text.split('\r\n').filter((line) => line.includes(':'));
  return Object.fromEntries(
    fields.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

/** Values of one family, by their labels. */
function family(scraped: Scraped, name: string): [labels: string, value: number][] {
  return [...scraped]
    .filter(([key]) => key === name || key.startsWith(`${name}{`))
    .map(([key, value]) => [key.slice(name.length), value]);
}

const sum = (rows: readonly [string, number][]) => rows.reduce((total, [, value]) => total + value, 0);

describe.skipIf(SUBJECT === 'redis')('metrics of one server', () => {
  test('are what INFO says', async () => {
    const port = await freePort();
    const server = await TestServer.start({ workers: 2, flags: ['--metrics-port', String(port)] });
    const client = await server.connect();
    for (let key = 0; key < KEYS; key++) await client.command('SET', `k${key}`, 'v');
    await client.command('EXPIRE', 'k1', 1000);
    await client.command('GET', 'k2');
    await client.command('GET', 'missing');
    await client.command('HGET', 'k3', 'field');
    await client.command('SET', 'k1');
    await client.command('SELECT', 3);
    await client.command('SET', 'in 3', 'v');
    const info = await allOf(client);
    const seen = await scrape(port);
    const calls = (field: string) =>
      Object.entries(info)
        .filter(([name]) => name.startsWith('cmdstat_'))
        .map(([name, text]) => [name.slice(8), Number(new RegExp(`${field}=(\\d+)`).exec(text)![1])] as const)
        // It counts itself when it has replied.
        .filter(([name]) => name !== 'info');
    for (const [metric, field] of [
      ['vasto_commands_total', 'calls'],
      ['vasto_commands_failed_total', 'failed_calls'],
      ['vasto_commands_rejected_total', 'rejected_calls'],
    ] as const)
      expect(
        Object.fromEntries(family(seen, metric).filter(([labels]) => !labels.includes('"info"'))),
      ).toEqual(Object.fromEntries(calls(field).map(([name, count]) => [`{command="${name}"}`, count])));
    for (const [name, usec] of calls('usec'))
      expect(seen.get(`vasto_command_seconds_total{command="${name}"}`)).toBeCloseTo(usec / 1e6, 6);
    expect(seen.get('vasto_command_duration_seconds_bucket{command="set",le="+Inf"}')).toBe(KEYS + 1);
    for (const [metric, field] of [
      ['vasto_connected_clients', 'connected_clients'],
      ['vasto_max_clients', 'maxclients'],
      ['vasto_keyspace_hits_total', 'keyspace_hits'],
      ['vasto_keyspace_misses_total', 'keyspace_misses'],
      ['vasto_memory_budget_bytes', 'memory_budget'],
      ['vasto_row_cache_bytes', 'row_cache_bytes'],
      ['vasto_rocksdb_memtable_bytes', 'memtable_bytes'],
      ['vasto_batches_total', 'batches'],
      ['vasto_workers', 'workers'],
      ['vasto_topology_epoch', 'topology_epoch'],
      ['vasto_cluster_keyspaces', 'cluster_keyspaces'],
      ['vasto_net_input_bytes_total', 'total_net_input_bytes'],
    ] as const)
      expect([metric, seen.get(metric)]).toEqual([metric, Number(info[field])]);
    expect(seen.get('vasto_error_replies_total{code="WRONGTYPE"}')).toBe(1);
    expect(seen.get('vasto_keyspace_keys{keyspace="db0",db="0",role="owner"}')).toBe(KEYS);
    expect(seen.get('vasto_keyspace_expiring_keys{keyspace="db0",db="0",role="owner"}')).toBe(1);
    expect(seen.get('vasto_keyspace_keys{keyspace="db3",db="3",role="owner"}')).toBe(1);
    // Its master is in the same process.
    expect(seen.get('vasto_master_stores_alive')).toBe(1);
    expect(await client.rendered('CONFIG', 'GET', 'metrics-port')).toContain(String(port));

    const other = await TestServer.spawn({ workers: 1, flags: ['--metrics-port', String(port)] });
    expect((await other.exited).code).toBe(1);
    expect(other.stderr).toContain(
      `cannot listen on 127.0.0.1:${port}: another program listens there. Choose another with --metrics-port or --bind.`,
    );
    client.close();
    expect((await server.stop()).code).toBe(0);
  });
});

describe.skipIf(SUBJECT === 'redis')('metrics of a cluster', () => {
  let cluster: TestCluster;
  let ports: number[];
  let [masterPort, gatewayPort] = [0, 0];

  beforeAll(async () => {
    ports = [await freePort(), await freePort()];
    [masterPort, gatewayPort] = [await freePort(), await freePort()];
    cluster = await TestCluster.start({
      stores: 2,
      gateways: 1,
      masterFlags: ['--metrics-port', String(masterPort)],
      storeFlags: (store) => ['--metrics-port', String(ports[store])],
      gatewayFlags: ['--metrics-port', String(gatewayPort)],
    });
    await cluster.createKeyspace(NAME, { shards: 2, replicas: 2 });
    const client = await cluster.gateways[0]!.connect();
    await client.command('SELECT', NAME);
    for (let key = 0; key < KEYS; key++) await client.command('SET', `k${key}`, 'v');
    expect(await client.rendered('WAIT', 1, 20_000)).toBe(':1');
    client.close();
  });

  afterAll(() => cluster?.stop());

  test('tell of each copy how far it is behind, as INFO does', async () => {
    for (const [number, port] of ports.entries()) {
      const store = cluster.stores[number]!;
      await waitUntil('all feeds are level', async () => {
        const levels = family(await scrape(port), 'vasto_feed_level');
        return levels.length === 2 && sum(levels) === 2;
      });
      const seen = await scrape(port);
      const info = await infoOf(store);
      expect(info).toMatchObject({ vasto_feeds: '2', vasto_feeds_level: '2', connected_slaves: '1' });
      const other = cluster.stores[1 - number]!.address;
      for (const shard of [0, 1]) {
        const labels = `keyspace="${NAME}",shard="${shard}",source="${other}",source_shard="${shard}"`;
        expect(seen.get(`vasto_feed_lag_records{${labels}}`)).toBe(0);
        expect(seen.get(`vasto_feed_lag_seconds{${labels}}`)).toBe(0);
        expect(seen.get(`vasto_feed_state{${labels},state="tailing"}`)).toBe(1);
      }
      for (const index of [0, 1])
        expect(info[`vasto_feed${index}`]).toMatch(
          new RegExp(
            `^keyspace=${NAME},shard=(0|1),source=${other},source_shard=\\1,state=tailing,lag_records=0,lag_ms=0$`,
          ),
        );
      expect(info.slave0).toMatch(/,lag_records=0$/);
      expect(seen.get(`vasto_follower_lag_records{store="${other}"}`)).toBe(0);
      expect(seen.get(`vasto_follower_open_feeds{store="${other}"}`)).toBe(2);
      expect(seen.get('vasto_logged_records')).toBe(Number(info.master_repl_offset));
      expect(sum(family(seen, 'vasto_keyspace_keys'))).toBe(KEYS);
    }
  });

  test('add up over the stores, and agree with the master', async () => {
    await waitUntil('the master knows of all keys', async () => {
      const seen = await scrape(masterPort);
      return seen.get(`vasto_master_keyspace_keys{keyspace="${NAME}"}`) === KEYS;
    });
    const scraped = await Promise.all(ports.map((port) => scrape(port)));
    const owned = scraped.flatMap((seen) =>
      family(seen, 'vasto_keyspace_keys').filter(([labels]) => labels.includes('role="owner"')),
    );
    expect(sum(owned)).toBe(KEYS);
    const seen = await scrape(masterPort);
    expect(family(seen, 'vasto_master_copy_tailing').map(([, value]) => value)).toEqual([1, 1]);
    expect(
      seen.get(`vasto_build_info{role="master",version="${VERSION}",node_version="${process.version}"}`),
    ).toBe(1);
    expect(family(seen, 'vasto_connected_clients')).toEqual([]);
    const gateway = await scrape(gatewayPort);
    expect(gateway.get('vasto_forwarded_commands_total')).toBeGreaterThanOrEqual(KEYS);
    expect(gateway.get('vasto_cluster_stores')).toBe(2);
    expect(gateway.get('vasto_workers')).toBe(0);
  });

  test('tell for how long commands waited at hand-overs', async () => {
    await cluster.createKeyspace('growing');
    expect(await cluster.admin('keyspace', 'resize', 'growing', '2')).toMatchObject({ code: 0 });
    let all = 0;
    for (const [number, port] of ports.entries()) {
      const [info, seen] = [await infoOf(cluster.stores[number]!), await scrape(port)];
      const count = seen.get('vasto_handover_pause_seconds_count') ?? -1;
      expect(count).toBe(Number(info.vasto_handover_pauses));
      expect(seen.get('vasto_handover_pause_seconds_bucket{le="+Inf"}')).toBe(count);
      all += count;
    }
    expect(all).toBeGreaterThan(0);
    expect(family(await scrape(masterPort), 'vasto_change_phase')).toEqual([]);
  });

  test('show a store that is away, and what its copy lacks', async () => {
    const [first, second] = cluster.stores;
    await second!.kill9();
    const client = await first!.connect();
    await client.command('SELECT', NAME);
    await waitUntil('the first store has taken over', async () => {
      for (let key = 0; key < KEYS; key++)
        if (!(await client.rendered('SET', `k${key}`, 'later')).startsWith('+OK')) return false;
      return true;
    });
    const down = `{store="${second!.address}"}`;
    await waitUntil('the lag shows', async () => {
      const seen = await scrape(masterPort);
      const lags = family(seen, 'vasto_master_copy_lag_seconds');
      return lags.length === 2 && lags.every(([, value]) => value > 1);
    });
    const seen = await scrape(masterPort);
    expect(seen.get(`vasto_master_store_up${down}`)).toBe(0);
    expect(sum(family(seen, 'vasto_master_copy_tailing'))).toBe(0);
    const source = await scrape(ports[0]!);
    expect(source.get(`vasto_follower_lag_records${down}`)).toBeGreaterThan(0);
    expect(source.get(`vasto_follower_open_feeds${down}`)).toBe(0);
    expect(Number((await infoOf(first!)).slave0!.split('lag_records=')[1])).toBe(
      source.get(`vasto_follower_lag_records${down}`),
    );
    const { stdout } = await cluster.admin('keyspace', 'describe', NAME, '--json');
    expect(stdout).toContain('store is down');
    client.close();
  });
});
