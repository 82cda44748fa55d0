import { Buffer } from 'node:buffer';

/**
 * Registers as runs, in order of their index, all 16384 of them:
 *
 * ```
 *  00llllll            l + 1 registers of 0          (1 to 64)
 *  01llllll llllllll   l + 1 registers of 0          (1 to 16384, high bits first)
 *  1vvvvvll            l + 1 registers of rank v + 1 (1 to 4, ranks 1 to 32)
 * ```
 *
 * Which of several encodings of the same registers results depends on the order of the changes. It is Redis's here,
 * step for step, because sketches are compared byte for byte.
 */

/** Before the registers, in both forms. */
export const HEADER_BYTES = 16;
export const INDEX_BITS = 14;
export const REGISTER_COUNT = 1 << INDEX_BITS;

/** A sketch that would grow beyond it, header included, becomes dense: Redis's default of hll-sparse-max-bytes. */
const SPARSE_BYTES_MAX = 3000;
const ZERO_LENGTH_MAX = 64;
const VALUE_LENGTH_MAX = 4;
const VALUE_RANK_MAX = 32;
/** Opcodes looked at for neighbours of the same rank after a change. */
const MERGE_SCAN_LENGTH = 5;

const LONG_ZERO_BIT = 0x40;
const VALUE_BIT = 0x80;

/** All registers 0. */
export const EMPTY_REGISTERS: readonly number[] = [LONG_ZERO_BIT | 0x3f, 0xff];

interface Run {
  /** Where its opcode stands. */
  readonly at: number;
  /** 1 or 2. */
  readonly bytes: number;
  /** Registers it covers. */
  readonly length: number;
  /** 0 for runs of zeros. */
  readonly rank: number;
}

/** The run at `at`, which lies inside `bytes`; a missing second byte counts as 0. */
function runAt(bytes: Uint8Array, at: number): Run {
  const opcode = bytes[at]!;
  if (opcode >= VALUE_BIT) {
    return { at, bytes: 1, length: (opcode & 3) + 1, rank: ((opcode >>> 2) & 31) + 1 };
  }
  if (opcode < LONG_ZERO_BIT) return { at, bytes: 1, length: opcode + 1, rank: 0 };
  return { at, bytes: 2, length: (((opcode & 0x3f) << 8) | (bytes[at + 1] ?? 0)) + 1, rank: 0 };
}

function valueOpcode(rank: number, length: number): number {
  return VALUE_BIT | ((rank - 1) << 2) | (length - 1);
}

function pushRun(opcodes: number[], rank: number, length: number): void {
  if (length === 0) return;
  if (rank > 0) opcodes.push(valueOpcode(rank, length));
  else if (length <= ZERO_LENGTH_MAX) opcodes.push(length - 1);
  else opcodes.push(LONG_ZERO_BIT | ((length - 1) >>> 8), (length - 1) & 0xff);
}

/**
 * Raises `registers` to those of a sparse sketch where they are lower.
 * @returns false if the runs do not cover exactly all registers
 */
export function decodeSparse(bytes: Uint8Array, registers: Uint8Array): boolean {
  let index = 0;
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    const run = runAt(bytes, at);
    const end = index + run.length;
    if (run.rank > 0) {
      if (end > REGISTER_COUNT) return false;
      for (; index < end; index++) if (run.rank > registers[index]!) registers[index] = run.rank;
    }
    index = end;
    at += run.bytes;
  }
  return index === REGISTER_COUNT;
}

/**
 * Raises one register of a sparse sketch.
 * @returns the changed sketch as a new buffer; `same` if the register is not lower than `rank`; `full` if the
 *   sketch has to become dense first; `corrupt` if no whole run covers the register
 */
export function addRegister(
  bytes: Buffer,
  index: number,
  rank: number,
): Buffer | 'same' | 'full' | 'corrupt' {
  if (rank > VALUE_RANK_MAX) return 'full';
  let first = 0;
  let before = HEADER_BYTES;
  let run: Run | undefined;
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    run = runAt(bytes, at);
    if (index < first + run.length) break;
    before = at;
    first += run.length;
    at += run.bytes;
    run = undefined;
  }
  if (run === undefined || run.at + run.bytes > bytes.length) return 'corrupt';
  if (run.rank >= rank) return 'same';
  const opcodes: number[] = [];
  pushRun(opcodes, run.rank, index - first);
  opcodes.push(valueOpcode(rank, 1));
  pushRun(opcodes, run.rank, first + run.length - 1 - index);
  const growth = opcodes.length - run.bytes;
  if (growth > 0 && bytes.length + growth > SPARSE_BYTES_MAX) return 'full';
  const changed = Buffer.allocUnsafe(bytes.length + growth);
  bytes.copy(changed, 0, 0, run.at);
  changed.set(opcodes, run.at);
  bytes.copy(changed, run.at + opcodes.length, run.at + run.bytes);
  return mergeNeighbours(changed, before);
}

/** Joins runs of the same rank around a change, in place, from the run before it on. */
function mergeNeighbours(bytes: Buffer, start: number): Buffer {
  let end = bytes.length;
  let at = start;
  for (let left = MERGE_SCAN_LENGTH; left > 0 && at < end; left--) {
    const run = runAt(bytes, at);
    const next = at + run.bytes;
    if (run.rank > 0 && next < end && bytes[next]! >= VALUE_BIT) {
      const neighbour = runAt(bytes, next);
      const length = run.length + neighbour.length;
      if (neighbour.rank === run.rank && length <= VALUE_LENGTH_MAX) {
        bytes[next] = valueOpcode(run.rank, length);
        bytes.copyWithin(at, next, end);
        end--;
        continue;
      }
    }
    at = next;
  }
  return bytes.subarray(0, end);
}
