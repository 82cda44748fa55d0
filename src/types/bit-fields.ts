import type { Buffer } from 'node:buffer';

/** An integer of 1 to 64 bits (63 if unsigned) at any bit of a string, its highest bit first. */
export interface FieldType {
  readonly signed: boolean;
  readonly bits: number;
}

/** What happens when a result does not fit: wrap around, stay at the limit, or leave the field alone. */
export type OverflowRule = 'WRAP' | 'SAT' | 'FAIL';

/** @returns undefined if the text is no type: `i` or `u`, then the number of bits */
export function parseFieldType(text: string): FieldType | undefined {
  if (!/^[iu][1-9]\d?$/.test(text)) return undefined;
  const signed = text[0] === 'i';
  const bits = Number(text.slice(1));
  return bits <= (signed ? 64 : 63) ? { signed, bits } : undefined;
}

export function readField(bytes: Buffer, offset: number, { signed, bits }: FieldType): bigint {
  const firstByte = Math.floor(offset / 8);
  const end = offset + bits;
  const lastByte = Math.floor((end - 1) / 8);
  let value = 0n;
  for (let at = firstByte; at <= lastByte; at++) {
    value = (value << 8n) | (at < bytes.length ? BigInt(bytes[at]!) : 0n);
  }
  value >>= BigInt((lastByte + 1) * 8 - end);
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

/** Writes the lowest bits of `value`; the field lies inside `bytes`. */
export function writeField(bytes: Buffer, offset: number, { bits }: FieldType, value: bigint): void {
  const end = offset + bits;
  const lastByte = Math.floor((end - 1) / 8);
  const shift = BigInt((lastByte + 1) * 8 - end);
  let rest = BigInt.asUintN(bits, value) << shift;
  let mask = ((1n << BigInt(bits)) - 1n) << shift;
  for (let at = lastByte; mask !== 0n; at--) {
    bytes[at] = (bytes[at]! & ~Number(mask & 0xffn)) | Number(rest & 0xffn);
    rest >>= 8n;
    mask >>= 8n;
  }
}

/**
 * `value + increment` as the field can hold it.
 * Computed as Redis does, in 64 bits: for a value far below the field's range, which only SET can bring, the distance
 * to the maximum wraps around and counts as an overflow, so that SAT stores the maximum.
 * @returns undefined if it does not fit and the rule is FAIL
 */
export function addToField(
  { signed, bits }: FieldType,
  value: bigint,
  increment: bigint,
  rule: OverflowRule,
): bigint | undefined {
  const span = 1n << BigInt(signed ? bits - 1 : bits);
  const maximum = span - 1n;
  const minimum = signed ? -span : 0n;
  const start = signed ? value : BigInt.asUintN(64, value);
  const sum = start + increment;
  const wrapsAround = signed && bits !== 64 && increment > BigInt.asIntN(64, maximum - start);
  const above = sum > maximum || start > maximum || wrapsAround;
  if (!above && sum >= minimum) return sum;
  if (rule === 'FAIL') return undefined;
  if (rule === 'SAT') return above ? maximum : minimum;
  return signed ? BigInt.asIntN(bits, sum) : BigInt.asUintN(bits, sum);
}
