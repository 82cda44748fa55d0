import { commandTable } from '../commands/table.js';

/** Commands that write and yet read as GET does. */
const READING_WRITES: ReadonlySet<string> = new Set(['getdel', 'getex', 'getset']);
/** For each command whether the keys it looks up are hits and misses: those of Redis's `lookupKeyRead`. */
export const COUNTS_LOOKUPS: readonly boolean[] = commandTable.map(
  ({ name, flags }) => (flags.includes('readonly') && name !== 'memory|usage') || READING_WRITES.has(name),
);
/** For each command whether it is refused while a shard takes no writes. */
export const WRITES: readonly boolean[] = commandTable.map(({ flags }) => flags.includes('write'));
