import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { Config, memoryBudgetBytes, workerCount } from '../../../src/base/config.js';
import { DIRECTIVE_BY_NAME, DIRECTIVE_NAMES, defaultValues } from '../../../src/base/directives.js';
import { VERSION } from '../../../src/base/version.js';

const root = mkdtempSync(join(tmpdir(), 'vasto-config-'));
let folder = root;
let folders = 0;
beforeEach(() => {
  folder = join(root, String(folders++));
  mkdirSync(folder);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function ofText(text: string): Config {
  return Config.load({ text });
}

function shown(config: Config, name: string): string | undefined {
  return config.get([name])[0]?.[1];
}

describe('the reference file', () => {
  const file = 'conf/vasto.conf';

  it('gives exactly the defaults', () => {
    expect(Config.load({ file }).values).toEqual(defaultValues());
  });

  it('has every directive, in the order of the table', () => {
    const names = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => /^[a-z]/.test(line))
      .map((line) => line.split(' ')[0]);
    expect([...new Set(names)]).toEqual(DIRECTIVE_NAMES);
  });
});

describe('the version', () => {
  it('is the one of package.json', () => {
    expect(VERSION).toBe(JSON.parse(readFileSync('package.json', 'utf8')).version);
  });
});

describe('Config.load', () => {
  it('gives typed values', () => {
    const { values } = ofText('PORT 7000\nbind * ::1\nprotected-mode no\nunixsocketperm 770');
    const port: number = values.port;
    const bind: readonly string[] = values.bind;
    const fsync: 'everysec' | 'always' | 'no' = values.appendfsync;
    expect([port, bind, values['protected-mode'], values.unixsocketperm, fsync]).toEqual([
      7000,
      ['*', '::1'],
      false,
      0o770,
      'everysec',
    ]);
    // @ts-expect-error: a name that is not in the table does not compile
    expect(values.prot).toBeUndefined();
  });

  it('lets flags win over standard input, and that over the file', () => {
    const file = write('a.conf', 'port 1\nhz 11\ntimeout 21');
    const { values } = Config.load({ file, text: 'hz 12\ntimeout 22', flags: ['--timeout', '23'] });
    expect([values.port, values.hz, values.timeout]).toEqual([1, 12, 23]);
  });

  it('adds save lines up, and understands older names', () => {
    expect(shown(ofText('save 900 1\nsave 60 5 30 2'), 'save')).toBe('900 1 60 5 30 2');
    expect(shown(ofText('save 900 1\nsave ""\nsave 5 5'), 'save')).toBe('5 5');
    expect(ofText('hash-max-ziplist-entries 7').values['hash-max-listpack-entries']).toBe(7);
  });

  it('reads included files, several by pattern', () => {
    mkdirSync(join(folder, 'd'));
    write('d/2.conf', 'hz 2\ntimeout 2');
    write('d/1.conf', 'hz 1');
    write('d/.hidden.conf', 'hz 9');
    expect(ofText(`include ${folder}/d/*.conf`).values).toMatchObject({ hz: 2, timeout: 2 });
    expect(ofText(`include ${folder}/d/*.none`).values.hz).toBe(10);
  });

  it.each([
    [
      'hz 1\nport 99999',
      'line 2: port 99999: argument must be between 0 and 65535 inclusive (allowed: an integer from 0 to 65535)',
    ],
    ['port', 'line 1: port: wrong number of arguments (allowed: an integer from 0 to 65535)'],
    [
      'maxmemory 1zb',
      'argument must be a memory value (allowed: bytes with an optional unit (k kb m mb g gb))',
    ],
    ['prt 1', "line 1: unknown directive 'prt'; did you mean 'port'?"],
    ['entirely-different 1', "line 1: unknown directive 'entirely-different'"],
    ['port=1', "unknown directive 'port=…'; write the value as a word of its own: 'port 1'"],
    ['appendonly no', "appendonly no: Vasto logs every write before it replies; only 'yes' is accepted"],
    ['daemonize yes', 'use your service manager'],
    ["tls-protocols 'TLSv1.3 SSLv3'", 'argument(s) must be any of the following: TLSv1, TLSv1.1'],
    ['master a:1 b', "'b' must be host:port"],
    ['master ::1:8278', "'::1:8278' must be host:port"],
    ['master host:65536', "'host:65536' must be host:port"],
    ['tags ssd "a b"', "'a b' must be 1 to 64 letters, digits, '_', '-' or '.'"],
    ['zone a/b', "'a/b' must be 1 to 64 letters, digits, '_', '-' or '.'"],
    ['maxmemory-policy allkeys-lru', "only 'noeviction' is accepted"],
    ['notify-keyspace-events KEA', 'keyspace notifications are not available yet'],
    ['cluster-enabled yes', 'Add cluster-port PORT [KEYSPACE]'],
    ['cluster-port 70000', 'between 1 and 65535'],
    ['cluster-port orders', "'orders' is not a port"],
    ['include /nonexistent/x.conf', "line 1: can't read configuration file '/nonexistent/x.conf': ENOENT"],
    ['include /nonexistent/*', "line 1: can't list '/nonexistent': ENOENT"],
    ['include', 'include takes one path'],
  ])('refuses %j', (text, message) => {
    expect(() => ofText(text)).toThrow(message);
  });

  it('keeps passwords out of messages', () => {
    expect(() => ofText('requirepass my secret')).toThrow(
      /^standard input, line 1: requirepass \(hidden\): wrong number of arguments/,
    );
  });

  it('names a file that cannot be read', () => {
    expect(() => Config.load({ file: join(folder, 'none.conf') })).toThrow(
      `can't read configuration file '${join(folder, 'none.conf')}': ENOENT`,
    );
  });
});

describe('CONFIG GET', () => {
  const config = ofText('hz 20');

  it('matches patterns and names in any case, each name once', () => {
    expect(config.get(['hZ*'])).toEqual([['hz', '20']]);
    expect(config.get(['Hz'])).toEqual([['Hz', '20']]);
    expect(config.get(['h[yz]z', 'HZ', 'h?'])).toEqual([['HZ', '20']]);
    expect(config.get(['none', ''])).toEqual([]);
  });

  it('lists older names beside the newer ones', () => {
    expect(config.get(['list-max-*']).map(([name]) => name)).toEqual([
      'list-max-listpack-size',
      'list-max-ziplist-size',
    ]);
    expect(config.get(['*'])).toHaveLength(DIRECTIVE_BY_NAME.size);
  });

  it('shows where the folder of data is', () => {
    expect(shown(config, 'dir')).toBe(join(process.cwd(), 'data'));
  });
});

describe('CONFIG SET', () => {
  it('sets all or nothing', () => {
    const config = ofText('');
    expect(
      config.set([
        ['timeout', '5'],
        ['HZ', '20'],
      ]),
    ).toBeUndefined();
    expect(config.values).toMatchObject({ timeout: 5, hz: 20 });
    expect(
      config.set([
        ['timeout', '6'],
        ['hz', 'x'],
      ]),
    ).toBe(
      "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
    );
    expect(config.values).toMatchObject({ timeout: 5, hz: 20 });
  });

  it('says why a value cannot be served', () => {
    expect(ofText('').set([['appendonly', 'no']])).toBe(
      "ERR CONFIG SET failed (possibly related to argument 'appendonly') - Vasto logs every write before it replies; only 'yes' is accepted",
    );
  });

  it('has listeners carry changes out, and does not call them when nothing changes', () => {
    const config = ofText('');
    const heard: unknown[] = [];
    config.onChange('hz', (value, previous) => {
      heard.push([value, previous, config.values.hz]);
    });
    config.set([['hz', '10']]);
    config.set([
      ['hz', '20'],
      ['timeout', '1'],
    ]);
    expect(heard).toEqual([[20, 10, 20]]);
  });

  it('tells of files that are to be read again, on CONFIG SET of the same path and on reread', () => {
    const config = ofText('tls-cert-file a');
    const heard: unknown[] = [];
    let refusal: string | undefined;
    config.onChange('tls-cert-file', (value, previous) => {
      heard.push([value, previous]);
      return refusal;
    });
    expect(config.set([['tls-cert-file', 'a']])).toBeUndefined();
    expect(config.reread()).toBeUndefined();
    expect(heard).toEqual([
      ['a', 'a'],
      ['a', 'a'],
    ]);
    refusal = 'gone';
    expect(config.reread()).toBe('tls-cert-file: gone');
  });

  it('undoes everything when a listener refuses', () => {
    const config = ofText('timeout 1\nhz 2\nmaxclients 3');
    const heard: unknown[] = [];
    config.onChange('timeout', (value, previous) => {
      heard.push([value, previous, config.values.timeout]);
    });
    config.onChange('hz', () => 'not today');
    expect(
      config.set([
        ['timeout', '5'],
        ['HZ', '6'],
        ['maxclients', '7'],
      ]),
    ).toBe("ERR CONFIG SET failed (possibly related to argument 'HZ') - not today");
    expect(config.values).toMatchObject({ timeout: 1, hz: 2, maxclients: 3 });
    expect(heard).toEqual([
      [5, 1, 5],
      [1, 5, 1],
    ]);
  });
});

describe('CONFIG REWRITE', () => {
  it('needs a file', () => {
    expect(ofText('').rewrite()).toBe('ERR The server is running without a config file');
  });

  it('leaves a file alone that says what is in force', () => {
    const text = '# mine\nPORT   7000\nmaxmemory 100mb # \n'.replace(' # ', '');
    const file = write('same.conf', text);
    expect(Config.load({ file }).rewrite()).toBeUndefined();
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('replaces what changed where it stands, and appends the rest', () => {
    const file = write(
      'b.conf',
      '# top\nport 7000\nsave 900 1\nsave 300 10\n\n# memory\nhash-max-ziplist-entries 5\nmaxmemory 100mb\ntimeout 9',
    );
    const config = Config.load({ file, flags: ['--slowlog-max-len', '99'] });
    config.set([
      ['save', '5 5 6 6'],
      ['hash-max-ziplist-entries', '6'],
      ['requirepass', 'a "b'],
      ['client-output-buffer-limit', 'normal 1mb 0 0'],
    ]);
    expect(config.rewrite()).toBeUndefined();
    expect(readFileSync(file, 'utf8')).toBe(
      `# top
port 7000
save 5 5
save 6 6

# memory
hash-max-listpack-entries 6
maxmemory 100mb
timeout 9

# Written by CONFIG REWRITE
requirepass "a \\"b"
client-output-buffer-limit normal 1048576 0 0
client-output-buffer-limit replica 268435456 67108864 60
client-output-buffer-limit pubsub 33554432 8388608 60
slowlog-max-len 99
`,
    );
    expect(Config.load({ file }).values).toEqual(config.values);
    expect(config.set([['slowlog-max-len', '128']])).toBeUndefined();
    expect(config.rewrite()).toBeUndefined();
    expect(Config.load({ file }).values).toEqual(config.values);
    expect(readFileSync(file, 'utf8').match(/# Written/g)).toHaveLength(1);
  });

  it('overrules what an included file says, without touching it', () => {
    const included = write('inc.conf', 'hz 20\nsave 1 1');
    const file = write('c.conf', `hz 15\ninclude ${included}\n`);
    const config = Config.load({ file });
    config.set([
      ['hz', '30'],
      ['save', '2 2'],
    ]);
    expect(config.rewrite()).toBeUndefined();
    expect(Config.load({ file }).values).toEqual(config.values);
    expect(readFileSync(included, 'utf8')).toBe('hz 20\nsave 1 1');
  });

  it('keeps the permission of the file, and makes it anew when it is gone', () => {
    const file = write('d.conf', 'hz 15');
    chmodSync(file, 0o600);
    const config = Config.load({ file });
    config.set([['hz', '16']]);
    expect(config.rewrite()).toBeUndefined();
    expect(statSync(file).mode & 0o777).toBe(0o600);
    rmSync(file);
    expect(config.rewrite()).toBeUndefined();
    expect(Config.load({ file }).values.hz).toBe(16);
  });

  it('says why it failed, and leaves nothing behind', () => {
    const file = write('e.conf', 'hz 15');
    const config = Config.load({ file });
    config.set([['hz', '16']]);
    rmSync(folder, { recursive: true });
    expect(config.rewrite()).toMatch(/^ERR Rewriting config file: ENOENT/);
  });
});

describe('what 0 stands for', () => {
  it('is a quarter of the memory, at most 2gb', () => {
    const gigabyte = 1024 ** 3;
    expect(memoryBudgetBytes(ofText('').values, 4 * gigabyte)).toBe(gigabyte);
    expect(memoryBudgetBytes(ofText('').values, 64 * gigabyte)).toBe(2 * gigabyte);
    expect(memoryBudgetBytes(ofText('maxmemory 3gb').values, gigabyte)).toBe(3 * gigabyte);
  });

  it('is one worker fewer than the cores, at least one', () => {
    expect([1, 2, 8].map((cores) => workerCount(ofText('').values, cores))).toEqual([1, 1, 7]);
    expect(workerCount(ofText('workers 3').values, 8)).toBe(3);
  });
});
