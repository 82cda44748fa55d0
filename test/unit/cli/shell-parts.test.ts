import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CommandDocs, docsText, findDocs, parseCommandDocs } from '../../../src/cli/command-docs.js';
import { AddressError, endpointText, parseEndpoint } from '../../../src/cli/endpoint.js';
import { RequestError } from '../../../src/cli/keyspace-words.js';
import { type Reply, ReplyDecoder } from '../../../src/cli/reply.js';
import { linesOf } from '../../../src/cli/shell.js';
import { complete } from '../../../src/cli/shell-completion.js';
import { isSensitive, ShellHistory } from '../../../src/cli/shell-history.js';
import { parseShellWord, type ShellWord } from '../../../src/cli/shell-words.js';
import { printable, ranges, table } from '../../../src/cli/tables.js';
import { adminTarget } from '../../../src/cli/target.js';
import { agoText, bytesText } from '../../../src/cli/words.js';
import type { ChangeRequest } from '../../../src/cluster/manager.js';
import { temporaryDir } from '../../support/environment.js';

describe('addresses', () => {
  it.each([
    ['10.0.0.1:7000', '10.0.0.1:7000'],
    ['host', 'host:6379'],
    [':7000', '127.0.0.1:7000'],
    ['[::1]:7000', '[::1]:7000'],
    ['::1', '[::1]:6379'],
    ['/tmp/vasto.sock', '/tmp/vasto.sock'],
  ])('%s', (text, meaning) => {
    expect(endpointText(parseEndpoint(text, 6379))).toBe(meaning);
  });

  it.each(['', 'a:b', 'a:0', 'a:70000', 'a b', 'http://a'])('refuses %j', (text) => {
    expect(() => parseEndpoint(text, 6379)).toThrow(AddressError);
  });

  it('of admin: flags before variables, the master before a server', () => {
    const kind = (flags: object, variables = {}) => {
      const target = adminTarget(flags, variables);
      return target.kind === 'master' ? target.master.addresses.join() : target.name;
    };
    expect(kind({})).toBe('127.0.0.1:8278');
    expect(kind({ master: 'a:1,b' })).toBe('a:1,b:8278');
    expect(kind({}, { VASTO_MASTER: 'm', VASTO_SERVER: 's' })).toBe('m:8278');
    expect(kind({}, { VASTO_SERVER: 's' })).toBe('s:6379');
    expect(kind({ server: 's' }, { VASTO_MASTER: 'm' })).toBe('s:6379');
    expect(kind({ master: 'm' }, { VASTO_SERVER: 's' })).toBe('m:8278');
  });
});

function changing(request: ChangeRequest, isWaiting = true): ShellWord {
  return { kind: 'change', request, isWaiting };
}

describe('words of the shell', () => {
  it.each([
    ['keyspaces', { kind: 'keyspaces' }],
    ['USE orders', { kind: 'use', name: 'orders' }],
    ['create a', { kind: 'create', request: { name: 'a', shards: 1, replicas: 1, tags: [] } }],
    [
      'create a --shards 4 TAGS x,y db 3 replicas 2',
      { kind: 'create', request: { name: 'a', shards: 4, replicas: 2, tags: ['x', 'y'], db: 3 } },
    ],
    ['delete a', { kind: 'delete', name: 'a', isSure: false }],
    ['delete a --yes', { kind: 'delete', name: 'a', isSure: true }],
    ['dump', { kind: 'dump' }],
    ['dump key', undefined],
    ['get a', undefined],
    ['put a b', undefined],
    ['prefix a 5', { kind: 'prefix', limit: 5 }],
    ['events', { kind: 'events', isOn: undefined }],
    ['events OFF', { kind: 'events', isOn: false }],
    ['exit', { kind: 'quit' }],
    ['tasks', { kind: 'tasks' }],
    ['resize a 4', changing({ kind: 'resize', keyspace: 'a', shards: 4 })],
    ['resize a 4 DETACH', changing({ kind: 'resize', keyspace: 'a', shards: 4 }, false)],
    ['replicas a 2 --detach', changing({ kind: 'replicas', keyspace: 'a', replicas: 2 }, false)],
    ['move a 1 h:1 h:2', changing({ kind: 'move', keyspace: 'a', shard: 1, from: 'h:1', to: 'h:2' })],
    ['move key 1', undefined],
    ['MOVE', undefined],
    ['abort a', changing({ kind: 'abort', keyspace: 'a' })],
    ['replace h:1', changing({ kind: 'replace', store: 'h:1', by: '' })],
    ['replace h:1 h:2', changing({ kind: 'replace', store: 'h:1', by: 'h:2' })],
    ['drain h:1', changing({ kind: 'drain', store: 'h:1' })],
    ['Rebalance detach', changing({ kind: 'rebalance' }, false)],
    ['backup a /b', { kind: 'backup', name: 'a', directory: '/b' }],
    ['restore /b a', { kind: 'restore', name: 'a', directory: '/b' }],
    ['restore key 0 payload', undefined],
  ])('%s', (line, meaning) => {
    expect(parseShellWord(line.split(' '))).toEqual(meaning);
  });

  it.each([
    'use',
    'use a b',
    'create',
    'create a shards',
    'create a shards x',
    'create a size 3',
    'delete',
    'events so',
    'stores x',
    'prefix',
    'tasks x',
    'resize',
    'resize a',
    'resize a x',
    'resize a 4 now',
    'move a 1 h:1',
    'move a x h:1 h:2',
    'abort',
    'abort a detach',
    'replace',
    'replace a b c',
    'rebalance a',
    'backup a',
    'backup a /b c',
    'restore /b',
  ])('refuses: %s', (line) => {
    expect(() => parseShellWord(line.split(' '))).toThrow(RequestError);
  });
});

function docs(name: string, subcommands: string[] = []): CommandDocs {
  const none = { summary: '', since: '', group: 'g', complexity: '', syntax: '', subcommands: [] };
  return { ...none, name, subcommands: subcommands.map((sub) => ({ ...none, name: `${name} ${sub}` })) };
}

describe('completion', () => {
  const known = {
    docs: [docs('GET'), docs('GETDEL'), docs('CONFIG', ['GET', 'SET'])],
    keyspaces: ['orders', 'Old'],
    stores: ['10.0.0.1:7000', '10.0.0.2:7000'],
  };
  it.each([
    ['ge', ['get', 'getdel'], 'ge'],
    ['GETD', ['GETDEL '], 'GETD'],
    ['keysp', ['keyspaces '], 'keysp'],
    ['config ', ['GET', 'SET'], ''],
    ['config s', ['set '], 's'],
    ['use o', ['orders '], 'o'],
    ['select ', ['Old', 'orders'], ''],
    ['help config g', ['get '], 'g'],
    ['vasto keyspace delete o', ['orders '], 'o'],
    ['create x sh', ['shards '], 'sh'],
    ['get ', [], ''],
    ['resi', ['resize '], 'resi'],
    ['resize o', ['orders '], 'o'],
    ['resize orders ', [], ''],
    ['abort O', ['Old '], 'O'],
    ['move orders 1 10.0.0.2', ['10.0.0.2:7000 '], '10.0.0.2'],
    ['move orders 1 10.0.0.2:7000 ', known.stores, ''],
    ['replace ', known.stores, ''],
    ['drain 10.0.0.1:', ['10.0.0.1:7000 '], '10.0.0.1:'],
    ['rebalance ', [], ''],
    ['backup o', ['orders '], 'o'],
    ['backup orders ', [], ''],
    ['restore /b o', ['orders '], 'o'],
    ['describe orders ', [], ''],
    ['vasto keyspace re', ['replicas', 'resize'], 're'],
    ['vasto keyspace resize o', ['orders '], 'o'],
    ['vasto keyspace move orders 0 ', known.stores, ''],
    ['vasto store d', ['drain '], 'd'],
    ['vasto store replace 10.0.0.1', ['10.0.0.1:7000 '], '10.0.0.1'],
    ['VASTO STORES ', [], ''],
  ])('of %j', (line, found, replaced) => {
    expect(complete(line, known)).toEqual([found, replaced]);
  });
});

describe('history', () => {
  it.each([
    'AUTH x',
    ' auth u p',
    'hello 3 AUTH u p',
    'CONFIG SET requirepass x',
    'config set cluster-secret x',
    'ACL SETUSER a >p',
    'MIGRATE h 1 k 0 5 AUTH2 u p',
  ])('leaves out %j', (line) => {
    expect(isSensitive(line)).toBe(true);
  });

  it('keeps the newest lines, in a file for the owner only', () => {
    const path = join(temporaryDir(), 'history');
    const warnings: string[] = [];
    const history = new ShellHistory(path, (text) => warnings.push(text));
    expect(history.load()).toEqual([]);
    for (let line = 0; line < 2500; line++) history.add(`get ${line}`);
    history.add('auth secret');
    history.add('  ');
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(2000);
    expect(lines.at(-1)).toBe('get 2499');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const loaded = new ShellHistory(path, () => undefined).load();
    expect([loaded.length, loaded[0]]).toEqual([1000, 'get 2499']);
    expect(warnings).toEqual([]);
  });

  it('that cannot be written is told once', () => {
    const warnings: string[] = [];
    const file = join(temporaryDir(), 'file');
    writeFileSync(file, '');
    const history = new ShellHistory(join(file, 'below'), (text) => warnings.push(text));
    history.add('a');
    history.add('b');
    expect(warnings).toHaveLength(1);
  });
});

describe('what a server says of its commands', () => {
  const wire = (value: unknown): string => {
    if (typeof value === 'string') return `$${value.length}\r\n${value}\r\n`;
    if (Array.isArray(value)) return `*${value.length}\r\n${value.map(wire).join('')}`;
    const entries = Object.entries(value as object);
    return `%${entries.length}\r\n${entries.map(([key, item]) => wire(key) + wire(item)).join('')}`;
  };
  const flags = (...names: string[]) => ({ flags: names });
  const reply = new ReplyDecoder().push(
    Buffer.from(
      wire({
        set: {
          summary: 'Sets.',
          since: '1.0.0',
          group: 'string',
          arguments: [
            { name: 'key', type: 'key' },
            {
              name: 'c',
              type: 'oneof',
              ...flags('optional'),
              arguments: [
                { name: 'nx', type: 'pure-token', token: 'NX' },
                { name: 's', type: 'integer', token: 'EX' },
              ],
            },
            { name: 'field', type: 'string', ...flags('multiple') },
            { name: 'p', type: 'string', token: 'GET', ...flags('optional', 'multiple', 'multiple_token') },
          ],
        },
        config: { summary: 'C', subcommands: { 'config|get': { summary: 'G', arguments: [] } } },
      }),
    ),
  )[0] as Reply;

  it('is shown in the notation of Redis', () => {
    const parsed = parseCommandDocs(reply);
    expect(parsed.map(({ name }) => name)).toEqual(['CONFIG', 'SET']);
    expect(docsText(findDocs(parsed, ['set'])!)).toBe(
      '\n  SET key [NX|EX s] field [field ...] [GET p [GET p ...]]\n  summary: Sets.\n  since: 1.0.0\n  group: string\n\n',
    );
    expect(findDocs(parsed, ['config', 'get'])?.summary).toBe('G');
    expect(findDocs(parsed, ['nope'])).toBeUndefined();
  });
});

describe('texts', () => {
  it('of tables are aligned, and cannot move the cursor', () => {
    expect(
      table(
        ['NAME', '>N'],
        [
          ['a\x1b[2J', '1'],
          ['b', '22'],
        ],
      ),
    ).toBe('NAME       N\na\\x1b[2J   1\nb         22\n');
    expect(printable('ok\u009b')).toBe('ok\\x9b');
    expect(ranges([0, 1, 2, 5, 7, 8])).toBe('0-2,5,7-8');
  });

  it('of sizes and times', () => {
    expect([0, 999, 2048, 10_485_760, 5e12].map(bytesText)).toEqual([
      '0 B',
      '999 B',
      '2.0 kB',
      '10 MB',
      '4.5 TB',
    ]);
    expect([10, 5000, 600_000, 1e8].map(agoText)).toEqual(['now', '5 s ago', '10 min ago', '28 h ago']);
  });

  it('are read line by line, as bytes', async () => {
    async function* input() {
      yield Buffer.from('a\nb');
      yield Buffer.from([0xff, 10, 10]);
      yield 'end';
    }
    const lines: Buffer[] = [];
    for await (const line of linesOf(input())) lines.push(line);
    expect(lines).toEqual([Buffer.from('a'), Buffer.from([98, 0xff]), Buffer.alloc(0), Buffer.from('end')]);
  });
});
