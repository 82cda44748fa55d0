import { Buffer } from 'node:buffer';
import { keySlot } from '../../cluster/slots.js';
import type { Operation, Step } from './operation.js';
import type { Values } from './values.js';

/** Neighbouring keys that share a hash tag, where keys have one. */
export const GROUP_KEYS = 100;

const KEY_DIGITS = 10;
const GROUP_DIGITS = 8;
const HEADER_BYTES_MAX = 32;

/** How each step is said: with nothing, with the names of its keys, of its counter, or with keys and values. */
const COMMANDS = {
  ping: { command: 'PING', form: 'bare' },
  get: { command: 'GET', form: 'keys' },
  mget: { command: 'MGET', form: 'keys' },
  exists: { command: 'EXISTS', form: 'keys' },
  del: { command: 'DEL', form: 'keys' },
  incr: { command: 'INCR', form: 'counter' },
  getCounter: { command: 'GET', form: 'counter' },
  delCounter: { command: 'DEL', form: 'counter' },
  set: { command: 'SET', form: 'values' },
  mset: { command: 'MSET', form: 'values' },
} as const satisfies Record<Step, { command: string; form: 'bare' | 'keys' | 'counter' | 'values' }>;

/** Bytes on their way to a socket. */
export class Output {
  buffer = Buffer.allocUnsafeSlow(16 * 1024);
  length = 0;

  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  append(bytes: Buffer): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** What there is, copied, so that more may be written at once. */
  take(): Buffer {
    const taken = Buffer.allocUnsafe(this.length);
    this.buffer.copy(taken, 0, 0, this.length);
    this.length = 0;
    return taken;
  }
}

export interface KeyLayout {
  readonly prefix: string;
  /** Whether keys have hash tags, so that commands of several keys find some of one slot. */
  readonly tagged: boolean;
  readonly thread: number;
  readonly threads: number;
}

/**
 * Writes commands. A thread has the keys whose number, divided by the count of threads, leaves the thread's own; it
 * counts them from 0. All names have one length:
 *
 *     bench:0000001234         bench:{00000012}:0000001234 with hash tags         bench:counter:0000001234
 */
export class Encoder {
  readonly #heads = new Map<string, Buffer>();
  readonly #key: Buffer;
  readonly #counter: Buffer;
  readonly #keyHead: Buffer;
  readonly #counterHead: Buffer;

  constructor(
    readonly layout: KeyLayout,
    readonly values: Values,
  ) {
    const tag = layout.tagged ? `{${'0'.repeat(GROUP_DIGITS)}}:` : '';
    this.#key = Buffer.from(`${layout.prefix}${tag}${'0'.repeat(KEY_DIGITS)}`);
    this.#counter = Buffer.from(`${layout.prefix}counter:${'0'.repeat(KEY_DIGITS)}`);
    this.#keyHead = Buffer.from(`$${this.#key.length}\r\n`);
    this.#counterHead = Buffer.from(`$${this.#counter.length}\r\n`);
  }

  /** The number of a thread's own key among those of all threads. */
  globalKey(key: number): number {
    return key * this.layout.threads + this.layout.thread;
  }

  /** The name of a thread's own key. */
  keyName(key: number): string {
    return this.#named(key).toString();
  }

  counterName(counter: number): string {
    return this.#namedCounter(counter).toString();
  }

  /** The slot that an operation is for, in a cluster; 0 where it has no key. */
  slot(operation: Operation): number {
    const { form } = COMMANDS[operation.step];
    if (form === 'bare') return 0;
    const key = operation.keys[0]!;
    return keySlot(form === 'counter' ? this.#namedCounter(key) : this.#named(key));
  }

  /** Appends the command of an operation's step. */
  encode(operation: Operation, output: Output): void {
    const { command, form } = COMMANDS[operation.step];
    if (form === 'bare') output.append(this.#head(command, 1));
    else if (form === 'keys') this.#keyed(command, operation, output);
    else if (form === 'counter') this.#counted(command, operation, output);
    else this.#writing(command, operation, output);
  }

  #keyed(command: string, operation: Operation, output: Output): void {
    output.append(this.#head(command, 1 + operation.keys.length));
    for (const key of operation.keys) this.#appendKey(key, output);
  }

  #counted(command: string, operation: Operation, output: Output): void {
    output.append(this.#head(command, 2));
    output.append(this.#counterHead);
    output.append(this.#namedCounter(operation.keys[0]!));
    this.#endLine(output);
  }

  #writing(command: string, operation: Operation, output: Output): void {
    output.append(this.#head(command, 1 + 2 * operation.keys.length));
    for (let i = 0; i < operation.keys.length; i++) {
      const key = operation.keys[i]!;
      const size = operation.sizes[i]!;
      this.#appendKey(key, output);
      output.reserve(HEADER_BYTES_MAX + size);
      output.append(this.#head('', size));
      this.values.write(output.buffer, output.length, size, this.globalKey(key), operation.stamps[i]!);
      output.length += size;
      this.#endLine(output);
    }
  }

  #appendKey(key: number, output: Output): void {
    output.append(this.#keyHead);
    output.append(this.#named(key));
    this.#endLine(output);
  }

  #endLine(output: Output): void {
    output.reserve(2);
    output.buffer[output.length++] = 0x0d;
    output.buffer[output.length++] = 0x0a;
  }

  /** `*count` and the command's name; `$count` where there is no name. Kept, but for rare lengths of values. */
  #head(command: string, count: number): Buffer {
    const known = this.#heads.get(`${command}${count}`);
    if (known !== undefined) return known;
    const text = command === '' ? `$${count}\r\n` : `*${count}\r\n$${command.length}\r\n${command}\r\n`;
    const head = Buffer.from(text);
    if (this.#heads.size < 1000) this.#heads.set(`${command}${count}`, head);
    return head;
  }

  #named(key: number): Buffer {
    const { tagged, thread, threads } = this.layout;
    if (tagged) {
      const group = Math.floor(key / GROUP_KEYS) * threads + thread;
      putDigits(this.#key, this.#key.length - KEY_DIGITS - 2, GROUP_DIGITS, group);
    }
    putDigits(this.#key, this.#key.length, KEY_DIGITS, this.globalKey(key));
    return this.#key;
  }

  #namedCounter(counter: number): Buffer {
    putDigits(this.#counter, this.#counter.length, KEY_DIGITS, this.globalKey(counter));
    return this.#counter;
  }
}

function putDigits(target: Buffer, end: number, digits: number, value: number): void {
  let rest = value;
  for (let i = end - 1; i >= end - digits; i--) {
    const next = Math.floor(rest / 10);
    target[i] = 48 + (rest - next * 10);
    rest = next;
  }
}
