/**
 * Arithmetic on x87 80-bit floats (C's `long double` on x86-64): 64 bits of mantissa, 15 of exponent.
 * Redis adds in this format, so a JavaScript double would differ from it in the digits that INCRBYFLOAT replies.
 * Every operation computes exactly with BigInt and rounds once, to nearest, ties to even.
 * Format: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, section 4.2.2.
 */
export interface LongDouble {
  /** Below 2^64 in absolute value; carries the sign. */
  readonly mantissa: bigint;
  /** The value is mantissa × 2^exponent. */
  readonly exponent: number;
  /** False for both infinities, whose other fields mean nothing. */
  readonly finite: boolean;
}

const MANTISSA_BITS = 64;
/** Exponent of the last bit of a denormal. */
const EXPONENT_MIN = -16445;
/** Exponent of the last bit of the largest number. */
const EXPONENT_MAX = 16320;
/** Numbers of more digits before the decimal point overflow, and of more zeros behind it vanish, whatever the digits. */
const DECIMAL_ORDER_MAX = 4960;
const BINARY_ORDER_MAX = 16500;
/** Redis copies the text to a buffer of this size with a terminating zero. */
const TEXT_LENGTH_MAX = 5 * 1024 - 1;
/** Digits behind the point in what INCRBYFLOAT replies. */
const FRACTION_DIGITS = 17;
const FRACTION_SCALE = 10n ** BigInt(FRACTION_DIGITS);

const ZERO: LongDouble = { mantissa: 0n, exponent: 0, finite: true };
const INFINITY: LongDouble = { mantissa: 0n, exponent: 0, finite: false };

// No text can be cut into these in two ways, so that refusing a long one takes no longer than reading it.
const DECIMAL = /^([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:e([+-]?\d+))?$/i;
const HEXADECIMAL = /^([+-]?)0x(?:([\da-f]+)(?:\.([\da-f]*))?|\.([\da-f]+))(?:p([+-]?\d+))?$/i;
const INFINITE = /^[+-]?inf(?:inity)?$/i;

/**
 * Reads what C's `strtold` reads whole: decimals, hexadecimal floats, infinities.
 * @returns undefined for anything else, for NaN, and for numbers too large or too small for the format
 */
export function parseLongDouble(text: string): LongDouble | undefined {
  if (text.length > TEXT_LENGTH_MAX) return undefined;
  const decimal = DECIMAL.exec(text);
  if (decimal) return fromDigits(decimal, 10);
  const hexadecimal = HEXADECIMAL.exec(text);
  if (hexadecimal) return fromDigits(hexadecimal, 16);
  return INFINITE.test(text) ? INFINITY : undefined;
}

/** @param match sign, digits before and behind the point, digits of a number without integer part, exponent */
function fromDigits(match: RegExpExecArray, base: 10 | 16): LongDouble | undefined {
  const fraction = match[3] ?? match[4] ?? '';
  const digits = ((match[2] ?? '') + fraction).replace(/^0+/, '');
  if (digits === '') return ZERO;
  const bitsPerDigit = base === 10 ? 1 : 4;
  const scale = Number(match[5] ?? 0) - fraction.length * bitsPerDigit;
  const order = scale + digits.length * bitsPerDigit;
  if (Math.abs(order) > (base === 10 ? DECIMAL_ORDER_MAX : BINARY_ORDER_MAX)) return undefined;
  const power = (base === 10 ? 10n : 2n) ** BigInt(Math.abs(scale));
  const integer = BigInt(base === 10 ? digits : `0x${digits}`);
  const signed = match[1] === '-' ? -integer : integer;
  const value = scale < 0 ? roundQuotient(signed, power) : roundQuotient(signed * power, 1n);
  return value.finite && value.mantissa !== 0n ? value : undefined;
}

/** The sum of two numbers; not finite if either is not, or on overflow. */
export function addLongDoubles(left: LongDouble, right: LongDouble): LongDouble {
  if (!left.finite || !right.finite) return INFINITY;
  const exponent = Math.min(left.exponent, right.exponent);
  const sum =
    (left.mantissa << BigInt(left.exponent - exponent)) +
    (right.mantissa << BigInt(right.exponent - exponent));
  return exponent < 0
    ? roundQuotient(sum, 1n << BigInt(-exponent))
    : roundQuotient(sum << BigInt(exponent), 1n);
}

/** Decimal notation with at most 17 digits behind the point, zeros at the end left out, never an exponent. */
export function formatLongDouble(value: LongDouble): string {
  const negative = value.mantissa < 0n;
  const mantissa = negative ? -value.mantissa : value.mantissa;
  const scaled =
    value.exponent >= 0
      ? (mantissa << BigInt(value.exponent)) * FRACTION_SCALE
      : divideToNearest(mantissa * FRACTION_SCALE, 1n << BigInt(-value.exponent));
  if (scaled === 0n) return '0';
  const digits = scaled.toString().padStart(FRACTION_DIGITS + 1, '0');
  const fraction = digits.slice(-FRACTION_DIGITS).replace(/0+$/, '');
  const sign = negative ? '-' : '';
  const integer = digits.slice(0, -FRACTION_DIGITS);
  return fraction === '' ? sign + integer : `${sign}${integer}.${fraction}`;
}

/** The long double nearest to `numerator / denominator`; the denominator is positive. */
function roundQuotient(numerator: bigint, denominator: bigint): LongDouble {
  if (numerator === 0n) return ZERO;
  const magnitude = numerator < 0n ? -numerator : numerator;
  // The quotient has this many bits before the binary point, or one more.
  const order = bitLength(magnitude) - bitLength(denominator);
  let exponent = Math.max(order - MANTISSA_BITS, EXPONENT_MIN);
  let mantissa = scaledQuotient(magnitude, denominator, exponent);
  if (mantissa >> BigInt(MANTISSA_BITS) !== 0n) {
    exponent++;
    mantissa = scaledQuotient(magnitude, denominator, exponent);
    if (mantissa >> BigInt(MANTISSA_BITS) !== 0n) {
      // Rounded up to a power of two.
      exponent++;
      mantissa >>= 1n;
    }
  }
  if (exponent > EXPONENT_MAX) return INFINITY;
  return { mantissa: numerator < 0n ? -mantissa : mantissa, exponent, finite: true };
}

function scaledQuotient(numerator: bigint, denominator: bigint, exponent: number): bigint {
  return exponent < 0
    ? divideToNearest(numerator << BigInt(-exponent), denominator)
    : divideToNearest(numerator, denominator << BigInt(exponent));
}

/** Division of positive integers, rounded to nearest, ties to even. */
function divideToNearest(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator - quotient * denominator) * 2n;
  if (twice < denominator || (twice === denominator && (quotient & 1n) === 0n)) return quotient;
  return quotient + 1n;
}

function bitLength(value: bigint): number {
  const hexadecimal = value.toString(16);
  return hexadecimal.length * 4 - (Math.clz32(Number.parseInt(hexadecimal[0]!, 16)) - 28);
}
