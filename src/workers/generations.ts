import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { makeDirectory } from '../base/files.js';
import type { FamilySizes } from './column-families.js';
import { Database, StorageError } from './rocksdb.js';

/*
 * A shard's directory:
 *
 *   <shard>/CURRENT     the number of the generation that holds the data, decimal, newline
 *   <shard>/g1/         a RocksDB instance
 *   <shard>/g2/         the next one, while it is being prepared
 *
 * Emptying a shard is a switch to a fresh generation, so it takes the same time for ten keys and ten million.
 * The rename of CURRENT is the commit point; generations it does not name are leftovers and are removed.
 */
const POINTER = 'CURRENT';

/** The generations of one shard on disk. */
export class Generations {
  private constructor(
    private readonly directory: string,
    private readonly options: FamilySizes,
    private number: number,
    private readonly onCleanupError: (error: unknown) => void,
  ) {
    this.highest = number;
  }

  /** Numbers are never used twice, so that a new instance cannot meet the files of one that is being removed. */
  private highest: number;
  private spare: Database | undefined;
  private readonly removals = new Set<Promise<void>>();

  /** Opens the shard in `directory`, made if missing, and removes what a crash may have left behind. */
  static async open(
    directory: string,
    options: FamilySizes,
    onCleanupError: (error: unknown) => void,
  ): Promise<{ generations: Generations; database: Database }> {
    await makeDirectory(directory);
    const pointer = await readPointer(join(directory, POINTER));
    const generations = new Generations(directory, options, pointer ?? 1, onCleanupError);
    const names = await readdir(directory);
    const orphan = names.find((name) => name !== 'g1' && name !== `${POINTER}.tmp`);
    // A crash in the very first start leaves g1 without a pointer, and nothing else.
    if (pointer === undefined && orphan !== undefined)
      throw new StorageError(
        'CORRUPT',
        `${directory} has lost its file ${POINTER}, which names the generation that counts (there is ${orphan}). Restore it from a copy, or write the number behind the g into it.`,
      );
    for (const name of names) {
      if (name !== generations.nameOf(generations.number) && name !== POINTER)
        await rm(join(directory, name), { recursive: true, force: true });
    }
    const database = await Database.open(generations.pathOf(generations.number), options);
    if (pointer === undefined) generations.writePointer(generations.number);
    return { generations, database };
  }

  /** Opens the instance of the next generation, empty. It counts only after {@link switchTo}. */
  async prepare(): Promise<Database> {
    return Database.open(this.pathOf(++this.highest), this.options);
  }

  /** Has an empty instance ready for {@link takeSpare}. */
  async prepareSpare(): Promise<void> {
    this.spare ??= await this.prepare();
  }

  /** The instance that was made ready, which is the caller's from now on; undefined when none was. */
  takeSpare(): Database | undefined {
    const { spare } = this;
    this.spare = undefined;
    return spare;
  }

  /** Closes what was made ready and not taken. */
  dropSpare(): void {
    const spare = this.takeSpare();
    if (spare !== undefined) this.dispose(spare);
  }

  /** Opens the current generation again, after its instance was closed. */
  reopen(): Promise<Database> {
    return Database.open(this.pathOf(this.number), this.options);
  }

  /**
   * Makes the prepared generation the current one, durably, and removes the old one in the background.
   * What was committed to it before, with sync, becomes the shard's content in the same instant.
   */
  switchTo(next: Database, old: Database): void {
    const number = Number(basename(next.path).slice(1));
    if (!(number > this.number))
      throw new Error(`${next.path} is not a later generation than ${this.number}`);
    this.writePointer(number);
    this.number = number;
    this.dispose(old);
  }

  /** Closes an instance that is not needed any more and removes its files, in the background. */
  dispose(database: Database): void {
    const removal: Promise<void> = database
      .close()
      .then(() => rm(database.path, { recursive: true, force: true }))
      .catch(this.onCleanupError)
      .finally(() => this.removals.delete(removal));
    this.removals.add(removal);
  }

  /** Resolves when nothing is being removed any more. */
  async settled(): Promise<void> {
    await Promise.all(this.removals);
  }

  private nameOf(number: number): string {
    return `g${number}`;
  }

  private pathOf(number: number): string {
    return join(this.directory, this.nameOf(number));
  }

  /** Makes CURRENT name `number`. When it throws a StorageError, CURRENT names what it named before. */
  private writePointer(number: number): void {
    const path = join(this.directory, POINTER);
    try {
      replaceFile(path, `${number}\n`);
    } catch (cause) {
      throw pointerError(path, cause);
    }
    try {
      syncDirectory(this.directory);
    } catch (cause) {
      // The rename has happened but may not last. If it cannot be taken back either, only a restart can tell what
      // counts: an error that is no StorageError ends the worker, and the shard is opened by what CURRENT says.
      replaceFile(path, `${this.number}\n`);
      throw pointerError(path, cause);
    }
  }
}

function pointerError(path: string, cause: unknown): StorageError {
  const full = cause instanceof Error && 'code' in cause && cause.code === 'ENOSPC';
  return new StorageError(full ? 'NO_SPACE' : 'IO', `cannot write ${path}`, { cause });
}

async function readPointer(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const number = Number.parseInt(text, 10);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new StorageError(
      'CORRUPT',
      `${path} does not name a generation: ${JSON.stringify(text.slice(0, 40))}`,
    );
  return number;
}

/** Replaces a file in one step: readers and crashes see the old content or the new, never a part. */
function replaceFile(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  const file = openSync(temporary, 'w');
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
