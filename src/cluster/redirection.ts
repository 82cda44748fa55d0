import { CommandError } from '../base/command-errors.js';
import { NO_SLOT, SEVERAL_SLOTS } from './command-slot.js';
import type { DoorMap, DoorNode } from './door-map.js';

export const CROSS_SLOT = new CommandError("CROSSSLOT Keys in request don't hash to the same slot");
export const NOT_SERVED = new CommandError('CLUSTERDOWN Hash slot not served');
export const TRY_AGAIN = new CommandError('TRYAGAIN Multiple keys request during rehashing of slot');

/** What the door knows of a command and of its connection. */
export interface DoorRequest {
  /** The slot of its keys, or what command-slot.ts says instead. */
  readonly slot: number;
  readonly keyCount: number;
  /** Whether ASKING came right before. */
  readonly asking: boolean;
  /** Whether a copy will do: the command only reads, and READONLY was said. */
  readonly takesCopy: boolean;
  /** The move that the slot is in the middle of, if any. */
  readonly move?: SlotMove | undefined;
}

/** A slot on its way from one node to another, which of the two still owns it. */
export interface SlotMove {
  readonly from: DoorNode;
  readonly to: DoorNode;
  /** How many of the command's keys are here. */
  readonly keysHere: number;
}

/**
 * What a cluster door replies to a command that is not to run here; undefined if it is. The rules are those of Redis
 * Cluster (cluster.c, getNodeByQuery): while a slot moves, its old owner serves the keys that it still has and sends
 * for the others to the new one, which serves only who says ASKING; keys some of which are missing have to wait.
 */
export function redirection(
  map: DoorMap,
  { slot, keyCount, asking, takesCopy, move }: DoorRequest,
): CommandError | undefined {
  if (slot === NO_SLOT) return undefined;
  if (slot === SEVERAL_SLOTS) return CROSS_SLOT;
  const owner = map.ownerOf(slot);
  if (owner === undefined) return NOT_SERVED;
  if (move !== undefined && move.from.id === map.self.id && move.keysHere < keyCount)
    return move.keysHere > 0 ? TRY_AGAIN : sendTo('ASK', slot, move.to);
  if (move !== undefined && move.to.id === map.self.id && asking)
    return keyCount > 1 && move.keysHere < keyCount ? TRY_AGAIN : undefined;
  if (owner === map.self || (takesCopy && map.holdersOf(slot).includes(map.self))) return undefined;
  return sendTo('MOVED', slot, owner);
}

function sendTo(word: 'ASK' | 'MOVED', slot: number, { host, port }: DoorNode): CommandError {
  return new CommandError(`${word} ${slot} ${host}:${port}`);
}
