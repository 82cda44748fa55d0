import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { shardsOfSlots } from '../../cluster/jump-hash.js';
import { ManagerError } from '../../cluster/manager.js';
import { keySlot } from '../../cluster/slots.js';
import { ElementsKind, eachFeedEntry, type FeedEntry } from '../../types/feed-codec.js';
import { setTimestamp } from '../../types/row-codec.js';
import { type AdminContext, print, progressBar, Refusal } from '../admin-actions.js';
import type { PlacedKeyspace, StoreView } from '../cluster-client.js';
import { keyspaceRequest, type RequestTexts } from '../keyspace-words.js';
import { printable } from '../tables.js';
import { bytesText, count } from '../words.js';
import { inParallel, persistently } from './attempts.js';
import { type Manifest, type ManifestFile, readManifest } from './directory.js';
import { Meter } from './meter.js';
import { type Counts, RestoreSender, StoreClients } from './restore-sender.js';
import { TryAgainError, topologyOf } from './store-client.js';
import { eachFrame, verifyFiles } from './verify.js';

/** Files that are read at the same time. */
const FILES_AT_ONCE = 4;
/** Rows that are sent to a shard at once, bytes; a row goes whole. */
const SEND_BYTES = 256 << 10;
/** Bytes of one file that may wait for more to be sent with them: each of many shards has some. */
const WAITING_BYTES_MAX = 16 << 20;

export interface RestoreOptions extends Omit<RequestTexts, 'name'> {
  /** Whether the keyspace may have keys: the later state of each counts. */
  readonly merges: boolean;
  /** Whether all keys get the time of the restore, instead of that of their last write. */
  readonly renews: boolean;
  /** Undefined = no limit. */
  readonly bytesPerSecond: number | undefined;
}

/** Brings a backup into a keyspace of any number of shards, which is made if there is none. */
export async function restore(
  context: AdminContext,
  directory: string,
  name: string,
  options: RestoreOptions,
): Promise<void> {
  const from = resolve(directory);
  const manifest = await readManifest(from);
  await verify(context, from, manifest);
  const { keyspace, isNew } = await target(context, manifest, name, options);
  const run = new RestoreRun(context, from, manifest, keyspace, options);
  try {
    const timestamp = await run.check(isNew, options);
    await run.restoreAll(timestamp);
  } catch (error) {
    if (!(error instanceof Refusal) || run.keys === 0) throw error;
    throw new Refusal(
      `${error.message}\n  Keyspace ${name} has a part of the backup: delete it, or go on with restore --merge.`,
    );
  } finally {
    run.close();
  }
  const { counts, seconds } = run;
  const result = { directory: from, id: manifest.id, keyspace: name, shards: keyspace.shards, ...counts };
  print(context, { restored: { ...result, keys: manifest.keys, bytes: manifest.bytes, seconds } }, () =>
    doneText(name, manifest, counts, seconds),
  );
}

function doneText(name: string, { bytes }: Manifest, counts: Counts, seconds: number): string {
  const { applied, skipped, ended } = counts;
  const rate = seconds > 0 ? `, ${bytesText(bytes / seconds)}/s` : '';
  const held = skipped === 0 ? '' : `; ${count(skipped, 'key')} had the same or a later state there`;
  const over = ended === 0 ? '' : `; ${count(ended, 'key')} had ended meanwhile`;
  return `restored ${count(applied, 'key')} to keyspace ${printable(name)}${held}${over}; ${bytesText(bytes)} in ${seconds.toFixed(1)} s${rate}\n`;
}

/** Nothing is written before all of the backup is known to be good. */
export async function verify(context: AdminContext, directory: string, manifest: Manifest): Promise<number> {
  const meter = new Meter(progressBar(context), {
    phase: 'verifying',
    total: () => manifest,
    stop: context.stop,
  });
  try {
    await verifyFiles(directory, manifest, (keys, bytes) => meter.add(keys, bytes));
  } finally {
    meter.clear();
  }
  return meter.seconds;
}

/** The keyspace that is restored to. */
async function target(
  { cluster }: AdminContext,
  { keyspace: saved }: Manifest,
  name: string,
  { shards, replicas, tags, db }: RestoreOptions,
): Promise<{ keyspace: PlacedKeyspace; isNew: boolean }> {
  const find = async () => (await cluster.topology()).keyspaces.find((each) => each.name === name);
  const there = await find();
  if (there !== undefined) {
    const wanted = [
      ['shards', shards, there.shards],
      ['replicas', replicas, there.replicas],
    ] as const;
    for (const [what, text, is] of wanted)
      if (text !== undefined && Number(text) !== is)
        throw new Refusal(
          `keyspace ${name} is there already, with ${is} ${what}: leave --${what} out, or change it first`,
        );
    return { keyspace: there, isNew: false };
  }
  const request = keyspaceRequest({
    name,
    shards: shards ?? String(saved.shards),
    replicas: replicas ?? String(saved.replicas),
    tags: tags ?? saved.tags.join(','),
    db: db ?? /^db(\d+)$/.exec(name)?.[1],
  });
  await cluster.create(request);
  const made = await find();
  if (made === undefined) throw new Refusal(`keyspace ${name} was made, and is not there any more`);
  return { keyspace: made, isNew: true };
}

/** The bringing of a backup's rows to the stores of a keyspace. */
class RestoreRun {
  readonly counts: Counts = { applied: 0, skipped: 0, ended: 0 };
  private readonly meter: Meter;
  private readonly shardsOfSlots: Uint16Array;
  private readonly id = randomBytes(8).toString('hex');

  constructor(
    private readonly context: AdminContext,
    private readonly directory: string,
    private readonly manifest: Manifest,
    private readonly keyspace: PlacedKeyspace,
    { bytesPerSecond }: RestoreOptions,
  ) {
    const phase = `restoring ${printable(keyspace.name)}`;
    this.meter = new Meter(progressBar(context), {
      phase,
      total: () => manifest,
      bytesPerSecond,
      stop: context.stop,
    });
    this.shardsOfSlots = shardsOfSlots(keyspace.shards);
  }

  get seconds(): number {
    return this.meter.seconds;
  }

  /** Keys that have been sent. */
  get keys(): number {
    return this.meter.keys;
  }

  /** Nothing is shown any more. */
  close(): void {
    this.meter.clear();
  }

  private clients(): StoreClients {
    return new StoreClients(this.context.cluster, this.keyspace.id);
  }

  /**
   * Whether all copies of all shards are there, and have what they may have.
   * @param isNew the keyspace was made for this
   * @returns the timestamp that all rows are to get; undefined = they keep theirs
   */
  async check(isNew: boolean, { merges, renews }: RestoreOptions): Promise<number | undefined> {
    const { name, placement } = this.keyspace;
    await this.checkStores();
    let [keys, remembers, latest] = [0, false, 0];
    for (const [shard, stores] of placement.entries())
      for (const [place, store] of stores.entries()) {
        const state = await this.stateOf(shard, store);
        if (place === 0) keys += state('keys');
        remembers ||= state('remembers') === 1;
        latest = Math.max(latest, state('latest'));
      }
    if (keys > 0 && !merges)
      throw new Refusal(
        `keyspace ${name} has ${count(keys, 'key')}: restore into another one, empty it, or say --merge to have the later state of each key`,
      );
    if (!isNew && remembers && !merges && !renews)
      throw new Refusal(
        `keyspace ${name} is empty, but remembers when its keys were deleted: what the backup has from before would stay deleted. Say --new-timestamps to have it all as if written now, or --merge to have the later state of each key, or restore into another keyspace`,
      );
    return renews ? latest + 1 : undefined;
  }

  /**
   * A copy on a store that is away would lack what is restored, for feeds do not bring it: better now than after rows
   * were sent.
   */
  private async checkStores(): Promise<void> {
    const { name, placement } = this.keyspace;
    const isAway = (await this.storesAway()).filter(({ id }) =>
      placement.some((copies) => copies.includes(id)),
    );
    if (isAway.length === 0) return;
    const [addresses, are] = [
      isAway.map(({ address }) => address).join(' and '),
      isAway.length > 1 ? 'are' : 'is',
    ];
    throw new Refusal(
      `keyspace ${name} has copies on ${addresses}, which ${are} away: a restore needs all copies. Start what is away, or give what it had to other stores (vasto admin store replace), then try again`,
    );
  }

  private async storesAway(): Promise<StoreView[]> {
    try {
      return (await this.context.cluster.stores()).filter(({ state }) => state === 'down');
    } catch (error) {
      // Without the master nobody knows: it is found out by going there.
      if (error instanceof ManagerError) return [];
      throw error;
    }
  }

  private stateOf(shard: number, store: string): Promise<(field: string) => number> {
    const { id, name } = this.keyspace;
    return persistently(`shard ${shard} of keyspace ${name} cannot be restored to`, async () => {
      const clients = this.clients();
      try {
        const client = await clients.at(store, shard);
        return await client.numbers('VASTO.RESTORE', 'STATE', id, String(shard));
      } finally {
        await clients.close();
      }
    });
  }

  async restoreAll(timestamp: number | undefined): Promise<void> {
    await inParallel(
      this.manifest.files,
      FILES_AT_ONCE,
      (file) => this.restorePersistently(file, timestamp),
      () => this.meter.giveUp(),
    );
    await this.checkCopies();
    await this.save();
  }

  /** A copy that came while rows were sent was not sent those before it, and may have been copied before those behind it. */
  private async checkCopies(): Promise<void> {
    const { id, name, placement } = this.keyspace;
    const what = `it cannot be told whether all copies of keyspace ${name} were restored to`;
    const { keyspaces } = await persistently(what, () => topologyOf(this.context.cluster));
    const now = keyspaces.find((each) => each.id === id);
    if (now === undefined) throw new Refusal(`keyspace ${name} was deleted while it was restored to`);
    const isKnown = (store: string, shard: number) => placement[shard]?.includes(store) === true;
    if (!now.placement.every((stores, shard) => stores.every((store) => isKnown(store, shard))))
      throw new Refusal(
        `keyspace ${name} got other copies or shards while it was restored to: they may lack a part of the backup`,
      );
  }

  /** Has what was restored survive the death of the machines. */
  private async save(): Promise<void> {
    const stores = [...new Set(this.keyspace.placement.flat())];
    await inParallel(stores, FILES_AT_ONCE, (store) =>
      persistently(`a store cannot bring what was restored to its disk`, async () => {
        const clients = this.clients();
        try {
          await (await clients.at(store, 0)).ask('SAVE');
        } finally {
          await clients.close();
        }
      }),
    );
  }

  /** A file that was sent in part is sent once more from its beginning: what is there already changes nothing. */
  private restorePersistently(file: ManifestFile, timestamp: number | undefined): Promise<void> {
    return persistently(`${file.name} cannot be restored`, async (begun) => {
      const clients = this.clients();
      const { id, placement } = this.keyspace;
      const sender = new RestoreSender({ keyspace: id, placement }, clients, `${this.id}-${file.shard}`);
      const done = { keys: 0, bytes: 0 };
      try {
        const rows = new SplitRows(this.shardsOfSlots, timestamp, (shard, bytes) =>
          sender.send(shard, bytes),
        );
        await eachFrame(this.directory, this.manifest, file, async (frame) => {
          await this.meter.spend(frame.rows.length);
          await rows.add(frame.rows);
          if (sender.counts.applied + sender.counts.skipped > 0) begun();
          done.keys += frame.keys;
          done.bytes += frame.rows.length;
          this.meter.add(frame.keys, frame.rows.length);
        });
        await rows.flush();
        await sender.finish();
        for (const field of ['applied', 'skipped', 'ended'] as const)
          this.counts[field] += sender.counts[field];
      } catch (error) {
        if (error instanceof TryAgainError) this.meter.takeBack(done.keys, done.bytes);
        throw error;
      } finally {
        await sender.settled();
        await clients.close();
      }
    });
  }
}

/** Gathers rows by the shards that they belong to. */
export class SplitRows {
  private readonly waiting = new Map<number, { entries: Buffer[]; bytes: number }>();
  private waitingBytes = 0;

  /**
   * @param timestamp that all get; undefined = they keep theirs
   * @param send gets rows of one shard, in order; a piece of a large collection alone
   */
  constructor(
    private readonly shardsOfSlots: Uint16Array,
    private readonly timestamp: number | undefined,
    private readonly send: (shard: number, rows: Buffer) => Promise<void>,
  ) {}

  /** @param rows of a frame, which may be changed */
  async add(rows: Buffer): Promise<void> {
    const due: (() => Promise<void>)[] = [];
    eachFeedEntry(rows, 0, (entry) => {
      if (this.timestamp !== undefined) setTimestamp(entry.bytes, this.timestamp);
      const shard = this.shardsOfSlots[keySlot(entry.key)]!;
      if (isPiece(entry)) due.push(() => this.send(shard, entry.entry));
      else this.gather(shard, entry.entry);
    });
    for (const send of due) await send();
    for (const [shard, { bytes }] of this.waiting) if (bytes >= SEND_BYTES) await this.flushShard(shard);
    if (this.waitingBytes > WAITING_BYTES_MAX) await this.flush();
  }

  private gather(shard: number, entry: Buffer): void {
    const known = this.waiting.get(shard) ?? { entries: [], bytes: 0 };
    known.entries.push(entry);
    known.bytes += entry.length;
    this.waitingBytes += entry.length;
    this.waiting.set(shard, known);
  }

  /** Sends all that waits. */
  async flush(): Promise<void> {
    for (const shard of [...this.waiting.keys()]) await this.flushShard(shard);
  }

  private async flushShard(shard: number): Promise<void> {
    const { entries, bytes } = this.waiting.get(shard)!;
    this.waiting.delete(shard);
    this.waitingBytes -= bytes;
    await this.send(shard, Buffer.concat(entries, bytes));
  }
}

function isPiece({ elements }: FeedEntry): boolean {
  return elements !== undefined && elements.kind !== ElementsKind.All;
}
