import { Buffer } from 'node:buffer';
import { keySlot } from '../../src/cluster/slots.js';
import { readyRoute } from '../../src/node/segments.js';
import type { Ledger, Write } from './ledger.js';
import type { StoreNode, Surroundings } from './node.js';
import { KEYS, SKEW_MAX_MS, TIMED_KEYS } from './schedule.js';
import type { SimulatedShard } from './shard.js';

export const KEYSPACE = 'data';

/** A client gives up after so long, milliseconds. */
export const PATIENCE_MS = 4000;
/** Whoever was told that a shard is elsewhere asks again so much later, milliseconds. */
const AGAIN_MS = 20;

/** 'flush' = FLUSHDB of the shard that the key is in. */
export type Operation = 'set' | 'setex' | 'del' | 'incr' | 'get' | 'flush';

/** So long what SETEX writes stays, milliseconds. */
const TTL_MS = 1500;
/** Clocks of two nodes differ by no more, milliseconds. */
const SKEWS_MAX_MS = 2 * SKEW_MAX_MS;

export const keyName = (number: number): string => `key${number}`;
const ALL_KEYS = Array.from({ length: KEYS + TIMED_KEYS }, (_, number) => keyName(number));

/** What clients need of the world. */
export interface ClientHost extends Surroundings {
  readonly ledger: Ledger;
  node(id: string): StoreNode;
  /** Whether all that was acknowledged must be seen: nobody has taken over a shard without having all of it. */
  readonly isStrict: boolean;
  /** A write has taken effect at a store. */
  applied(write: Write, node: StoreNode): void;
}

/** What became of asking a store: 'moved' = it is not the one, and nothing was done; 'unknown' = nobody can tell. */
type Outcome = 'done' | 'moved' | 'failed' | 'unknown';

/** One command of a client, by whichever store it is connected to. */
export class Command {
  private readonly write: Write | undefined;
  /** What a flush was for each key. */
  private flushed: readonly Write[] = [];
  private readonly slot: number;
  /** What was acknowledged when the client began: it must be seen. */
  private readonly known: Write | undefined;
  private readonly untilMs: number;

  constructor(
    private readonly host: ClientHost,
    private readonly operation: Operation,
    private readonly key: string,
    /** How far the time that it brings is ahead of when it begins, milliseconds; undefined = it brings none. */
    offsetMs: number | undefined,
  ) {
    const { ledger, scheduler } = host;
    this.slot = keySlot(Buffer.from(key));
    this.known = ledger.latest(key);
    const ttlMs = operation === 'setex' ? TTL_MS : 0;
    const isWrite = operation !== 'get' && operation !== 'flush';
    const eventTimeMs = offsetMs === undefined ? undefined : Math.floor(scheduler.unixMs) + offsetMs;
    this.write = isWrite
      ? ledger.begin(key, { isDeletion: operation === 'del', ttlMs, eventTimeMs })
      : undefined;
    this.untilMs = scheduler.nowMs + PATIENCE_MS;
  }

  /** Resolves when the client knows, or has given up. */
  async run(via: StoreNode): Promise<void> {
    const outcome = await this.ask(via);
    if (outcome !== 'done') return;
    if (this.write !== undefined) this.write.isAcknowledged = true;
    for (const write of this.flushed) write.isAcknowledged = true;
  }

  private async ask(via: StoreNode): Promise<Outcome> {
    const { scheduler } = this.host;
    const { life } = via;
    while (scheduler.nowMs < this.untilMs) {
      const { store } = via;
      if (store === undefined || life === undefined || life.isOver) return 'unknown';
      const place = this.placeAt(via);
      let outcome: Outcome = 'moved';
      if (place?.local !== undefined) outcome = await this.here(via);
      else if (place !== undefined && place.store !== '')
        outcome = await this.forward(via, this.host.node(place.store));
      if (life.isOver) return 'unknown';
      if (outcome !== 'moved') return outcome;
      await life.pause(AGAIN_MS);
    }
    return 'failed';
  }

  private placeAt({ store }: StoreNode) {
    const keyspace = store?.keyspaces.named(KEYSPACE);
    return keyspace?.places[keyspace.shardsOfSlots[this.slot]!];
  }

  /** As resp/routing.ts has it: what waits is routed again. */
  private async here(node: StoreNode): Promise<Outcome> {
    const { life } = node;
    for (;;) {
      const route = this.placeAt(node)?.local;
      if (route === undefined) return 'moved';
      if (route.ready === undefined) {
        if (route.closed) return 'moved';
        return new Promise((resolve) => {
          node.pool!.command(
            route,
            (shard) => this.act(shard, node),
            // A flush that is refused the node asks for again.
            (isDone) => resolve(isDone ? 'done' : 'moved'),
            () => resolve('unknown'),
          );
        });
      }
      try {
        await readyRoute(route);
      } catch {
        // It has waited for long enough, and has been told why it cannot be: nothing was done.
        return 'failed';
      }
      if (life?.isOver !== false) return 'unknown';
      // What a client that has left had sent is not done.
      if (this.host.scheduler.nowMs > this.untilMs) return 'failed';
    }
  }

  /** As a link to another store does: what is asked for comes back, or the connection breaks. */
  private forward(via: StoreNode, owner: StoreNode): Promise<Outcome> {
    const { network, scheduler } = this.host;
    return new Promise((resolve) => {
      const connection = network.connect<Outcome, 'ask'>(
        via,
        owner,
        (end) => {
          end.onMessage = () => {
            void this.answer(owner).then((outcome) => end.send(outcome));
          };
        },
        () => resolve('unknown'),
      );
      connection.onMessage = (outcome) => {
        resolve(outcome);
        connection.end();
      };
      connection.send('ask');
      scheduler.after(this.untilMs - scheduler.nowMs, () => {
        resolve('unknown');
        connection.end();
      });
    });
  }

  /** What one store forwards to another is not forwarded again. */
  private async answer(owner: StoreNode): Promise<Outcome> {
    if (this.host.scheduler.nowMs > this.untilMs) return 'failed';
    return this.placeAt(owner)?.local === undefined ? 'moved' : this.here(owner);
  }

  private act(shard: SimulatedShard, node: StoreNode): boolean {
    if (this.operation === 'flush') return this.flush(shard, node);
    const { ledger, isStrict, violated } = this.host;
    const { key, slot, write, operation, known } = this;
    const before = shard.stored.rows.get(key);
    const fault = isStrict ? ledger.fault(key, before, known) : undefined;
    if (fault !== undefined) violated(`${node.name}: ${operation} finds that ${fault}`);
    if (write === undefined) return true;
    const row = shard.write(write, slot);
    if (row === undefined) {
      if (isStrict && !ledger.isLate(write))
        violated(`${node.name}: write ${write.id} of ${key} is refused as late, and nothing is later`);
      return true;
    }
    if (write.ttlMs !== 0) write.mayEndAtMs = this.host.scheduler.nowMs + write.ttlMs - SKEWS_MAX_MS;
    write.at = row.at;
    write.store = node.name;
    write.isTraceless = write.isDeletion && !shard.stored.rows.has(key);
    if (before === undefined) ledger.foundNothing(write);
    this.host.applied(write, node);
    return true;
  }

  private flush(shard: SimulatedShard, node: StoreNode): boolean {
    const { shardsOfSlots } = node.store!.keyspaces.named(KEYSPACE)!;
    const at = shard.flush();
    if (at === undefined) return false;
    const number = shardsOfSlots[this.slot];
    const keys = ALL_KEYS.filter((key) => shardsOfSlots[keySlot(Buffer.from(key))] === number);
    this.flushed = this.host.ledger.flushed(keys, at, node.name);
    for (const write of this.flushed) this.host.applied(write, node);
    return true;
  }
}
