import { Buffer } from 'node:buffer';
import { BATCH_HEADER_WORDS, BatchFlag, Instruction, SEGMENT_HEADER_WORDS } from './protocol.js';

const WORDS_INITIAL = 4096;
const BYTES_INITIAL = 1 << 16;
/** Memory that is kept between batches; what a large batch needed beyond is given back. */
const BYTES_KEPT_MAX = 1 << 20;
const WORD_BYTES = 4;

/**
 * Gathers the requests that will cross to a worker as one batch; the layout is described in protocol.ts.
 * `R` is who gets the replies of a segment.
 */
export class BatchWriter<R> {
  /** Receivers of the segments so far, in order. */
  receivers: R[] = [];
  /** Commands and instructions so far. */
  commandCount = 0;
  private words = new Int32Array(WORDS_INITIAL);
  private wordCount = BATCH_HEADER_WORDS;
  private bytes = Buffer.allocUnsafeSlow(BYTES_INITIAL);
  private byteCount = 0;
  private flags = 0;
  private segmentAt = 0;
  private frames: Buffer | undefined;
  private framesBase = 0;

  get isEmpty(): boolean {
    return this.receivers.length === 0;
  }

  /** Size of the batch so far. */
  get byteLength(): number {
    return this.byteCount + this.wordCount * WORD_BYTES;
  }

  /** Begins a segment: the commands that follow are the receiver's. */
  begin(receiver: R, clientId: number, shard: number, segmentFlags: number): void {
    this.receivers.push(receiver);
    this.ensureWords(SEGMENT_HEADER_WORDS);
    const { words } = this;
    this.segmentAt = this.wordCount;
    words[this.wordCount++] = clientId;
    words[this.wordCount++] = shard;
    words[this.wordCount++] = 0;
    words[this.wordCount++] = segmentFlags;
    words[this.wordCount++] = 0;
  }

  /**
   * Adds a command to the segment.
   * @param frames the buffer that all arguments are views of: it crosses as a whole, once for all of its commands
   */
  add(command: number, args: readonly Buffer[], frames: Buffer): void {
    if (frames !== this.frames) this.addFrames(frames);
    const count = args.length;
    this.ensureWords(2 + 2 * count);
    const { words } = this;
    let at = this.wordCount;
    words[at++] = command;
    words[at++] = count;
    const shift = this.framesBase - frames.byteOffset;
    for (let index = 0; index < count; index++) {
      const argument = args[index]!;
      words[at++] = argument.byteOffset + shift;
      words[at++] = argument.length;
    }
    this.wordCount = at;
    this.commandCount++;
    words[this.segmentAt + 4]!++;
  }

  /** Adds an instruction with a number: see Instruction. */
  instruct(instruction: number, value = 0): void {
    this.ensureWords(4);
    const { words } = this;
    words[this.wordCount++] = instruction;
    words[this.wordCount++] = 1;
    words[this.wordCount++] = value;
    words[this.wordCount++] = 0;
    words[this.segmentAt + 4]!++;
  }

  /** Adds a reply that is ready, to stand among those of the segment's commands. */
  addReply(reply: Buffer): void {
    this.add(Instruction.Reply, [reply], reply);
    this.frames = undefined;
  }

  /** Notes that the batch empties a shard. */
  markFlushes(): void {
    this.flags |= BatchFlag.Flushes;
  }

  /** The finished batch, in memory of its own that can be transferred; the writer begins the next. */
  take(): ArrayBuffer {
    const { words } = this;
    words[0] = this.wordCount;
    words[1] = this.flags;
    words[2] = this.receivers.length;
    const wordBytes = this.wordCount * WORD_BYTES;
    const whole = Buffer.allocUnsafeSlow(wordBytes + this.byteCount);
    whole.set(new Uint8Array(words.buffer, 0, wordBytes), 0);
    whole.set(this.bytes.subarray(0, this.byteCount), wordBytes);
    this.reset();
    return whole.buffer;
  }

  private reset(): void {
    this.receivers = [];
    this.commandCount = 0;
    this.wordCount = BATCH_HEADER_WORDS;
    this.byteCount = 0;
    this.flags = 0;
    this.frames = undefined;
    if (this.bytes.length > BYTES_KEPT_MAX) this.bytes = Buffer.allocUnsafeSlow(BYTES_INITIAL);
    if (this.words.byteLength > BYTES_KEPT_MAX) this.words = new Int32Array(WORDS_INITIAL);
  }

  private addFrames(frames: Buffer): void {
    const needed = this.byteCount + frames.length;
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
      this.bytes.copy(grown, 0, 0, this.byteCount);
      this.bytes = grown;
    }
    this.bytes.set(frames, this.byteCount);
    this.frames = frames;
    this.framesBase = this.byteCount;
    this.byteCount = needed;
  }

  private ensureWords(count: number): void {
    const needed = this.wordCount + count;
    if (needed <= this.words.length) return;
    const grown = new Int32Array(Math.max(needed, this.words.length * 2));
    grown.set(this.words.subarray(0, this.wordCount));
    this.words = grown;
  }
}

/** A batch as the worker reads it. */
export interface Batch {
  readonly words: Int32Array;
  /** The bytes behind the words. */
  readonly bytes: Buffer;
  readonly flags: number;
  readonly segments: number;
}

export function openBatch(memory: ArrayBuffer): Batch {
  const header = new Int32Array(memory, 0, BATCH_HEADER_WORDS);
  const wordCount = header[0]!;
  return {
    words: new Int32Array(memory, 0, wordCount),
    bytes: Buffer.from(memory, wordCount * WORD_BYTES),
    flags: header[1]!,
    segments: header[2]!,
  };
}
