import { Buffer } from 'node:buffer';
import { CommandError } from '../base/command-errors.js';
import { parseInt64 } from '../base/numbers.js';
import type { StringValue } from '../types/row.js';

const OFFSET_OUT_OF_RANGE = new CommandError('ERR bit offset is not an integer or out of range');

/**
 * A bit offset; `#n`, which only BITFIELD takes, means the n-th field.
 * @param fieldBits width of a field, or 0 where `#` is not allowed
 */
export function parseBitOffset(
  text: string,
  protoMaxBulkBytes: number,
  fieldBits = 0,
): number | CommandError {
  const counted = fieldBits > 0 && text.startsWith('#');
  const parsed = parseInt64(counted ? text.slice(1) : text);
  if (parsed === undefined || parsed < 0) return OFFSET_OUT_OF_RANGE;
  // Rounding is harmless: whatever is not exact lies far beyond the limit.
  const offset = Number(parsed) * (counted ? fieldBits : 1);
  return Math.floor(offset / 8) >= protoMaxBulkBytes ? OFFSET_OUT_OF_RANGE : offset;
}

/** A copy of the value that may be changed, with zeros behind it up to `bytesMin`. */
export function widened(value: StringValue, bytesMin: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(Math.max(value.length, bytesMin));
  if (typeof value === 'string') bytes.latin1Write(value, 0);
  else bytes.set(value);
  return bytes.fill(0, value.length);
}
