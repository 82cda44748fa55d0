import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { temporaryDir } from '../support/environment.js';
import { itemsOf, mapOf, numberOf, render, textOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

/** What tools read from INFO, by section. */
const INFO_FIELDS: Readonly<Record<string, string>> = {
  Server: `redis_version redis_git_sha1 redis_mode os arch_bits process_id run_id tcp_port server_time_usec
    uptime_in_seconds uptime_in_days hz executable config_file`,
  Clients: 'connected_clients maxclients client_recent_max_input_buffer blocked_clients',
  Memory: `used_memory used_memory_human used_memory_rss used_memory_peak used_memory_dataset maxmemory maxmemory_human
    maxmemory_policy mem_fragmentation_ratio total_system_memory`,
  Persistence: 'loading rdb_changes_since_last_save rdb_bgsave_in_progress rdb_last_save_time aof_enabled',
  Stats: `total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes
    total_net_output_bytes rejected_connections expired_keys evicted_keys keyspace_hits keyspace_misses total_error_replies`,
  Replication: 'role connected_slaves master_replid master_repl_offset',
  CPU: 'used_cpu_sys used_cpu_user',
  Cluster: 'cluster_enabled',
};

describe('CONFIG, INFO and what operators ask', () => {
  let server: TestServer;
  let client: RawClient;

  beforeAll(async () => {
    server = await TestServer.start({ workers: 2 });
    client = await server.connect();
  });

  afterAll(async () => {
    client.close();
    await server.stop();
  });

  function fieldsOf(info: string): Map<string, string> {
    const lines = info.split('\r\n').filter((line) => line.includes(':'));
    return new Map(
      lines.map((line): [string, string] => [
        line.slice(0, line.indexOf(':')),
        line.slice(line.indexOf(':') + 1),
      ]),
    );
  }

  test.each(Object.entries(INFO_FIELDS))('INFO %s', async (section, names) => {
    const info = await client.text('INFO', section.toLowerCase());
    expect(info.startsWith(`# ${section}\r\n`)).toBe(true);
    const fields = fieldsOf(info);
    expect(names.split(/\s+/).filter((name) => !fields.has(name))).toEqual([]);
  });

  test('INFO without and with several sections', async () => {
    const sections = (text: string) => [...text.matchAll(/^# (\w+)\r$/gm)].map((match) => match[1]!);
    expect(sections(await client.text('INFO'))).toEqual(expect.arrayContaining(Object.keys(INFO_FIELDS)));
    expect(sections(await client.text('INFO', 'server', 'CLIENTS'))).toEqual(['Server', 'Clients']);
    expect(sections(await client.text('INFO', 'everything'))).toEqual(
      expect.arrayContaining(['Server', 'Commandstats', 'Errorstats']),
    );
    expect(sections(await client.text('INFO', 'all'))).toContain('Commandstats');
    expect(sections(await client.text('INFO', 'default'))).not.toContain('Commandstats');
  });

  test('INFO figures are real', async () => {
    await client.pipeline([
      ['FLUSHALL'],
      ['CONFIG', 'RESETSTAT'],
      ['SET', 'a', '1'],
      ['SET', 'b', '1', 'EX', '100'],
      ['GET', 'a'],
      ['GET', 'nothing'],
      ['NOSUCH'],
      ['INCR', 'a', 'b'],
    ]);
    const fields = fieldsOf(await client.text('INFO', 'everything'));
    expect(fields.get('process_id')).toBe(String(server.pid));
    expect(fields.get('tcp_port')).toBe(String(server.port));
    expect(fields.get('keyspace_hits')).toBe('1');
    expect(fields.get('keyspace_misses')).toBe('1');
    expect(fields.get('db0')).toMatch(/^keys=2,expires=1,avg_ttl=\d+/);
    expect(fields.get('cmdstat_set')).toMatch(
      /^calls=2,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=0$/,
    );
    expect(fields.get('cmdstat_incr')).toMatch(/rejected_calls=1/);
    expect(fields.get('errorstat_ERR')).toBe('count=2');
    expect(fields.get('total_error_replies')).toBe('2');
    expect(Number(fields.get('used_memory_rss'))).toBeGreaterThan(1_000_000);
    expect(fields.get('loading')).toBe('0');
    expect(fields.get('role')).toBe('master');
    expect(Number(fields.get('redis_version')?.split('.')[0])).toBe(7);
  });

  test.runIf(SUBJECT === 'vasto')('INFO tells the version of Vasto', async () => {
    expect(fieldsOf(await client.text('INFO', 'server')).get('vasto_version')).toMatch(/^\d+\.\d+\.\d+/);
  });

  test('CONFIG GET * is a list of pairs', async () => {
    const all = mapOf(await client.command('CONFIG', 'GET', '*'));
    expect(all.size).toBeGreaterThan(50);
    for (const name of ['save', 'appendonly', 'maxmemory', 'dir', 'port', 'bind'])
      expect(all.has(name)).toBe(true);
    expect(textOf(all.get('port')!)).toBe(String(server.port));
    expect(textOf(all.get('dir')!)).toBe(server.dir);
  });

  test('CONFIG REWRITE keeps comments and what was set', async () => {
    const dir = temporaryDir();
    const file = join(dir, 'server.conf');
    writeFileSync(file, '# a comment that stays\nmaxclients 100\n\n# another\nslowlog-max-len 10\n');
    const first = await TestServer.start({ configFile: file });
    const admin = await first.connect();
    await admin.command('CONFIG', 'SET', 'maxclients', '55', 'timeout', '77', 'requirepass', 'a "b" c');
    expect(await admin.rendered('CONFIG', 'REWRITE')).toBe('+OK');
    admin.close();
    await first.stop();
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('# a comment that stays');
    expect(text).toContain('# another');
    expect(text).toMatch(/^maxclients 55$/m);
    expect(text).toMatch(/^timeout 77$/m);
    const again = await TestServer.start({ configFile: file, dir: first.dir, password: 'a "b" c' });
    const reader = await again.connect();
    await reader.command('AUTH', 'a "b" c');
    expect(await reader.rendered('CONFIG', 'GET', 'timeout')).toBe('*[$"timeout" $"77"]');
    expect(await reader.rendered('CONFIG', 'GET', 'slowlog-max-len')).toBe('*[$"slowlog-max-len" $"10"]');
    reader.close();
    await again.stop();
  });

  test('SLOWLOG notes what was slow, newest first', async () => {
    await client.pipeline([
      ['CONFIG', 'SET', 'slowlog-log-slower-than', '0'],
      ['CLIENT', 'SETNAME', 'slow'],
      ['SLOWLOG', 'RESET'],
      ['SET', 'a', 'x'.repeat(200)],
      ['MSET', ...Array.from({ length: 80 }, (_, i) => `m${i}`)],
      ['CONFIG', 'SET', 'slowlog-log-slower-than', '-1'],
    ]);
    const entries = itemsOf(await client.command('SLOWLOG', 'GET', '-1')).map(itemsOf);
    const commands = entries.map((entry) => itemsOf(entry[3]!).map(textOf));
    const set = commands.findIndex(([name]) => name?.toLowerCase() === 'set');
    const mset = commands.findIndex(([name]) => name?.toLowerCase() === 'mset');
    expect(mset).toBeLessThan(set);
    expect(commands[set]?.[2]).toBe(`${'x'.repeat(128)}... (72 more bytes)`);
    expect(commands[mset]?.length).toBe(32);
    expect(commands[mset]?.[31]).toBe('... (50 more arguments)');
    const [id, time, micros, , address, name] = entries[set]!;
    expect(numberOf(id!)).toBeGreaterThanOrEqual(0);
    expect(Math.abs(numberOf(time!) - Date.now() / 1000)).toBeLessThan(5);
    expect(numberOf(micros!)).toBeGreaterThanOrEqual(0);
    expect(textOf(address!)).toBe(`127.0.0.1:${client.socket.localPort}`);
    expect(textOf(name!)).toBe('slow');
    expect(numberOf(await client.command('SLOWLOG', 'LEN'))).toBe(entries.length);
    expect(itemsOf(await client.command('SLOWLOG', 'GET', '1')).length).toBe(1);
    await client.pipeline([
      ['SLOWLOG', 'RESET'],
      ['CONFIG', 'SET', 'slowlog-log-slower-than', '10000'],
    ]);
  });

  test('LATENCY HISTOGRAM, LATEST, DOCTOR', async () => {
    await client.pipeline([
      ['CONFIG', 'RESETSTAT'],
      ['SET', 'a', '1'],
      ['SET', 'a', '1'],
      ['GET', 'a'],
    ]);
    const histogram = mapOf(await client.command('LATENCY', 'HISTOGRAM', 'set', 'get'));
    expect([...histogram.keys()].sort()).toEqual(['get', 'set']);
    const set = mapOf(histogram.get('set')!);
    expect(render(set.get('calls')!)).toBe(':2');
    expect(itemsOf(set.get('histogram_usec')!).length).toBeGreaterThan(0);
    expect(itemsOf(await client.command('LATENCY', 'LATEST'))).toEqual([]);
    expect((await client.text('LATENCY', 'DOCTOR')).length).toBeGreaterThan(10);
  });

  test('MEMORY USAGE, STATS, DOCTOR', async () => {
    await client.pipeline([
      ['SET', 'small', '1'],
      ['SET', 'big', 'x'.repeat(50_000)],
    ]);
    const small = numberOf(await client.command('MEMORY', 'USAGE', 'small'));
    const big = numberOf(await client.command('MEMORY', 'USAGE', 'big'));
    expect(small).toBeGreaterThan(0);
    expect(big).toBeGreaterThan(50_000);
    expect(mapOf(await client.command('MEMORY', 'STATS')).size).toBeGreaterThan(5);
    expect((await client.text('MEMORY', 'DOCTOR')).length).toBeGreaterThan(5);
  });

  test('TIME, LASTSAVE, BGSAVE, ROLE, LOLWUT', async () => {
    const [seconds, micros] = itemsOf(await client.command('TIME')).map(textOf);
    expect(Math.abs(Number(seconds) * 1000 + Number(micros) / 1000 - Date.now())).toBeLessThan(2000);
    expect(await client.rendered('BGSAVE')).toBe('+Background saving started');
    expect(numberOf(await client.command('LASTSAVE'))).toBeGreaterThan(1_600_000_000);
    expect(await client.rendered('ROLE')).toBe('*[$"master" :0 *[]]');
    expect((await client.text('LOLWUT')).length).toBeGreaterThan(10);
  });

  test('DEBUG is off unless enabled, and cannot be enabled at run time', async () => {
    expect(await client.rendered('DEBUG', 'SLEEP', '0')).toMatch(/^-ERR DEBUG command not allowed/);
    expect(await client.rendered('CONFIG', 'SET', 'enable-debug-command', 'yes')).toMatch(
      /immutable config$/,
    );
    const open = await TestServer.start({ flags: ['--enable-debug-command', 'yes'] });
    const debug = await open.connect();
    const begun = Date.now();
    expect(await debug.rendered('DEBUG', 'SLEEP', '0.1')).toBe('+OK');
    expect(Date.now() - begun).toBeGreaterThanOrEqual(99);
    debug.close();
    await open.stop();
  });
});
