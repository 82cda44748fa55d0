import { Buffer } from 'node:buffer';

/**
 * The arguments of one command; argument 0 is the command's name.
 *
 * Text is `latin1`: one character a byte, so it is binary-safe, compact in V8's heap, and the form in which
 * keys and small values live in memory. Views returned by {@link bytes} point into the batch that brought
 * the command: they are valid only while the command runs; keep a {@link copy} instead.
 */
export interface Arguments {
  readonly count: number;
  /** Argument `index` as latin1 text. */
  text(index: number): string;
  /** Argument `index` as latin1 text with ASCII letters in upper case, for option names. */
  token(index: number): string;
  /** A view of argument `index`; do not keep it. */
  bytes(index: number): Buffer;
  /** A copy of argument `index` that may be kept. */
  copy(index: number): Buffer;
  /** Length of argument `index` in bytes. */
  byteLength(index: number): number;
}

/** Arguments over a list of buffers: for commands that run on the front, and for tests. */
export class ListArguments implements Arguments {
  constructor(private readonly list: readonly Buffer[]) {}

  static of(...words: readonly (string | Buffer)[]): ListArguments {
    return new ListArguments(
      words.map((word) => (typeof word === 'string' ? Buffer.from(word, 'latin1') : word)),
    );
  }

  get count(): number {
    return this.list.length;
  }

  text(index: number): string {
    return this.bytes(index).latin1Slice();
  }

  token(index: number): string {
    return upperCase(this.text(index));
  }

  bytes(index: number): Buffer {
    const argument = this.list[index];
    if (argument === undefined) throw new RangeError(`argument ${index} of ${this.list.length}`);
    return argument;
  }

  copy(index: number): Buffer {
    return Buffer.from(this.bytes(index));
  }

  byteLength(index: number): number {
    return this.bytes(index).length;
  }
}

/**
 * Arguments over one frame of a batch: a table of (offset, length) pairs beside the bytes.
 * One instance is re-pointed from command to command, so that running a command allocates nothing.
 */
export class FrameArguments implements Arguments {
  count = 0;
  private buffer: Buffer = Buffer.alloc(0);
  private table: Int32Array = new Int32Array(0);
  private base = 0;

  /** @param base index in `table` of the first argument's offset */
  point(buffer: Buffer, table: Int32Array, base: number, count: number): void {
    this.buffer = buffer;
    this.table = table;
    this.base = base;
    this.count = count;
  }

  text(index: number): string {
    const at = this.base + 2 * index;
    const offset = this.table[at]!;
    return this.buffer.latin1Slice(offset, offset + this.table[at + 1]!);
  }

  token(index: number): string {
    return upperCase(this.text(index));
  }

  bytes(index: number): Buffer {
    const at = this.base + 2 * index;
    const offset = this.table[at]!;
    return this.buffer.subarray(offset, offset + this.table[at + 1]!);
  }

  copy(index: number): Buffer {
    return Buffer.from(this.bytes(index));
  }

  byteLength(index: number): number {
    return this.table[this.base + 2 * index + 1]!;
  }
}

/** ASCII letters in upper case. `toUpperCase` would make two letters of ß. */
function upperCase(text: string): string {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 97 && code <= 122) return text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
  }
  return text;
}
