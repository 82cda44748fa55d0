import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { VERSION } from '../../base/version.js';
import { Refusal } from '../admin-actions.js';
import { BACKUP_FORMAT, ROW_FORMAT } from './format.js';
import type { FileFacts } from './shard-file.js';

/*
 * The directory of a backup:
 *
 *   manifest.json              what the backup has; there is none before it is complete
 *   shard-00000-<id>.vasto     the rows of a shard
 *   unfinished.json            while a backup is being made, or after that was interrupted
 *
 * Files have the id of their backup in their names, so that another one can be made beside it and take its place by the
 * rename of its manifest.
 */
const MANIFEST = 'manifest.json';
const UNFINISHED = 'unfinished.json';
/** Of a backup's directory they are no part, and none of ours to touch. */
const IGNORED = /^(\.|lost\+found$)/;
const FILE_NAME = /^shard-\d+-[0-9A-Za-z-]+\.vasto$/;

export interface ManifestFile extends FileFacts {
  readonly name: string;
  readonly shard: number;
  /** The moment of which it is, Unix milliseconds. */
  readonly takenAtMs: number;
}

/** What a backup has. Fields may be added, none is renamed or removed within a format. */
export interface Manifest {
  readonly format: number;
  readonly rowFormat: number;
  /** The version of the program that made it. */
  readonly version: string;
  readonly id: string;
  readonly keyspace: {
    readonly name: string;
    readonly db: number | null;
    readonly shards: number;
    readonly replicas: number;
    readonly tags: readonly string[];
  };
  /** ISO 8601. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly keys: number;
  readonly bytes: number;
  /** In order of the shards. */
  readonly files: readonly ManifestFile[];
}

/** What is said of a backup that is being made. */
interface Unfinished {
  readonly id: string;
  readonly keyspace: string;
  readonly startedAt: string;
  readonly host: string;
  readonly process: number;
}

/** A backup that is being made. */
export interface BegunBackup {
  readonly id: string;
  readonly startedAt: string;
  /** The path of a file for a shard. */
  pathOf(shard: number): string;
  /** Makes it the backup that the directory has, and removes the one that it takes the place of. */
  finish(facts: Pick<Manifest, 'keyspace'>, files: readonly ManifestFile[]): Promise<Manifest>;
  /** Takes away all that there is of it, unless it is what the directory has by now: {@link finish} may fail after that. */
  abandon(): Promise<void>;
}

function fileName(shard: number, id: string): string {
  return `shard-${String(shard).padStart(5, '0')}-${id}.vasto`;
}

/**
 * Prepares a directory, made if missing, for a backup.
 * @param replaces whether a backup that is there may be replaced
 * @throws Refusal for one that has something else
 */
export async function beginBackup(
  directory: string,
  keyspace: string,
  replaces: boolean,
  now: Date,
): Promise<BegunBackup> {
  await refused(`${directory} cannot be made`, () => mkdir(directory, { recursive: true }));
  const names = await namesIn(directory);
  const foreign = await foreignAmong(directory, names);
  if (foreign !== undefined)
    throw new Refusal(`${directory} has other files (${foreign}): choose a directory of its own`);
  if (names.includes(MANIFEST) && !replaces)
    throw new Refusal(
      `${directory} has a backup already, ${await whatThereIs(directory)}: choose another directory, or say --force to replace it when the new one is complete`,
    );
  if (names.includes(UNFINISHED)) await clearUnfinished(directory);
  const startedAt = now.toISOString();
  const id = `${startedAt.replace(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`;
  const marker: Unfinished = { id, keyspace, startedAt, host: hostname(), process: process.pid };
  await refused(`nothing can be written to ${directory}`, () =>
    writeSynced(join(directory, UNFINISHED), marker, 'wx'),
  );
  let isComplete = false;
  return {
    id,
    startedAt,
    pathOf: (shard) => join(directory, fileName(shard, id)),
    finish: async ({ keyspace: facts }, files) => {
      const sum = (of: (file: ManifestFile) => number) => files.reduce((all, file) => all + of(file), 0);
      const manifest: Manifest = {
        format: BACKUP_FORMAT,
        rowFormat: ROW_FORMAT,
        version: VERSION,
        id,
        keyspace: facts,
        startedAt,
        finishedAt: new Date().toISOString(),
        keys: sum(({ keys }) => keys),
        bytes: sum(({ bytes }) => bytes),
        files,
      };
      await putManifest(directory, manifest, () => {
        isComplete = true;
      });
      // Files of the one before, and of shards that there were for a while.
      const kept = new Set(files.map(({ name }) => name));
      for (const name of await namesIn(directory))
        if (FILE_NAME.test(name) && !kept.has(name)) await rm(join(directory, name), { force: true });
      return manifest;
    },
    abandon: async () => {
      if (!isComplete) await removeUnfinished(directory, id);
    },
  };
}

/** The first of the names that is of no backup, with the reason where its name alone does not tell. */
async function foreignAmong(directory: string, names: readonly string[]): Promise<string | undefined> {
  const foreign = names.find((name) => name !== MANIFEST && name !== UNFINISHED && !FILE_NAME.test(name));
  if (foreign !== undefined) return foreign;
  const areFilesThere = names.some((name) => FILE_NAME.test(name));
  for (const name of [MANIFEST, UNFINISHED]) {
    if (!names.includes(name)) continue;
    const path = join(directory, name);
    const text = await refused(`${path} cannot be read`, () => readFile(path, 'utf8'));
    const isOurs = name === MANIFEST ? isOurManifest(text, areFilesThere) : isOurNote(text);
    if (!isOurs) return `${name}, which is not that of a backup`;
  }
  return undefined;
}

/** Whether that is what is said of an unfinished backup; a crash may have left it empty, or only its beginning. */
function isOurNote(text: string): boolean {
  const value = objectIn(text);
  return value === undefined || 'process' in value;
}

/**
 * Whether a manifest, damaged or not, is one of ours, which `--force` replaces: it has a field `rowFormat`, as nobody
 * else's has; or it is no JSON any more, and beside it are files that have names as those of a backup.
 */
function isOurManifest(text: string, areFilesThere: boolean): boolean {
  const value = objectIn(text);
  return value === undefined ? areFilesThere || text.includes('"rowFormat"') : 'rowFormat' in value;
}

/** @returns undefined for what is no JSON; no fields for what is no object */
function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    // It may have been written in part, or be damaged.
    return undefined;
  }
}

/** Of a backup that is not to be replaced. */
async function whatThereIs(directory: string): Promise<string> {
  try {
    const { keyspace, startedAt } = await readManifest(directory);
    return `of keyspace ${keyspace.name} at ${startedAt}`;
  } catch (error) {
    if (error instanceof Refusal) return `which cannot be read (${error.message})`;
    throw error;
  }
}

/** @param put is called as soon as it is in its place */
async function putManifest(directory: string, manifest: Manifest, put: () => void): Promise<void> {
  const path = join(directory, MANIFEST);
  // Named as a file of the backup: an interruption leaves nothing that is foreign.
  const fresh = join(directory, fileName(0, `${manifest.id}-manifest`));
  await writeSynced(fresh, manifest, 'w');
  await syncDirectory(directory);
  await rename(fresh, path);
  put();
  await syncDirectory(directory);
  await rm(join(directory, UNFINISHED), { force: true });
}

/** An unfinished backup makes way, unless it is still being made. */
async function clearUnfinished(directory: string): Promise<void> {
  const marker = await readUnfinished(directory);
  if (marker !== undefined && marker.host === hostname() && isRunning(marker.process))
    throw new Refusal(
      `a backup is being written to ${directory} by process ${marker.process}, since ${marker.startedAt}: wait for it, or end it`,
    );
  const isComplete = marker !== undefined && (await isNamed(directory, marker.id));
  await removeUnfinished(directory, isComplete ? undefined : marker?.id);
}

/** Whether there is a manifest of that backup, which may have been killed as soon as it was there: then it is complete. */
async function isNamed(directory: string, id: string): Promise<boolean> {
  if (!(await namesIn(directory)).includes(MANIFEST)) return false;
  const path = join(directory, MANIFEST);
  return (await refused(`${path} cannot be read`, () => readFile(path, 'utf8'))).includes(id);
}

/** @param id undefined = not known: no file of an unfinished backup is told from others */
async function removeUnfinished(directory: string, id: string | undefined): Promise<void> {
  if (id !== undefined)
    for (const name of await namesIn(directory))
      if (FILE_NAME.test(name) && name.includes(id)) await rm(join(directory, name), { force: true });
  await rm(join(directory, UNFINISHED), { force: true });
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** @throws Refusal where there is no complete backup that this version can read */
export async function readManifest(directory: string): Promise<Manifest> {
  const names = await namesIn(directory);
  if (!names.includes(MANIFEST)) {
    if (!names.includes(UNFINISHED))
      throw new Refusal(`${directory} has no backup: there is no ${MANIFEST} in it`);
    const marker = await readUnfinished(directory);
    const whose =
      marker === undefined ? '' : `: that of keyspace ${marker.keyspace}, begun at ${marker.startedAt}`;
    throw new Refusal(
      `the backup in ${directory} was not finished${whose}. It is of no use: make another one`,
    );
  }
  const path = join(directory, MANIFEST);
  const text = await refused(`${path} cannot be read`, () => readFile(path, 'utf8'));
  return parseManifest(path, text);
}

/** @throws Refusal */
export function parseManifest(path: string, text: string): Manifest {
  let value: Partial<Manifest>;
  try {
    value = (JSON.parse(text) ?? {}) as Partial<Manifest>;
  } catch (error) {
    throw new Refusal(`${path} is damaged: ${(error as Error).message}`);
  }
  const { format, rowFormat } = value;
  if (isCount(format) && format > BACKUP_FORMAT)
    throw new Refusal(
      `${path} is of format ${format}, which a later version of Vasto wrote: use that version`,
    );
  if (isCount(rowFormat) && rowFormat > ROW_FORMAT)
    throw new Refusal(
      `${path}: its rows are of format ${rowFormat}, which a later version of Vasto wrote: use that version`,
    );
  const wrong = wrongField(value);
  if (wrong !== undefined)
    throw new Refusal(`${path} is damaged: its field ${wrong} is not what it should be`);
  return value as Manifest;
}

/** The name of the first field that is not what it should be. */
function wrongField(value: Partial<Manifest>): string | undefined {
  const { format, rowFormat, id, keyspace, startedAt, keys, bytes, files } = value;
  const checks: [string, boolean][] = [
    ['format', format === BACKUP_FORMAT],
    ['rowFormat', isCount(rowFormat)],
    ['id', typeof id === 'string'],
    ['startedAt', typeof startedAt === 'string'],
    ['keys', isCount(keys)],
    ['bytes', isCount(bytes)],
    [
      'keyspace',
      typeof keyspace?.name === 'string' &&
        isCount(keyspace.shards) &&
        isCount(keyspace.replicas) &&
        Array.isArray(keyspace.tags),
    ],
    ['files', Array.isArray(files) && files.length === keyspace?.shards && files.every(isFile)],
  ];
  return checks.find(([, isRight]) => !isRight)?.[0];
}

function isFile(file: Partial<ManifestFile> | null, place: number): boolean {
  const { name, shard, bytes, keys, frameBytesMax, sha256 } = file ?? {};
  return (
    typeof name === 'string' &&
    FILE_NAME.test(name) &&
    shard === place &&
    isCount(bytes) &&
    isCount(keys) &&
    (frameBytesMax === undefined || isCount(frameBytesMax)) &&
    typeof sha256 === 'string'
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

async function readUnfinished(directory: string): Promise<Unfinished | undefined> {
  let text: string;
  try {
    text = await readFile(join(directory, UNFINISHED), 'utf8');
  } catch {
    // It is gone: the backup has ended meanwhile.
    return undefined;
  }
  const value = objectIn(text);
  return value !== undefined && 'process' in value ? (value as unknown as Unfinished) : undefined;
}

async function namesIn(directory: string): Promise<string[]> {
  const names = await refused(`${directory} cannot be read`, () => readdir(directory));
  return names.filter((name) => !IGNORED.test(name));
}

async function writeSynced(path: string, value: object, flag: 'w' | 'wx'): Promise<void> {
  const file = await open(path, flag);
  try {
    await file.writeFile(`${JSON.stringify(value, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const file = await open(directory, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The size of a file that a manifest names. @throws Refusal when it is not there */
export async function sizeOf(path: string): Promise<number> {
  return (await refused(`${path} cannot be read`, () => stat(path))).size;
}

/** Does what the file system may refuse. @throws Refusal that begins with `what` */
export async function refused<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new Refusal(`${what}: ${fileProblem(error as NodeJS.ErrnoException)}`);
  }
}

/** What the file system says, for people. */
export function fileProblem({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'there is no space left on that disk';
    case 'ENOENT':
      return 'there is no such file or directory';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'ENOTDIR':
    case 'EEXIST':
      return 'it is not a directory, or one is in the way';
    case 'EROFS':
      return 'that disk can only be read';
    default:
      return message;
  }
}
