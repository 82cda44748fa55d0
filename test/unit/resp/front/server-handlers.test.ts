import { describe, expect, test } from 'vitest';
import { ListArguments } from '../../../../src/base/arguments.js';
import { Config } from '../../../../src/base/config.js';
import { ReplyWriter, type RespVersion } from '../../../../src/base/reply-writer.js';
import { findCommand } from '../../../../src/commands/table.js';
import { type FrontContext, frontHandler } from '../../../../src/resp/front/handlers.js';
import { humanBytes, SECTIONS } from '../../../../src/resp/front/info-sections.js';
import { LatencyMonitor } from '../../../../src/resp/latency-monitor.js';
import { SlowLog } from '../../../../src/resp/slow-log.js';
import { ReplyParser, render } from '../../../support/reply.js';

/** A server of which only the parts exist that the handlers under test touch; what it is told is in `told`. */
class FakeServer {
  readonly told: string[] = [];
  readonly slowLog: SlowLog;
  readonly latency: LatencyMonitor;
  readonly connections = new Map();
  flushReply = '+OK\r\n';
  /** Come before it, one each. */
  readonly replyOnce: string[] = [];
  blockedClients = 0;

  constructor(readonly config: Config) {
    this.slowLog = new SlowLog(config);
    this.latency = new LatencyMonitor(config);
  }

  places: { local: string | undefined; store: string; shard: number }[] = [
    { local: 'r0', store: '', shard: 0 },
  ];

  readonly store = {
    keyspaces: { all: () => [{ places: this.places }], numbered: () => undefined },
    database: (db: number) => ({ onlyShard: `r${db}` }),
    call: (route: string, name: string) => {
      this.told.push(`${name} ${route}`);
      return Promise.resolve(Buffer.from(this.replyOnce.shift() ?? this.flushReply));
    },
    colocate: (routes: readonly string[]) => {
      this.told.push(`colocate ${routes.join(' ')}`);
      return Promise.resolve();
    },
    manager: {
      swapDatabases: (first: number, second: number) => {
        this.told.push(`swap ${first} ${second}`);
        return Promise.resolve();
      },
    },
    configure: () => {
      this.told.push('configure');
      return Promise.resolve();
    },
    feeds: { sources: { followers: () => [], loggedRecords: 0 } },
  };

  requestShutdown(): void {
    this.told.push('shutdown');
  }
}

function fakeServer(...flags: string[]): FakeServer {
  return new FakeServer(Config.load({ flags }));
}

/** Runs a command of the front and renders its reply. */
async function run(
  server: FakeServer,
  words: readonly string[],
  version: RespVersion = 2,
  more: Partial<FrontContext> = {},
): Promise<string> {
  const [name, sub] = words.map((word) => word.toLowerCase());
  const container = findCommand(name!)!;
  const command = container.children.get(sub ?? '') ?? container;
  const reply = new ReplyWriter();
  reply.version = version;
  const connection = { address: '10.0.0.1:1' };
  const context = { server, connection, session: { db: 0, door: '' }, command, reply, ...more };
  await frontHandler(command.name).run(context as unknown as FrontContext, ListArguments.of(...words));
  const parser = new ReplyParser();
  parser.push(reply.written());
  const only = parser.next();
  expect(parser.pendingBytes).toBe(0);
  return render(only!);
}

describe('CONFIG', () => {
  test('GET is a map', async () => {
    const server = fakeServer('--timeout', '7');
    expect(await run(server, ['CONFIG', 'GET', 'timeout'])).toBe('*[$"timeout" $"7"]');
    expect(await run(server, ['CONFIG', 'GET', 'timeout'], 3)).toBe('%[$"timeout" $"7"]');
  });

  test('SET changes, and tells the workers only of what they read', async () => {
    const server = fakeServer();
    expect(await run(server, ['CONFIG', 'SET', 'timeout', '5'])).toBe('+OK');
    expect(server.told).toEqual([]);
    expect(await run(server, ['CONFIG', 'SET', 'timeout', '6', 'appendfsync', 'always'])).toBe('+OK');
    expect(server.told).toEqual(['configure']);
    expect(await run(server, ['CONFIG', 'SET', 'timeout', 'x'])).toMatch(/^-ERR CONFIG SET failed/);
    expect(await run(server, ['CONFIG', 'SET', 'timeout', '5', 'port'])).toBe('-ERR syntax error');
    expect(server.config.values.timeout).toBe(6);
  });

  test('SET reaches the connections there are', async () => {
    const server = fakeServer();
    const limits = { bulkBytesMax: 1, queryBytesMax: 1, authenticated: false };
    server.connections.set(1, { limits, session: { set: () => undefined } });
    await run(server, ['CONFIG', 'SET', 'proto-max-bulk-len', '2mb', 'client-query-buffer-limit', '3mb']);
    expect(limits).toEqual({ bulkBytesMax: 2 << 20, queryBytesMax: 3 << 20, authenticated: true });
  });

  test('texts are UTF-8, in values and in errors', async () => {
    const server = fakeServer();
    const utf8 = (text: string) => Buffer.from(text, 'utf8').latin1Slice();
    expect(await run(server, ['CONFIG', 'SET', 'requirepass', utf8('Süß')])).toBe('+OK');
    expect(server.config.values.requirepass).toBe('Süß');
    const reply = new ReplyWriter();
    const context = { server, reply } as unknown as FrontContext;
    await frontHandler('config|set').run(context, ListArguments.of('CONFIG', 'SET', utf8('ü'), '1'));
    expect(reply.written().toString('utf8')).toContain("'ü'");
  });
});

describe('FLUSHALL and SWAPDB', () => {
  test.each([[['FLUSHALL']], [['FLUSHALL', 'sync']], [['FLUSHALL', 'ASYNC']]])('%j', async (words) => {
    const server = fakeServer();
    expect(await run(server, words)).toBe('+OK');
    expect(server.told).toEqual(['FLUSHDB r0']);
  });

  test('a database that cannot be emptied says why', async () => {
    const server = fakeServer();
    server.flushReply = '-MISCONF no space\r\n';
    expect(await run(server, ['FLUSHALL'])).toBe('-MISCONF no space');
    server.places.push({ local: undefined, store: '', shard: 1 });
    server.flushReply = '+OK\r\n';
    expect(await run(server, ['FLUSHALL'])).toMatch(/^-CLUSTERDOWN .*; 1 of 2 shards were not emptied$/);
    expect(await run(server, ['FLUSHALL', 'NOW'])).toBe('-ERR syntax error');
    expect(await run(server, ['FLUSHALL', 'SYNC', 'SYNC'])).toBe('-ERR syntax error');
  });

  test('empties a shard once though another one has moved, and all again when there are more', async () => {
    const server = fakeServer();
    const moved = '-VASTOMOVED shard 1 is not here\r\n';
    server.places.push({ local: 'r1', store: '', shard: 1 });
    server.replyOnce.push('+OK\r\n', moved, moved);
    expect(await run(server, ['FLUSHALL'])).toBe('+OK');
    expect(server.told).toEqual(['FLUSHDB r0', 'FLUSHDB r1', 'FLUSHDB r1', 'FLUSHDB r1']);
    server.told.length = 0;
    server.replyOnce.push('+OK\r\n', moved);
    const reply = run(server, ['FLUSHALL']);
    server.places.push({ local: 'r2', store: '', shard: 2 });
    expect(await reply).toBe('+OK');
    expect(server.told).toEqual(['FLUSHDB r0', 'FLUSHDB r1', 'FLUSHDB r0', 'FLUSHDB r1', 'FLUSHDB r2']);
  });

  test('SWAPDB brings both databases to one owner before they change places', async () => {
    const server = fakeServer();
    expect(await run(server, ['SWAPDB', '1', '2'])).toBe('+OK');
    expect(server.told).toEqual(['colocate r1 r2', 'swap 1 2']);
  });

  test.each([
    ['x', '0', '-ERR invalid first DB index'],
    ['99999999999', '0', '-ERR invalid first DB index'],
    ['0', 'x', '-ERR invalid second DB index'],
    ['0', '16', '-ERR DB index is out of range'],
    ['-1', '0', '-ERR DB index is out of range'],
    ['3', '3', '+OK'],
  ])('SWAPDB %s %s', async (first, second, reply) => {
    const server = fakeServer();
    expect(await run(server, ['SWAPDB', first, second])).toBe(reply);
    expect(server.told).toEqual([]);
  });
});

describe('SLOWLOG and LATENCY', () => {
  test('entries have six fields', async () => {
    const server = fakeServer();
    const client = { address: 'a:1', session: { name: 'n' } };
    server.slowLog.addShard(client, {
      clientId: 1,
      command: 0,
      microseconds: 9,
      unixMs: 5000,
      arguments: ['GET', 'k'],
    });
    const entry = '*[:0 :5 :9 *[$"GET" $"k"] $"a:1" $"n"]';
    expect(await run(server, ['SLOWLOG', 'GET'])).toBe(`*[${entry}]`);
    expect(await run(server, ['SLOWLOG', 'GET', '-1'])).toBe(`*[${entry}]`);
    expect(await run(server, ['SLOWLOG', 'GET', '0'])).toBe('*[]');
    expect(await run(server, ['SLOWLOG', 'LEN'])).toBe(':1');
    expect(await run(server, ['SLOWLOG', 'RESET'])).toBe('+OK');
    expect(await run(server, ['SLOWLOG', 'GET'])).toBe('*[]');
  });

  test('LATENCY tells samples and draws them', async () => {
    const server = fakeServer('--latency-monitor-threshold', '1');
    server.latency.sampleCommand(findCommand('keys')!, 20_000);
    expect(await run(server, ['LATENCY', 'LATEST'])).toMatch(/^\*\[\*\[\$"command" :\d+ :20 :20\]\]$/);
    expect(await run(server, ['LATENCY', 'HISTORY', 'command'])).toMatch(/^\*\[\*\[:\d+ :20\]\]$/);
    expect(await run(server, ['LATENCY', 'GRAPH', 'command'])).toContain('command - high 20 ms, low 20 ms');
    expect(await run(server, ['LATENCY', 'DOCTOR'])).toContain('20 ms at worst');
    expect(await run(server, ['LATENCY', 'RESET', 'command', 'x'])).toBe(':1');
    expect(await run(server, ['LATENCY', 'GRAPH', 'command'])).toBe(
      "-ERR No samples available for event 'command'",
    );
  });
});

describe('the rest', () => {
  test('SHUTDOWN checks its options', async () => {
    const server = fakeServer();
    for (const words of [['BOGUS'], ['SAVE', 'NOSAVE'], ['ABORT', 'NOW']])
      expect(await run(server, ['SHUTDOWN', ...words])).toBe('-ERR syntax error');
    expect(await run(server, ['SHUTDOWN', 'abort'])).toBe('-ERR No shutdown in progress.');
    expect(server.told).toEqual([]);
    void run(server, ['SHUTDOWN', 'NOSAVE', 'NOW', 'FORCE']);
    expect(server.told).toEqual(['shutdown']);
  });

  test('WAIT replies at once when it asks for nobody, or EXEC runs it', async () => {
    const server = fakeServer();
    expect(await run(server, ['WAIT', '0', '0'])).toBe(':0');
    expect(await run(server, ['WAIT', '3', '0'], 2, { inTransaction: true })).toBe(':0');
    expect(await run(server, ['WAIT', '0', '-1'])).toBe('-ERR timeout is negative');
    expect(await run(server, ['WAIT', 'x', '-1'])).toBe('-ERR value is not an integer or out of range');
    expect(await run(server, ['WAIT', '1', 'x'])).toBe('-ERR timeout is not an integer or out of range');
  });

  test('DEBUG is for those whom the configuration lets', async () => {
    const refused = /^-ERR DEBUG command not allowed/;
    const local = { connection: { address: '127.0.0.1:9' } } as unknown as Partial<FrontContext>;
    expect(await run(fakeServer(), ['DEBUG', 'ERROR', 'x'])).toMatch(refused);
    expect(await run(fakeServer(), ['DEBUG', 'ERROR', 'x'], 2, local)).toMatch(refused);
    const onlyLocal = fakeServer('--enable-debug-command', 'local');
    expect(await run(onlyLocal, ['DEBUG', 'ERROR', 'x'])).toMatch(refused);
    expect(await run(onlyLocal, ['DEBUG', 'ERROR', 'x'], 2, local)).toBe('-x');
    const open = fakeServer('--enable-debug-command', 'yes');
    expect(await run(open, ['DEBUG', 'ERROR', 'x'])).toBe('-x');
    expect(await run(open, ['DEBUG', 'ERROR'])).toBe(
      "-ERR unknown subcommand or wrong number of arguments for 'ERROR'. Try DEBUG HELP.",
    );
  });

  test('ROLE, MODULE LIST, LOLWUT, TIME', async () => {
    const server = fakeServer();
    expect(await run(server, ['ROLE'])).toBe('*[$"master" :0 *[]]');
    expect(await run(server, ['MODULE', 'LIST'])).toBe('*[]');
    expect(await run(server, ['LOLWUT', 'VERSION', 'x'])).toMatch(/^-ERR value is not an integer/);
    expect(await run(server, ['LOLWUT', 'VERSION', '5', '10', '2'])).toContain('Redis ver. ');
    expect(await run(server, ['TIME'])).toMatch(/^\*\[\$"\d{10}" \$"\d{1,6}"\]$/);
  });

  test('INFO has the sections of Redis in their order, and ours', () => {
    expect(SECTIONS.map(({ title }) => title).join(' ')).toBe(
      'Server Clients Memory Persistence Stats Replication CPU Modules Commandstats Errorstats Latencystats Cluster Keyspace Vasto',
    );
    expect(SECTIONS.filter(({ isDefault }) => !isDefault).map(({ title }) => title)).toEqual([
      'Commandstats',
      'Latencystats',
    ]);
  });

  test.each([
    [0, '0B'],
    [1023, '1023B'],
    [1024, '1.00K'],
    [1536 * 1024, '1.50M'],
    [3 * 1024 ** 3, '3.00G'],
    [2 * 1024 ** 4, '2.00T'],
  ])('%i bytes are %s', (bytes, text) => {
    expect(humanBytes(bytes)).toBe(text);
  });
});
