import type { Timers } from '../../src/base/timers.js';

interface Event {
  readonly atMs: number;
  /** Of two at one time, the one that was asked for first comes first. */
  readonly order: number;
  /** undefined = called off. */
  run: (() => void) | undefined;
}

/** Of the process, before a simulation takes its place. */
const turnOver = globalThis.setImmediate;
const { random } = Math;

/**
 * Time that passes only from one event to the next. Between two events everything that promises have to do is done, so
 * the same events give the same run.
 */
export class Scheduler {
  /** Milliseconds since the simulation began, with fractions. */
  nowMs = 0;
  private readonly heap: Event[] = [];
  private orders = 0;
  /** Events so far. */
  count = 0;

  /** What a clock shows that is neither ahead nor behind, Unix milliseconds with fractions. */
  get unixMs(): number {
    return EPOCH_MS + this.nowMs;
  }

  /** @returns what calls it off */
  after(delayMs: number, run: () => void): () => void {
    const event: Event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.orders++, run };
    this.push(event);
    return () => {
      event.run = undefined;
    };
  }

  /** Lets time pass. */
  async advance(toMs: number): Promise<void> {
    for (let next = this.heap[0]; next !== undefined && next.atMs <= toMs; next = this.heap[0]) {
      this.pop();
      if (next.run === undefined) continue;
      this.nowMs = next.atMs;
      this.count++;
      next.run();
      await new Promise((resolve) => turnOver(resolve));
    }
    this.nowMs = Math.max(this.nowMs, toMs);
  }

  /** Has what the process itself would do later, or at random, be part of the simulation. @returns what ends that */
  takeOver(float: () => number): () => void {
    globalThis.setImmediate = ((run: (...args: unknown[]) => void, ...args: unknown[]) => {
      this.after(0, () => run(...args));
      return undefined;
    }) as unknown as typeof setImmediate;
    Math.random = float;
    return () => {
      globalThis.setImmediate = turnOver;
      Math.random = random;
    };
  }

  private push(event: Event): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs === other.atMs ? one.order < other.order : one.atMs < other.atMs;
}

/** When the clocks of the nodes begin, Unix milliseconds. */
const EPOCH_MS = 1_800_000_000_000;

/** A process: from its start until it ends, or is killed. Nothing of it happens after that. */
export class Life implements Timers {
  isOver = false;

  constructor(
    readonly scheduler: Scheduler,
    /** By how much its clock is ahead, milliseconds. */
    private readonly skewMs: number,
  ) {}

  now(): number {
    return Math.floor(this.scheduler.unixMs + this.skewMs);
  }

  after(delayMs: number, run: () => void): () => void {
    return this.scheduler.after(delayMs, () => {
      if (!this.isOver) run();
    });
  }

  /** Resolves after a while, unless the process has ended. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }
}
