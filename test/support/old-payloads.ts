import { parseInt64 } from '../../src/base/numbers.js';
import { ListpackWriter } from '../../src/types/rdb/listpack.js';
import { Budget, PayloadReader } from '../../src/types/rdb/reader.js';
import { PayloadType, type ValueData } from '../../src/types/rdb/values.js';
import { ByteWriter, PayloadWriter } from '../../src/types/rdb/writer.js';
import { type StringValue, valueText } from '../../src/types/row.js';
import { formatScore } from '../../src/types/score.js';

/*
 * Bodies of payloads in forms that Redis 7.0 reads and does not write any more, or that only later versions write.
 */

/** A ziplist of these elements, each in its shortest form. */
export function ziplist(elements: readonly StringValue[]): Buffer {
  const writer = new ByteWriter();
  writer.raw('\0'.repeat(10));
  let lastAt = 10;
  let lengthBefore = 0;
  for (const element of elements) {
    lastAt = writer.length;
    if (lengthBefore < 254) writer.byte(lengthBefore);
    else {
      writer.byte(254);
      writer.unsigned(lengthBefore, 4);
    }
    ziplistElement(writer, element);
    lengthBefore = writer.length - lastAt;
  }
  writer.byte(255);
  writer.patch32(0, writer.length);
  writer.patch32(4, lastAt);
  writer.patch16(8, Math.min(elements.length, 65_535));
  return writer.bytes;
}

function ziplistElement(writer: ByteWriter, element: StringValue): void {
  const integer = element.length > 20 ? undefined : parseInt64(valueText(element));
  if (integer === undefined) {
    const { length } = element;
    if (length < 64) writer.byte(length);
    else if (length < 16_384) {
      writer.byte(0x40 | (length >> 8));
      writer.byte(length & 255);
    } else {
      writer.byte(0x80);
      writer.unsigned32High(length);
    }
    writer.raw(element);
  } else if (integer >= 0 && integer <= 12) writer.byte(0xf1 + Number(integer));
  else {
    const fitting = ([1, 2, 3, 4] as const).find(
      (bytes) => integer >= -(2 ** (bytes * 8 - 1)) && integer < 2 ** (bytes * 8 - 1),
    );
    writer.byte({ 1: 0xfe, 2: 0xc0, 3: 0xf0, 4: 0xd0, 8: 0xe0 }[fitting ?? 8]);
    if (fitting === undefined) writer.signed64(BigInt(integer));
    else writer.signed(Number(integer), fitting);
  }
}

/** A zipmap of fields and values by turns, each value with one unused byte behind it. */
function zipmap(elements: readonly StringValue[]): Buffer {
  const writer = new ByteWriter();
  writer.byte(Math.min(elements.length / 2, 254));
  for (const [index, element] of elements.entries()) {
    if (element.length < 254) writer.byte(element.length);
    else {
      writer.byte(254);
      writer.unsigned(element.length, 4);
    }
    if (index % 2 === 1) writer.byte(1);
    writer.raw(element);
    if (index % 2 === 1) writer.byte(0);
  }
  writer.byte(255);
  return writer.bytes;
}

function written(type: number, write: (writer: PayloadWriter) => void): Buffer {
  const writer = new PayloadWriter();
  writer.byte(type);
  write(writer);
  return writer.bytes;
}

function plain(type: number, count: number, elements: readonly StringValue[]): Buffer {
  return written(type, (writer) => {
    writer.size(count);
    for (const element of elements) writer.string(element);
  });
}

function listpackOf(element: StringValue): Buffer {
  const writer = new ListpackWriter();
  writer.string(element);
  return writer.finish();
}

const packed = (type: number, pack: Buffer) => written(type, (writer) => writer.string(pack));

/** The older forms of a value, none for kinds that have none. */
export function oldBodies(data: ValueData): Buffer[] {
  switch (data.kind) {
    case 'list': {
      const middle = Math.ceil(data.elements.length / 2);
      const nodes = [data.elements.slice(0, middle), [], data.elements.slice(middle)].map(ziplist);
      return [
        plain(PayloadType.List, data.elements.length, data.elements),
        packed(PayloadType.ListZiplist, ziplist(data.elements)),
        plain(PayloadType.ListQuicklist, nodes.length, nodes),
        written(PayloadType.ListQuicklist2, (writer) => {
          // Elements alone in their node, where they are not empty.
          writer.size(data.elements.length);
          for (const element of data.elements) {
            const alone = element.length > 0;
            writer.size(alone ? 1 : 2);
            writer.string(alone ? element : listpackOf(element));
          }
        }),
      ];
    }
    case 'set':
      return [plain(PayloadType.Set, data.members.length, data.members)];
    case 'hash': {
      const flat = data.fields.flatMap(({ field, value }) => [field, value]);
      return [
        plain(PayloadType.Hash, data.fields.length, flat),
        packed(PayloadType.HashZipmap, zipmap(flat)),
        packed(PayloadType.HashZiplist, ziplist(flat)),
      ];
    }
    case 'zset': {
      const flat = data.members.flatMap(({ member, score }) => [member, formatScore(score)]);
      return [packed(PayloadType.SortedSetZiplist, ziplist(flat)), textScores(data.members)];
    }
    default:
      return [];
  }
}

function textScores(members: readonly { readonly member: StringValue; readonly score: number }[]): Buffer {
  return written(PayloadType.SortedSetText, (writer) => {
    writer.size(members.length);
    for (const { member, score } of members) {
      writer.string(member);
      const text = formatScore(score);
      if (Number.isFinite(score)) writer.byte(text.length);
      writer.raw(Number.isFinite(score) ? text : score > 0 ? '\xfe' : '\xff');
    }
  });
}

/** Copies numbers and strings from one body to another, or leaves them out. */
class Transcriber {
  constructor(
    readonly body: Buffer,
    readonly reader: PayloadReader,
    readonly writer: PayloadWriter,
  ) {}

  copy(read: (reader: PayloadReader) => unknown, times = 1): void {
    const from = this.reader.position;
    for (let index = 0; index < times; index++) read(this.reader);
    this.writer.raw(this.body.subarray(from, this.reader.position));
  }

  copyCount(): number {
    const from = this.reader.position;
    const count = this.reader.length();
    this.writer.raw(this.body.subarray(from, this.reader.position));
    return count;
  }
}

/** The body of a stream as Redis 7.0 writes it, in the form of another version. */
export function otherStreamBody(body: Buffer, type: 15 | 21): Buffer {
  const reader = new PayloadReader(body, new Budget(2 ** 30, 2 ** 30));
  const writer = new PayloadWriter();
  const out = new Transcriber(body, reader, writer);
  const number = (from: PayloadReader) => from.unsigned();
  const string = (from: PayloadReader) => from.bytes();
  reader.byte();
  writer.byte(type);
  out.copy(string, out.copyCount() * 2);
  out.copy(number, 3);
  if (type === 15) for (let skipped = 0; skipped < 5; skipped++) reader.unsigned();
  else out.copy(number, 5);
  for (let groups = out.copyCount(); groups > 0; groups--) {
    out.copy(string);
    out.copy(number, 2);
    if (type === 15) reader.unsigned();
    else out.copy(number);
    for (let pending = out.copyCount(); pending > 0; pending--) {
      out.copy((from) => from.raw(24));
      out.copy(number);
    }
    for (let consumers = out.copyCount(); consumers > 0; consumers--) {
      out.copy(string);
      out.copy((from) => from.raw(8));
      // When the consumer last was given anything.
      if (type === 21) writer.time(1);
      out.copy((from) => from.raw(16), out.copyCount());
    }
  }
  return writer.bytes;
}

/** Types whose value is one string, a pack. */
const PACKS: ReadonlySet<number> = new Set([9, 10, 11, 12, 13, 16, 17, 20]);
/** Types that begin with a number of nodes, each a marker and a pack. */
const NODES: ReadonlySet<number> = new Set([14, 15, 18, 19, 21]);

/**
 * The same body with no pack compressed, so that a change to it is one to the value.
 * @param change is applied to every pack
 */
export function inflatedBody(body: Buffer, change: (pack: Buffer, type: number) => Buffer): Buffer {
  const reader = new PayloadReader(body, new Budget(2 ** 30, 2 ** 30));
  const type = reader.byte();
  const writer = new PayloadWriter();
  writer.byte(type);
  const pass = (bytes: Buffer): void => {
    writer.size(bytes.length);
    writer.raw(bytes);
  };
  if (PACKS.has(type)) pass(change(reader.bytes(), type));
  else if (NODES.has(type)) {
    const count = reader.length();
    writer.size(count);
    for (let index = 0; index < count; index++) {
      if (type === PayloadType.ListQuicklist2) writer.size(reader.length());
      else if (type !== PayloadType.ListQuicklist) pass(reader.bytes());
      pass(change(reader.bytes(), type));
    }
  }
  writer.raw(body.subarray(reader.position));
  return writer.bytes;
}
