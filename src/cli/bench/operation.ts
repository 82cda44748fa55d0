import type { OperationName } from './workload.js';

/** A command; an operation may take two. */
export type Step =
  | 'ping'
  | 'get'
  | 'set'
  | 'del'
  | 'exists'
  | 'mget'
  | 'mset'
  | 'incr'
  | 'getCounter'
  | 'delCounter';

/** One operation on its way. Objects are used again and again, since there are many. */
export class Operation {
  /** What it counts as. */
  name: OperationName = 'ping';
  step: Step = 'ping';
  /** The thread's own numbers of its keys, or of its counter. */
  readonly keys: number[] = [];
  // The following have an entry for each key of the present step, and perhaps others behind.
  /** Bytes of the values that its writing step writes. */
  readonly sizes: number[] = [];
  /** Of the values being written, see WriteTracker. */
  readonly stamps: number[] = [];
  readonly dominated: number[] = [];
  /** Of the keys being read, see WriteTracker; of a counter, the value that must be exceeded. */
  readonly floors: number[] = [];
  /** When it was due, ms: with --rate by plan, else when its client was free. Latency counts from here. */
  startedAtMs = 0;
  /** When its present step was handed to a connection, ms. */
  sentAtMs = 0;
  /** How often its present step was sent again. */
  tries = 0;
  bytesSent = 0;
  bytesReceived = 0;

  constructor(readonly client: number) {}

  /** Makes it something else; its keys are still to be given. */
  become(name: OperationName, step: Step): void {
    this.name = name;
    this.step = step;
    this.bytesSent = 0;
    this.bytesReceived = 0;
  }

  /** Gives it one key, without the cost of emptying and filling a list. */
  setKey(key: number): void {
    if (this.keys.length !== 1) this.keys.length = 1;
    this.keys[0] = key;
  }
}

/** Where the operations of a phase come from. */
export interface OperationSource {
  /** Makes the operation the next one; false when there are no more. */
  next(operation: Operation): boolean;
  /** Told of each operation that has ended, however. */
  finished?(operation: Operation): void;
}
