import type { Buffer } from 'node:buffer';

/** Slots of a keyspace, as in Redis Cluster: what a key's hash is reduced to, and what shards divide among them. */
export const SLOTS = 16384;

/** CRC16-CCITT (XMODEM): polynomial 0x1021, start 0, as the Redis Cluster specification has it. */
const CRC_TABLE = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Keys longer than this are searched by the native method. */
const LONG_KEY_BYTES = 256;

/** The checksum of what came before and one more byte. */
function crcOf(before: number, byte: number): number {
  return ((before << 8) & 0xffff) ^ CRC_TABLE[((before >> 8) ^ byte) & 0xff]!;
}

function shortIndexOf(key: Buffer, byte: number): number {
  for (let at = 0; at < key.length; at++) if (key[at] === byte) return at;
  return -1;
}

/**
 * The slot of a key. If the key has a non-empty `{tag}`, only the first one's inside is hashed, so that keys with
 * the same tag are in the same slot (Redis Cluster specification, "hash tags").
 */
export function keySlot(key: Buffer): number {
  let from = 0;
  let to = key.length;
  // Most keys are short: calling the native search costs more than looking at their bytes.
  const open = key.length > LONG_KEY_BYTES ? key.indexOf(OPEN) : shortIndexOf(key, OPEN);
  if (open >= 0) {
    const close = key.indexOf(CLOSE, open + 1);
    if (close > open + 1) {
      from = open + 1;
      to = close;
    }
  }
  let crc = 0;
  for (let at = from; at < to; at++) crc = crcOf(crc, key[at]!);
  return crc & (SLOTS - 1);
}

/** As {@link keySlot}, of a key as latin1 text. */
export function textSlot(key: string): number {
  let from = 0;
  let to = key.length;
  const open = key.indexOf('{');
  if (open >= 0) {
    const close = key.indexOf('}', open + 1);
    if (close > open + 1) {
      from = open + 1;
      to = close;
    }
  }
  let crc = 0;
  for (let at = from; at < to; at++) crc = crcOf(crc, key.charCodeAt(at));
  return crc & (SLOTS - 1);
}
