import type { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import type { Checker } from './checker.js';
import { ClusterMap, redirection } from './cluster-map.js';
import {
  Connection,
  type ConnectionChoice,
  type ConnectionEvents,
  encodeWords,
  Queue,
} from './connection.js';
import type { Encoder } from './encoder.js';
import { ERROR, readText } from './frames.js';
import { Operation, type OperationSource } from './operation.js';
import type { Recorder } from './recorder.js';
import type { CounterTracker, WriteTracker } from './tracker.js';

export interface EngineOptions {
  readonly address: string;
  /** Whether the address is of a node of a Redis Cluster, whose nodes are then found and asked each for its own. */
  readonly cluster: boolean;
  readonly choice: ConnectionChoice;
  readonly clients: number;
  /** How long a reply, or a connection, may be missing. */
  readonly timeoutMs: number;
}

/** Operations to do, until there are no more, or enough, or it is time. */
export interface Phase {
  readonly source: OperationSource;
  /** Operations that each client has on their way. */
  readonly pipeline: number;
  readonly operationsMax: number;
  /** From the phase's start. */
  readonly durationMs: number;
  /** Operations a second that are due whether earlier ones have ended or not; each as soon as possible if absent. */
  readonly rate?: number | undefined;
}

export interface PhaseOutcome {
  readonly elapsedMs: number;
  /** Operations that were due in time and for which no client was free before the end. */
  readonly unsent: number;
}

interface RunningPhase extends Phase {
  readonly startMs: number;
  readonly resolve: (outcome: PhaseOutcome) => void;
  readonly free: Queue<Operation>;
  issued: number;
  outstanding: number;
  isStopped: boolean;
}

const REDIRECTIONS_MAX = 16;
const RETRY_DELAY_MS = 50;
const SUPERVISION_MS = 250;
const ASKING = encodeWords(['ASKING']);

/** The clients of one thread: sends what a source gives, checks and counts what comes back. */
export class Engine implements ConnectionEvents {
  /** Of each client, its connections by address. */
  readonly #clients: Map<string, Connection>[];
  readonly #map: ClusterMap | undefined;
  readonly #dirty: Connection[] = [];
  #phase: RunningPhase | undefined;
  #nowMs = 0;
  #isClockFresh = false;
  #lastReadyMs = 0;
  #supervision: NodeJS.Timeout | undefined;
  #connecting: { left: number; resolve: () => void; reject: (error: Error) => void } | undefined;
  /** Connections that broke, and commands that a cluster sent elsewhere or asked to try again. */
  disconnections = 0;
  redirections = 0;
  retries = 0;
  /** Why the engine gave up. */
  aborted: string | undefined;

  constructor(
    readonly options: EngineOptions,
    readonly encoder: Encoder,
    readonly writes: WriteTracker,
    readonly counters: CounterTracker,
    readonly checker: Checker,
    readonly recorder: Recorder,
  ) {
    this.#clients = Array.from({ length: options.clients }, () => new Map<string, Connection>());
    this.#map = options.cluster ? new ClusterMap(options.address, options.choice) : undefined;
  }

  /** Connects all clients. @throws Error that says which address, and why not */
  async connect(): Promise<void> {
    if (this.#map !== undefined) await this.#map.refresh();
    const addresses = this.#map?.addresses ?? [this.options.address];
    await new Promise<void>((resolve, reject) => {
      this.#connecting = { left: addresses.length * this.#clients.length, resolve, reject };
      for (let client = 0; client < this.#clients.length; client++) {
        for (const address of addresses) this.#connection(client, address);
      }
    });
    this.#connecting = undefined;
    this.#supervision = setInterval(() => this.#supervise(), SUPERVISION_MS);
  }

  close(): void {
    clearInterval(this.#supervision);
    for (const client of this.#clients) for (const connection of client.values()) connection.close();
  }

  /** Runs a phase to its end, after which nothing is on its way. */
  run(phase: Phase): Promise<PhaseOutcome> {
    return new Promise((resolve) => {
      this.#nowMs = performance.now();
      const running: RunningPhase = {
        ...phase,
        startMs: this.#nowMs,
        resolve,
        free: new Queue(),
        issued: 0,
        outstanding: this.#clients.length * phase.pipeline,
        isStopped: false,
      };
      this.#phase = running;
      for (let i = 0; i < running.outstanding; i++)
        running.free.push(new Operation(i % this.#clients.length));
      if (phase.rate === undefined) {
        for (let left = running.outstanding; left > 0; left--) this.#start(running.free.shift()!);
      } else this.#pump(running, phase.rate);
      this.#flush();
    });
  }

  /** Ends the phase early: what is on its way is awaited, nothing more is sent. */
  stop(): void {
    if (this.#phase !== undefined) this.#phase.isStopped = true;
  }

  /** Fills a client's free place with the next operation; at the phase's end, the place is given up. */
  #start(operation: Operation): void {
    const phase = this.#phase!;
    if (this.#next(phase, operation)) {
      operation.startedAtMs = this.#nowMs;
      this.#send(operation);
    } else if (--phase.outstanding === 0) this.#end(phase, 0);
  }

  #next(phase: RunningPhase, operation: Operation): boolean {
    if (phase.isStopped || phase.issued >= phase.operationsMax) return false;
    if (this.#nowMs - phase.startMs >= phase.durationMs || !phase.source.next(operation)) {
      phase.isStopped = true;
      return false;
    }
    phase.issued++;
    return true;
  }

  #end(phase: RunningPhase, unsent: number): void {
    this.#phase = undefined;
    phase.resolve({ elapsedMs: this.#nowMs - phase.startMs, unsent });
  }

  /**
   * Starts what is due by the rate. Timers are too coarse for that, so the last millisecond before the next operation
   * is spent asking the event loop again and again.
   */
  #pump(phase: RunningPhase, rate: number): void {
    if (this.#phase !== phase) return;
    this.#nowMs = performance.now();
    this.#startDue(phase, rate);
    this.#flush();
    const isOver = phase.isStopped || phase.issued >= phase.operationsMax || this.#isPast(phase);
    if (isOver) {
      phase.isStopped = true;
      if (phase.free.length === phase.outstanding) this.#end(phase, this.#unsent(phase, rate));
      else setTimeout(() => this.#pump(phase, rate), 1);
      return;
    }
    const waitMs = phase.startMs + (phase.issued * 1000) / rate - this.#nowMs;
    if (waitMs > 2 || phase.free.length === 0)
      setTimeout(() => this.#pump(phase, rate), Math.max(1, waitMs - 1));
    else setImmediate(() => this.#pump(phase, rate));
  }

  #startDue(phase: RunningPhase, rate: number): void {
    while (phase.free.length > 0) {
      const dueMs = phase.startMs + (phase.issued * 1000) / rate;
      if (dueMs > this.#nowMs) return;
      const operation = phase.free.shift()!;
      if (!this.#next(phase, operation)) {
        phase.free.push(operation);
        return;
      }
      operation.startedAtMs = dueMs;
      this.#send(operation);
    }
  }

  #isPast(phase: RunningPhase): boolean {
    return this.#nowMs - phase.startMs >= phase.durationMs;
  }

  #unsent(phase: RunningPhase, rate: number): number {
    if (!this.#isPast(phase)) return 0;
    const due = Math.min(phase.operationsMax, Math.floor((phase.durationMs * rate) / 1000));
    return Math.max(0, due - phase.issued);
  }

  /** Sends a step for the first time. */
  #send(operation: Operation): void {
    operation.tries = 0;
    this.#prepare(operation);
    this.#dispatch(operation);
  }

  /** Notes what is known now: what a read may not return less than, and that a write is on its way. */
  #prepare(operation: Operation): void {
    const { step, keys, floors, stamps, dominated } = operation;
    switch (step) {
      case 'get':
      case 'mget':
      case 'exists':
        for (let i = 0; i < keys.length; i++) floors[i] = this.writes.floor(keys[i]!);
        break;
      case 'incr':
        floors[0] = this.counters.highest(keys[0]!);
        break;
      case 'set':
      case 'mset':
      case 'del':
        for (let i = 0; i < keys.length; i++) {
          const key = keys[i]!;
          const stamp = this.writes.nextStamp();
          stamps[i] = stamp;
          dominated[i] = this.writes.sent(key, stamp);
          if (step === 'del') this.writes.deletionSent(key, stamp);
        }
        break;
      default:
        break;
    }
  }

  /** @param address where to, instead of where the map says; @param asking as an ASK reply wants it */
  #dispatch(operation: Operation, address?: string, asking = false): void {
    const connection = this.#connection(operation.client, address ?? this.#addressOf(operation));
    const { output } = connection;
    if (asking) {
      output.append(ASKING);
      connection.expected.push('asking');
    }
    const before = output.length;
    this.encoder.encode(operation, output);
    operation.bytesSent += output.length - before;
    operation.sentAtMs = this.#nowMs;
    connection.expected.push(operation);
    if (connection.isDirty) return;
    connection.isDirty = true;
    this.#dirty.push(connection);
  }

  #addressOf(operation: Operation): string {
    if (this.#map === undefined) return this.options.address;
    return this.#map.owner(this.encoder.slot(operation)) ?? this.#map.seed;
  }

  #connection(client: number, address: string): Connection {
    const connections = this.#clients[client]!;
    let connection = connections.get(address);
    if (connection === undefined) {
      connection = new Connection(client, address, this.options.choice, this);
      connections.set(address, connection);
    }
    return connection;
  }

  #flush(): void {
    for (const connection of this.#dirty) connection.flush();
    this.#dirty.length = 0;
  }

  ready(): void {
    this.#lastReadyMs = performance.now();
    if (this.#connecting !== undefined && --this.#connecting.left === 0) this.#connecting.resolve();
  }

  reply(connection: Connection, buffer: Buffer, start: number, end: number): void {
    if (!this.#isClockFresh) {
      this.#nowMs = performance.now();
      this.#isClockFresh = true;
    }
    const operation = connection.expected.shift();
    if (operation === 'asking') return;
    if (operation === undefined) {
      connection.reset('a reply that nobody asked for');
      return;
    }
    operation.bytesReceived += end - start;
    if (buffer[start] === ERROR) this.#errorReply(operation, connection, readText(buffer, start, end));
    else if (this.checker.check(operation, buffer, start, end)) this.#succeeded(operation);
    else this.#failed(operation, 'UNEXPECTED reply');
  }

  drained(): void {
    this.#isClockFresh = false;
    this.#flush();
  }

  #succeeded(operation: Operation): void {
    const { keys, stamps, dominated, step } = operation;
    if (step === 'set' || step === 'mset' || step === 'del') {
      for (let i = 0; i < keys.length; i++) this.writes.acknowledged(keys[i]!, stamps[i]!, dominated[i]!);
    }
    if (operation.name === 'rmw' && step === 'get') {
      operation.step = 'set';
      this.#send(operation);
      return;
    }
    this.recorder.success(operation, this.#nowMs, this.checker.hits, this.checker.misses);
    this.#finished(operation);
  }

  /** Whether a failed write took effect is not known: errors of a broken node are no proof that it did not. */
  #failed(operation: Operation, text: string): void {
    if (operation.step === 'incr') this.counters.unknown(operation.keys[0]!);
    this.recorder.failure(operation, text);
    this.#finished(operation);
  }

  #finished(operation: Operation): void {
    const phase = this.#phase!;
    phase.source.finished?.(operation);
    if (phase.rate === undefined) this.#start(operation);
    else {
      phase.free.push(operation);
      if (!phase.isStopped) this.#startDue(phase, phase.rate);
    }
  }

  #errorReply(operation: Operation, connection: Connection, text: string): void {
    if (this.#map === undefined) {
      this.#failed(operation, text);
      return;
    }
    const code = text.slice(0, text.indexOf(' '));
    if ((code === 'MOVED' || code === 'ASK') && operation.tries++ < REDIRECTIONS_MAX) {
      this.redirections++;
      const { slot, address } = redirection(text, connection.address);
      if (code === 'MOVED') {
        this.#map.moved(slot, address);
        this.#refreshMap(this.#map);
      }
      this.#dispatch(operation, address, code === 'ASK');
    } else if (
      /^(TRYAGAIN|CLUSTERDOWN)\b/.test(text) &&
      this.#nowMs - operation.startedAtMs < this.options.timeoutMs
    ) {
      this.retries++;
      setTimeout(() => this.#again(operation), RETRY_DELAY_MS);
    } else this.#failed(operation, text);
  }

  #again(operation: Operation): void {
    this.#nowMs = performance.now();
    this.#dispatch(operation);
    this.#flush();
  }

  lost(connection: Connection, reason: string): void {
    this.#nowMs = performance.now();
    this.disconnections++;
    for (const operation of connection.takeExpected())
      this.#failed(operation, `LOST connection to ${connection.address}: ${reason}`);
    if (this.#map !== undefined) this.#refreshMap(this.#map);
    this.#flush();
  }

  unreachable(connection: Connection, reason: string): void {
    this.#connecting?.reject(new Error(`cannot use ${connection.address}: ${reason}`));
    if (this.#map !== undefined && this.#connecting === undefined) this.#refreshMap(this.#map);
  }

  /** Gets a new map; what waits for nodes that cannot be reached then goes where the new map says. */
  #refreshMap(map: ClusterMap): void {
    map.refresh().then(
      () => {
        this.#nowMs = performance.now();
        for (const client of this.#clients) {
          for (const connection of [...client.values()]) {
            if (connection.isReady) continue;
            for (const operation of connection.takeExpected()) this.#dispatch(operation);
          }
        }
        this.#flush();
      },
      // No node tells: operations wait and time out, and the next failure asks again.
      () => undefined,
    );
  }

  /** Ends what has waited too long. */
  #supervise(): void {
    this.#nowMs = performance.now();
    const { timeoutMs } = this.options;
    let isAnyReady = false;
    for (const client of this.#clients) {
      for (const connection of client.values()) {
        isAnyReady ||= connection.isReady;
        const oldest = connection.expected.peek();
        if (typeof oldest !== 'object' || this.#nowMs - oldest.sentAtMs < timeoutMs) continue;
        if (connection.isReady) connection.reset(`no reply within ${timeoutMs} ms`);
        else this.#giveUp(connection);
      }
    }
    if (isAnyReady) this.#lastReadyMs = this.#nowMs;
    else if (this.#nowMs - this.#lastReadyMs > timeoutMs) {
      this.aborted ??= `no connection to ${this.options.address} for ${timeoutMs / 1000} seconds`;
      this.stop();
    }
    this.#flush();
  }

  #giveUp(connection: Connection): void {
    for (const operation of connection.takeExpected()) {
      this.#failed(operation, `UNREACHABLE ${connection.address} for ${this.options.timeoutMs} ms`);
    }
  }
}
