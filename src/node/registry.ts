import { join } from 'node:path';
import { makeDirectory } from '../base/files.js';
import { Database, StorageError } from '../workers/rocksdb.js';

/** A named database with its shards. */
export interface Keyspace {
  readonly id: number;
  readonly name: string;
  /** The number by which SELECT reaches it. */
  db: number;
  /** Local numbers of its shards; their directories are named by them. */
  readonly shards: readonly number[];
}

interface RegistryRecord {
  readonly format: number;
  readonly nextId: number;
  readonly nextShard: number;
  readonly keyspaces: readonly Keyspace[];
}

/** Version of the registry's record and of the layout of the data directory. */
const FORMAT = 1;
const RECORD_KEY = Buffer.from('registry');

/*
 * The data directory:
 *
 *   node/                  a RocksDB instance with the registry; whoever has it open owns the directory
 *   shards/<number>/       one shard each, see workers/generations.ts
 */

/** The keyspaces of a node, durable, and the lock on its data directory. */
export class Registry {
  private constructor(
    private readonly directory: string,
    private readonly database: Database,
    private record: RegistryRecord,
  ) {}

  /**
   * Opens the data directory, made if missing.
   * @throws StorageError LOCKED when another node has it open; OTHER for data of a later version
   */
  static async open(directory: string): Promise<Registry> {
    await makeDirectory(join(directory, 'shards'));
    const database = await Database.open(join(directory, 'node'), {
      blockCacheBytes: 1 << 20,
      memtableBytes: 1 << 20,
    });
    try {
      return new Registry(directory, database, readRecord(directory, database));
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  get keyspaces(): readonly Keyspace[] {
    return this.record.keyspaces;
  }

  keyspaceOf(db: number): Keyspace | undefined {
    return this.record.keyspaces.find((keyspace) => keyspace.db === db);
  }

  /** Makes a keyspace of one shard for a database number that has none. */
  create(db: number): Keyspace {
    const { nextId, nextShard } = this.record;
    const keyspace: Keyspace = { id: nextId, name: `db${db}`, db, shards: [nextShard] };
    this.store({
      ...this.record,
      nextId: nextId + 1,
      nextShard: nextShard + 1,
      keyspaces: [...this.record.keyspaces, keyspace],
    });
    return keyspace;
  }

  /** Exchanges the numbers of two databases, durably. */
  swap(first: number, second: number): void {
    const renumber = (db: number) => (db === first ? second : db === second ? first : db);
    const keyspaces = this.record.keyspaces.map((keyspace) => ({ ...keyspace, db: renumber(keyspace.db) }));
    this.store({ ...this.record, keyspaces });
  }

  directoryOf(shard: number): string {
    return join(this.directory, 'shards', String(shard).padStart(8, '0'));
  }

  close(): Promise<void> {
    return this.database.close();
  }

  private store(record: RegistryRecord): void {
    this.database.put('default', RECORD_KEY, Buffer.from(JSON.stringify(record)));
    this.database.commit(true);
    this.record = record;
  }
}

function readRecord(directory: string, database: Database): RegistryRecord {
  const stored = database.get('default', RECORD_KEY);
  if (stored === undefined) return { format: FORMAT, nextId: 1, nextShard: 1, keyspaces: [] };
  let record: RegistryRecord;
  try {
    record = JSON.parse(stored.toString('utf8')) as RegistryRecord;
  } catch (cause) {
    throw new StorageError('CORRUPT', `the registry of ${directory} cannot be read`, { cause });
  }
  if (record.format > FORMAT)
    throw new StorageError(
      'OTHER',
      `${directory} has registry format ${record.format}; this program knows formats up to ${FORMAT}. Use a later version of Vasto.`,
    );
  return record;
}
