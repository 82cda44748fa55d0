import type { ShardRoute } from '../workers/pool.js';

/** A slot whose keys are on their way from one store to another. Until the topology says otherwise it is the old one's. */
export interface MovingSlot {
  /** Ids of the stores. */
  readonly from: string;
  readonly to: string;
  /** The shard that the slot is part of, once it is there. */
  readonly shard: number;
  /** Where this node, which is one of the two, has the keys of the slot that are here. */
  readonly here: ShardRoute;
}

/**
 * The slots of which this node has some of the keys while they move. Who moves shards as a whole, and holds back writes
 * for the moment of the change, has none: then clients of cluster doors see the change as MOVED, and no ASK.
 */
export interface SlotMoves {
  /** @param keyspace its id */
  moveOf(keyspace: string, slot: number): MovingSlot | undefined;
}

export const NO_MOVES: SlotMoves = { moveOf: () => undefined };
