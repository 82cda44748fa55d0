import { Buffer } from 'node:buffer';
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  beginBackup,
  type Manifest,
  parseManifest,
  readManifest,
} from '../../../../src/cli/backup/directory.js';
import { ShardFileReader, ShardFileWriter } from '../../../../src/cli/backup/shard-file.js';
import { verifyFiles } from '../../../../src/cli/backup/verify.js';
import { temporaryDir } from '../../../support/environment.js';
import { admin } from '../../../support/fake-master.js';

const NOW = new Date('2026-01-02T03:04:05.678Z');
const KEYSPACE = { name: 'orders', db: null, shards: 2, replicas: 1, tags: ['ssd'] };
const FRAMES = [Buffer.from('first'), Buffer.alloc(300_000, 7), Buffer.from('third')];

async function write(directory: string, replaces = false, keyspace = KEYSPACE): Promise<Manifest> {
  const begun = await beginBackup(directory, keyspace.name, replaces, NOW);
  const files = [];
  for (let shard = 0; shard < keyspace.shards; shard++) {
    const path = begun.pathOf(shard);
    const head = { backup: begun.id, keyspace: keyspace.name, shard };
    const writer = await ShardFileWriter.create(path, head);
    for (const rows of FRAMES) await writer.add(rows, 2);
    files.push({ name: basename(path), shard, takenAtMs: 1, ...(await writer.finish()) });
  }
  return begun.finish({ keyspace }, files);
}

async function framesOf(path: string): Promise<{ rows: Buffer; keys: number }[]> {
  const reader = await ShardFileReader.open(path);
  try {
    await reader.head();
    const frames = [];
    for await (const frame of reader.frames()) frames.push(frame);
    return frames;
  } finally {
    await reader.close();
  }
}

const check = async (directory: string) =>
  verifyFiles(directory, await readManifest(directory), () => undefined);

describe('the directory of a backup', () => {
  it('has what was written to it', async () => {
    const directory = join(temporaryDir(), 'new', 'deep');
    const manifest = await write(directory);
    expect(await readManifest(directory)).toEqual(manifest);
    expect(manifest).toMatchObject({ format: 1, keyspace: KEYSPACE, keys: 12, startedAt: NOW.toISOString() });
    expect(readdirSync(directory)).toEqual(['manifest.json', ...manifest.files.map(({ name }) => name)]);
    expect(await framesOf(join(directory, manifest.files[1]!.name))).toEqual(
      FRAMES.map((rows) => ({ rows, keys: 2 })),
    );
    await check(directory);
  });

  it('is not written over unless that is said; and then not before the new one is there', async () => {
    const directory = temporaryDir();
    const first = await write(directory);
    await expect(write(directory)).rejects.toThrow(
      /has a backup already, of keyspace orders at 2026-01-02T.*--force/,
    );
    const begun = await beginBackup(directory, 'orders', true, NOW);
    await (
      await ShardFileWriter.create(begun.pathOf(0), {
        backup: begun.id,
        keyspace: 'orders',
        shard: 0,
      })
    ).abandon();
    // It is interrupted: the old one is what there is.
    expect((await readManifest(directory)).id).toBe(first.id);
    await check(directory);
    await begun.abandon();
    const second = await write(directory, true);
    expect((await readManifest(directory)).id).toBe(second.id);
    expect(readdirSync(directory)).toHaveLength(3);
  });

  it('keeps a backup that is complete though what comes after that fails', async () => {
    const directory = temporaryDir();
    await write(directory);
    const begun = await beginBackup(directory, 'orders', true, NOW);
    const path = begun.pathOf(0);
    const writer = await ShardFileWriter.create(path, { backup: begun.id, keyspace: 'orders', shard: 0 });
    const files = [{ name: basename(path), shard: 0, takenAtMs: 1, ...(await writer.finish()) }];
    // The files of the backup before cannot all be removed.
    mkdirSync(join(directory, 'shard-00009-in-the-way.vasto'));
    await expect(begun.finish({ keyspace: { ...KEYSPACE, shards: 1 } }, files)).rejects.toThrow();
    await begun.abandon();
    expect((await readManifest(directory)).id).toBe(begun.id);
    await check(directory);
  });

  it('has a backup that was killed when its manifest was in its place, until the next one is complete', async () => {
    const directory = temporaryDir();
    const { id, startedAt } = await write(directory);
    const marker = { id, keyspace: 'orders', startedAt, host: hostname(), process: 999_999_999 };
    writeFileSync(join(directory, 'unfinished.json'), JSON.stringify(marker));
    await check(directory);
    const begun = await beginBackup(directory, 'orders', true, NOW);
    await check(directory);
    await begun.abandon();
    expect((await readManifest(directory)).id).toBe(id);
    expect(readdirSync(directory)).toHaveLength(3);
    await check(directory);
  });

  it('is replaced though it cannot be read any more, if that is said', async () => {
    const directory = temporaryDir();
    await write(directory);
    writeFileSync(join(directory, 'manifest.json'), '{');
    await expect(write(directory)).rejects.toThrow(
      /has a backup already, which cannot be read \(.*manifest\.json is damaged: .*--force/,
    );
    const manifest = await write(directory, true);
    expect(await readManifest(directory)).toEqual(manifest);
    expect(readdirSync(directory)).toHaveLength(3);
    await check(directory);
  });

  it('is replaced by force only where the manifest is of a backup', async () => {
    const foreign = temporaryDir();
    const path = join(foreign, 'manifest.json');
    for (const text of ['{"name": "an application", "format": 1}', '[]', 'null', 'a list of goods', '']) {
      writeFileSync(path, text);
      for (const replaces of [true, false])
        await expect(write(foreign, replaces)).rejects.toThrow(
          /has other files \(manifest\.json, which is not that of a backup\): choose a directory of its own/,
        );
      expect(readFileSync(path, 'utf8')).toBe(text);
    }
    const ours = temporaryDir();
    for (const damage of [
      (text: string) => text.replace('"files"', '"fil\u0000s"'),
      (text: string) => text.slice(0, text.length / 2),
      (text: string) => text.replace(/"format": 1/, '"format": 99'),
      (text: string) => '\u0000'.repeat(text.length),
      () => '',
    ]) {
      await write(ours, true);
      const manifest = join(ours, 'manifest.json');
      writeFileSync(manifest, damage(readFileSync(manifest, 'utf8')));
      await expect(readManifest(ours)).rejects.toThrow(/is damaged|which a later version of Vasto wrote/);
      await expect(write(ours)).rejects.toThrow(/has a backup already, which cannot be read/);
      await write(ours, true);
      await check(ours);
    }
    // Beside the files of a backup somebody else's is told, too, and so is a note that is none of ours.
    writeFileSync(join(ours, 'manifest.json'), '{"name": "an application"}');
    await expect(write(ours, true)).rejects.toThrow(/manifest\.json, which is not that of a backup/);
    const noted = temporaryDir();
    writeFileSync(join(noted, 'unfinished.json'), '{"chapters": 3}');
    await expect(write(noted, true)).rejects.toThrow(/unfinished\.json, which is not that of a backup/);
    writeFileSync(join(noted, 'unfinished.json'), '');
    await write(noted);
  });

  it('of others is left alone', async () => {
    const directory = temporaryDir();
    writeFileSync(join(directory, 'letter.txt'), '');
    await expect(write(directory, true)).rejects.toThrow(/has other files \(letter\.txt\)/);
    writeFileSync(join(directory, 'file'), '');
    await expect(write(join(directory, 'file'))).rejects.toThrow(/cannot be made: it is not a directory/);
    mkdirSync(join(directory, 'disk', 'lost+found'), { recursive: true });
    await write(join(directory, 'disk'));
  });

  it('tells of a backup that was not finished, and makes way for another one', async () => {
    const directory = temporaryDir();
    const begun = await beginBackup(directory, 'orders', false, NOW);
    await (
      await ShardFileWriter.create(begun.pathOf(0), {
        backup: begun.id,
        keyspace: 'orders',
        shard: 0,
      })
    ).abandon();
    await expect(readManifest(directory)).rejects.toThrow(
      /was not finished: that of keyspace orders, begun at 2026-01-02T03:04:05\.678Z\. It is of no use: make another/,
    );
    // This process lives.
    await expect(write(directory)).rejects.toThrow(/is being written to .* by process \d+/);
    const marker = join(directory, 'unfinished.json');
    const text = readFileSync(marker, 'utf8').replace(/"process": \d+/, '"process": 999999999');
    writeFileSync(marker, text);
    expect(text).toContain(hostname());
    const { files } = await write(directory);
    expect(existsSync(marker)).toBe(false);
    expect(readdirSync(directory)).toEqual(['manifest.json', ...files.map(({ name }) => name)]);
    await expect(readManifest(temporaryDir())).rejects.toThrow(
      /has no backup: there is no manifest\.json in it/,
    );
    await expect(readManifest('/no/such/place')).rejects.toThrow(
      /\/no\/such\/place cannot be read: there is no such/,
    );
  });

  it('cannot move the cursor of whoever looks at it', async () => {
    const directory = temporaryDir();
    await write(directory, false, { ...KEYSPACE, tags: ['\x1b[2J'] });
    const shown = await admin(`backup-info ${directory}`);
    expect(shown.out).toContain('tags \\x1b[2J\n');
    const marked = temporaryDir();
    await beginBackup(marked, 'orders\x1b[2J', false, NOW);
    const damaged = temporaryDir();
    writeFileSync(join(damaged, 'manifest.json'), '\x1b[2J');
    for (const each of [marked, damaged]) {
      const { code, err } = await admin(`backup-info ${each}`);
      expect(code).toBe(1);
      expect(err).toContain('\\x1b[2J');
      expect(err).not.toContain('\x1b');
    }
  });

  it('has a manifest that this version knows', async () => {
    const manifest = await write(temporaryDir());
    const parse = (changes: object) => () =>
      parseManifest('m.json', JSON.stringify({ ...manifest, ...changes }));
    expect(parse({})()).toEqual(manifest);
    for (const text of ['null', '[]', '1']) expect(() => parseManifest('m.json', text)).toThrow(/is damaged/);
    expect(parse({ files: manifest.files.map(() => null) })).toThrow(/is damaged: its field files/);
    expect(parse({ format: 2 })).toThrow(/m\.json is of format 2, which a later version of Vasto wrote/);
    expect(parse({ rowFormat: 6 })).toThrow(/its rows are of format 6, which a later version/);
    for (const [field, value] of Object.entries({
      keys: -1,
      keyspace: null,
      files: manifest.files.slice(1),
      id: 5,
    }))
      expect(parse({ [field]: value }), field).toThrow(`m.json is damaged: its field ${field} is not`);
    const outside = [{ ...manifest.files[0], name: '../shard-0-x.vasto' }, manifest.files[1]];
    expect(parse({ files: outside })).toThrow(/its field files/);
    expect(() => parseManifest('m.json', '{')).toThrow(/m\.json is damaged/);
  });
});

describe('a file of a backup', () => {
  it('that is damaged at any byte is told from a good one, and where', async () => {
    const directory = temporaryDir();
    const { files } = await write(directory, false, { ...KEYSPACE, shards: 1 });
    const path = join(directory, files[0]!.name);
    const good = readFileSync(path);
    const headLength = 16 + good.readUInt32BE(12) + 8;
    const secondAt = headLength + 16 + FRAMES[0]!.length;
    for (const at of [
      0,
      9,
      13,
      20,
      headLength - 1,
      headLength,
      headLength + 5,
      headLength + 17,
      secondAt + 9,
      secondAt + 200_000,
      good.length - 1,
    ]) {
      const bad = Buffer.from(good);
      bad[at]! ^= 0x40;
      writeFileSync(path, bad);
      await expect(check(directory), `byte ${at}`).rejects.toThrow(`${path} is`);
    }
    const bad = Buffer.from(good);
    bad[secondAt + 1000]! ^= 1;
    writeFileSync(path, bad);
    await expect(check(directory)).rejects.toThrow(
      `${path} is damaged at byte ${secondAt}: the checksum of frame 2 is wrong`,
    );
    writeFileSync(path, good);
    await check(directory);
  });

  it('takes no more memory than its longest frame, whatever a damaged length says', async () => {
    const directory = temporaryDir();
    const { files } = await write(directory, false, { ...KEYSPACE, shards: 1 });
    expect(files[0]!.frameBytesMax).toBe(300_000);
    const path = join(directory, files[0]!.name);
    const bad = readFileSync(path);
    const at = 16 + bad.readUInt32BE(12) + 8;
    // Not longer than what is left of the file.
    bad.writeUInt32BE(300_001, at);
    writeFileSync(path, bad);
    await expect(check(directory)).rejects.toThrow(
      `${path} is damaged at byte ${at}: frame 1 is longer than any that was written`,
    );
  });

  it('of an earlier version does not tell how long its frames are', async () => {
    const directory = temporaryDir();
    const { files, ...manifest } = await write(directory);
    const earlier = files.map(({ frameBytesMax, ...file }) => file);
    writeFileSync(join(directory, 'manifest.json'), JSON.stringify({ ...manifest, files: earlier }));
    await check(directory);
  });

  it('that is missing, cut short, longer, or of another shard is told', async () => {
    const directory = temporaryDir();
    const { files } = await write(directory);
    const [first, second] = files.map(({ name }) => join(directory, name)) as [string, string];
    const good = readFileSync(first);
    truncateSync(first, good.length - 24);
    await expect(check(directory)).rejects.toThrow(
      `${first} is damaged: it has ${good.length - 24} bytes, and should have ${good.length}`,
    );
    await expect(framesOf(first)).rejects.toThrow(
      /is damaged at byte \d+: .*cut short|ends before its last frame/,
    );
    writeFileSync(first, Buffer.concat([good, Buffer.from('x')]));
    await expect(framesOf(first)).rejects.toThrow(/there is something behind the last frame/);
    writeFileSync(first, readFileSync(second));
    await expect(check(directory)).rejects.toThrow(/belongs to another backup, or to another shard/);
  });

  it('whose frames have changed places is told', async () => {
    const directory = temporaryDir();
    const { files } = await write(directory);
    const path = join(directory, files[0]!.name);
    const good = readFileSync(path);
    const end = 16 + good.readUInt32BE(12) + 8;
    const size = 16 + FRAMES[0]!.length;
    const lastAt = good.length - 16 - size;
    const bad = Buffer.concat([
      good.subarray(0, end),
      good.subarray(lastAt, lastAt + size),
      good.subarray(end + size, lastAt),
      good.subarray(end, end + size),
      good.subarray(lastAt + size),
    ]);
    writeFileSync(path, bad);
    await expect(check(directory)).rejects.toThrow(
      `${path} is damaged at byte ${end}: the checksum of frame 1`,
    );
  });
});
