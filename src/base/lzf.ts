import { Buffer } from 'node:buffer';

/**
 * LZF, the compression of strings in Redis's files (format: liblzf by Marc Lehmann, http://oldhome.schmorp.de/marc/liblzf.html).
 *
 *   000LLLLL <L+1 bytes>            a run of 1 … 32 literal bytes
 *   LLLooooo oooooooo               copy L+2 bytes (L = 1 … 6) from offset o+1 back
 *   111ooooo LLLLLLLL oooooooo      copy L+9 bytes (9 … 264) from offset o+1 back
 *
 * A copy may overlap what it writes: that is how runs are stored.
 *
 * The compressor is greedy, with one remembered position for each hash of three bytes. Its hash, its limits
 * and the moments at which it gives up are those of the liblzf in Redis, so that DUMP gives the same bytes.
 */
const LITERALS_MAX = 32;
const OFFSET_MAX = 8192;
const COPY_BYTES_MAX = 264;
const HASH_SLOTS = 65_536;

/** Copies are sought only where more than so many bytes remain, and as a rule leave so many behind them. */
const TAIL_BYTES = 2;

/**
 * Positions by hash, biased by {@link slotsBase}: what lies below it is from an earlier call. So the table, used by
 * one call at a time, need not be cleared for each.
 */
const slots = new Int32Array(HASH_SLOTS);
let slotsBase = 1;

/** A slot of the three bytes at a position. */
function hash(input: Uint8Array, at: number): number {
  const bytes = (input[at]! << 16) | (input[at + 1]! << 8) | input[at + 2]!;
  return ((bytes >>> 8) - bytes * 5) & (HASH_SLOTS - 1);
}

/**
 * Length of the copy that may stand for the bytes at `at`, taken from `from`, where three bytes are known to be equal.
 */
function copyLength(input: Uint8Array, from: number, at: number): number {
  const limit = Math.min(COPY_BYTES_MAX, input.length - at - TAIL_BYTES);
  // liblzf compares the first 19 bytes without a look at the limit, where that is at least 17.
  const longest = limit > 16 ? Math.max(limit, 19) : limit;
  let length = 3;
  while (length < longest && input[from + length] === input[at + length]) length++;
  return length;
}

/** Where a copy for the bytes at `at` may come from, or −1; notes the position for later look-ups. */
function lookUp(input: Uint8Array, at: number): number {
  const slot = hash(input, at);
  const from = slots[slot]! - slotsBase;
  slots[slot] = slotsBase + at;
  // Position 0 counts as unset, as in liblzf.
  if (from <= 0 || at - from > OFFSET_MAX) return -1;
  const equal =
    input[from] === input[at] && input[from + 1] === input[at + 1] && input[from + 2] === input[at + 2];
  return equal ? from : -1;
}

/** @returns undefined if the result would not be at least 4 bytes shorter */
export function lzfCompress(input: Uint8Array): Buffer | undefined {
  const room = input.length - 4;
  if (room <= 0) return undefined;
  // Positions and base must stay within 31 bits.
  if (slotsBase + input.length > 0x7fff_ffff) {
    slots.fill(0);
    slotsBase = 1;
  }
  const output = Buffer.allocUnsafe(room);
  const length = compressInto(input, output);
  slotsBase += input.length;
  return length < 0 ? undefined : output.subarray(0, length);
}

/** @returns the length of the output, or −1 where there is no room */
function compressInto(input: Uint8Array, output: Buffer): number {
  const room = output.length;
  const tail = input.length - TAIL_BYTES;
  let at = 0;
  let literals = 0;
  /** Where the next byte goes; the control byte of the running literals stands before them, still unwritten. */
  let out = 1;
  while (at < input.length) {
    const from = at < tail ? lookUp(input, at) : -1;
    if (from < 0) {
      if (out >= room) return -1;
      output[out++] = input[at++]!;
      if (++literals === LITERALS_MAX) {
        output[out - LITERALS_MAX - 1] = LITERALS_MAX - 1;
        literals = 0;
        out++;
      }
      if (at === tail && out + 3 > room) return -1;
      continue;
    }
    const idle = literals === 0 ? 1 : 0;
    if (out - idle + 4 >= room) return -1;
    output[out - literals - 1] = literals - 1;
    const copied = copyLength(input, from, at);
    out = writeCopy(output, out - idle, at - from - 1, copied) + 1;
    at += copied;
    literals = 0;
    if (at < tail) {
      slots[hash(input, at - 2)] = slotsBase + at - 2;
      slots[hash(input, at - 1)] = slotsBase + at - 1;
    } else if (out + 3 > room) return -1;
  }
  output[out - literals - 1] = literals - 1;
  return literals === 0 ? out - 1 : out;
}

/** @returns the position behind what was written */
function writeCopy(output: Buffer, start: number, offset: number, length: number): number {
  let out = start;
  const code = length - 2;
  if (code < 7) output[out++] = (code << 5) | (offset >> 8);
  else {
    output[out++] = (7 << 5) | (offset >> 8);
    output[out++] = code - 7;
  }
  output[out++] = offset & 255;
  return out;
}

/** @returns undefined if the input is not LZF of exactly `length` bytes */
export function lzfDecompress(input: Uint8Array, length: number): Buffer | undefined {
  // No input stands for more than a longest copy each three bytes: a false length allocates nothing.
  if (length > input.length * COPY_BYTES_MAX) return undefined;
  const output = Buffer.allocUnsafe(length);
  let at = 0;
  let out = 0;
  while (at < input.length) {
    const control = input[at++]!;
    if (control < LITERALS_MAX) {
      const literals = control + 1;
      if (at + literals > input.length || out + literals > length) return undefined;
      output.set(input.subarray(at, at + literals), out);
      at += literals;
      out += literals;
      continue;
    }
    let copied = (control >> 5) + 2;
    if (copied === 9) copied += input[at++] ?? Number.NaN;
    const from = out - ((control & 31) << 8) - (input[at++] ?? Number.NaN) - 1;
    if (!(from >= 0 && out + copied <= length)) return undefined;
    for (let index = 0; index < copied; index++) output[out + index] = output[from + index]!;
    out += copied;
  }
  return out === length ? output : undefined;
}
