import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RawClient } from '../support/client.js';
import { haveTool } from '../support/environment.js';
import { itemsOf, mapOf, numberOf, render, textOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';
import { type CommandInfo, commandTable, flattened } from './command-info.js';
import { DIFFERENCES, OWN_PREFIX } from './differences.js';

const FIELDS = ['arity', 'flags', 'keys', 'categories', 'tips', 'keySpecifications'] as const;

/** What DESIGN and issue 2 ask for: each must be in the table. */
const REQUIRED =
  `get set setnx setex psetex getset getdel getex mget mset msetnx append strlen getrange substr setrange
incr decr incrby decrby incrbyfloat lcs setbit getbit bitcount bitpos bitop bitfield bitfield_ro pfadd pfcount pfmerge
del unlink exists touch type expire pexpire expireat pexpireat ttl pttl expiretime pexpiretime persist rename renamenx
copy move swapdb randomkey keys scan dbsize flushdb flushall object dump restore ping echo quit reset select auth hello
info config client command time lastsave save bgsave slowlog latency memory monitor wait role shutdown lolwut multi exec
discard watch unwatch debug object|encoding object|idletime object|freq object|refcount object|help config|get
config|set config|resetstat config|rewrite client|id client|info client|list client|kill client|setname client|getname
client|no-evict client|pause client|unpause client|reply client|unblock command|count command|info command|docs
command|getkeys command|list latency|latest latency|history latency|reset latency|histogram latency|doctor memory|usage
memory|stats memory|doctor cluster|info cluster|slots cluster|shards cluster|nodes cluster|myid cluster|keyslot
cluster|countkeysinslot cluster|getkeysinslot cluster|links asking readonly readwrite slowlog|get slowlog|len slowlog|reset`.split(
    /\s+/,
  );

describe.skipIf(!haveTool('redis-server'))('the command table against that of redis-server', () => {
  let subject: TestServer;
  let oracle: TestServer;
  let mine: RawClient;
  let theirs: RawClient;
  let own: Map<string, CommandInfo>;
  let redis: Map<string, CommandInfo>;

  beforeAll(async () => {
    subject = await TestServer.start();
    oracle = await TestServer.start({ kind: 'redis' });
    mine = await subject.connect3();
    theirs = await oracle.connect3();
    own = flattened(await commandTable(mine));
    redis = flattened(await commandTable(theirs));
  });

  afterAll(async () => {
    await Promise.all([subject.stop(), oracle.stop()]);
  });

  function deliberate(command: string, field: string): boolean {
    return DIFFERENCES.some((difference) => difference.command === command && difference.field === field);
  }

  test('has the commands asked for', () => {
    expect(REQUIRED.filter((name) => !own.has(name))).toEqual([]);
  });

  test('knows no name that Redis does not, but its own', () => {
    const strange = [...own.keys()].filter(
      (name) => !redis.has(name) && !name.startsWith(OWN_PREFIX) && !deliberate(name, 'name'),
    );
    expect(strange).toEqual([]);
  });

  test.each(FIELDS)('%s is the same', (field) => {
    const wrong: string[] = [];
    for (const [name, info] of own) {
      const theirInfo = redis.get(name);
      if (theirInfo === undefined || deliberate(name, field)) continue;
      const [a, b] = [JSON.stringify(info[field]), JSON.stringify(theirInfo[field])];
      if (a !== b) wrong.push(`${name} ${field}: ${a}, in Redis ${b}`);
    }
    expect(wrong.join('\n')).toBe('');
  });

  test.skipIf(SUBJECT === 'redis')('each listed difference is one', () => {
    const stale = DIFFERENCES.filter(({ command, field }) => {
      const info = own.get(command);
      if (field === 'name') return info === undefined || redis.has(command);
      return JSON.stringify(info?.[field]) === JSON.stringify(redis.get(command)?.[field]);
    });
    expect(stale).toEqual([]);
  });

  test('COMMAND COUNT is the number of commands', async () => {
    const top = await commandTable(mine);
    expect(numberOf(await mine.command('COMMAND', 'COUNT'))).toBe(top.size);
  });

  test('COMMAND INFO gives entries in the order asked, null for what is not there', async () => {
    const reply = itemsOf(
      await mine.command('COMMAND', 'INFO', 'SET', 'nosuch', 'config|get', 'config|nosuch'),
    );
    expect(reply.map((item) => ('items' in item ? textOf(item.items[0]!) : render(item)))).toEqual([
      'set',
      '_',
      'config|get',
      '_',
    ]);
    const all = itemsOf(await mine.command('COMMAND', 'INFO'));
    expect(all.length).toBe(numberOf(await mine.command('COMMAND', 'COUNT')));
  });

  test('the shape of COMMAND is the same in RESP2 and RESP3', async () => {
    for (const connect of ['connect', 'connect3'] as const) {
      const [a, b] = [await subject[connect](), await oracle[connect]()];
      for (const name of ['get', 'append', 'mset', 'ping', 'getdel']) {
        const [x, y] = [await a.command('COMMAND', 'INFO', name), await b.command('COMMAND', 'INFO', name)];
        expect(sortedWords(render(x))).toBe(sortedWords(render(y)));
      }
      a.close();
      b.close();
    }
  });

  test('COMMAND DOCS tells summary, since, group and arguments of each', async () => {
    const docs = mapOf(await mine.command('COMMAND', 'DOCS'));
    const theirDocs = mapOf(await theirs.command('COMMAND', 'DOCS'));
    const wrong: string[] = [];
    for (const [name, entry] of docs) {
      const fields = mapOf(entry);
      for (const field of ['summary', 'since', 'group']) {
        if (fields.get(field)?.type !== 'bulk') wrong.push(`${name} has no ${field}`);
      }
      const theirEntry = theirDocs.get(name);
      if (theirEntry === undefined) continue;
      for (const field of ['since', 'group']) {
        const [a, b] = [fields.get(field), mapOf(theirEntry).get(field)];
        if (a && b && render(a) !== render(b))
          wrong.push(`${name} ${field}: ${render(a)}, in Redis ${render(b)}`);
      }
    }
    expect(wrong.join('\n')).toBe('');
    expect(mapOf(await mine.command('COMMAND', 'DOCS', 'get', 'nosuch')).size).toBe(1);
  });

  test('arguments in COMMAND DOCS carry name and type', async () => {
    const set = mapOf(mapOf(await mine.command('COMMAND', 'DOCS', 'set')).get('set')!);
    const names = itemsOf(set.get('arguments')!).map((argument) => {
      const fields = mapOf(argument);
      return `${textOf(fields.get('name')!)}:${textOf(fields.get('type')!)}`;
    });
    expect(names.slice(0, 2)).toEqual(['key:key', 'value:string']);
  });

  test.each([
    ['GET', 'a'],
    ['SET', 'a', 'v', 'EX', '10'],
    ['MSET', 'a', '1', 'b', '2'],
    ['MGET', 'a', 'b', 'c'],
    ['DEL', 'a', 'b'],
    ['BITOP', 'AND', 'd', 'a', 'b'],
    ['COPY', 'a', 'b'],
    ['RENAME', 'a', 'b'],
    ['LCS', 'a', 'b', 'LEN'],
    ['ZUNIONSTORE', 'd', '2', 'a', 'b', 'WEIGHTS', '1', '2'],
    ['ZDIFF', '2', 'a', 'b', 'WITHSCORES'],
    ['ZDIFF', '3', 'a', 'WITHSCORES'],
    ['ZDIFF', '0', 'a'],
    ['ZDIFF', '-1', 'a'],
    ['ZUNIONSTORE', 'd', '3', 'a', 'b'],
    ['ZUNIONSTORE', 'd', '0', 'a', 'b'],
    ['ZUNIONSTORE', 'd', 'x', 'a', 'b'],
    ['SINTERCARD', '99999999999999999999', 'a'],
    ['BLMPOP', '0', '3', 'a', 'b', 'LEFT'],
    ['BLMPOP', '0', '4', 'a', 'b', 'LEFT'],
    ['SORT', 'a', 'BY', 'w*', 'GET', '#', 'STORE', 'd'],
    ['SORT', 'a', 'STORE', 'd', 'STORE', 'e'],
    ['SORT_RO', 'a', 'GET', 'w*'],
    ['GEORADIUS', 'a', '1', '2', '3', 'km', 'STORE', 'b', 'storedist', 'c'],
    ['GEORADIUSBYMEMBER', 'a', 'm', '3', 'km', 'ASC', 'STORE', 'b'],
    ['GEORADIUSBYMEMBER', 'a', 'm', '3', 'km', 'ASC', 'STORE'],
    ['PFMERGE', 'd', 'a'],
    ['OBJECT', 'ENCODING', 'a'],
    ['MEMORY', 'USAGE', 'a'],
    ['PING'],
    ['NOSUCH', 'a'],
    ['GET'],
    ['MSET', 'a'],
    ['DBSIZE'],
  ])('COMMAND GETKEYS %s %s', async (...args) => {
    expect(await mine.rendered('COMMAND', 'GETKEYS', ...args)).toBe(
      await theirs.rendered('COMMAND', 'GETKEYS', ...args),
    );
  });

  test('COMMAND GETKEYSANDFLAGS', async () => {
    for (const args of [
      ['SET', 'a', 'v'],
      ['MGET', 'a', 'b'],
      ['RENAME', 'a', 'b'],
      ['GETDEL', 'a'],
    ]) {
      const [a, b] = [
        await mine.rendered('COMMAND', 'GETKEYSANDFLAGS', ...args),
        await theirs.rendered('COMMAND', 'GETKEYSANDFLAGS', ...args),
      ];
      expect(a).toBe(b);
    }
  });

  test.each([
    ['PATTERN', 'ge*'],
    ['ACLCAT', 'bitmap'],
    ['ACLCAT', 'hyperloglog'],
    ['ACLCAT', 'nosuch'],
    ['MODULE', 'nosuch'],
  ])('COMMAND LIST FILTERBY %s %s', async (by, what) => {
    const names = async (client: RawClient) =>
      itemsOf(await client.command('COMMAND', 'LIST', 'FILTERBY', by, what))
        .map(textOf)
        .sort();
    const known = (await names(theirs)).filter((name) => own.has(name));
    expect((await names(mine)).filter((name) => !name.startsWith(OWN_PREFIX))).toEqual(known);
  });

  test('COMMAND LIST names every command', async () => {
    const list = itemsOf(await mine.command('COMMAND', 'LIST'))
      .map(textOf)
      .sort();
    expect(list).toEqual([...own.keys()].sort());
    expect(await mine.rendered('COMMAND', 'LIST', 'FILTERBY', 'NOPE', 'x')).toBe('-ERR syntax error');
  });
});

/** Sets of flags may be told in any order. */
function sortedWords(text: string): string {
  return text
    .split(/[\s[\]]+/)
    .sort()
    .join(' ');
}
