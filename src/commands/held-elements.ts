import { CommandError } from '../base/command-errors.js';
import type { Collection } from '../types/collections/collection.js';
import { RowType } from '../types/row.js';
import type { ShardSettings } from './definition.js';

/*
 * What a command makes of large collections is in memory until it is written or replied. A heap that is too small for it
 * would end the worker, and with it the commands of others.
 */

/** What elements take beside their texts when they are gathered, sorted and stored: members with scores, and others. */
const SCORED_OVERHEAD_BYTES = 600;
const PLAIN_OVERHEAD_BYTES = 450;
/** What places take that have been found on the map, and not been stored. */
const PLACE_OVERHEAD_BYTES = 200;
const OVERHEADS_BYTES = {
  scored: SCORED_OVERHEAD_BYTES,
  plain: PLAIN_OVERHEAD_BYTES,
  place: PLACE_OVERHEAD_BYTES,
};
/** What an element row takes beside its name and value while it waits to be written. */
const STAGED_OVERHEAD_BYTES = 400;

/** Counts what a command gathers. */
export class HeldElements {
  private bytes = 0;
  private readonly overheadBytes: number;

  constructor(
    private readonly settings: ShardSettings,
    kind: keyof typeof OVERHEADS_BYTES,
  ) {
    this.overheadBytes = OVERHEADS_BYTES[kind];
  }

  /** Counts an element. @returns whether there is room for it and those before */
  add(text: string): boolean {
    this.bytes += this.overheadBytes + text.length;
    return !this.isOver;
  }

  get isOver(): boolean {
    return this.bytes > this.settings.heldBytesMax;
  }

  /** What a command that gathers too much replies. */
  get refusal(): CommandError {
    return tooMuch(this.settings);
  }
}

/** What a command replies that would gather so many elements, if there is no room for them. */
export function refusalOfElements(count: number, settings: ShardSettings): CommandError | undefined {
  return count * SCORED_OVERHEAD_BYTES > settings.heldBytesMax ? tooMuch(settings) : undefined;
}

/** What a command replies that would copy a collection for which there is no room; undefined if there is. */
export function refusalOfCopy(collection: Collection, settings: ShardSettings): CommandError | undefined {
  if (collection.version === 0) return undefined;
  // Elements of lists and streams lie in nodes, many in each; those of others have rows of their own.
  const isInNodes = collection.type === RowType.List || collection.type === RowType.Stream;
  const overhead = isInNodes ? 0 : collection.size * STAGED_OVERHEAD_BYTES;
  return collection.elementBytes() + overhead > settings.heldBytesMax ? tooMuch(settings) : undefined;
}

function tooMuch({ heldBytesMax }: ShardSettings): CommandError {
  return new CommandError(
    `ERR the command would hold more than ${heldBytesMax >> 20} MB in memory until it is done; a node with a higher maxmemory has room for more, from its start on`,
  );
}
