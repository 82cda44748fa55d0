/** Strict number parsing and formatting, as Redis does them (util.c: string2ll, string2ld, ld2string). */

export const INT64_MAX = 9223372036854775807n;
export const INT64_MIN = -9223372036854775808n;

/** An integer in the signed 64-bit range: a `number` where it is safe, a `bigint` beyond ±(2^53 − 1). */
export type Int64 = number | bigint;

/**
 * Parses a canonical decimal integer: no sign but `-`, no leading zeros, no spaces.
 * @returns undefined when the text is not one, or lies outside the signed 64-bit range
 */
export function parseInt64(text: string): Int64 | undefined {
  const length = text.length;
  if (length === 0 || length > 20) return undefined;
  let index = 0;
  const negative = text.charCodeAt(0) === 45;
  if (negative) index = 1;
  const first = text.charCodeAt(index);
  if (first === 48) return length === 1 ? 0 : undefined;
  if (!(first >= 49 && first <= 57)) return undefined;
  let value = first - 48;
  for (index++; index < length; index++) {
    const digit = text.charCodeAt(index) - 48;
    if (!(digit >= 0 && digit <= 9)) return undefined;
    value = value * 10 + digit;
  }
  if (value <= Number.MAX_SAFE_INTEGER) return negative ? -value : value;
  const exact = BigInt(text);
  return exact > INT64_MAX || exact < INT64_MIN ? undefined : exact;
}

/** As {@link parseInt64}, for counts and indexes: values beyond ±2^53 come back rounded to a double. */
export function parseInteger(text: string): number | undefined {
  const value = parseInt64(text);
  return typeof value === 'bigint' ? Number(value) : value;
}

/** The narrowest form of an exact integer, see {@link Int64}. */
export function toInt64(value: bigint): Int64 {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
    ? Number(value)
    : value;
}

/** Adds in 64 bits. @returns undefined if the sum leaves the signed 64-bit range */
export function sumInt64(left: Int64, right: Int64): Int64 | undefined {
  if (typeof left === 'number' && typeof right === 'number') {
    const rounded = left + right;
    if (Number.isSafeInteger(rounded)) return rounded;
  }
  const exact = BigInt(left) + BigInt(right);
  return exact > INT64_MAX || exact < INT64_MIN ? undefined : toInt64(exact);
}
