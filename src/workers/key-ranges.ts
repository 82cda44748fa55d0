import { Buffer } from 'node:buffer';
import type { KeyRange } from '../types/shard-view.js';

/** Bounds of the stored keys of a range. */
export function bounds(range: KeyRange): { from?: Buffer; after?: Buffer; before?: Buffer } {
  const end = prefixEnd(range.prefix);
  const before = end === undefined ? {} : { before: Buffer.from(end, 'latin1') };
  if (range.after !== undefined && range.after >= range.prefix)
    return { after: Buffer.from(range.after, 'latin1'), ...before };
  return range.prefix === '' ? before : { from: Buffer.from(range.prefix, 'latin1'), ...before };
}

/** The first key behind all keys with the prefix; undefined when there is none. */
export function prefixEnd(prefix: string): string | undefined {
  for (let length = prefix.length; length > 0; length--) {
    const last = prefix.charCodeAt(length - 1);
    if (last < 255) return prefix.slice(0, length - 1) + String.fromCharCode(last + 1);
  }
  return undefined;
}

/** A byte string that lies somewhere between two keys, even where both begin alike. */
export function randomBetween(first: string, last: string): string {
  let common = 0;
  while (common < first.length && common < last.length && first[common] === last[common]) common++;
  const low = sample(first, common);
  const high = sample(last, common);
  let point = low + Math.random() * (high - low);
  let text = first.slice(0, common);
  for (let power = SAMPLE_BYTES - 1; power >= 0; power--) {
    const unit = 256 ** power;
    const byte = Math.min(255, Math.floor(point / unit));
    point -= byte * unit;
    text += String.fromCharCode(byte);
  }
  return text;
}

const SAMPLE_BYTES = 6;

export function sample(key: string, from: number): number {
  let value = 0;
  for (let index = 0; index < SAMPLE_BYTES; index++)
    value = value * 256 + (key.charCodeAt(from + index) || 0);
  return value;
}
