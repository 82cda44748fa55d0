/** The raw calls of the `rocksdb` package that src/workers/rocksdb.ts uses. Handles are opaque externals. */
declare module 'rocksdb/binding.js' {
  import type { Buffer } from 'node:buffer';

  interface ColumnOptions {
    memtableMemoryBudget?: number;
    compaction?: 'level' | 'universal';
    compression?: boolean;
    cacheSize?: number;
    cacheIndexAndFilterBlocks?: boolean;
    blockSize?: number;
    optimize?: 'point-lookup';
    /** As RocksDB's FilterPolicy::CreateFromString takes it. */
    filterPolicy?: string;
  }
  interface OpenOptions extends ColumnOptions {
    createIfMissing: boolean;
    parallelism?: number;
    walCompression?: boolean;
    columns: Record<string, ColumnOptions>;
  }
  interface IteratorOptions {
    column?: object;
    reverse?: boolean;
    keys?: boolean;
    values?: boolean;
    limit?: number;
    gt?: Buffer;
    gte?: Buffer;
    lt?: Buffer;
    /** Texts are made of the bytes as UTF-8. */
    keyEncoding: 'buffer' | 'utf8';
    valueEncoding: 'buffer';
    highWaterMarkBytes?: number;
    fillCache?: boolean;
  }
  interface Binding {
    db_init(location: string): object;
    db_open(
      database: object,
      options: OpenOptions,
      callback: (error: Error | null, columns: Record<string, object>) => void,
    ): void;
    db_close(database: object, callback: (error: Error | null) => void): void;
    db_get_many_sync(
      database: object,
      keys: readonly Buffer[],
      options?: { column?: object; fillCache?: boolean; highWaterMarkBytes?: number },
    ): (Buffer | undefined | null)[];
    db_clear(database: object, options: { column: object; gte: Buffer; lt: Buffer }): void;
    db_get_property(database: object, name: string): string;
    batch_init(): object;
    batch_put(batch: object, key: Buffer, value: Buffer, options?: { column: object }): void;
    batch_del(batch: object, key: Buffer, options?: { column: object }): void;
    batch_clear(batch: object): void;
    batch_count(batch: object): number;
    batch_write(database: object, batch: object, options?: { sync: boolean }): void;
    iterator_init(database: object, options: IteratorOptions): object;
    /** Keys are texts where `keyEncoding` says so. */
    iterator_nextv_sync<Key extends Buffer | string>(
      iterator: object,
      count: number,
    ): { rows: (Key | Buffer | undefined)[]; finished: boolean };
    iterator_seek(iterator: object, key: Buffer): void;
    iterator_close(iterator: object): void;
  }
  const binding: Binding;
  export default binding;
}
