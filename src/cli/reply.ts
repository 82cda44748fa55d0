import { Buffer } from 'node:buffer';
import { REPLY_LINE_BYTES_MAX, REPLY_NESTING_MAX, REPLY_STRING_BYTES_MAX } from '../base/limits.js';

/** A reply with everything that its bytes told: clients' libraries drop the types, people want to see them. */
export type Reply =
  | { readonly type: 'simple' | 'error' | 'double' | 'bignum'; readonly text: string }
  | { readonly type: 'integer'; readonly value: bigint }
  | { readonly type: 'bulk'; readonly data: Buffer }
  /** `data` is without the format and its colon. */
  | { readonly type: 'verbatim'; readonly format: string; readonly data: Buffer }
  | { readonly type: 'null' }
  | { readonly type: 'boolean'; readonly value: boolean }
  /** The items of a map or an attribute are keys and values in turn. */
  | { readonly type: AggregateType; readonly items: readonly Reply[] };

export type AggregateType = 'array' | 'set' | 'push' | 'map' | 'attribute';

/** What arrived is not RESP: the connection is of no use any more. */
export class ReplyFormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ReplyFormatError';
  }
}

const AGGREGATES: Readonly<Record<string, AggregateType>> = {
  '*': 'array',
  '~': 'set',
  '>': 'push',
  '%': 'map',
  '|': 'attribute',
};

/** An aggregate whose items are arriving. */
interface Open {
  readonly type: AggregateType;
  readonly items: Reply[];
  remaining: number;
}

const LF = 10;
const CRLF_BYTES = 2;
const NOTHING = Buffer.alloc(0);

/** Bytes in any pieces in, replies out. Its work is linear in the bytes, however they are cut. */
export class ReplyDecoder {
  private bytes = NOTHING;
  private at = 0;
  private chunks: Buffer[] = [];
  private chunkBytes = 0;
  /** Bytes from `at` on that must be there before it is worth to look again. */
  private neededBytes = 1;
  private readonly open: Open[] = [];

  /** @throws {@link ReplyFormatError} */
  push(chunk: Buffer): Reply[] {
    this.chunks.push(chunk);
    this.chunkBytes += chunk.length;
    const replies: Reply[] = [];
    if (this.bytes.length - this.at + this.chunkBytes < this.neededBytes) return replies;
    this.bytes = Buffer.concat([this.bytes.subarray(this.at), ...this.chunks]);
    this.at = 0;
    this.chunks = [];
    this.chunkBytes = 0;
    while (this.at < this.bytes.length) {
      const element = this.element();
      if (element === 'more') return replies;
      const whole = element === undefined ? undefined : this.place(element);
      if (whole !== undefined && whole.type !== 'attribute') replies.push(whole);
    }
    this.neededBytes = 1;
    return replies;
  }

  /** Puts an element into the aggregates that are open; gives a reply when the outermost is complete. */
  private place(element: Reply): Reply | undefined {
    let whole = element;
    for (let top = this.open.at(-1); top !== undefined; top = this.open.at(-1)) {
      // What is said about a reply is not a part of it.
      if (whole.type !== 'attribute') {
        top.items.push(whole);
        top.remaining--;
      }
      if (top.remaining > 0) return undefined;
      this.open.pop();
      whole = { type: top.type, items: top.items };
    }
    return whole;
  }

  /** The next element; undefined when it opened an aggregate, `more` when its bytes have not all arrived. */
  private element(): Reply | undefined | 'more' {
    const end = this.bytes.indexOf(LF, this.at);
    if (end < 0) {
      if (this.bytes.length - this.at > REPLY_LINE_BYTES_MAX)
        throw new ReplyFormatError('a line without end');
      this.neededBytes = this.bytes.length - this.at + 1;
      return 'more';
    }
    const sigil = String.fromCharCode(this.bytes[this.at]!);
    const rest = this.bytes.toString('utf8', this.at + 1, end).replace(/\r$/, '');
    if (sigil === '$' || sigil === '=' || sigil === '!') return this.blob(sigil, rest, end + 1);
    this.at = end + 1;
    const aggregate = AGGREGATES[sigil];
    return aggregate === undefined ? scalar(sigil, rest) : this.aggregate(aggregate, rest);
  }

  private blob(sigil: string, lengthText: string, start: number): Reply | 'more' {
    if (sigil === '$' && lengthText === '-1') {
      this.at = start;
      return { type: 'null' };
    }
    const length = parseCount(lengthText);
    if (length > REPLY_STRING_BYTES_MAX) throw new ReplyFormatError(`a string of ${length} bytes`);
    const end = start + length;
    if (this.bytes.length < end + CRLF_BYTES) {
      this.neededBytes = end + CRLF_BYTES - this.at;
      return 'more';
    }
    this.at = end + CRLF_BYTES;
    const data = this.bytes.subarray(start, end);
    if (sigil === '$') return { type: 'bulk', data };
    if (sigil === '!') return { type: 'error', text: data.toString() };
    return { type: 'verbatim', format: data.toString('latin1', 0, 3), data: data.subarray(4) };
  }

  private aggregate(type: AggregateType, countText: string): Reply | undefined {
    if (countText === '-1') return { type: 'null' };
    const count = parseCount(countText) * (type === 'map' || type === 'attribute' ? 2 : 1);
    if (count === 0) return { type, items: [] };
    if (this.open.length === REPLY_NESTING_MAX) throw new ReplyFormatError('a reply nested too deeply');
    this.open.push({ type, items: [], remaining: count });
    return undefined;
  }
}

function scalar(sigil: string, rest: string): Reply {
  switch (sigil) {
    case '+':
      return { type: 'simple', text: rest };
    case '-':
      return { type: 'error', text: rest };
    case ':':
      if (!/^[+-]?\d+$/.test(rest)) throw new ReplyFormatError(`not an integer: ${show(rest)}`);
      return { type: 'integer', value: BigInt(rest) };
    case '_':
      return { type: 'null' };
    case ',':
      return { type: 'double', text: rest };
    case '#':
      return { type: 'boolean', value: rest === 't' };
    case '(':
      return { type: 'bignum', text: rest };
    default:
      throw new ReplyFormatError(`not a reply: ${show(sigil + rest)}`);
  }
}

function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new ReplyFormatError(`not a length: ${show(text)}`);
  return Number(text);
}

function show(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}

/** Whether a reply is one of Redis's strings: simple, bulk or verbatim. */
export function textOf(reply: Reply | undefined): string | undefined {
  if (reply === undefined) return undefined;
  if (reply.type === 'simple') return reply.text;
  return reply.type === 'bulk' || reply.type === 'verbatim' ? reply.data.toString() : undefined;
}

/** The items of an aggregate; none of anything else. */
export function itemsOf(reply: Reply | undefined): readonly Reply[] {
  return reply !== undefined && 'items' in reply ? reply.items : [];
}

/** A map, or an array of keys and values in turn, by its keys. */
export function entriesOf(reply: Reply | undefined): Map<string, Reply> {
  const items = itemsOf(reply);
  const entries = new Map<string, Reply>();
  for (let index = 0; index + 1 < items.length; index += 2)
    entries.set(textOf(items[index]) ?? '', items[index + 1]!);
  return entries;
}
