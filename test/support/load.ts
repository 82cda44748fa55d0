import { Redis } from 'ioredis';

/** What a load client was told, to be compared with what is there. */
export interface LoadCounts {
  /** By key: increments that were acknowledged. */
  readonly acknowledged: Map<string, number>;
  /** By key: increments that were sent. A store that dies may have done those that it has not acknowledged. */
  readonly sent: Map<string, number>;
  /** What went wrong, with the key. */
  readonly failures: { readonly key: string; readonly message: string }[];
}

/** Clients of ioredis's kinds. */
export type LoadClient = Pick<Redis, 'incr' | 'set' | 'get'>;

/**
 * Increments, writes and reads keys one after the other, as fast as it is answered, until it is stopped. What is read
 * must be what was written last.
 */
export class Load {
  readonly counts: LoadCounts = { acknowledged: new Map(), sent: new Map(), failures: [] };
  private stopping = false;
  private readonly lanes: Promise<void>[];
  private done = 0;

  /**
   * @param keys counters that nobody else touches
   * @param lanes commands that are under way at a time
   */
  constructor(
    private readonly client: LoadClient,
    keys: readonly string[],
    lanes = 4,
  ) {
    this.lanes = Array.from({ length: lanes }, (_, lane) =>
      this.run(keys.filter((_key, n) => n % lanes === lane)),
    );
  }

  /** Rounds that were done, failed ones included. */
  get rounds(): number {
    return this.done;
  }

  private async run(keys: readonly string[]): Promise<void> {
    for (let n = 0; !this.stopping; n++) {
      await this.round(keys[n % keys.length]!, n);
      this.done++;
    }
  }

  private async round(key: string, n: number): Promise<void> {
    const { acknowledged, sent, failures } = this.counts;
    const written = `${key}:${n}`;
    sent.set(key, (sent.get(key) ?? 0) + 1);
    try {
      const count = await this.client.incr(key);
      const before = (acknowledged.get(key) ?? 0) + 1;
      acknowledged.set(key, before);
      if (count < before) failures.push({ key, message: `counted ${count} after ${before} increments` });
      await this.client.set(`{${key}}:value`, written);
      const read = await this.client.get(`{${key}}:value`);
      if (read !== written) failures.push({ key, message: `read ${read}, not ${written}` });
    } catch (error) {
      failures.push({ key, message: (error as Error).message });
    }
  }

  /** Resolves when so many more rounds have been done: what has just happened has been met. */
  async more(rounds: number): Promise<void> {
    const target = this.done + rounds;
    while (this.done < target) await new Promise((resolve) => setImmediate(resolve));
  }

  async stop(): Promise<LoadCounts> {
    this.stopping = true;
    await Promise.all(this.lanes);
    return this.counts;
  }
}

/** A client of a plain door that gives up nothing by itself: an error is the server's. */
export function plainClient(port: number, keyspace: string): Redis {
  const client = new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: 0, enableReadyCheck: false });
  client.on('connect', () => void client.call('SELECT', keyspace));
  client.on('error', () => undefined);
  return client;
}
