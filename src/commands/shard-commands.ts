import { bitmapCommands } from './bitmaps.js';
import type { CommandDefinition } from './definition.js';
import { dumpCommands } from './dump.js';
import { expiryCommands } from './expiry.js';
import { geoCommands } from './geo-commands.js';
import { hashCommands } from './hash-commands.js';
import { hyperloglogCommands } from './hyperloglog.js';
import { inspectionCommands } from './key-inspection.js';
import { keyCommands } from './keys.js';
import { listCommands } from './list-commands.js';
import { objectCommands } from './object.js';
import { scanCommands } from './scan.js';
import { setCommands } from './set-commands.js';
import { sortCommands } from './sort.js';
import { sortedSetCommands } from './sorted-set-commands.js';
import { streamCommands } from './stream-commands.js';
import { streamGroupCommands } from './stream-group-commands.js';
import { stringCommands } from './strings.js';
import { transactionShardCommands } from './transactions.js';
import { vastoCommands } from './vasto.js';

/** Every command that runs on the owner of a shard. */
export const shardCommands: readonly CommandDefinition[] = [
  ...stringCommands,
  ...bitmapCommands,
  ...hyperloglogCommands,
  ...hashCommands,
  ...setCommands,
  ...listCommands,
  ...sortedSetCommands,
  ...geoCommands,
  ...streamCommands,
  ...streamGroupCommands,
  ...keyCommands,
  ...sortCommands,
  ...expiryCommands,
  ...scanCommands,
  ...objectCommands,
  ...dumpCommands,
  ...inspectionCommands,
  ...vastoCommands,
  ...transactionShardCommands,
];
