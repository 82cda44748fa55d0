import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';

/*
 * The bytes of a backup; docs/DATA_FORMAT.md describes them. A file has the rows of one shard, in frames:
 *
 *   head    8   VASTOBKP
 *           4   format
 *           4   length of what follows
 *           …   JSON: whose rows these are
 *           8   checksum
 *   frame   4   length of the rows; 0: the last frame
 *           4   number of keys that are complete with them
 *           8   checksum
 *           …   rows, as feeds carry them
 *
 * A checksum is the first 8 bytes of the SHA-256 of the number of the frame (8 bytes; the head is 0), what comes before
 * the checksum, and the rows. So a frame that is damaged, missing or in another's place is told from a good one.
 */

/** Of files and manifests. A backup of a later one is refused. */
export const BACKUP_FORMAT = 1;
/** Of the rows in it: that of shards (src/workers/shard-meta.ts) since which they have them so on disk. */
export const ROW_FORMAT = 5;

export const MAGIC = Buffer.from('VASTOBKP');
export const CHECKSUM_BYTES = 8;
export const FRAME_HEADER_BYTES = 16;
export const HEAD_PREFIX_BYTES = 16;
/** A head is short; what says that it is longer is damaged. */
export const HEAD_BYTES_MAX = 1 << 16;

/** Whose rows are in a file. */
export interface FileHead {
  /** Id of the backup. */
  readonly backup: string;
  readonly keyspace: string;
  readonly shard: number;
}

export function checksum(frame: number, ...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(BigInt(frame));
  hash.update(number);
  for (const part of parts) hash.update(part);
  return hash.digest().subarray(0, CHECKSUM_BYTES);
}

export function encodeHead(head: FileHead): Buffer {
  const json = Buffer.from(JSON.stringify(head));
  const prefix = Buffer.alloc(HEAD_PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix.writeUInt32BE(BACKUP_FORMAT, 8);
  prefix.writeUInt32BE(json.length, 12);
  return Buffer.concat([prefix, json, checksum(0, prefix, json)]);
}

/** What stands before the rows of a frame. @param frame its number, from 1 */
export function encodeFrameHeader(frame: number, rows: Buffer, keys: number): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUInt32BE(rows.length, 0);
  header.writeUInt32BE(keys, 4);
  checksum(frame, header.subarray(0, 8), rows).copy(header, 8);
  return header;
}
