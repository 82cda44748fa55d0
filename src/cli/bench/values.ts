import { Buffer } from 'node:buffer';
import { mix, Random } from './random.js';

/*
 * A value that can be checked:
 *
 *     0  magic        u32       16  thread      u16, of the run that wrote it
 *     4  prefix hash  u32       18  stamp       u16 and u32, upper and lower part; ascends with the writes of a thread
 *     8  key number   u32       24  length      u32, of the whole value
 *    12  run          u32       28  checksum    u32, of the 28 bytes before
 *    32  filling: bytes of a fixed, endless pattern, from a place that the checksum decides
 *
 * All numbers are little-endian. The filling of another value begins elsewhere in the pattern, so a value made of parts
 * of two is found out, whatever parts; and comparing with the pattern is one memcmp, which no checksum over all bytes
 * would be.
 */

/** The least that a value which can be checked may have. */
export const VALUE_BYTES_MIN = 32;

const MAGIC = 0x31_42_56_a9;
const PATTERN_BYTES = 1 << 18;
/** For ever the same, so that values of other runs and releases can be checked. */
const PATTERN_SEED = 20_18;
const PATTERN_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const pattern = createPattern();

function createPattern(): Buffer {
  const random = new Random(PATTERN_SEED);
  const alphabet = Buffer.from(PATTERN_ALPHABET);
  return Buffer.from(Array.from({ length: PATTERN_BYTES }, () => alphabet[random.below(alphabet.length)]!));
}

/** Who wrote a value, and which of its writes it was. */
export interface Origin {
  run: number;
  thread: number;
  stamp: number;
}

export type ValueProblem = 'corrupt' | 'torn' | 'wrong key';

/** Writes and checks the values of one key space. */
export class Values {
  readonly #prefixHash: number;
  /** Of the value that `check` last found good. */
  readonly origin: Origin = { run: 0, thread: 0, stamp: 0 };

  constructor(
    prefix: string,
    readonly run: number,
    readonly thread: number,
  ) {
    let hash = 0;
    for (const byte of Buffer.from(prefix)) hash = mix(hash ^ byte) + 1;
    this.#prefixHash = hash >>> 0;
  }

  /** Writes `length` bytes at `at`; fewer than VALUE_BYTES_MIN cannot be checked. */
  write(target: Buffer, at: number, length: number, key: number, stamp: number): void {
    if (length < VALUE_BYTES_MIN) {
      copyPattern(target, at, length, mix(key ^ stamp));
      return;
    }
    const high = Math.floor(stamp / 2 ** 32);
    const sum = checksum(this.#prefixHash, key, this.run, this.thread, high, stamp >>> 0, length);
    putU32(target, at, MAGIC);
    putU32(target, at + 4, this.#prefixHash);
    putU32(target, at + 8, key);
    putU32(target, at + 12, this.run);
    putU32(target, at + 16, this.thread | (high << 16));
    putU32(target, at + 20, stamp >>> 0);
    putU32(target, at + 24, length);
    putU32(target, at + 28, sum);
    copyPattern(target, at + VALUE_BYTES_MIN, length - VALUE_BYTES_MIN, sum);
  }

  /**
   * Checks the value between two offsets; one found good leaves who wrote it in `origin`.
   * @returns what is wrong with it
   */
  check(source: Buffer, start: number, end: number, key: number): ValueProblem | undefined {
    const length = end - start;
    if (length < VALUE_BYTES_MIN || getU32(source, start) !== MAGIC) return 'corrupt';
    const prefixHash = getU32(source, start + 4);
    const ownKey = getU32(source, start + 8);
    const run = getU32(source, start + 12);
    const mixed = getU32(source, start + 16);
    const low = getU32(source, start + 20);
    const ownLength = getU32(source, start + 24);
    const thread = mixed & 0xffff;
    const high = mixed >>> 16;
    const sum = checksum(prefixHash, ownKey, run, thread, high, low, ownLength);
    if (sum !== getU32(source, start + 28)) return 'corrupt';
    if (ownLength !== length || !isPattern(source, start + VALUE_BYTES_MIN, end, sum)) return 'torn';
    if (ownKey !== key || prefixHash !== this.#prefixHash) return 'wrong key';
    this.origin.run = run;
    this.origin.thread = thread;
    this.origin.stamp = high * 2 ** 32 + low;
    return undefined;
  }
}

function checksum(
  prefixHash: number,
  key: number,
  run: number,
  thread: number,
  high: number,
  low: number,
  length: number,
): number {
  let hash = mix(prefixHash ^ MAGIC);
  hash = mix((hash + key) | 0);
  hash = mix((hash + run) | 0);
  hash = mix((hash + (thread | (high << 16))) | 0);
  hash = mix((hash + low) | 0);
  return mix((hash + length) | 0);
}

function copyPattern(target: Buffer, at: number, length: number, from: number): void {
  let place = from % PATTERN_BYTES;
  for (let done = 0; done < length; ) {
    const step = Math.min(length - done, PATTERN_BYTES - place);
    pattern.copy(target, at + done, place, place + step);
    done += step;
    place = 0;
  }
}

function isPattern(source: Buffer, start: number, end: number, from: number): boolean {
  let place = from % PATTERN_BYTES;
  for (let at = start; at < end; ) {
    const step = Math.min(end - at, PATTERN_BYTES - place);
    if (source.compare(pattern, place, place + step, at, at + step) !== 0) return false;
    at += step;
    place = 0;
  }
  return true;
}

/** As Buffer's own, without its checks of arguments, which cost more than the write. */
function putU32(target: Buffer, at: number, value: number): void {
  target[at] = value;
  target[at + 1] = value >>> 8;
  target[at + 2] = value >>> 16;
  target[at + 3] = value >>> 24;
}

function getU32(source: Buffer, at: number): number {
  return (source[at]! | (source[at + 1]! << 8) | (source[at + 2]! << 16) | (source[at + 3]! << 24)) >>> 0;
}
