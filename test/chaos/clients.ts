import { Cluster, Redis } from 'ioredis';
import { pause } from '../support/environment.js';
import { Random } from '../support/random.js';
import { type Event, KeyHistory } from './ledger.js';
import { KINDS, type Operation, randomOperation, replyText } from './operations.js';
import type { Failure } from './windows.js';

/** Gives up a command after so long, milliseconds: longer than any pause that is allowed. */
const COMMAND_TIMEOUT_MS = 60_000;
/** What has not been sent: the client had no connection. Nothing can have come of it. */
const NOT_SENT = /enableOfflineQueue/;
/** Of writes at a plain door that succeeded, the share that is followed by WAIT. */
const WAITS = 0.05;
const WAIT_MS = 2000;
/** Commands on one key whose outcome may be unknown at a time; then it rests until the round is over. */
const UNKNOWN_MAX = 2;
/** Of writes. */
const TRANSACTIONS = 0.6;
const KEYS_PER_KIND = 2;
const WARM_UP_MS = 1500;

/** A way into the cluster, and the keyspace behind it. */
export interface Door {
  /** Of a node, its address; of a cluster client, `cluster`. */
  readonly name: string;
  readonly keyspace: string;
  /** One, or where a cluster client begins. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  readonly isCluster: boolean;
}

/** An ioredis client that never sends a command twice by itself, and none to another keyspace than its own. */
export class DoorClient {
  private readonly client: Redis | Cluster;
  private isReady = false;

  /** Resolves when it is ready for the first time. */
  readonly opened: Promise<void>;

  constructor(readonly door: Door) {
    this.client = door.isCluster ? this.cluster() : this.plain();
    this.opened = new Promise<void>((resolve) => this.client.once('ready', () => resolve())).then(() =>
      this.warm(),
    );
    this.client.on('error', () => undefined);
    this.client.on('close', () => {
      this.isReady = false;
    });
  }

  private plain(): Redis {
    const client = new Redis({
      ...this.door.addresses[0]!,
      maxRetriesPerRequest: 0,
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      commandTimeout: COMMAND_TIMEOUT_MS,
      retryStrategy: () => 100,
    });
    client.on('connect', () => {
      client.call('SELECT', this.door.keyspace).then(
        () => {
          this.isReady = true;
        },
        () => client.disconnect(true),
      );
    });
    return client;
  }

  private cluster(): Cluster {
    const client = new Cluster([...this.door.addresses], {
      // Without it ioredis gets the replies of transactions wrong, see docs/CHAOS.md.
      enableOfflineQueue: true,
      retryDelayOnFailover: 0,
      retryDelayOnClusterDown: 0,
      slotsRefreshInterval: 1000,
      clusterRetryStrategy: () => 100,
      redisOptions: { maxRetriesPerRequest: 0, commandTimeout: COMMAND_TIMEOUT_MS },
    });
    client.on('ready', () => {
      this.isReady = true;
    });
    return client;
  }

  /** A cluster client that has just begun may still hang up on the nodes that it began with. */
  private async warm(): Promise<void> {
    const { client } = this;
    if (!(client instanceof Cluster)) return;
    await pause(WARM_UP_MS);
    await Promise.allSettled(client.nodes().map((node) => node.ping()));
  }

  get isUsable(): boolean {
    return this.isReady && this.client.status === 'ready';
  }

  async run(operation: Operation): Promise<string> {
    const { words, andRead } = operation;
    const [name, ...rest] = words as [string, ...string[]];
    if (andRead === undefined) return replyText(operation, await this.client.call(name, ...rest));
    const [readName, ...readRest] = andRead as [string, ...string[]];
    const results = await this.client
      .multi()
      .call(name, ...rest)
      .call(readName, ...readRest)
      .exec();
    if (results === null) throw new Error('EXEC replied nil');
    for (const [error] of results) if (error !== null) throw error;
    return replyText(operation, results[0]![1], results[1]![1]);
  }

  /** Replicas that have all that this keyspace's clients wrote. */
  async wait(replicas: number): Promise<number> {
    return Number(await this.client.call('WAIT', String(replicas), String(WAIT_MS)));
  }

  close(): void {
    this.client.disconnect();
  }
}

/** Counts of all lanes. */
export class Tally {
  acknowledged = 0;
  reads = 0;
  transactions = 0;
  waited = 0;
  notSent = 0;
  /** The longest that a command which succeeded took since the last round, milliseconds. */
  slowestMs = 0;
  failures: Failure[] = [];
  /** When a door could not be used though nothing was known to be wrong with it. */
  unusable: { readonly door: string; readonly from: number; readonly to: number }[] = [];
}

/** One command after the other on keys that nobody else touches. */
export class Lane {
  readonly histories: KeyHistory[];
  private readonly random: Random;
  private isRunning = false;
  private loop: Promise<void> = Promise.resolve();
  private sequence = 0;

  constructor(
    private readonly client: DoorClient,
    name: string,
    seed: number,
    private readonly thinkMs: number,
    private readonly tally: Tally,
  ) {
    this.random = new Random(seed);
    this.histories = KINDS.flatMap((kind) =>
      Array.from({ length: KEYS_PER_KIND }, (_, n) => new KeyHistory(`${name}:${kind}${n}`, kind)),
    );
  }

  get keyspace(): string {
    return this.client.door.keyspace;
  }

  start(): void {
    this.isRunning = true;
    this.loop = this.run();
  }

  /** Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.isRunning = false;
    await this.loop;
  }

  private async run(): Promise<void> {
    while (this.isRunning) {
      await this.usable();
      const history = this.random.pick(this.histories);
      if (this.isRunning && history.unknown < UNKNOWN_MAX) await this.step(history);
      await pause(this.thinkMs);
    }
  }

  private async usable(): Promise<void> {
    if (this.client.isUsable) return;
    const from = Date.now();
    while (this.isRunning && !this.client.isUsable) await pause(20);
    this.tally.unusable.push({ door: this.client.door.name, from, to: Date.now() });
  }

  private async step(history: KeyHistory): Promise<void> {
    const { tally, client } = this;
    const operation = randomOperation(this.random, history.kind, history.key, ++this.sequence, TRANSACTIONS);
    const sentAt = Date.now();
    let outcome: Event['outcome'];
    let isOnReplica = false;
    let endedAt: number;
    try {
      const reply = await client.run(operation);
      outcome = { kind: 'acknowledged', reply };
      endedAt = Date.now();
      this.count(operation, endedAt - sentAt);
      if (!operation.isRead && !client.door.isCluster && this.random.chance(WAITS))
        isOnReplica = await this.isWaited();
    } catch (error) {
      endedAt = Date.now();
      const { message } = error as Error;
      if (NOT_SENT.test(message)) {
        tally.notSent++;
        return;
      }
      outcome = { kind: 'unknown', message };
      const { name: door, isCluster: isClusterClient, keyspace } = client.door;
      tally.failures.push({ keyspace, key: history.key, door, isClusterClient, sentAt, endedAt, message });
    }
    history.events.push({ operation, sentAt, endedAt, outcome, isOnReplica });
  }

  private count({ isRead, andRead }: Operation, tookMs: number): void {
    this.tally.acknowledged++;
    if (isRead) this.tally.reads++;
    if (andRead !== undefined) this.tally.transactions++;
    this.tally.slowestMs = Math.max(this.tally.slowestMs, tookMs);
  }

  /** A WAIT that fails has told nothing. */
  private async isWaited(): Promise<boolean> {
    const replicas = await this.client.wait(1).catch(() => 0);
    if (replicas > 0) this.tally.waited++;
    return replicas > 0;
  }
}
