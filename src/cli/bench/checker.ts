import type { Buffer } from 'node:buffer';
import type { Encoder } from './encoder.js';
import { ARRAY, BULK, bulkStart, frameEnd, INTEGER, isNull, isOk, readInteger, readText } from './frames.js';
import type { Operation } from './operation.js';
import type { CounterTracker, WriteTracker } from './tracker.js';
import type { Values } from './values.js';

/** What is wrong with what a server replied. */
export type Problem =
  | 'corrupt'
  | 'torn'
  | 'wrong key'
  | 'stale'
  | 'missing'
  | 'foreign'
  | 'counter'
  | 'unexpected reply';

/** Problems that are told in full. */
export const EXAMPLES_MAX = 10;
const TEXT_MAX = 100;

export interface CheckResult {
  readonly counts: Readonly<Record<string, number>>;
  readonly examples: readonly string[];
  /** Values that were looked at. */
  readonly valuesChecked: number;
}

export interface CheckOptions {
  /** Whether values are looked at; the kinds of replies always are. */
  readonly values: boolean;
  /** Whether nobody else writes these keys, so that what is read can be known to be fresh. */
  readonly exclusive: boolean;
}

/** Compares replies with what they must be. */
export class Checker {
  readonly #counts = new Map<Problem, number>();
  readonly #examples: string[] = [];
  #valuesChecked = 0;
  /** Values found and not found by the reply that was checked last. */
  hits = 0;
  misses = 0;

  constructor(
    readonly options: CheckOptions,
    readonly encoder: Encoder,
    readonly values: Values,
    readonly writes: WriteTracker,
    readonly counters: CounterTracker,
  ) {}

  result(): CheckResult {
    return {
      counts: Object.fromEntries(this.#counts),
      examples: this.#examples,
      valuesChecked: this.#valuesChecked,
    };
  }

  /**
   * Checks a reply that is not an error.
   * @returns whether it is of the kind that the command has, so that a write may be taken as done
   */
  check(operation: Operation, buffer: Buffer, start: number, end: number): boolean {
    this.hits = 0;
    this.misses = 0;
    switch (operation.step) {
      case 'ping':
        return true;
      case 'set':
      case 'mset':
        return isOk(buffer, start) || this.#unexpected(operation, buffer, start, end);
      case 'get':
        return this.#checkGet(operation, buffer, start, end);
      case 'mget':
        return this.#checkMany(operation, buffer, start, end);
      case 'exists':
        return this.#checkExists(operation, buffer, start, end);
      case 'del':
      case 'delCounter':
        return buffer[start] === INTEGER || this.#unexpected(operation, buffer, start, end);
      case 'incr':
        return this.#checkIncrement(operation, buffer, start, end);
      case 'getCounter':
        return this.#checkCounter(operation, buffer, start, end);
    }
  }

  #checkGet(operation: Operation, buffer: Buffer, start: number, end: number): boolean {
    const known = isNull(buffer, start) || buffer[start] === BULK;
    if (!known) return this.#unexpected(operation, buffer, start, end);
    this.#checkValue(operation, 0, buffer, start, end);
    return true;
  }

  #checkMany(operation: Operation, buffer: Buffer, start: number, end: number): boolean {
    const isArray = buffer[start] === ARRAY && buffer[start + 1] !== 0x2d;
    if (!isArray || readInteger(buffer, start + 1) !== operation.keys.length) {
      return this.#unexpected(operation, buffer, start, end);
    }
    let at = bulkStart(buffer, start);
    for (let i = 0; i < operation.keys.length; i++) {
      const elementEnd = frameEnd(buffer, at, end);
      this.#checkValue(operation, i, buffer, at, elementEnd);
      at = elementEnd;
    }
    return true;
  }

  #checkValue(operation: Operation, index: number, buffer: Buffer, start: number, end: number): void {
    const key = operation.keys[index]!;
    const floor = operation.floors[index]!;
    if (isNull(buffer, start)) {
      this.misses++;
      this.#checkAbsence(key, floor);
      return;
    }
    this.hits++;
    if (!this.options.values) return;
    this.#valuesChecked++;
    const from = bulkStart(buffer, start);
    const problem = this.values.check(buffer, from, end - 2, this.encoder.globalKey(key));
    if (problem !== undefined) {
      const text = JSON.stringify(buffer.toString('latin1', from, Math.min(end - 2, from + TEXT_MAX)));
      this.#report(
        problem,
        `${this.#nameOf(key)} holds ${end - 2 - from} bytes that no write of it wrote: ${text}`,
      );
      return;
    }
    if (this.options.exclusive && floor > 0) this.#checkFreshness(key, floor);
  }

  #checkAbsence(key: number, floor: number): void {
    if (!this.options.values || !this.options.exclusive || this.writes.mayBeAbsent(key, floor)) return;
    this.#report('missing', `${this.#nameOf(key)} does not exist, though write ${floor} was acknowledged`);
  }

  #checkFreshness(key: number, floor: number): void {
    const { run, thread, stamp } = this.values.origin;
    if (run !== this.values.run || thread !== this.values.thread) {
      const who = `run ${run.toString(16)}, thread ${thread}`;
      this.#report(
        'foreign',
        `${this.#nameOf(key)} holds a value of ${who}, though write ${floor} of this run was acknowledged ` +
          '(--shared if others write these keys)',
      );
    } else if (stamp < floor) {
      this.#report(
        'stale',
        `${this.#nameOf(key)} holds write ${stamp}, though write ${floor} was acknowledged`,
      );
    }
  }

  #checkExists(operation: Operation, buffer: Buffer, start: number, end: number): boolean {
    if (buffer[start] !== INTEGER) return this.#unexpected(operation, buffer, start, end);
    const exists = readInteger(buffer, start + 1) === 1;
    if (exists) this.hits++;
    else {
      this.misses++;
      this.#checkAbsence(operation.keys[0]!, operation.floors[0]!);
    }
    return true;
  }

  #checkIncrement(operation: Operation, buffer: Buffer, start: number, end: number): boolean {
    if (buffer[start] !== INTEGER) return this.#unexpected(operation, buffer, start, end);
    const counter = operation.keys[0]!;
    const value = readInteger(buffer, start + 1);
    const before = operation.floors[0]!;
    this.counters.acknowledged(counter, value);
    if (this.options.values && this.options.exclusive && value <= before) {
      const name = this.encoder.counterName(counter);
      this.#report('counter', `INCR of ${name} gave ${value}, though an earlier one had given ${before}`);
    }
    return true;
  }

  #checkCounter(operation: Operation, buffer: Buffer, start: number, end: number): boolean {
    const known = isNull(buffer, start) || buffer[start] === BULK;
    if (!known) return this.#unexpected(operation, buffer, start, end);
    const counter = operation.keys[0]!;
    const value = isNull(buffer, start) ? 0 : Number(readText(buffer, start, end));
    if (!this.counters.wasTouched(counter)) {
      if (!Number.isSafeInteger(value)) return this.#unexpected(operation, buffer, start, end);
      this.counters.setBase(counter, value);
      return true;
    }
    this.#valuesChecked++;
    const [least, most] = this.counters.range(counter);
    if (this.options.exclusive && !(value >= least && value <= most)) {
      const due = least === most ? `${least}` : `${least} to ${most}`;
      this.#report('counter', `${this.encoder.counterName(counter)} is ${value}, and should be ${due}`);
    }
    return true;
  }

  #unexpected(operation: Operation, buffer: Buffer, start: number, end: number): false {
    const text = JSON.stringify(buffer.toString('latin1', start, Math.min(end, start + TEXT_MAX)));
    this.#report('unexpected reply', `${operation.step.toUpperCase()} got the reply ${text}`);
    return false;
  }

  #nameOf(key: number): string {
    return this.encoder.keyName(key);
  }

  #report(problem: Problem, text: string): void {
    this.#counts.set(problem, (this.#counts.get(problem) ?? 0) + 1);
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(`${problem}: ${text}`);
  }
}
