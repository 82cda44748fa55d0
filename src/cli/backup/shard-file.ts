import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  BACKUP_FORMAT,
  CHECKSUM_BYTES,
  checksum,
  encodeFrameHeader,
  encodeHead,
  type FileHead,
  FRAME_HEADER_BYTES,
  HEAD_BYTES_MAX,
  HEAD_PREFIX_BYTES,
  MAGIC,
} from './format.js';

/** Bytes that are read at once. */
const READ_BYTES = 1 << 20;

/** A file that is not what was written: which, where, and what is wrong with it. */
export class DamagedFileError extends Error {
  constructor(
    readonly path: string,
    /** Where the part begins that is not right, bytes. */
    readonly offset: number,
    what: string,
  ) {
    super(`${path} is damaged at byte ${offset}: ${what}`);
    this.name = 'DamagedFileError';
  }
}

/** What is in a file. */
export interface FileFacts {
  readonly bytes: number;
  readonly keys: number;
  /** Bytes of the rows of the longest frame; a row goes whole, however long it is. Undefined of earlier versions. */
  readonly frameBytesMax?: number;
  /** Of the whole file, hexadecimal. */
  readonly sha256: string;
}

/** Writes the file of a shard, one frame after the other. */
export class ShardFileWriter {
  private readonly hash = createHash('sha256');
  private bytes = 0;
  private keys = 0;
  private frames = 0;
  private frameBytesMax = 0;

  private constructor(private readonly file: FileHandle) {}

  /** @throws what the file system says */
  static async create(path: string, head: FileHead): Promise<ShardFileWriter> {
    const writer = new ShardFileWriter(await open(path, 'w'));
    await writer.write(encodeHead(head));
    return writer;
  }

  /** @param keys that are complete with these rows */
  async add(rows: Buffer, keys: number): Promise<void> {
    if (rows.length === 0) return;
    await this.write(encodeFrameHeader(++this.frames, rows, keys), rows);
    this.keys += keys;
    this.frameBytesMax = Math.max(this.frameBytesMax, rows.length);
  }

  /** Ends the file, and brings it to the disk. */
  async finish(): Promise<FileFacts> {
    await this.write(encodeFrameHeader(++this.frames, Buffer.alloc(0), 0));
    await this.file.datasync();
    await this.file.close();
    const { bytes, keys, frameBytesMax } = this;
    return { bytes, keys, frameBytesMax, sha256: this.hash.digest('hex') };
  }

  /** Nobody wants it any more. */
  async abandon(): Promise<void> {
    await this.file.close();
  }

  private async write(...parts: Buffer[]): Promise<void> {
    for (const part of parts) {
      this.hash.update(part);
      this.bytes += part.length;
      for (let at = 0; at < part.length; ) at += (await this.file.write(part, at)).bytesWritten;
    }
  }
}

export interface Frame {
  readonly rows: Buffer;
  readonly keys: number;
}

/** Reads a file, and checks each frame before it is given out. */
export class ShardFileReader {
  private readonly hash = createHash('sha256');
  private ahead = Buffer.alloc(0);
  /** Where `ahead` begins. */
  private offset = 0;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
    private readonly size: number,
  ) {}

  /** @throws what the file system says */
  static async open(path: string): Promise<ShardFileReader> {
    const file = await open(path, 'r');
    const { size } = await file.stat();
    return new ShardFileReader(path, file, size);
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  /** SHA-256 of all that was read, hexadecimal: of the file, after the last frame. */
  digest(): string {
    return this.hash.digest('hex');
  }

  /** To be read first. @throws DamagedFileError */
  async head(): Promise<FileHead> {
    const prefix = await this.take(HEAD_PREFIX_BYTES, 'the head is cut short');
    if (!prefix.subarray(0, MAGIC.length).equals(MAGIC)) throw this.damaged(0, 'it is no file of a backup');
    const format = prefix.readUInt32BE(8);
    if (format > BACKUP_FORMAT)
      throw new Error(
        `${this.path} is of format ${format}, which a later version of Vasto wrote: use that version`,
      );
    const length = prefix.readUInt32BE(12);
    if (length > HEAD_BYTES_MAX) throw this.damaged(0, `a head of ${length} bytes`);
    const rest = await this.take(length + CHECKSUM_BYTES, 'the head is cut short');
    const json = rest.subarray(0, length);
    if (!checksum(0, prefix, json).equals(rest.subarray(length)))
      throw this.damaged(0, 'the checksum of the head is wrong');
    return JSON.parse(json.toString()) as FileHead;
  }

  /**
   * The frames, to the end of the file.
   * @param frameBytesMax as the file's facts have it: a length that is damaged takes no more memory than that
   * @throws DamagedFileError
   */
  async *frames(frameBytesMax = Number.POSITIVE_INFINITY): AsyncGenerator<Frame> {
    for (let number = 1; ; number++) {
      const at = this.offset;
      const header = await this.take(FRAME_HEADER_BYTES, 'the file ends before its last frame');
      const length = header.readUInt32BE(0);
      if (length > frameBytesMax)
        throw this.damaged(at, `frame ${number} is longer than any that was written: its header is wrong`);
      if (this.offset + length > this.size)
        throw this.damaged(at, `frame ${number} is cut short, or its header is wrong`);
      const rows = await this.take(length, 'a frame is cut short');
      if (!checksum(number, header.subarray(0, 8), rows).equals(header.subarray(8)))
        throw this.damaged(at, `the checksum of frame ${number} is wrong`);
      if (length === 0) break;
      yield { rows, keys: header.readUInt32BE(4) };
    }
    if (this.offset !== this.size)
      throw this.damaged(this.offset, 'there is something behind the last frame');
  }

  private damaged(offset: number, what: string): DamagedFileError {
    return new DamagedFileError(this.path, offset, what);
  }

  /** The next bytes, in memory of their own. */
  private async take(length: number, whatIfShort: string): Promise<Buffer> {
    const taken = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      if (this.ahead.length === 0) await this.readAhead(whatIfShort);
      const part = this.ahead.subarray(0, length - filled);
      part.copy(taken, filled);
      filled += part.length;
      this.ahead = this.ahead.subarray(part.length);
      this.offset += part.length;
    }
    this.hash.update(taken);
    return taken;
  }

  private async readAhead(whatIfShort: string): Promise<void> {
    const { bytesRead, buffer } = await this.file.read(Buffer.allocUnsafeSlow(READ_BYTES), 0, READ_BYTES);
    if (bytesRead === 0) throw this.damaged(this.offset, whatIfShort);
    this.ahead = buffer.subarray(0, bytesRead);
  }
}
