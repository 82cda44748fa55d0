import { Buffer } from 'node:buffer';
import {
  addRegister,
  decodeSparse,
  EMPTY_REGISTERS,
  HEADER_BYTES,
  INDEX_BITS,
  REGISTER_COUNT,
} from './hyperloglog-sparse.js';
import { type Hash64, murmurHash64A } from './murmur-hash.js';
import { type StringValue, valueBytes } from './row.js';

/**
 * A HyperLogLog in a string, byte for byte as Redis stores it, so that sketches can be read with GET, dumped,
 * and moved between both.
 *
 * ```
 *  0     4   5        8           16
 *  +-----+---+--------+-----------+------------------------------------+
 *  | HYLL| e | 0 0 0  | cached    | registers                          |
 *  +-----+---+--------+-----------+------------------------------------+
 *          e = 0: dense, 6 bits a register, lowest bits first: 12288 bytes
 *          e = 1: sparse, run-length encoded, see hyperloglog-sparse.ts
 *  cached: the last estimate, 64 bits little endian; its highest bit set = out of date
 * ```
 *
 * Sources: P. Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007;
 * S. Heule et al., "HyperLogLog in Practice", 2013 (64-bit hashes, sparse form); O. Ertl, "New cardinality estimation
 * algorithms for HyperLogLog sketches", 2017 (estimator). Format and hash seed: Redis 7.0, hyperloglog.c.
 */
const REGISTER_BITS = 6;
const REGISTER_MASK = 63;
const DENSE_BYTES = HEADER_BYTES + (REGISTER_COUNT * REGISTER_BITS) / 8;
/** The longest run of zeros a hash can show: what its 64 bits leave beside the index. */
const RANK_BITS = 64 - INDEX_BITS;
const HASH_SEED = 0xadc83b19;
const MAGIC = 'HYLL';
const ENCODING_AT = 4;
const CACHE_AT = 8;
const STALE_AT = 15;
const STALE_BIT = 0x80;
const DENSE = 0;
const SPARSE = 1;

/** Whether a value can be a sketch, by its header and length; its registers may still be corrupt. */
export function isHyperLogLog(value: StringValue): boolean {
  if (value.length < HEADER_BYTES) return false;
  const bytes = valueBytes(value);
  if (bytes.latin1Slice(0, 4) !== MAGIC) return false;
  const encoding = bytes[ENCODING_AT]!;
  return encoding === SPARSE || (encoding === DENSE && bytes.length === DENSE_BYTES);
}

/** The sketch's bytes while a command changes them: copied before the first change. */
export class HyperLogLog {
  private owned: boolean;
  private readonly hash: Hash64 = { high: 0, low: 0 };

  private constructor(
    private bytes: Buffer,
    owned: boolean,
  ) {
    this.owned = owned;
  }

  static empty(): HyperLogLog {
    const bytes = Buffer.alloc(HEADER_BYTES + EMPTY_REGISTERS.length);
    bytes.latin1Write(MAGIC, 0);
    bytes[ENCODING_AT] = SPARSE;
    bytes.set(EMPTY_REGISTERS, HEADER_BYTES);
    return new HyperLogLog(bytes, true);
  }

  /** @param value of which {@link isHyperLogLog} is true */
  static of(value: StringValue): HyperLogLog {
    return new HyperLogLog(valueBytes(value), typeof value === 'string');
  }

  get isDense(): boolean {
    return this.bytes[ENCODING_AT] === DENSE;
  }

  /** The bytes as they are now, to be kept: in memory of their own, not in a corner of Buffer's pool. */
  encoded(): Buffer {
    const { bytes } = this;
    if (bytes.length === bytes.buffer.byteLength) return bytes;
    const own = Buffer.allocUnsafeSlow(bytes.length);
    own.set(bytes);
    return own;
  }

  /**
   * Counts an element: the hash's lowest bits choose a register, which keeps the largest rank, that is one more than
   * the number of zeros at the end of the other bits.
   * @returns whether a register changed; undefined if the sketch is corrupt
   */
  add(element: Uint8Array): boolean | undefined {
    const { hash } = this;
    murmurHash64A(element, HASH_SEED, hash);
    const index = hash.low & (REGISTER_COUNT - 1);
    const low = (hash.low >>> INDEX_BITS) | (hash.high << (32 - INDEX_BITS));
    // A one behind the last bit ends every run of zeros.
    const high = (hash.high >>> INDEX_BITS) | (1 << (RANK_BITS - 32));
    return this.raise(index, low !== 0 ? trailingZeros(low) + 1 : trailingZeros(high) + 33);
  }

  /**
   * Raises a register to `rank` if it is lower.
   * @returns as {@link add}
   */
  raise(index: number, rank: number): boolean | undefined {
    if (!this.isDense) {
      const changed = addRegister(this.bytes, index, rank);
      if (changed === 'corrupt') return undefined;
      if (changed === 'same') return false;
      if (changed !== 'full') {
        this.bytes = changed;
        this.owned = true;
        this.invalidate();
        return true;
      }
      if (!this.toDense()) return undefined;
    }
    if (denseRegister(this.bytes, index) >= rank) return false;
    this.own();
    setDenseRegister(this.bytes, index, rank);
    this.invalidate();
    return true;
  }

  /**
   * Makes the sketch dense, whatever its form.
   * @returns false if it is corrupt
   */
  toDense(): boolean {
    if (this.isDense) return true;
    const registers = new Uint8Array(REGISTER_COUNT);
    if (!this.mergeInto(registers)) return false;
    const dense = Buffer.alloc(DENSE_BYTES);
    this.bytes.copy(dense, 0, 0, HEADER_BYTES);
    dense[ENCODING_AT] = DENSE;
    for (let index = 0; index < REGISTER_COUNT; index++) {
      if (registers[index] !== 0) setDenseRegister(dense, index, registers[index]!);
    }
    this.bytes = dense;
    this.owned = true;
    return true;
  }

  /**
   * Raises `registers` to this sketch's where they are lower.
   * @returns false if the sketch is corrupt
   */
  mergeInto(registers: Uint8Array): boolean {
    if (!this.isDense) return decodeSparse(this.bytes, registers);
    for (let index = 0; index < REGISTER_COUNT; index++) {
      const rank = denseRegister(this.bytes, index);
      if (rank > registers[index]!) registers[index] = rank;
    }
    return true;
  }

  /** The estimate of the last count; undefined if the sketch has changed since. */
  cachedCount(): bigint | undefined {
    return (this.bytes[STALE_AT]! & STALE_BIT) === 0 ? this.bytes.readBigUInt64LE(CACHE_AT) : undefined;
  }

  cacheCount(count: number): void {
    this.own();
    this.bytes.writeBigUInt64LE(BigInt(count), CACHE_AT);
  }

  /** Marks the cached estimate as out of date. */
  invalidate(): void {
    this.own();
    this.bytes[STALE_AT]! |= STALE_BIT;
  }

  private own(): void {
    if (this.owned) return;
    this.bytes = Buffer.from(this.bytes);
    this.owned = true;
  }
}

/** Zeros below the lowest one of a 32-bit word that is not 0. */
function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function denseRegister(bytes: Buffer, index: number): number {
  const bit = index * REGISTER_BITS;
  const at = HEADER_BYTES + (bit >>> 3);
  const shift = bit & 7;
  const low = bytes[at]! >>> shift;
  // A register that begins in the first three bits of a byte ends in it.
  return (shift <= 2 ? low : low | (bytes[at + 1]! << (8 - shift))) & REGISTER_MASK;
}

function setDenseRegister(bytes: Buffer, index: number, rank: number): void {
  const bit = index * REGISTER_BITS;
  const at = HEADER_BYTES + (bit >>> 3);
  const shift = bit & 7;
  bytes[at] = (bytes[at]! & ~(REGISTER_MASK << shift)) | (rank << shift);
  if (shift <= 2) return;
  bytes[at + 1] = (bytes[at + 1]! & ~(REGISTER_MASK >>> (8 - shift))) | (rank >>> (8 - shift));
}

/** Limit of the bias correction for many registers, 1 / (2 ln 2); see Ertl, section 2. */
const ALPHA_INFINITY = 0.7213475204444817;

/** Ertl's improved raw estimate (algorithm 6 there): the number of distinct elements behind these registers. */
export function estimateCount(registers: Uint8Array): number {
  const histogram = new Uint32Array(REGISTER_MASK + 1);
  for (let index = 0; index < REGISTER_COUNT; index++) histogram[registers[index]!]!++;
  const saturated = histogram[RANK_BITS + 1]!;
  let sum = REGISTER_COUNT * tau((REGISTER_COUNT - saturated) / REGISTER_COUNT);
  for (let rank = RANK_BITS; rank >= 1; rank--) sum = 0.5 * (sum + histogram[rank]!);
  sum += REGISTER_COUNT * sigma(histogram[0]! / REGISTER_COUNT);
  return Math.round((ALPHA_INFINITY * REGISTER_COUNT * REGISTER_COUNT) / sum);
}

/** x + Σ x^(2^k) · 2^(k−1), k ≥ 1: the contribution of registers never touched. */
function sigma(share: number): number {
  if (share === 1) return Number.POSITIVE_INFINITY;
  let power = share;
  let weight = 1;
  let sum = share;
  for (let before = Number.NaN; sum !== before; weight += weight) {
    power *= power;
    before = sum;
    sum += power * weight;
  }
  return sum;
}

/** (1 − x − Σ (1 − x^(2^−k))² · 2^−k) / 3, k ≥ 1: the contribution of registers at their limit. */
function tau(share: number): number {
  if (share === 0 || share === 1) return 0;
  let root = share;
  let weight = 1;
  let sum = 1 - share;
  for (let before = Number.NaN; sum !== before; ) {
    root = Math.sqrt(root);
    before = sum;
    weight *= 0.5;
    sum -= (1 - root) * (1 - root) * weight;
  }
  return sum / 3;
}
