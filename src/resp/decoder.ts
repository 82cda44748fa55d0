import type { Buffer } from 'node:buffer';
import RedisParser from 'redis-parser';
import { splitInline } from '../base/inline.js';
import { parseInteger } from '../base/numbers.js';
import { HeldBytes } from './held-bytes.js';

/** What a connection may send; read at every check, so that CONFIG SET and AUTH take effect at once. */
export interface DecoderLimits {
  /** `proto-max-bulk-len`: the longest argument. */
  bulkBytesMax: number;
  /** `client-query-buffer-limit`: the most memory that one incomplete command may come to take. */
  queryBytesMax: number;
  /** False while the connection still has to AUTH: 10 arguments of 16384 bytes are enough for that. */
  authenticated: boolean;
}

/** Where a decoder puts what it finds. */
export interface RequestSink {
  /**
   * @param args at least one argument; views that the decoder never writes to again, so they may be kept
   * @param frames what all of the arguments are views of. For commands in RESP form one buffer of whole
   *   frames, often of many commands; for an inline command a buffer of its own with the words on end.
   */
  command(args: Buffer[], frames: Buffer): void;
  /**
   * Malformed input; nothing is decoded afterwards.
   * @param text Redis's error, latin1, without `-` and CRLF
   */
  protocolError(text: string): void;
}

const CR = 13;
const LF = 10;
const DOLLAR = 36;
const ASTERISK = 42;

/** Redis's bounds: of an inline command and of a header line, of a count (INT_MAX), of what precedes AUTH. */
const LINE_BYTES_MAX = 64 * 1024;
const ARGUMENTS_MAX = 2 ** 31 - 1;
const UNAUTHENTICATED_ARGUMENTS_MAX = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX = 16384;

/** What V8 takes for one argument besides its bytes: a million empty ones are not free. */
const ARGUMENT_OVERHEAD_BYTES = 128;

/** How much of a header line is kept: more than any number in the 64-bit range has digits. */
const HEADER_TEXT_LENGTH = 32;

/** What the next byte belongs to. */
enum Expect {
  FrameStart,
  CountLine,
  BulkLine,
  BulkBody,
  InlineLine,
}

/**
 * Decodes one connection's requests from a stream cut anywhere.
 *
 * Two stages. The guard, here, looks once at each byte of the headers, skips the bodies unseen, enforces the
 * limits before any memory is spent, and finds where frames end. Whole frames, as many as a chunk holds, then
 * go to redis-parser in one call, which makes the argument Buffers. redis-parser alone would allocate what a
 * header claims (`*1000000000`), take `$-1` and nested arrays for arguments, and knows no inline commands; it
 * never sees any of that.
 *
 * A chunk that begins and ends at frame boundaries is not copied. A frame that spans chunks is joined once.
 */
export class RequestDecoder {
  private expect = Expect.FrameStart;
  /** Where the frames not yet handed over start in the current chunk. */
  private runStart = 0;
  /** Where the frame at hand starts in the current chunk; 0 when it started in an earlier one. */
  private frameStart = 0;
  /** The earlier chunks' part of the frame at hand. */
  private readonly held = new HeldBytes();
  /** Arguments of the frame still to come, the one at hand included. */
  private argumentsLeft = 0;
  /** Bytes of the argument at hand still to come, CRLF included. */
  private bodyBytesLeft = 0;
  /** What the frame at hand will take at least, see {@link ARGUMENT_OVERHEAD_BYTES}. */
  private frameCostBytes = 0;
  /** The line at hand: its length so far and, of a header, its beginning as text and whether CR was seen. */
  private lineBytes = 0;
  private lineText = '';
  private lineHasCr = false;
  /** Where the line that {@link readQuickNumber} read ends. */
  private quickEnd = 0;
  private stopped = false;

  constructor(
    private readonly sink: RequestSink,
    private readonly limits: DecoderLimits,
  ) {}

  /** Bytes kept of a command that is not complete. */
  get pendingBytes(): number {
    return this.held.byteLength;
  }

  /** Delivers nothing more, not even what the chunk at hand still holds. */
  stop(): void {
    this.stopped = true;
    this.held.clear();
  }

  /** Decodes the next bytes of the stream; `chunk` must not be written to afterwards. */
  push(chunk: Buffer): void {
    this.runStart = 0;
    this.frameStart = 0;
    let at = 0;
    while (at < chunk.length && !this.stopped) {
      switch (this.expect) {
        case Expect.FrameStart:
          this.startFrame(chunk, at);
          break;
        case Expect.CountLine:
          at = this.readCountLine(chunk, at);
          break;
        case Expect.BulkLine:
        case Expect.BulkBody:
          at = this.skipArguments(chunk, at);
          break;
        case Expect.InlineLine:
          at = this.readInlineLine(chunk, at);
          break;
      }
    }
    if (this.stopped) return;
    if (this.expect === Expect.FrameStart) {
      this.deliverRun(chunk, chunk.length);
      return;
    }
    this.deliverRun(chunk, this.frameStart);
    if (!this.stopped) this.held.push(this.frameStart === 0 ? chunk : chunk.subarray(this.frameStart));
  }

  private startFrame(chunk: Buffer, at: number): void {
    this.frameStart = at;
    this.expect = chunk[at] === ASTERISK ? Expect.CountLine : Expect.InlineLine;
  }

  /** Reads a `*<count>` line, or as much of it as there is. */
  private readCountLine(chunk: Buffer, at: number): number {
    let count: number | undefined = this.lineBytes === 0 ? this.readQuickNumber(chunk, at) : -1;
    let end = this.quickEnd;
    if (count < 0) {
      end = this.readHeaderLine(chunk, at, 'mbulk');
      if (end < 0) return chunk.length;
      count = parseInteger(this.takeHeader().slice(1));
    }
    if (count === undefined || count > ARGUMENTS_MAX) {
      return this.fail(chunk, 'invalid multibulk length');
    }
    if (count > UNAUTHENTICATED_ARGUMENTS_MAX && !this.limits.authenticated) {
      return this.fail(chunk, 'unauthenticated multibulk length');
    }
    if (count <= 0) return this.dropFrame(chunk, end);
    this.argumentsLeft = count;
    this.frameCostBytes = 0;
    this.expect = Expect.BulkLine;
    return end;
  }

  /** Goes over the arguments of the frame at hand as far as the chunk has them. */
  private skipArguments(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let at = from;
    while (at < length) {
      if (this.expect === Expect.BulkLine) {
        at = this.readBulkLine(chunk, at);
        if (this.expect === Expect.BulkLine) return at;
      }
      const bodyEnd = at + this.bodyBytesLeft;
      if (bodyEnd > length) {
        this.bodyBytesLeft = bodyEnd - length;
        return length;
      }
      at = bodyEnd;
      if (--this.argumentsLeft === 0) {
        this.endFrame(chunk, at);
        return at;
      }
      this.expect = Expect.BulkLine;
    }
    return at;
  }

  /** Reads a `$<length>` line, or as much of it as there is. */
  private readBulkLine(chunk: Buffer, at: number): number {
    let bytes: number | undefined =
      this.lineBytes === 0 && chunk[at] === DOLLAR ? this.readQuickNumber(chunk, at) : -1;
    let end = this.quickEnd;
    if (bytes < 0) {
      end = this.readHeaderLine(chunk, at, 'bulk');
      if (end < 0) return chunk.length;
      const header = this.takeHeader();
      // An empty line is told by the CR that ends it.
      if (header[0] !== '$') return this.fail(chunk, `expected '$', got '${header[0] ?? '\r'}'`);
      bytes = parseInteger(header.slice(1));
    }
    const { limits } = this;
    if (bytes === undefined || bytes < 0 || bytes > limits.bulkBytesMax) {
      return this.fail(chunk, 'invalid bulk length');
    }
    if (bytes > UNAUTHENTICATED_BULK_BYTES_MAX && !limits.authenticated) {
      return this.fail(chunk, 'unauthenticated bulk length');
    }
    this.frameCostBytes += bytes + ARGUMENT_OVERHEAD_BYTES;
    if (this.frameCostBytes > limits.queryBytesMax) {
      const limit = `client-query-buffer-limit of ${limits.queryBytesMax} bytes exceeded`;
      return this.fail(chunk, `${limit}; raise it with CONFIG SET client-query-buffer-limit`);
    }
    // The two bytes after a body are not looked at, here as in Redis.
    this.bodyBytesLeft = bytes + 2;
    this.expect = Expect.BulkBody;
    return end;
  }

  /**
   * The usual header: up to 9 digits without a leading zero, all of the line in the chunk.
   * @param at of the type byte, which the caller has looked at
   * @returns -1 for any other line, valid or not; otherwise {@link quickEnd} is where the line ends
   */
  private readQuickNumber(chunk: Buffer, at: number): number {
    const first = chunk[at + 1]! - 48;
    // Written so that NaN, the end of the chunk, fails too.
    if (!(first >= 0 && first <= 9)) return -1;
    let value = first;
    let next = at + 2;
    for (const last = at + 10; next < last; next++) {
      const digit = chunk[next]! - 48;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    if (chunk[next] !== CR || next + 1 >= chunk.length || (first === 0 && next > at + 2)) return -1;
    this.quickEnd = next + 2;
    return value;
  }

  /**
   * Adds to the header line at hand what the chunk has of it. Whatever follows CR counts as LF, as in Redis.
   * @returns the end of the line; -1 when it is not complete, or too long
   */
  private readHeaderLine(chunk: Buffer, from: number, kind: 'mbulk' | 'bulk'): number {
    let at = from;
    if (!this.lineHasCr) {
      const cr = chunk.indexOf(CR, at);
      const end = cr < 0 ? chunk.length : cr;
      this.lineBytes += end - at;
      if (this.lineBytes > LINE_BYTES_MAX) {
        this.fail(chunk, `too big ${kind} count string`);
        return -1;
      }
      const wanted = HEADER_TEXT_LENGTH - this.lineText.length;
      if (wanted > 0) this.lineText += chunk.latin1Slice(at, Math.min(end, at + wanted));
      if (cr < 0) return -1;
      this.lineHasCr = true;
      // Marks the line as begun even where CR is all there is of it.
      this.lineBytes++;
      at = cr + 1;
    }
    return at < chunk.length ? at + 1 : -1;
  }

  /** The header line that is complete, type byte first; cut where it is too long for a number. */
  private takeHeader(): string {
    const text = this.lineText;
    this.lineText = '';
    this.lineBytes = 0;
    this.lineHasCr = false;
    return text;
  }

  /** Reads a line up to LF, or as much of it as there is, and delivers the command on it. */
  private readInlineLine(chunk: Buffer, at: number): number {
    const lf = chunk.indexOf(LF, at);
    this.lineBytes += (lf < 0 ? chunk.length : lf) - at;
    if (this.lineBytes > LINE_BYTES_MAX) return this.fail(chunk, 'too big inline request');
    if (lf < 0) return chunk.length;
    this.deliverRun(chunk, this.frameStart);
    if (this.stopped) return chunk.length;
    const line = this.held.join(chunk.subarray(this.frameStart, lf));
    this.lineBytes = 0;
    this.expect = Expect.FrameStart;
    this.runStart = lf + 1;
    const command = splitInline(line.at(-1) === CR ? line.subarray(0, -1) : line);
    if (command === undefined) return this.fail(chunk, 'unbalanced quotes in request');
    if (command.args.length > 0) this.sink.command(command.args, command.frames);
    return lf + 1;
  }

  /** Takes note that a frame is complete, and delivers it where it cannot wait for the chunk's end. */
  private endFrame(chunk: Buffer, end: number): void {
    this.expect = Expect.FrameStart;
    if (this.held.byteLength > 0) {
      // The frame came in pieces: nothing precedes it in this chunk.
      const frame = this.held.join(chunk.subarray(0, end));
      this.runStart = end;
      this.deliver(frame);
    } else if (!this.limits.authenticated) {
      // This very command may lift the limits under which the next is guarded.
      this.deliverRun(chunk, end);
    }
  }

  /** Ignores a frame without arguments, which redis-parser is not to see. */
  private dropFrame(chunk: Buffer, end: number): number {
    this.deliverRun(chunk, this.frameStart);
    this.held.clear();
    this.runStart = end;
    this.expect = Expect.FrameStart;
    return end;
  }

  /** Delivers the frames of the chunk up to `end` that were not delivered yet. */
  private deliverRun(chunk: Buffer, end: number): void {
    const start = this.runStart;
    this.runStart = end;
    if (end > start) this.deliver(end - start === chunk.length ? chunk : chunk.subarray(start, end));
  }

  /** Delivers the commands of a buffer of whole frames. */
  private deliver(frames: Buffer): void {
    for (const args of parseFrames(frames)) {
      if (this.stopped) return;
      this.sink.command(args, frames);
    }
  }

  /** Delivers what precedes the malformed frame, then the error. */
  private fail(chunk: Buffer, problem: string): number {
    this.deliverRun(chunk, this.frameStart);
    if (!this.stopped) {
      this.stop();
      this.sink.protocolError(`ERR Protocol error: ${problem}`);
    }
    return chunk.length;
  }
}

let parsed: Buffer[][] = [];

/** Shared by all connections: it is between frames whenever it is not running. */
const parser = new RedisParser({
  returnBuffers: true,
  returnReply(frame) {
    parsed.push(frame as Buffer[]);
  },
  returnError: rejectFrames,
  returnFatalError: rejectFrames,
});

/**
 * Has redis-parser make the arguments of whole, well-formed frames. They are collected before the first is
 * handed on: a sink that throws, or feeds another decoder, finds the shared parser at rest.
 */
function parseFrames(frames: Buffer): Buffer[][] {
  parser.execute(frames);
  const commands = parsed;
  parsed = [];
  return commands;
}

function rejectFrames(cause: Error): never {
  parser.reset();
  throw new Error('the guard let a malformed frame through', { cause });
}
