import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeDirectory } from '../base/files.js';
import {
  databaseName,
  EMPTY_TOPOLOGY,
  fromRecord,
  type Topology,
  type TopologyRecord,
  toRecord,
  withKeyspace,
} from '../cluster/topology.js';
import { Database, StorageError } from '../workers/rocksdb.js';
import { type CopyMemory, type CopyRecord, toCopyRecord } from './copy-memory.js';

/** A shard that this store has on disk. */
export interface HeldShard {
  /** Id of its keyspace. */
  readonly keyspace: string;
  /** Its number in the keyspace. */
  readonly shard: number;
  /** Its number on this store, by which its directory is named; never used twice. */
  readonly local: number;
  /** What is remembered of the copy; where nothing is, it is as it was made. */
  readonly memory?: CopyRecord;
}

/** What the registry has of a shard of which so much is remembered. @param topology with its keyspace, if there is one */
export function withMemory(
  { keyspace, shard, local }: HeldShard,
  memory: CopyMemory,
  { keyspaces }: Topology,
): HeldShard {
  const shards = keyspaces.get(keyspace)?.shards.length ?? 0;
  return { keyspace, shard, local, memory: toCopyRecord(memory, shards, shard) };
}

/** Where the record is kept: a database with nothing else in it. */
export type RecordStore = Pick<Database, 'get' | 'put' | 'commit' | 'syncLog' | 'close'>;

interface RegistryRecord {
  readonly format: number;
  readonly storeId: string;
  readonly nextShard: number;
  readonly topology: TopologyRecord;
  readonly shards: readonly HeldShard[];
}

/** The record of format 1: databases of one shard each, and no cluster. */
interface FirstRecord {
  readonly format: 1;
  readonly nextShard: number;
  readonly keyspaces: readonly { readonly db: number; readonly shards: readonly number[] }[];
}

/** Version of the registry's record and of the layout of the data directory. */
const FORMAT = 2;
const RECORD_KEY = Buffer.from('registry');
const STORE_ID_BYTES = 20;
const KEYSPACE_ID_BYTES = 8;

/*
 * The data directory:
 *
 *   node/                  a RocksDB instance with the registry; whoever has it open owns the directory
 *   shards/<number>/       one shard each, see workers/generations.ts
 *
 * The record is the commit point of every change: a shard's directory is made before the record names it and removed
 * after the record has stopped to, so that a crash leaves directories too many at worst, which the next start removes.
 *
 * The disk may take its time, half a second where much is being written, and the thread that faces the clients does not wait
 * for it: a record is written at once, which survives the process, and nothing of it counts before it is synced by another
 * thread. What a killed process has written and not synced the next one finds; opening the instance syncs it.
 */

/** What a store remembers: who it is, the topology it last heard of, its shards. Also the lock on its data directory. */
export class Registry {
  private nextShard: number;
  private known: Topology;
  /** When that has settled, nobody changes what is remembered. */
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly directory: string,
    private readonly database: RecordStore,
    private record: RegistryRecord,
  ) {
    this.nextShard = record.nextShard;
    this.known = fromRecord(record.topology);
  }

  /**
   * Opens the data directory, made if missing. Data of an earlier format is brought to this one.
   * @throws StorageError LOCKED when another node has it open; OTHER for data of a later version
   */
  static async open(directory: string): Promise<Registry> {
    await makeDirectory(join(directory, 'shards'));
    const database = await Database.open(join(directory, 'node'), {
      blockCacheBytes: 1 << 20,
      memtableBytes: 1 << 20,
    });
    try {
      return Registry.over(directory, database);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** What a database has of it. @param directory of the data */
  static over(directory: string, database: RecordStore): Registry {
    const stored = readRecord(directory, database);
    const registry = new Registry(directory, database, currentRecord(stored));
    if (stored?.format !== FORMAT) registry.store(registry.record);
    return registry;
  }

  /** 40 hexadecimal digits. */
  get storeId(): string {
    return this.record.storeId;
  }

  /** The topology that the store last put into effect. */
  get topology(): Topology {
    return this.known;
  }

  get shards(): readonly HeldShard[] {
    return this.record.shards;
  }

  /** A number for a new shard. */
  allocate(): number {
    return this.nextShard++;
  }

  /**
   * Runs changes of what is remembered one after the other: between looking at what there is and having it written down,
   * nobody else may change it.
   */
  alone<T>(run: () => Promise<T>): Promise<T> {
    const done = this.last.then(run);
    this.last = done.catch(() => undefined);
    return done;
  }

  /**
   * Remembers a topology, and the shards that are held under it. What was remembered counts until it resolves: then it
   * survives the death of the machine. Where it rejects, it goes on to count. To be called by who is {@link alone}.
   */
  async commit(topology: Topology, shards: readonly HeldShard[]): Promise<void> {
    const before = this.record;
    const record = this.recordOf(topology, shards);
    this.write(record, false);
    try {
      await this.database.syncLog();
    } catch (error) {
      this.write(before, false);
      throw error;
    }
    this.record = record;
    this.known = topology;
  }

  /** As {@link commit}, for what nothing may come between: the thread waits for the disk. */
  commitAtOnce(topology: Topology, shards: readonly HeldShard[]): void {
    this.store(this.recordOf(topology, shards));
    this.known = topology;
  }

  private recordOf(topology: Topology, shards: readonly HeldShard[]): RegistryRecord {
    return { ...this.record, nextShard: this.nextShard, topology: toRecord(topology), shards };
  }

  directoryOf(local: number): string {
    return join(this.directory, 'shards', String(local).padStart(8, '0'));
  }

  /** Removes the directories of shards that are not held: leftovers of a crash. @returns how many there were */
  async sweep(): Promise<number> {
    const held = new Set(this.shards.map(({ local }) => this.directoryOf(local)));
    const folder = join(this.directory, 'shards');
    const leftovers = (await readdir(folder))
      .map((name) => join(folder, name))
      .filter((path) => !held.has(path));
    for (const path of leftovers) await rm(path, { recursive: true, force: true });
    return leftovers.length;
  }

  /** Removes the directory of a shard that is not held any more. */
  async discard(local: number): Promise<void> {
    await rm(this.directoryOf(local), { recursive: true, force: true });
  }

  /** Done when all that is to be remembered is. */
  async close(): Promise<void> {
    await this.last;
    await this.database.close();
  }

  private store(record: RegistryRecord): void {
    this.write(record, true);
    this.record = record;
  }

  private write(record: RegistryRecord, sync: boolean): void {
    this.database.put('default', RECORD_KEY, Buffer.from(JSON.stringify(record)));
    this.database.commit(sync);
  }
}

function readRecord(directory: string, database: RecordStore): RegistryRecord | FirstRecord | undefined {
  const stored = database.get('default', RECORD_KEY);
  if (stored === undefined) return undefined;
  let record: RegistryRecord | FirstRecord;
  try {
    record = JSON.parse(stored.toString('utf8')) as RegistryRecord | FirstRecord;
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

function isFirst(record: RegistryRecord | FirstRecord): record is FirstRecord {
  return record.format === 1;
}

function currentRecord(stored: RegistryRecord | FirstRecord | undefined): RegistryRecord {
  if (stored !== undefined && !isFirst(stored)) return stored;
  const storeId = randomBytes(STORE_ID_BYTES).toString('hex');
  if (stored !== undefined) return upgraded(stored, storeId, Date.now());
  return { format: FORMAT, storeId, nextShard: 1, topology: toRecord(EMPTY_TOPOLOGY), shards: [] };
}

/** Format 1 in the words of format 2: each database becomes a keyspace of one shard, which this store holds. */
function upgraded({ nextShard, keyspaces }: FirstRecord, storeId: string, epoch: number): RegistryRecord {
  let topology = EMPTY_TOPOLOGY;
  const shards = keyspaces.map(({ db, shards: [local] }, index): HeldShard => {
    const id = randomBytes(KEYSPACE_ID_BYTES).toString('hex');
    topology = withKeyspace(topology, {
      id,
      epoch: epoch + index,
      name: databaseName(db),
      db,
      replicas: 1,
      tags: [],
      shards: [{ stores: [storeId] }],
      deleted: false,
    });
    return { keyspace: id, shard: 0, local: local! };
  });
  return { format: FORMAT, storeId, nextShard, topology: toRecord(topology), shards };
}
