import { move, transferableSymbol, valueSymbol } from 'piscina';
import type { CopySlice, LogChunk, LogGone } from './feed-protocol.js';

/** More than a message has beside the bytes that it brings; less than what shares the memory of a pool with others. */
const BESIDE_BYTES_MAX = 256;

/**
 * Bytes in memory that has hardly anything else, so that it may go to another thread: these, or where theirs has more, a
 * copy of them.
 */
export function movable(bytes: Uint8Array): Uint8Array {
  const { buffer, byteLength } = bytes;
  const isMovable = buffer instanceof ArrayBuffer && buffer.byteLength - byteLength <= BESIDE_BYTES_MAX;
  return isMovable ? bytes : new Uint8Array(bytes);
}

/** The memory of bytes that are {@link movable}: moved with a message, it is not the sender's any more. */
export function memoryOf({ buffer }: Uint8Array): ArrayBuffer[] {
  return buffer.byteLength > 0 ? [buffer as ArrayBuffer] : [];
}

/** What a task gives, as Piscina takes it to the front without a copy of the bytes in it, which are {@link movable}. */
export function moving(reply: LogChunk | LogGone | CopySlice): unknown {
  if ('gone' in reply) return reply;
  const bytes = 'records' in reply ? reply.records : reply.rows;
  return move({ [transferableSymbol]: memoryOf(bytes), [valueSymbol]: reply } as never);
}
