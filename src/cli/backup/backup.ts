import { basename, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type AdminContext, print, progressBar, Refusal } from '../admin-actions.js';
import type { PlacedKeyspace } from '../cluster-client.js';
import { findKeyspace } from '../cluster-views.js';
import { itemsOf } from '../reply.js';
import { printable } from '../tables.js';
import { bytesText, count } from '../words.js';
import { inParallel, persistently } from './attempts.js';
import { type BegunBackup, beginBackup, type Manifest, type ManifestFile, refused } from './directory.js';
import { Meter } from './meter.js';
import { type FileFacts, ShardFileWriter } from './shard-file.js';
import { numberOf, StoreClient, topologyOf } from './store-client.js';

/** Shards that are read at the same time. */
const SHARDS_AT_ONCE = 4;
/** Parts that are asked for before the one before them has been written. */
const PARTS_AHEAD = 2;
/** How often shards are read again because their keyspace was changed. */
const ROUNDS_MAX = 20;
/** Whoever told of the keyspace as it was may not have heard yet, milliseconds. */
const ROUND_PAUSE_MS = 500;
/** How long a store may take to let go of a snapshot, milliseconds: parts that were asked for come before that. */
const LET_GO_MAX_MS = 2000;

export interface BackupOptions {
  /** Whether a backup that is there may be replaced. */
  readonly replaces: boolean;
  /** Undefined = no limit. */
  readonly bytesPerSecond: number | undefined;
}

/** A shard's file, and what the keyspace was when the shard was read. */
interface ReadShard {
  readonly file: ManifestFile;
  readonly epoch: number;
  /** How many it had under that epoch. */
  readonly shards: number;
}

/** Writes all that a keyspace has into a directory of this machine: each shard as it was at one moment. */
export async function backup(
  context: AdminContext,
  name: string,
  directory: string,
  options: BackupOptions,
): Promise<void> {
  const keyspace = findKeyspace(await context.cluster.topology(), name);
  const begun = await beginBackup(resolve(directory), name, options.replaces, new Date());
  let manifest: Manifest;
  try {
    const run = new BackupRun(context, name, begun, options.bytesPerSecond);
    const files = await run.readAll(keyspace);
    const { db, shards, replicas, tags } = run.keyspace!;
    manifest = await refused('the backup cannot be completed', () =>
      begun.finish({ keyspace: { name, db, shards, replicas, tags } }, files),
    );
    print(
      context,
      { backup: { directory: resolve(directory), ...summary(manifest), seconds: run.seconds } },
      () => doneText(manifest, resolve(directory), run.seconds),
    );
  } catch (error) {
    await begun.abandon();
    throw error;
  }
}

export function summary({ id, keyspace, startedAt, finishedAt, keys, bytes, version }: Manifest): object {
  return { id, keyspace, startedAt, finishedAt, keys, bytes, version };
}

function doneText({ keyspace, keys, bytes }: Manifest, directory: string, seconds: number): string {
  const rate = seconds > 0 ? `, ${bytesText(bytes / seconds)}/s` : '';
  return `backed up keyspace ${printable(keyspace.name)} to ${directory}: ${count(keys, 'key')}, ${bytesText(bytes)} in ${count(keyspace.shards, 'file')}, ${seconds.toFixed(1)} s${rate}\n`;
}

/** The reading of a keyspace into files. */
class BackupRun {
  /** As it was when its shards were read. */
  keyspace: PlacedKeyspace | undefined;
  private readonly meter: Meter;
  /** Keys that the shards say they have. */
  private readonly keysOfShards = new Map<number, number>();

  constructor(
    private readonly context: AdminContext,
    private readonly name: string,
    private readonly begun: BegunBackup,
    bytesPerSecond: number | undefined,
  ) {
    const phase = `backing up ${printable(name)}`;
    // What it takes on the stores' disks says little of how many bytes will come.
    const total = () => ({
      keys: [...this.keysOfShards.values()].reduce((sum, keys) => sum + keys, 0),
      bytes: 0,
    });
    this.meter = new Meter(progressBar(context), { phase, total, bytesPerSecond, stop: context.stop });
  }

  get seconds(): number {
    return this.meter.seconds;
  }

  /** Reads all shards, those again that were read before the keyspace was changed. @returns files in order of the shards */
  async readAll({ id }: PlacedKeyspace): Promise<ManifestFile[]> {
    try {
      for (let round = 1; ; round++) {
        const read = await this.readRound(id);
        if (read !== undefined) return read.map(({ file }) => file);
        if (round === ROUNDS_MAX)
          throw new Refusal(
            `keyspace ${this.name} was changed ${round} times while it was backed up: try again when it is at rest`,
          );
        await pause(ROUND_PAUSE_MS);
      }
    } finally {
      this.meter.clear();
    }
  }

  private readonly read = new Map<number, ReadShard>();

  /** @returns undefined when they are not all of one epoch: another round is to bring those of the others */
  private async readRound(id: string): Promise<ReadShard[] | undefined> {
    const { keyspaces, epoch: toldEpoch } = await this.context.cluster.topology();
    const keyspace = keyspaces.find((each) => each.id === id);
    if (keyspace === undefined) throw new Refusal(`keyspace ${this.name} has been deleted`);
    this.keyspace = keyspace;
    const wanted = Array.from({ length: keyspace.shards }, (_, shard) => shard);
    // Who tells of it knows at least what they who were read knew: then what was another number of shards is over.
    if (this.epochRead <= toldEpoch)
      for (const [shard, each] of [...this.read]) if (each.shards !== wanted.length) this.forget(shard);
    await inParallel(
      wanted.filter((shard) => !this.read.has(shard)),
      SHARDS_AT_ONCE,
      (shard) => this.readPersistently(id, shard),
      () => this.meter.giveUp(),
    );
    const epoch = this.epochRead;
    for (const [shard, each] of [...this.read]) if (each.epoch !== epoch) this.forget(shard);
    const all = wanted.map((shard) => this.read.get(shard));
    return all.every((each) => each?.shards === wanted.length) ? (all as ReadShard[]) : undefined;
  }

  /** The latest under which a shard was read. */
  private get epochRead(): number {
    return Math.max(...[...this.read.values()].map(({ epoch }) => epoch));
  }

  /** A shard is to be read again. */
  private forget(shard: number): void {
    const known = this.read.get(shard);
    if (known !== undefined) this.meter.takeBack(known.file.keys, known.file.bytes);
    this.read.delete(shard);
    this.keysOfShards.delete(shard);
  }

  private readPersistently(id: string, shard: number): Promise<void> {
    return persistently(`shard ${shard} of keyspace ${this.name} cannot be read`, async (begun) => {
      // Who owns it may be different from what it was a moment ago.
      const topology = await topologyOf(this.context.cluster);
      const keyspace = topology.keyspaces.find((each) => each.id === id);
      if (keyspace === undefined) throw new Refusal(`keyspace ${this.name} has been deleted`);
      const stores = keyspace.placement[shard];
      // It has fewer shards by now: another round begins with what there is.
      if (stores === undefined) return;
      const client = await StoreClient.open(this.context.cluster, stores[0] ?? '', id);
      try {
        this.read.set(shard, await this.readShard(client, id, shard, begun));
      } finally {
        client.close();
      }
    });
  }

  private async readShard(
    client: StoreClient,
    id: string,
    shard: number,
    begun: () => void,
  ): Promise<ReadShard> {
    const opened = await client.numbers('VASTO.SNAPSHOT', 'OPEN', id, String(shard));
    begun();
    this.keysOfShards.set(shard, opened('keys'));
    const snapshot = [id, String(shard), String(opened('snapshot'))];
    try {
      const facts = await this.writeShard(client, snapshot, shard);
      const file = { name: basename(this.begun.pathOf(shard)), shard, takenAtMs: opened('taken-at-ms') };
      return { file: { ...file, ...facts }, epoch: opened('epoch'), shards: opened('shards') };
    } catch (error) {
      await this.letGo(client, snapshot);
      throw error;
    }
  }

  /** The store keeps what a snapshot sees, and takes but a few of them, for as long as it may still be read. */
  private async letGo(client: StoreClient, snapshot: readonly string[]): Promise<void> {
    // Why it was not read is what is told; a store that cannot be asked ends it by itself, a little later.
    const isClosed = client.ask('VASTO.SNAPSHOT', 'CLOSE', ...snapshot).catch(() => undefined);
    await Promise.race([isClosed, pause(LET_GO_MAX_MS, undefined, { ref: false })]);
  }

  /** Writes what a snapshot has to the file of its shard. */
  private async writeShard(
    client: StoreClient,
    snapshot: readonly string[],
    shard: number,
  ): Promise<FileFacts> {
    const path = this.begun.pathOf(shard);
    const head = { backup: this.begun.id, keyspace: this.name, shard };
    const writer = await refused(`${path} cannot be written`, () => ShardFileWriter.create(path, head));
    const before = { keys: 0, bytes: 0 };
    try {
      await this.copy(client, ['VASTO.SNAPSHOT', 'READ', ...snapshot], async (rows, keys) => {
        await refused(`${path} cannot be written`, () => writer.add(rows, keys));
        before.keys += keys;
        before.bytes += rows.length;
        this.meter.add(keys, rows.length);
        await this.meter.spend(rows.length);
      });
      const facts = await refused(`${path} cannot be written`, () => writer.finish());
      this.meter.add(0, facts.bytes - before.bytes);
      return facts;
    } catch (error) {
      await writer.abandon();
      this.meter.takeBack(before.keys, before.bytes);
      throw error;
    }
  }

  /** Reads a snapshot to its end. */
  private async copy(
    client: StoreClient,
    words: readonly string[],
    take: (rows: Buffer, keys: number) => Promise<void>,
  ): Promise<void> {
    const ask = () => {
      const asked = client.ask(...words);
      // It may fail before it is waited for.
      asked.catch(() => undefined);
      return asked;
    };
    const ahead = Array.from({ length: PARTS_AHEAD }, ask);
    for (;;) {
      const [isDone, keys, rows] = itemsOf(await ahead.shift()!);
      if (rows?.type !== 'bulk') throw new Refusal('a store gave an answer that is not to be understood');
      await take(rows.data, numberOf(keys));
      if (numberOf(isDone) === 1) return;
      ahead.push(ask());
    }
  }
}
