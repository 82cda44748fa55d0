/*
 * Scores of sorted sets as text: what Redis 7.0 takes (util.c: string2d, over C's strtod) and what it prints (%.17g);
 * and the ends of ranges of scores and of members (t_zset.c: zslParseRange, zslParseLexRange).
 */

// No text can be cut into these in two ways, so that refusing a long one takes no longer than reading it.
const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;
const HEXADECIMAL = /^([+-]?)0x(?:([\da-f]+)(?:\.([\da-f]*))?|\.([\da-f]+))(?:p([+-]?\d+))?$/i;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;
/** A number whose digits are not all 0, whatever its exponent. */
const NONZERO = /^[+-]?(?:0x[^p]*[1-9a-f]|(?![+-]?0x)[^e]*[1-9])/i;

const MANTISSA_BITS = 53;
/** Exponent of the last bit of the smallest double. */
const EXPONENT_MIN = -1074;
/** Hexadecimal digits that are looked at; of further ones it matters only whether any is not 0. */
const HEXADECIMAL_DIGITS_MAX = 32;
/** Bits of the digits looked at; a shift by more leaves nothing. */
const SHIFT_MAX = HEXADECIMAL_DIGITS_MAX * 4 + 8;
/** Larger exponents, in absolute value, make no difference. */
const EXPONENT_TEXT_MAX = 1e12;

/**
 * Reads a score: decimal, hexadecimal float, infinity.
 * @returns undefined for anything else, NaN among it, and for numbers that overflow or vanish
 */
export function parseScore(text: string): number | undefined {
  const value = readDouble(text);
  if (value === undefined) return undefined;
  if (value === 0) return NONZERO.test(text) ? undefined : value;
  return Number.isFinite(value) || INFINITE.test(text) ? value : undefined;
}

/** The double nearest to the number that is the whole text, ties to even; undefined where it is none. */
function readDouble(text: string): number | undefined {
  if (DECIMAL.test(text)) return Number(text);
  const infinite = INFINITE.exec(text);
  if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity;
  const hexadecimal = HEXADECIMAL.exec(text);
  return hexadecimal === null ? undefined : fromHexadecimal(hexadecimal);
}

/** @param match sign, digits before and behind the point, digits of a number without integer part, exponent of 2 */
function fromHexadecimal(match: RegExpExecArray): number {
  const fraction = match[3] ?? match[4] ?? '';
  const digits = ((match[2] ?? '') + fraction).replace(/^0+/, '');
  const sign = match[1] === '-' ? -1 : 1;
  if (digits === '') return sign * 0;
  const dropped = digits.slice(HEXADECIMAL_DIGITS_MAX);
  // One more digit stands for those dropped, so that ties are told from what is above them.
  const sticky = /[^0]/.test(dropped) ? '1' : '0';
  const mantissa = BigInt(`0x${digits.slice(0, HEXADECIMAL_DIGITS_MAX)}${sticky}`);
  const given = Math.max(-EXPONENT_TEXT_MAX, Math.min(EXPONENT_TEXT_MAX, Number(match[5] ?? 0)));
  const exponent = given + (dropped.length - fraction.length - 1) * 4;
  const excess = mantissa.toString(2).length - MANTISSA_BITS;
  const shift = Math.max(excess, EXPONENT_MIN - exponent, 0);
  return sign * scaled(roundedShift(mantissa, Math.min(shift, SHIFT_MAX)), exponent + shift);
}

/** `mantissa / 2^bits`, to nearest, ties to even. */
function roundedShift(mantissa: bigint, bits: number): number {
  const quotient = mantissa >> BigInt(bits);
  const unit = 1n << BigInt(bits);
  const twice = (mantissa - quotient * unit) * 2n;
  return Number(twice > unit || (twice === unit && (quotient & 1n) === 1n) ? quotient + 1n : quotient);
}

/** `value × 2^exponent` where that is a double, or too large for one. */
function scaled(value: number, exponent: number): number {
  if (value === 0) return 0;
  // 2^exponent alone may be too large while the product is not.
  return exponent > 1000 ? value * 2 ** 1000 * 2 ** (exponent - 1000) : value * 2 ** exponent;
}

/** Significant digits of a score. */
const DIGITS = 17;
/** Digits that show whether a double lies in the middle of two numbers of 17 digits: those that do end here. */
const EXACT_DIGITS = 40;

/** What replies have, in both versions of the protocol: 17 significant digits at most, as C's `%.17g` prints them. */
export function formatScore(score: number): string {
  if (Number.isSafeInteger(score)) return Object.is(score, -0) ? '-0' : String(score);
  if (!Number.isFinite(score)) return score > 0 ? 'inf' : '-inf';
  const [digits, exponent] = significantDigits(Math.abs(score));
  const sign = score < 0 ? '-' : '';
  const trimmed = digits.replace(/0+$/, '');
  if (exponent < -4 || exponent >= DIGITS) {
    const fraction = trimmed.length > 1 ? `.${trimmed.slice(1)}` : '';
    const order = String(Math.abs(exponent)).padStart(2, '0');
    return `${sign}${trimmed[0]}${fraction}e${exponent < 0 ? '-' : '+'}${order}`;
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${trimmed}`;
  const fraction = trimmed.slice(exponent + 1);
  const integer = digits.slice(0, exponent + 1);
  return fraction === '' ? sign + integer : `${sign}${integer}.${fraction}`;
}

/** The 17 digits nearest to a positive number, ties to even, and the exponent of 10 of the first. */
function significantDigits(value: number): [string, number] {
  const nearest = value.toExponential(DIGITS - 1);
  const mark = nearest.indexOf('e');
  const digits = nearest[0]! + nearest.slice(2, mark);
  const exponent = Number(nearest.slice(mark + 1));
  // JavaScript rounds ties up, so a digit that is odd may have been even before.
  if (digits.charCodeAt(DIGITS - 1) & 1) {
    const exact = value.toExponential(EXACT_DIGITS);
    const all = exact[0]! + exact.slice(2, exact.indexOf('e'));
    if (/^50*$/.test(all.slice(DIGITS))) return [all.slice(0, DIGITS), exponent];
  }
  return [digits, exponent];
}

/** One end of a range of scores. */
export interface ScoreBound {
  readonly score: number;
  /** Whether the score itself is outside. */
  readonly exclusive: boolean;
}

/**
 * Reads one end of a range of scores: a number, behind `(` where it is left out itself. As Redis, more leniently than a
 * score: spaces may stand before the number, no number is 0, too large a one is infinite.
 * @returns undefined for anything else ("min or max is not a float")
 */
export function parseScoreBound(text: string): ScoreBound | undefined {
  const exclusive = text.startsWith('(');
  const number = exclusive ? text.slice(1) : text;
  if (number === '') return { score: 0, exclusive };
  const score = readDouble(number.replace(/^[\t-\r ]+/, ''));
  return score === undefined ? undefined : { score, exclusive };
}

export function isScoreAbove(score: number, min: ScoreBound): boolean {
  return min.exclusive ? score > min.score : score >= min.score;
}

export function isScoreBelow(score: number, max: ScoreBound): boolean {
  return max.exclusive ? score < max.score : score <= max.score;
}

/** One end of a range of members in byte order; `least` and `greatest` are below and above all members. */
export type LexBound =
  | { readonly kind: 'least' | 'greatest' }
  | { readonly kind: 'member'; readonly member: string; readonly exclusive: boolean };

/**
 * Reads one end of a range of members: `-`, `+`, `[member` or `(member`.
 * @param text latin1
 * @returns undefined for anything else ("min or max not valid string range item")
 */
export function parseLexBound(text: string): LexBound | undefined {
  if (text === '-') return { kind: 'least' };
  if (text === '+') return { kind: 'greatest' };
  const form = text[0];
  return form === '(' || form === '['
    ? { kind: 'member', member: text.slice(1), exclusive: form === '(' }
    : undefined;
}

/** @param member latin1 */
export function isMemberAbove(member: string, min: LexBound): boolean {
  if (min.kind !== 'member') return min.kind === 'least';
  return min.exclusive ? member > min.member : member >= min.member;
}

/** @param member latin1 */
export function isMemberBelow(member: string, max: LexBound): boolean {
  if (max.kind !== 'member') return max.kind === 'greatest';
  return max.exclusive ? member < max.member : member <= max.member;
}
