/** RESP2 and RESP3 replies as values that tests can compare, and a parser that takes bytes in any split. */

export type Reply =
  | { readonly type: 'simple'; readonly text: string }
  | { readonly type: 'error'; readonly text: string }
  | { readonly type: 'integer'; readonly value: bigint }
  | { readonly type: 'bulk'; readonly data: Buffer }
  | { readonly type: 'null'; readonly form: '$-1' | '*-1' | '_' }
  | { readonly type: 'double'; readonly text: string }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'bignum'; readonly text: string }
  | { readonly type: 'verbatim'; readonly data: Buffer }
  | { readonly type: 'array' | 'set' | 'push' | 'map' | 'attribute'; readonly items: readonly Reply[] };

const SIGILS = { array: '*', set: '~', push: '>', map: '%', attribute: '|' } as const;

const AGGREGATES: Readonly<Record<string, keyof typeof SIGILS>> = {
  '*': 'array',
  '~': 'set',
  '>': 'push',
  '%': 'map',
  '|': 'attribute',
};

/** A reply as one line of text, type included: two replies are equal exactly if these are. */
export function render(reply: Reply): string {
  switch (reply.type) {
    case 'simple':
      return `+${reply.text}`;
    case 'error':
      return `-${reply.text}`;
    case 'integer':
      return `:${reply.value}`;
    case 'bulk':
      return `$${quote(reply.data.toString('latin1'))}`;
    case 'null':
      return reply.form;
    case 'double':
      return `,${reply.text}`;
    case 'boolean':
      return reply.value ? '#t' : '#f';
    case 'bignum':
      return `(${reply.text}`;
    case 'verbatim':
      return `=${quote(reply.data.toString('latin1'))}`;
    default:
      return `${SIGILS[reply.type]}[${reply.items.map(render).join(' ')}]`;
  }
}

/** Latin1 text in the notation of redis-cli: printable ASCII as it is, the rest as \xNN. */
export function quote(text: string): string {
  let out = '"';
  for (const char of text) {
    const code = char.charCodeAt(0);
    if (char === '"' || char === '\\') out += `\\${char}`;
    else if (char === '\r') out += '\\r';
    else if (char === '\n') out += '\\n';
    else if (code < 32 || code > 126) out += `\\x${code.toString(16).padStart(2, '0')}`;
    else out += char;
  }
  return `${out}"`;
}

/** The text of a simple, bulk or verbatim reply (latin1); throws on anything else, errors included. */
export function textOf(reply: Reply): string {
  if (reply.type === 'simple') return reply.text;
  if (reply.type === 'bulk') return reply.data.toString('latin1');
  if (reply.type === 'verbatim') return reply.data.toString('latin1', 4);
  throw new Error(`expected text, got ${render(reply)}`);
}

export function numberOf(reply: Reply): number {
  if (reply.type === 'integer') return Number(reply.value);
  throw new Error(`expected an integer, got ${render(reply)}`);
}

export function itemsOf(reply: Reply): readonly Reply[] {
  if ('items' in reply) return reply.items;
  throw new Error(`expected an aggregate, got ${render(reply)}`);
}

/** A RESP3 map, or a RESP2 array of alternating keys and values, by key. */
export function mapOf(reply: Reply): Map<string, Reply> {
  const items = itemsOf(reply);
  const map = new Map<string, Reply>();
  for (let i = 0; i + 1 < items.length; i += 2) map.set(textOf(items[i]!), items[i + 1]!);
  return map;
}

/** Thrown inside the parser when bytes are missing; `bytesNeeded` is the least buffer length worth a retry. */
class Incomplete {
  constructor(readonly bytesNeeded: number) {}
}

/** Incremental: `push` bytes, then `next` until it gives undefined. */
export class ReplyParser {
  #chunks: Buffer[] = [];
  #buffered = 0;
  #bytesNeeded = 1;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
  }

  /** Bytes that are not part of a reply given out. */
  get pendingBytes(): number {
    return this.#buffered + this.#bytes.length - this.#at;
  }

  next(): Reply | undefined {
    if (this.pendingBytes < this.#bytesNeeded) return undefined;
    if (this.#buffered > 0) {
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), ...this.#chunks]);
      this.#chunks = [];
      this.#buffered = 0;
      this.#at = 0;
    }
    const start = this.#at;
    try {
      const reply = this.#parse();
      this.#bytesNeeded = 1;
      return reply;
    } catch (thrown) {
      this.#at = start;
      if (!(thrown instanceof Incomplete)) throw thrown;
      this.#bytesNeeded = thrown.bytesNeeded - start;
      return undefined;
    }
  }

  #line(): string {
    const end = this.#bytes.indexOf('\r\n', this.#at, 'latin1');
    if (end < 0) throw new Incomplete(this.#bytes.length + 1);
    const line = this.#bytes.toString('latin1', this.#at, end);
    this.#at = end + 2;
    return line;
  }

  #blob(length: number): Buffer {
    const end = this.#at + length;
    if (this.#bytes.length < end + 2) throw new Incomplete(end + 2);
    const data = this.#bytes.subarray(this.#at, end);
    if (this.#bytes[end] !== 13 || this.#bytes[end + 1] !== 10)
      throw new Error('blob without CRLF behind it');
    this.#at = end + 2;
    return data;
  }

  #parse(): Reply {
    const line = this.#line();
    const sigil = line[0] ?? '';
    const rest = line.slice(1);
    const aggregate = AGGREGATES[sigil];
    if (aggregate !== undefined) return this.#aggregate(aggregate, rest);
    switch (sigil) {
      case '+':
        return { type: 'simple', text: rest };
      case '-':
        return { type: 'error', text: rest };
      case ':':
        return { type: 'integer', value: BigInt(rest) };
      case '$':
        if (rest === '-1') return { type: 'null', form: '$-1' };
        return { type: 'bulk', data: this.#blob(lengthOf(rest)) };
      case '_':
        return { type: 'null', form: '_' };
      case ',':
        return { type: 'double', text: rest };
      case '#':
        return { type: 'boolean', value: rest === 't' };
      case '(':
        return { type: 'bignum', text: rest };
      case '=':
        return { type: 'verbatim', data: this.#blob(lengthOf(rest)) };
      case '!':
        return { type: 'error', text: this.#blob(lengthOf(rest)).toString('latin1') };
      default:
        throw new Error(`not a RESP reply: ${quote(line.slice(0, 100))}`);
    }
  }

  #aggregate(type: keyof typeof SIGILS, rest: string): Reply {
    if (rest === '-1') return { type: 'null', form: '*-1' };
    const count = lengthOf(rest) * (type === 'map' || type === 'attribute' ? 2 : 1);
    const items: Reply[] = [];
    for (let i = 0; i < count; i++) items.push(this.#parse());
    return { type, items };
  }
}

function lengthOf(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`not a length: ${quote(text)}`);
  return Number(text);
}
