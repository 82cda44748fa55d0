import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { FAMILIES } from '../../../src/workers/column-families.js';
import { Database, type IterateOptions, StorageError } from '../../../src/workers/rocksdb.js';
import { temporaryDir } from '../../support/environment.js';
import { runScript } from './child.js';

const open: Database[] = [];

async function openDatabase(path = temporaryDir()): Promise<Database> {
  const database = await Database.open(path);
  open.push(database);
  return database;
}

afterEach(async () => {
  for (const database of open.splice(0)) await database.close();
});

const bytes = (text: string) => Buffer.from(text, 'latin1');

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
  return 'no error';
}

async function openingCode(path: string): Promise<string> {
  const database = await Database.open(path).catch((error: unknown) => error);
  if (database instanceof StorageError) return database.code;
  if (database instanceof Database) open.push(database);
  return 'no error';
}

/** All rows of a range, as text. */
function rows(database: Database, options: Partial<IterateOptions> = {}): string[] {
  const found: string[] = [];
  database.iterate({ family: 'default', values: true, ...options }, (key, value) => {
    found.push(`${key.latin1Slice()}=${value?.latin1Slice() ?? '?'}`);
    return true;
  });
  return found;
}

function fill(database: Database, keys: Iterable<string>): void {
  for (const key of keys) database.put('default', bytes(key), bytes(key.toUpperCase()));
  database.commit(false);
}

it('compresses levels from the third on, without dictionaries', async () => {
  const path = temporaryDir();
  await openDatabase(path);
  const file = readdirSync(path).find((name) => name.startsWith('OPTIONS-'));
  const options = readFileSync(join(path, file!), 'latin1')
    .split('\n')
    .map((line) => line.trim());
  const ofFamilies = (name: string) =>
    options.filter((line) => line.startsWith(`${name}=`)).slice(-FAMILIES.length);
  expect(ofFamilies('compression_per_level')).toEqual(
    FAMILIES.map(() => expect.stringMatching(/=kNoCompression:kNoCompression:kZSTD(:kZSTD)*$/)),
  );
  expect(ofFamilies('compression_opts')).toEqual(
    FAMILIES.map(() => expect.stringContaining('max_dict_bytes=0;')),
  );
});

describe('how large an instance is', () => {
  it('is told of all families, as of the last look', async () => {
    const path = temporaryDir();
    let database = await openDatabase(path);
    await database.tables.measure();
    expect([database.tables.bytes, database.liveBytes]).toEqual([0, 0]);
    const value = randomBytes(1000);
    for (let row = 0; row < 500; row++)
      for (const family of ['default', 'elem'] as const) database.put(family, bytes(`row:${row}`), value);
    database.commit(false);
    await database.close();
    // Opening writes what the log has into files.
    database = await openDatabase(path);
    expect(database.tables.bytes).toBe(0);
    await database.tables.measure();
    const tables = readdirSync(path).filter((name) => name.endsWith('.sst'));
    const sizes = tables.map((name) => statSync(join(path, name)).size);
    expect(database.tables.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
    expect(tables.length).toBeGreaterThan(1);
    expect(database.liveBytes).toBeGreaterThan(database.numericProperty('rocksdb.total-sst-files-size'));
    expect(database.liveBytes).toBeLessThanOrEqual(database.tables.bytes);
    await database.close();
    rmSync(path, { recursive: true });
    await database.tables.measure();
    expect(database.tables.bytes).toBe(0);
  });
});

describe('deleting a range', () => {
  it('takes what is from its beginning to before its end, of one family', async () => {
    const database = await openDatabase();
    fill(database, ['a', 'b', 'ba', 'c', 'd']);
    database.put('elem', bytes('b'), bytes('other'));
    database.commit(false);
    database.deleteRange('default', bytes('b'), bytes('c'));
    expect(rows(database)).toEqual(['a=A', 'c=C', 'd=D']);
    expect(rows(database, { family: 'elem' })).toEqual(['b=other']);
    database.deleteRange('elem', bytes('a'), bytes('z'));
    expect(rows(database, { family: 'elem' })).toEqual([]);
    expect(rows(database)).toHaveLength(3);
  });

  it('is not of what is staged, is there after a reopening, and in a mirror', async () => {
    const path = temporaryDir();
    const [database, mirror] = [await openDatabase(path), await openDatabase()];
    database.beginMirror(mirror);
    fill(database, ['a', 'b', 'c']);
    database.put('default', bytes('z'), bytes('staged'));
    database.deleteRange('default', bytes('b'), bytes('c'));
    database.commit(false);
    expect(rows(mirror)).toEqual(['a=A', 'c=C', 'z=staged']);
    await database.close();
    expect(rows(await openDatabase(path))).toEqual(rows(mirror));
    expect(codeOf(() => database.deleteRange('default', bytes('a'), bytes('b')))).toBe('CLOSED');
  });
});

describe('opening', () => {
  it('refuses a path that is no directory with an IO error', async () => {
    const dir = temporaryDir();
    writeFileSync(join(dir, 'file'), '');
    expect(await openingCode('')).toBe('IO');
    expect(await openingCode('a\0b')).toBe('IO');
    expect(await openingCode(join(dir, 'file'))).toBe('IO');
    expect(await openingCode(join(dir, 'file', 'below'))).toBe('IO');
    expect(await openingCode(join(dir, 'x'.repeat(5000)))).toBe('IO');
    expect(await openingCode(5 as unknown as string)).toBe('IO');
  });

  it('makes missing directories', async () => {
    const path = join(temporaryDir(), 'a', 'b');
    await openDatabase(path);
    expect(readdirSync(path)).toContain('CURRENT');
  });

  it('refuses a directory that is open in this process, and leaves the first instance working', async () => {
    const database = await openDatabase();
    expect(await openingCode(database.path)).toBe('LOCKED');
    fill(database, ['a']);
    expect(rows(database)).toEqual(['a=A']);
    await database.close();
    expect(await openingCode(database.path)).toBe('no error');
  });

  it('refuses a directory that another process has open', async () => {
    const database = await openDatabase();
    const script = `await Database.open(${JSON.stringify(database.path)}).then(
      () => console.log('opened'), (error) => console.log(error.name, error.code));`;
    expect((await runScript('workers/rocksdb.ts', script)).stdout.trim()).toBe('StorageError LOCKED');
  });

  it('reports damage as CORRUPT', async () => {
    const database = await openDatabase();
    fill(database, ['a']);
    await database.close();
    writeFileSync(join(database.path, 'CURRENT'), 'garbage');
    expect(await openingCode(database.path)).toBe('CORRUPT');
  });

  it('reports a directory that cannot be written as IO', async () => {
    const path = temporaryDir();
    mkdirSync(join(path, 'LOCK'));
    expect(await openingCode(path)).toBe('IO');
  });

  it('works without a block cache', async () => {
    const database = await Database.open(temporaryDir(), { blockCacheBytes: 0, memtableBytes: 1 << 16 });
    open.push(database);
    fill(database, ['a', 'b']);
    expect(rows(database)).toEqual(['a=A', 'b=B']);
  });
});

describe('closing', () => {
  it('makes every method say CLOSED, or do nothing', async () => {
    const database = await openDatabase();
    database.put('default', bytes('a'), bytes('A'));
    await database.close();
    const key = bytes('a');
    expect(codeOf(() => database.get('default', key))).toBe('CLOSED');
    expect(codeOf(() => database.getMany('default', [key]))).toBe('CLOSED');
    expect(codeOf(() => database.put('default', key, key))).toBe('CLOSED');
    expect(codeOf(() => database.delete('default', key))).toBe('CLOSED');
    expect(codeOf(() => database.commit(true))).toBe('CLOSED');
    expect(codeOf(() => database.iterate({ family: 'default', values: true }, () => true))).toBe('CLOSED');
    expect(codeOf(() => database.property('rocksdb.stats'))).toBe('CLOSED');
    expect(codeOf(() => database.numericProperty('rocksdb.stats'))).toBe('CLOSED');
    database.discard();
    await database.syncLog();
    expect(database.staged).toBe(0);
    await database.close();
    await database.close();
  });

  it('drops what was staged', async () => {
    const database = await openDatabase();
    database.put('default', bytes('a'), bytes('A'));
    await database.close();
    expect(rows(await openDatabase(database.path))).toEqual([]);
  });
});

describe('keys and values', () => {
  it('takes empty ones', async () => {
    const database = await openDatabase();
    database.put('default', bytes(''), bytes('for nothing'));
    database.put('default', bytes('nothing'), bytes(''));
    database.commit(false);
    expect(database.get('default', bytes(''))).toEqual(bytes('for nothing'));
    expect(database.get('default', bytes('nothing'))).toEqual(bytes(''));
    expect(rows(database)).toEqual(['=for nothing', 'nothing=']);
    database.delete('default', bytes(''));
    database.commit(false);
    expect(rows(database)).toEqual(['nothing=']);
  });

  it('takes a value of 64 MB, in and out, also over a reopening', async () => {
    const database = await openDatabase();
    const value = Buffer.alloc(64 << 20, 'vasto');
    database.put('default', bytes('large'), value);
    database.commit(false);
    expect(database.get('default', bytes('large'))!.equals(value)).toBe(true);
    await database.close();
    const again = await openDatabase(database.path);
    let length = 0;
    again.iterate({ family: 'default', values: true }, (_key, found) => {
      length = found!.equals(value) ? found!.length : -1;
      return true;
    });
    expect(length).toBe(64 << 20);
  });

  it('keeps binary keys apart and in byte order', async () => {
    const database = await openDatabase();
    const keys = [
      '',
      '\0',
      '\0\0',
      '\0\xff',
      'a',
      'a\0',
      'a\xff',
      'b',
      '\x7f',
      '\x80',
      '\xff',
      '\xff\0',
      '\xff\xff',
    ];
    for (const key of keys.toReversed()) database.put('default', bytes(key), bytes(key));
    database.commit(false);
    expect(rows(database)).toEqual(keys.toSorted((a, b) => (a < b ? -1 : 1)).map((key) => `${key}=${key}`));
    for (const key of keys) expect(database.get('default', bytes(key))!.latin1Slice()).toBe(key);
  });

  it('copies what it is given before the call returns, and gives away copies', async () => {
    const database = await openDatabase();
    const key = bytes('key');
    const value = bytes('value');
    database.put('default', key, value);
    key.fill(0);
    value.fill(0);
    database.commit(false);
    const read = database.get('default', bytes('key'))!;
    expect(read).toEqual(bytes('value'));
    read.fill(0);
    expect(database.get('default', bytes('key'))).toEqual(bytes('value'));
  });

  it('takes views into larger memory, and Uint8Arrays', async () => {
    const database = await openDatabase();
    const memory = new Uint8Array([9, 9, 1, 2, 9]);
    database.put('default', memory.subarray(2, 4) as Buffer, Buffer.from(memory.buffer, 1, 2));
    database.commit(false);
    expect(database.get('default', Buffer.from([1, 2]))).toEqual(Buffer.from([9, 1]));
  });

  it('answers many keys in order, those without a row and repeated ones included', async () => {
    const database = await openDatabase();
    fill(database, ['a', 'b', 'c']);
    const keys = ['b', 'missing', 'c', 'b', 'a', 'missing'].map(bytes);
    const found = database.getMany('default', keys).map((value) => value?.latin1Slice());
    expect(found).toEqual(['B', undefined, 'C', 'B', 'A', undefined]);
    expect(database.getMany('default', [])).toEqual([]);
    const many = Array.from({ length: 20_000 }, (_, index) => bytes(index % 2 === 0 ? 'a' : `no${index}`));
    expect(database.getMany('default', many).filter((value) => value !== undefined)).toHaveLength(10_000);
  });

  it('keeps families apart', async () => {
    const database = await openDatabase();
    for (const family of FAMILIES) database.put(family, bytes('key'), bytes(family));
    database.commit(false);
    for (const family of FAMILIES) expect(rows(database, { family })).toEqual([`key=${family}`]);
    database.delete('ttl', bytes('key'));
    database.commit(false);
    for (const family of FAMILIES)
      expect(rows(database, { family })).toEqual(family === 'ttl' ? [] : [`key=${family}`]);
  });
});

describe('wrong arguments', () => {
  const wrong = [
    'text',
    5,
    null,
    undefined,
    {},
    [1, 2],
    new ArrayBuffer(4),
    new DataView(new ArrayBuffer(4)),
    new Uint32Array(2),
  ];

  it('are a TypeError, and the process goes on', async () => {
    const database = await openDatabase();
    const good = bytes('good');
    for (const value of wrong) {
      const bad = value as unknown as Buffer;
      expect(() => database.get('default', bad)).toThrow(TypeError);
      expect(() => database.getMany('default', [good, bad])).toThrow(TypeError);
      expect(() => database.put('default', bad, good)).toThrow(TypeError);
      expect(() => database.put('default', good, bad)).toThrow(TypeError);
      expect(() => database.delete('default', bad)).toThrow(TypeError);
      if (bad === undefined) continue;
      for (const bound of ['from', 'after', 'before'])
        expect(() => rows(database, { [bound]: bad } as Partial<IterateOptions>)).toThrow(TypeError);
    }
    expect(database.staged).toBe(0);
    fill(database, ['a']);
    expect(rows(database)).toEqual(['a=A']);
  });
});

describe('committing', () => {
  it('shows staged changes to nobody before, and all of them at once', async () => {
    const database = await openDatabase();
    fill(database, ['a', 'b']);
    database.put('default', bytes('c'), bytes('C'));
    database.delete('default', bytes('a'));
    database.put('ttl', bytes('t'), bytes('T'));
    expect(database.staged).toBe(3);
    expect(rows(database)).toEqual(['a=A', 'b=B']);
    expect(database.get('default', bytes('c'))).toBeUndefined();
    database.commit(true);
    expect(database.staged).toBe(0);
    expect(rows(database)).toEqual(['b=B', 'c=C']);
    expect(rows(database, { family: 'ttl' })).toEqual(['t=T']);
  });

  it('lets the last change of a key win', async () => {
    const database = await openDatabase();
    database.put('default', bytes('a'), bytes('1'));
    database.delete('default', bytes('a'));
    database.put('default', bytes('a'), bytes('2'));
    database.put('default', bytes('b'), bytes('1'));
    database.delete('default', bytes('b'));
    database.commit(false);
    expect(rows(database)).toEqual(['a=2']);
  });

  it('forgets what was discarded', async () => {
    const database = await openDatabase();
    database.discard();
    database.put('default', bytes('a'), bytes('A'));
    database.discard();
    expect(database.staged).toBe(0);
    database.commit(false);
    database.put('default', bytes('b'), bytes('B'));
    database.commit(false);
    expect(rows(database)).toEqual(['b=B']);
  });

  it('takes an empty commit, and a deletion of nothing', async () => {
    const database = await openDatabase();
    database.commit(true);
    database.delete('default', bytes('a'));
    database.commit(false);
    expect(rows(database)).toEqual([]);
  });

  it('keeps committed rows when the process is killed, whatever `sync` says', async () => {
    const path = temporaryDir();
    const script = `const database = await Database.open(${JSON.stringify(path)});
      for (let batch = 0; batch < 300; batch++) {
        for (const part of ['a', 'b']) database.put('default', Buffer.from(part + batch), Buffer.from(String(batch)));
        database.commit(false);
      }
      database.put('default', Buffer.from('staged'), Buffer.from('only'));
      process.kill(process.pid, 'SIGKILL');`;
    expect((await runScript('workers/rocksdb.ts', script)).signal).toBe('SIGKILL');
    const database = await openDatabase(path);
    expect(rows(database)).toHaveLength(600);
    expect(database.get('default', bytes('b299'))).toEqual(bytes('299'));
    expect(database.get('default', bytes('staged'))).toBeUndefined();
  });

  it('syncs the log while commits go on', async () => {
    const database = await openDatabase();
    const syncing = database.syncLog();
    fill(database, ['a']);
    await syncing;
    await Promise.all([database.syncLog(), database.syncLog()]);
    expect(rows(database)).toEqual(['a=A']);
  });
});

describe('properties', () => {
  it('are text, and empty where there is none of that name', async () => {
    const database = await openDatabase();
    fill(database, ['a']);
    expect(database.property('rocksdb.stats')).toContain('DB Stats');
    expect(database.numericProperty('rocksdb.cur-size-all-mem-tables')).toBeGreaterThan(0);
    expect(database.property('no.such')).toBe('');
    expect(database.numericProperty('no.such')).toBe(0);
    expect(database.property('')).toBe('');
    expect(database.property('rocksdb.stats\0')).toBe('');
  });
});

describe('resources', () => {
  it('are not leaked by 200,000 rounds of put, commit, get and iterate', async () => {
    const script = `const database = await Database.open(${JSON.stringify(temporaryDir())}, { memtableBytes: 1 << 20 });
      const value = Buffer.alloc(50, 'x');
      const key = Buffer.alloc(4);
      function round(index) {
        key.writeUInt32BE(index % 500);
        database.put('default', key, value);
        if (index % 2 === 0) database.commit(false);
        database.get('default', key);
        if (index % 8 === 0) database.iterate({ family: 'default', values: true }, () => false);
      }
      // Closed iterators are finalized in later turns of the event loop.
      async function rounds(count) {
        for (let index = 0; index < count; index++) {
          round(index);
          if (index % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        global.gc();
        return process.memoryUsage.rss();
      }
      const before = await rounds(60000);
      console.log((await rounds(200000)) - before);`;
    const { stdout, stderr } = await runScript('workers/rocksdb.ts', script, '--expose-gc');
    expect(stderr).toBe('');
    // 25,000 iterators or 200,000 values kept would be more than 12 MB each.
    expect(Number(stdout)).toBeLessThan(10 << 20);
  });

  it('are given back by instances that are opened and closed', async () => {
    const path = temporaryDir();
    for (let round = 0; round < 10; round++) {
      const database = await Database.open(path);
      fill(database, [`k${round}`]);
      await database.close();
    }
    const files = spawnSync('ls', ['-l', `/proc/${process.pid}/fd`], { encoding: 'utf8' }).stdout;
    expect(files.split('\n').filter((line) => line.includes(path))).toEqual([]);
  });
});
