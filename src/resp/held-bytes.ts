import { Buffer } from 'node:buffer';

/** Pieces shorter than this on average are not worth an object each. */
const PIECE_BYTES_MIN = 1024;
/** How many pieces gather before it is looked whether to join them. */
const PIECES_PER_LOOK = 1024;

/**
 * The beginning of something that arrives in pieces, joined once when the end is there.
 *
 * Joining at each piece would be quadratic; holding each forever would let a peer that sends single bytes have
 * us keep a hundred bytes for every one. So short pieces are joined by the thousand: every byte is
 * copied at most twice.
 */
export class HeldBytes {
  private pieces: Buffer[] = [];
  /** Pieces before this index are settled: long enough, or joined ones. */
  private settledCount = 0;
  private settledBytes = 0;
  private total = 0;

  get byteLength(): number {
    return this.total;
  }

  push(piece: Buffer): void {
    this.pieces.push(piece);
    this.total += piece.length;
    if (this.pieces.length - this.settledCount < PIECES_PER_LOOK) return;
    if (this.total - this.settledBytes < PIECES_PER_LOOK * PIECE_BYTES_MIN) {
      this.pieces.push(Buffer.concat(this.pieces.splice(this.settledCount)));
    }
    this.settledCount = this.pieces.length;
    this.settledBytes = this.total;
  }

  /** All that was held and then `last`, as one buffer; nothing is held afterwards. */
  join(last: Buffer): Buffer {
    if (this.total === 0) return last;
    this.pieces.push(last);
    const joined = concatUnpooled(this.pieces, this.total + last.length);
    this.clear();
    return joined;
  }

  clear(): void {
    this.pieces = [];
    this.settledCount = 0;
    this.settledBytes = 0;
    this.total = 0;
  }
}

/** As Buffer.concat, but never from Buffer's shared pool: views of the result are kept and transferred. */
function concatUnpooled(pieces: readonly Buffer[], byteLength: number): Buffer {
  const joined = Buffer.allocUnsafeSlow(byteLength);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
