import { encodeCommand } from '../cluster/frames.js';
import { elementsOf, integerOf } from '../cluster/reply-scanner.js';
import { callRemote } from './forwarding.js';
import type { RespServer } from './server.js';

/** What INFO tells of a shard. */
export interface ShardCounts {
  readonly keys: number;
  readonly expiring: number;
  readonly averageTtlMs: number;
}

/** INFO does not wait longer than this for stores that do not answer, milliseconds. */
const WAIT_MS = 1000;
const COUNTS = encodeCommand(['VASTO.COUNTS']);

/** Asks the stores that hold shards of numbered databases for their keys; by the id of the keyspace. */
export async function countsElsewhere(server: RespServer): Promise<Map<string, ShardCounts[]>> {
  const counts = new Map<string, ShardCounts[]>();
  const asked: Promise<void>[] = [];
  for (const { id, db, places } of server.store.keyspaces.all()) {
    if (db === undefined) continue;
    const stores = new Set(places.filter(({ local }) => local === undefined).map(({ store }) => store));
    for (const store of stores) {
      if (store === '') continue;
      const answer = callRemote(server.links.to(store, id, 2), COUNTS).then((reply) => {
        const found = (elementsOf(reply) ?? []).map(parseCounts);
        counts.set(id, [...(counts.get(id) ?? []), ...found]);
      });
      asked.push(answer);
    }
  }
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, WAIT_MS);
  });
  await Promise.race([Promise.all(asked), tooLong]);
  clearTimeout(timer);
  return counts;
}

function parseCounts(reply: Buffer): ShardCounts {
  const [, keys = 0, expiring = 0, averageTtlMs = 0] = (elementsOf(reply) ?? []).map(integerOf);
  return { keys, expiring, averageTtlMs };
}
