import type { Buffer } from 'node:buffer';
import type { ClusterClient } from '../cluster-client.js';
import { itemsOf } from '../reply.js';
import { numberOf, StoreClient } from './store-client.js';

/** The longest argument that rows are sent in: servers take longer ones, but not of any length. */
const ARGUMENT_BYTES_MAX = 64 << 20;
/** Bytes of rows that are on their way at most, beyond the last that were sent. */
const ON_THEIR_WAY_BYTES_MAX = 4 << 20;
/** Connections to a store: each answers one request at a time, and shards may be of different workers. */
const LANES = 4;

/** What became of rows, see src/workers/snapshot-protocol.ts. */
export interface Counts {
  applied: number;
  skipped: number;
  ended: number;
}

/** Where rows are to go. */
export interface RestorePlace {
  /** Id of the keyspace. */
  readonly keyspace: string;
  /** For each shard the stores that hold it, the owner first: all of them get its rows. */
  readonly placement: readonly (readonly string[])[];
}

/** Connections to the stores of a keyspace, made when they are needed. */
export class StoreClients {
  private readonly clients = new Map<string, Promise<StoreClient>>();

  constructor(
    private readonly cluster: ClusterClient,
    private readonly keyspace: string,
  ) {}

  /** The way on which all that is about a shard goes to a store, in order. */
  at(store: string, shard: number): Promise<StoreClient> {
    const lane = `${store}/${shard % LANES}`;
    let client = this.clients.get(lane);
    if (client === undefined) {
      client = StoreClient.open(this.cluster, store, this.keyspace);
      this.clients.set(lane, client);
    }
    return client;
  }

  async close(): Promise<void> {
    for (const each of await Promise.allSettled(this.clients.values()))
      if (each.status === 'fulfilled') each.value.close();
    this.clients.clear();
  }
}

/** Sends the rows of one file to the shards that they belong to: no more are on their way than stores take. */
export class RestoreSender {
  readonly counts: Counts = { applied: 0, skipped: 0, ended: 0 };
  private onTheirWay = new Set<Promise<void>>();
  private bytes = 0;
  private failure: { readonly error: unknown } | undefined;

  /** @param restore tells it from others that bring rows at the same time */
  constructor(
    private readonly place: RestorePlace,
    private readonly clients: StoreClients,
    private readonly restore: string,
  ) {}

  /** Sends rows to all copies of a shard. Resolves when more may be sent. @throws what a store refused */
  async send(shard: number, rows: Buffer): Promise<void> {
    const sent = this.sendToAll(shard, rows)
      .catch((error: unknown) => {
        this.failure ??= { error };
      })
      .finally(() => {
        this.bytes -= rows.length;
        this.onTheirWay.delete(sent);
      });
    this.bytes += rows.length;
    this.onTheirWay.add(sent);
    while (this.bytes > ON_THEIR_WAY_BYTES_MAX) await Promise.race(this.onTheirWay);
    this.check();
  }

  /** Resolves when all has been taken. @throws what a store refused */
  async finish(): Promise<void> {
    await this.settled();
    this.check();
  }

  /** Resolves when nothing is on its way any more, whatever became of it. */
  async settled(): Promise<void> {
    await Promise.all(this.onTheirWay);
  }

  private check(): void {
    if (this.failure !== undefined) throw this.failure.error;
  }

  private async sendToAll(shard: number, rows: Buffer): Promise<void> {
    const { keyspace, placement } = this.place;
    const words = ['VASTO.RESTORE', 'ROWS', keyspace, String(shard), String(placement.length), this.restore];
    const parts: Buffer[] = [];
    for (let at = 0; at < rows.length; at += ARGUMENT_BYTES_MAX)
      parts.push(rows.subarray(at, at + ARGUMENT_BYTES_MAX));
    const replies = await Promise.all(
      placement[shard]!.map(async (store) => (await this.clients.at(store, shard)).ask(...words, ...parts)),
    );
    const [applied, skipped, ended] = itemsOf(replies[0]);
    this.counts.applied += numberOf(applied);
    this.counts.skipped += numberOf(skipped);
    this.counts.ended += numberOf(ended);
  }
}
