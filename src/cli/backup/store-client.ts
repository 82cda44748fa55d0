import { ManagerError } from '../../cluster/manager.js';
import { Refusal } from '../admin-actions.js';
import type { ClusterClient, TopologyView } from '../cluster-client.js';
import { entriesOf, type Reply } from '../reply.js';
import { ConnectionError, type RespConnection, type Word } from '../resp-connection.js';

/** How long a store may take for one answer, milliseconds; `migration-rate` may make it take its time. */
const ANSWER_MAX_MS = 120_000;

/** Something that may go well when it is tried again. */
export class TryAgainError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'TryAgainError';
  }
}

/** The topology as it is now. @throws TryAgainError */
export async function topologyOf(cluster: ClusterClient): Promise<TopologyView> {
  try {
    return await cluster.topology();
  } catch (error) {
    throw new TryAgainError((error as Error).message);
  }
}

/** A connection to a store, for what is about one keyspace. */
export class StoreClient {
  private constructor(private readonly connection: RespConnection) {}

  /** @throws TryAgainError, ManagerError for what will not be different another time */
  static async open(cluster: ClusterClient, store: string, keyspace: string): Promise<StoreClient> {
    try {
      return new StoreClient(await cluster.openStore(store, keyspace));
    } catch (error) {
      if (error instanceof ManagerError && error.code === 'UNAVAILABLE')
        throw new TryAgainError(error.message);
      throw error;
    }
  }

  /** @throws TryAgainError, Refusal for what the store says no to */
  async ask(...words: Word[]): Promise<Reply> {
    const timer = setTimeout(() => this.connection.close(), ANSWER_MAX_MS);
    try {
      const reply = (await this.connection.command(words))!;
      if (reply.type !== 'error') return reply;
      if (reply.text.startsWith('TRYAGAIN ')) throw new TryAgainError(reply.text.slice('TRYAGAIN '.length));
      if (/unknown command/i.test(reply.text))
        throw new Refusal('a store is of an earlier version of Vasto, which knows no backups');
      throw new Refusal(reply.text.replace(/^ERR /, ''));
    } catch (error) {
      throw error instanceof ConnectionError ? new TryAgainError(error.message) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** As {@link ask}, for a map of numbers. */
  async numbers(...words: Word[]): Promise<(field: string) => number> {
    const fields = entriesOf(await this.ask(...words));
    return (field) => numberOf(fields.get(field));
  }

  close(): void {
    this.connection.close();
  }
}

/** @throws Refusal for what is none */
export function numberOf(reply: Reply | undefined): number {
  if (reply?.type !== 'integer') throw new Refusal('a store gave an answer that is not to be understood');
  return Number(reply.value);
}
