import type { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { open, readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import binding from 'rocksdb/binding.js';
import { makeDirectory } from '../base/files.js';
import { REOPEN_ROOM_BYTES } from '../base/limits.js';
import {
  FAMILIES,
  type Family,
  type FamilySizes,
  familyOptions,
  type MemtableBytes,
  memtableBytesOf,
} from './column-families.js';
import { StorageError, toStorageError } from './storage-error.js';
import { TableFiles } from './table-files.js';

/**
 * The only door to RocksDB. The native binding aborts the process on misuse, so every call is checked here:
 * closed handles, argument types, iterator modes that it cannot do.
 *
 * It uses the binding's raw calls. Its abstract-level objects keep each iterator and batch in a list for ever.
 */

/** The rows of {@link Database.iterate}. */
export interface IterateOptions {
  readonly family: Family;
  /** First key, inclusive. */
  readonly from?: Buffer;
  /** First key, exclusive; not together with `from`. */
  readonly after?: Buffer;
  /** Last key, exclusive. */
  readonly before?: Buffer;
  readonly reverse?: boolean;
  /** Without values a row costs a third of the time. */
  readonly values: boolean;
  /** Visit no more rows than so many: then none are read for nothing. */
  readonly rowsMax?: number;
}

/** See {@link Database.openReader}. */
export interface RangeReader {
  /** @returns at most so many further rows, keys and values by turns, and whether there are no more */
  next(count: number): { rows: (Buffer | undefined)[]; finished: boolean };
  /** Goes on with the first row whose key is not less than this one. */
  seek(key: Buffer): void;
  /** A second call does nothing. */
  close(): void;
}

export { StorageError };

const ITERATE_CHUNK_FIRST = 16;
const ITERATE_CHUNK_ROWS = 512;
const ITERATE_CHUNK_BYTES = 1 << 20;

/**
 * One RocksDB instance, used synchronously by the one thread that owns it.
 * Changes are staged with {@link put} and {@link delete} into one batch and become visible and durable together by
 * {@link commit}; reads see committed data only.
 */
export class Database {
  readonly tables: TableFiles;
  private closed = false;
  private stagedCount = 0;
  /** Iterations under way: closing under them would abort the process. */
  private iterating = 0;
  private readonly readers = new Set<RangeReader>();
  private readonly batch: object;
  private readonly columns: Record<Family, { column: object }>;
  /** Gets all that is staged and committed here, too. */
  private mirror: Database | undefined;
  private mirrorError: Error | undefined;
  /** The files of the write-ahead log of which the directory has been synced. */
  private namedLogs = '';

  private constructor(
    readonly path: string,
    readonly memtableBytes: MemtableBytes,
    private readonly handle: object,
    columns: Record<string, object>,
  ) {
    this.tables = new TableFiles(path);
    this.batch = binding.batch_init();
    this.columns = Object.fromEntries(
      FAMILIES.map((name) => {
        const column = columns[name];
        if (column === undefined) throw new StorageError('CORRUPT', `${path} has no column family ${name}`);
        return [name, { column }];
      }),
    ) as Record<Family, { column: object }>;
  }

  /**
   * Opens the instance in directory `path`, made if missing.
   * @throws StorageError LOCKED when another process or thread has it open, CORRUPT, IO
   */
  static async open(path: string, options: Partial<FamilySizes> = {}): Promise<Database> {
    if (typeof path !== 'string' || path.length === 0 || path.includes('\0'))
      throw new StorageError('IO', `not a directory's name: ${JSON.stringify(path)}`);
    await makeDirectory(path).catch((cause: Error) => {
      throw toStorageError(cause, path);
    });
    const handle = binding.db_init(path);
    const columns = await new Promise<Record<string, object>>((resolve, reject) => {
      binding.db_open(
        handle,
        { createIfMissing: true, walCompression: false, columns: familyOptions(options) },
        (error, opened) => (error ? reject(toStorageError(error, path)) : resolve(opened)),
      );
    });
    return new Database(path, memtableBytesOf(options), handle, columns);
  }

  /** The value of a key of the `default` family or another; undefined when there is none. */
  get(family: Family, key: Buffer): Buffer | undefined {
    return this.getMany(family, [key])[0];
  }

  /** Values in the order of `keys`. One call for many keys costs a fraction of one call each. */
  getMany(family: Family, keys: readonly Buffer[]): (Buffer | undefined)[] {
    this.assertOpen();
    for (const key of keys) assertBytes(key, 'key');
    if (keys.length > 1 && hasEmpty(keys)) return keys.map((key) => this.getMany(family, [key])[0]);
    try {
      const values = binding.db_get_many_sync(this.handle, keys, this.columnOf(family));
      if (values.includes(null)) throw new StorageError('IO', `a read of ${this.path} was cut short`);
      return values as (Buffer | undefined)[];
    } catch (cause) {
      throw toStorageError(cause, this.path);
    }
  }

  /**
   * As {@link getMany}, of the `default` family, for who will not want these rows again soon: they do not come into the cache.
   * @param bytesMax of values, about
   * @returns the values of the first keys, of one at least
   */
  getFirst(keys: readonly Buffer[], bytesMax: number): (Buffer | undefined)[] {
    this.assertOpen();
    for (const key of keys) assertBytes(key, 'key');
    if (keys.length > 1 && hasEmpty(keys)) return [this.get('default', keys[0]!)];
    const options = { fillCache: false, highWaterMarkBytes: bytesMax };
    try {
      const values = binding.db_get_many_sync(this.handle, keys, options);
      const end = values.indexOf(null);
      // Memory is looked at before files: what comes from there may be too much for all others.
      if (end === 0) return [this.get('default', keys[0]!)];
      return (end < 0 ? values : values.slice(0, end)) as (Buffer | undefined)[];
    } catch (cause) {
      throw toStorageError(cause, this.path);
    }
  }

  /** Stages a row. The bytes are copied before the call returns. */
  put(family: Family, key: Buffer, value: Buffer): void {
    this.assertOpen();
    assertBytes(key, 'key');
    assertBytes(value, 'value');
    binding.batch_put(this.batch, key, value, this.columnOf(family));
    this.stagedCount++;
    this.mirror?.put(family, key, value);
  }

  /** Stages a deletion. */
  delete(family: Family, key: Buffer): void {
    this.assertOpen();
    assertBytes(key, 'key');
    binding.batch_del(this.batch, key, this.columnOf(family));
    this.stagedCount++;
    this.mirror?.delete(family, key);
  }

  /**
   * Deletes all rows of a family from a key to before another: at once, and not with the next commit. It costs the same
   * for any number of rows. Nothing in the range may be staged.
   * @throws StorageError, and then nothing is deleted
   */
  deleteRange(family: Family, from: Buffer, before: Buffer): void {
    this.assertOpen();
    assertBytes(from, 'bound');
    assertBytes(before, 'bound');
    try {
      binding.db_clear(this.handle, { column: this.columns[family].column, gte: from, lt: before });
    } catch (cause) {
      throw toStorageError(cause, this.path);
    }
    this.toMirror((mirror) => mirror.deleteRange(family, from, before));
  }

  /** Number of changes staged. */
  get staged(): number {
    return this.stagedCount;
  }

  /** Forgets what was staged. */
  discard(): void {
    if (this.closed || this.stagedCount === 0) return;
    binding.batch_clear(this.batch);
    this.stagedCount = 0;
    this.mirror?.discard();
  }

  /**
   * Writes all that was staged, atomically. When it returns, the changes survive the death of the process; with
   * `sync`, that of the machine. When it throws, nothing of the batch was written and nothing is staged any more.
   */
  commit(sync: boolean): void {
    this.assertOpen();
    try {
      binding.batch_write(this.handle, this.batch, sync ? { sync } : undefined);
    } catch (cause) {
      this.mirror?.discard();
      throw toStorageError(cause, this.path);
    } finally {
      binding.batch_clear(this.batch);
      this.stagedCount = 0;
    }
    this.toMirror((mirror) => mirror.commit(false));
  }

  private toMirror(write: (mirror: Database) => void): void {
    if (this.mirror === undefined) return;
    try {
      write(this.mirror);
    } catch (error) {
      this.mirror = undefined;
      this.mirrorError = error as Error;
    }
  }

  /**
   * From now on `mirror` gets all that is committed here, too, after it has been: an instance that is being made a copy
   * of this one. Nothing may be staged in either. An error of the mirror ends it, and is no error of a commit here.
   */
  beginMirror(mirror: Database): void {
    if (this.mirror !== undefined || this.stagedCount !== 0 || mirror.stagedCount !== 0)
      throw new Error(`${this.path} cannot be mirrored to ${mirror.path} now`);
    this.mirror = mirror;
    this.mirrorError = undefined;
  }

  /** @throws what ended the mirror before its time */
  checkMirror(): void {
    if (this.mirrorError !== undefined) throw this.mirrorError;
  }

  /** Ends what {@link beginMirror} began. */
  endMirror(): void {
    this.mirror?.discard();
    this.mirror = undefined;
    this.mirrorError = undefined;
  }

  /**
   * Visits committed rows in key order until `visit` returns false. Costs about 50 µs to begin and 1–3 µs a row.
   * `value` is undefined unless asked for. The instance must not be closed meanwhile.
   */
  iterate(options: IterateOptions, visit: (key: Buffer, value: Buffer | undefined) => boolean): void {
    this.eachChunk<Buffer>(options, 'buffer', ITERATE_CHUNK_FIRST, (rows) => {
      for (let at = 0; at < rows.length; at += 2) {
        if (!visit(rows[at] as Buffer, rows[at + 1] as Buffer | undefined)) return false;
      }
      return true;
    });
  }

  /**
   * As {@link iterate}, some rows at a time, with keys as texts: a row costs a third less than with a Buffer for its key, and a
   * quarter where only keys are read. The binding takes keys for UTF-8, so it goes no further than they are ASCII.
   * @param visit gets keys and values by turns; without values it is to want all of the keys
   * @returns whether it ended before rows with another key
   */
  iterateAscii(options: IterateOptions, visit: (rows: (string | Buffer | undefined)[]) => boolean): boolean {
    let isAscii = true;
    const chunkRows = options.values ? ITERATE_CHUNK_FIRST : ITERATE_CHUNK_ROWS;
    this.eachChunk<string>(options, 'utf8', chunkRows, (rows) => {
      for (let at = 0; at < rows.length && isAscii; at += 2) isAscii = isAsciiText(rows[at] as string);
      return isAscii && visit(rows);
    });
    return !isAscii;
  }

  private eachChunk<Key extends Buffer | string>(
    options: IterateOptions,
    keyEncoding: 'buffer' | 'utf8',
    firstRows: number,
    visit: (rows: (Key | Buffer | undefined)[]) => boolean,
  ): void {
    this.assertOpen();
    const iterator = this.openIterator(options, keyEncoding);
    this.iterating++;
    try {
      let chunkRows = firstRows;
      let rowsLeft = options.rowsMax ?? Number.POSITIVE_INFINITY;
      while (rowsLeft > 0) {
        const { rows, finished } = this.nextRows<Key>(iterator, Math.min(chunkRows, rowsLeft));
        if (!visit(rows) || finished) return;
        rowsLeft -= rows.length / 2;
        chunkRows = Math.min(chunkRows * 2, ITERATE_CHUNK_ROWS);
      }
    } finally {
      this.iterating--;
      binding.iterator_close(iterator);
    }
  }

  private openIterator(options: IterateOptions, keyEncoding: 'buffer' | 'utf8' = 'buffer'): object {
    for (const bound of [options.from, options.after, options.before])
      if (bound !== undefined) assertBytes(bound, 'bound');
    return binding.iterator_init(this.handle, {
      column: this.columns[options.family].column,
      keys: true,
      values: options.values,
      keyEncoding,
      valueEncoding: 'buffer',
      highWaterMarkBytes: ITERATE_CHUNK_BYTES,
      ...(options.reverse ? { reverse: true } : {}),
      ...(options.from ? { gte: options.from } : {}),
      ...(options.after ? { gt: options.after } : {}),
      ...(options.before ? { lt: options.before } : {}),
    });
  }

  /**
   * Reads a range bit by bit as it is now, whatever is committed meanwhile. The disk cannot give back what it sees before
   * it is closed, which closing the instance does, too.
   */
  openReader(options: IterateOptions): RangeReader {
    this.assertOpen();
    const iterator = this.openIterator(options);
    const assertReads = () => {
      if (!this.readers.has(reader))
        throw new StorageError('CLOSED', `a reader of ${this.path} has been closed`);
    };
    // Beyond its end the binding aborts.
    let isAtEnd = false;
    const reader: RangeReader = {
      next: (count) => {
        assertReads();
        if (isAtEnd) return { rows: [], finished: true };
        const read = this.nextRows<Buffer>(iterator, count);
        isAtEnd = read.finished;
        return read;
      },
      seek: (key) => {
        assertReads();
        assertBytes(key, 'key');
        binding.iterator_seek(iterator, key);
        isAtEnd = false;
      },
      close: () => {
        if (this.readers.delete(reader)) binding.iterator_close(iterator);
      },
    };
    this.readers.add(reader);
    return reader;
  }

  private nextRows<Key extends Buffer | string>(
    iterator: object,
    count: number,
  ): { rows: (Key | Buffer | undefined)[]; finished: boolean } {
    try {
      return binding.iterator_nextv_sync<Key>(iterator, count);
    } catch (cause) {
      throw toStorageError(cause, this.path);
    }
  }

  /** A RocksDB property such as `rocksdb.estimate-live-data-size`; '' when there is none of that name. */
  property(name: string): string {
    this.assertOpen();
    return binding.db_get_property(this.handle, name);
  }

  /** A RocksDB property that is a number; 0 when there is none of that name. */
  numericProperty(name: string): number {
    return Number(this.property(name)) || 0;
  }

  /**
   * What is alive in files: RocksDB's estimate of the `default` family, and all that the others had at the last look at
   * {@link tables}, of which there is no estimate.
   */
  get liveBytes(): number {
    const others = this.tables.bytes - this.numericProperty('rocksdb.total-sst-files-size');
    return this.numericProperty('rocksdb.estimate-live-data-size') + Math.max(0, others);
  }

  /**
   * Makes all committed batches survive the death of the machine, off this thread: syncs the write-ahead log files
   * by descriptors of its own, which the kernel treats alike. Commits may go on meanwhile.
   */
  async syncLog(): Promise<void> {
    if (this.closed) return;
    const paths = await this.logFiles();
    for (const path of paths) await this.syncFile(path);
    const named = paths.join();
    if (named === this.namedLogs) return;
    // That there is a file of that name is in the directory.
    await this.syncFile(this.path);
    this.namedLogs = named;
  }

  private async syncFile(path: string): Promise<void> {
    const file = await open(path, constants.O_RDONLY).catch((error) => this.orMissing(error));
    try {
      await file?.datasync();
    } catch (cause) {
      throw toStorageError(cause, this.path);
    } finally {
      await file?.close();
    }
  }

  /**
   * Finds out whether the instance could be opened again if it were closed: opening writes what the write-ahead log has
   * into table files.
   * @throws StorageError NO_SPACE when there is no room for that
   */
  async checkRoom(): Promise<void> {
    let bytes = REOPEN_ROOM_BYTES;
    for (const path of await this.logFiles())
      bytes += (await stat(path).catch((error) => this.orMissing(error)))?.size ?? 0;
    const { bavail, bsize } = await statfs(this.path).catch((cause) => {
      throw toStorageError(cause, this.path);
    });
    if (bavail * bsize < bytes)
      throw new StorageError('NO_SPACE', `${this.path}: opening it again may write ${bytes} bytes`);
  }

  /** The write-ahead log. Any of its files may be removed at any time, when its rows have all reached table files. */
  private async logFiles(): Promise<string[]> {
    const names = await readdir(this.path).catch((error: Error) => {
      // An instance that was replaced meanwhile, and is being removed, has nothing to keep.
      if (this.closed) return [];
      throw toStorageError(error, this.path);
    });
    return names.filter((name) => name.endsWith('.log')).map((name) => join(this.path, name));
  }

  private orMissing(error: NodeJS.ErrnoException): undefined {
    if (error.code !== 'ENOENT') throw toStorageError(error, this.path);
  }

  /** Closes the instance; a second call does nothing. Staged changes are dropped. */
  async close(): Promise<void> {
    if (this.closed) return;
    if (this.iterating > 0)
      throw new StorageError('OTHER', `${this.path} cannot be closed while it is iterated over`);
    this.discard();
    for (const reader of [...this.readers]) reader.close();
    this.closed = true;
    await new Promise<void>((resolve, reject) => {
      binding.db_close(this.handle, (error) =>
        error ? reject(toStorageError(error, this.path)) : resolve(),
      );
    });
  }

  get isClosed(): boolean {
    return this.closed;
  }

  private assertOpen(): void {
    if (this.closed) throw new StorageError('CLOSED', `${this.path} is closed`);
  }

  /** Without options the binding takes the default family, and skips three property look-ups a call. */
  private columnOf(family: Family): { column: object } | undefined {
    return family === 'default' ? undefined : this.columns[family];
  }
}

function assertBytes(value: unknown, what: string): void {
  if (!(value instanceof Uint8Array)) throw new TypeError(`a ${what} must be bytes, not ${typeof value}`);
}

/** RocksDB sorts the keys of one call, and aborts when it compares one that has no address, as empty ones have. */
function hasEmpty(keys: readonly Buffer[]): boolean {
  return keys.some(({ length }) => length === 0);
}

/** Whether a text made of UTF-8 has the bytes of it: what is not ASCII, or no UTF-8, has characters beyond. */
function isAsciiText(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}
