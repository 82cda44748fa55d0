import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Measurement, type Moment } from './measurement.js';
import type { FromThread, PhaseName, ThreadPlan, ThreadResult, ToThread } from './messages.js';

/** A thread as the coordinator sees it. */
export interface ThreadHandle {
  send(message: ToThread): void;
  /** Ends it, whatever it does. */
  end(): void;
}

/** Starts a thread, which tells `post`. */
export type StartThread = (plan: ThreadPlan, post: (message: FromThread) => void) => ThreadHandle;

export const startWorker: StartThread = (plan, post) => {
  const worker = new Worker(fileURLToPath(new URL('./bench-worker.js', import.meta.url)), {
    workerData: plan,
  });
  let hasEnded = false;
  worker.on('message', (message: FromThread) => {
    hasEnded ||= message.type === 'result' || message.type === 'failed';
    post(message);
  });
  worker.on('error', (error: Error) => post({ type: 'failed', message: `thread died: ${error.message}` }));
  worker.on('exit', () => {
    if (!hasEnded) post({ type: 'failed', message: 'a thread ended before its time' });
  });
  return {
    send: (message) => worker.postMessage(message),
    end: () => {
      hasEnded = true;
      void worker.terminate();
    },
  };
};

/** One phase for all threads together. */
export interface PlannedPhase {
  readonly name: PhaseName;
  readonly operationsMax: number;
  readonly durationMs: number;
  readonly rate?: number | undefined;
}

/** Told how a run goes. */
export interface RunObserver {
  phase(name: PhaseName): void;
  /** About four times a second while measuring. */
  moment(moment: Moment): void;
}

interface Waiting {
  left: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Leads all threads through the phases of a run, each beginning when all have ended the one before. */
export class Coordinator {
  readonly measurement = new Measurement();
  readonly results: ThreadResult[] = [];
  readonly #threads: ThreadHandle[];
  #waiting: Waiting | undefined;
  #isStopping = false;

  constructor(
    plans: readonly ThreadPlan[],
    readonly observer: RunObserver,
    start: StartThread = startWorker,
  ) {
    this.#threads = plans.map((plan) => start(plan, (message) => this.#received(message)));
  }

  /** @throws Error when a thread fails, such as for a server that cannot be reached at the start */
  async run(phases: readonly PlannedPhase[]): Promise<void> {
    try {
      for (const phase of phases) {
        // What was to be done is cut short; what was done is still checked.
        if (
          this.#isStopping &&
          (phase.name === 'load' || phase.name === 'warmup' || phase.name === 'measure')
        )
          continue;
        this.observer.phase(phase.name);
        if (phase.name === 'measure') this.measurement.begin();
        await this.#all((thread) => ({ type: 'phase', ...share(phase, thread, this.#threads.length) }));
      }
      await this.#all(() => ({ type: 'finish' }));
    } finally {
      for (const thread of this.#threads) thread.end();
    }
  }

  /** Ends the load early: what was done is still verified and reported. */
  stop(): void {
    this.#isStopping = true;
    for (const thread of this.#threads) thread.send({ type: 'stop' });
  }

  #all(message: (thread: number) => ToThread): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { left: this.#threads.length, resolve, reject };
      for (const [index, thread] of this.#threads.entries()) thread.send(message(index));
    });
  }

  #received(message: FromThread): void {
    switch (message.type) {
      case 'sample':
        this.observer.moment(this.measurement.add(message.sample));
        return;
      case 'failed':
        this.#waiting?.reject(new Error(message.message));
        return;
      case 'result':
        this.results.push(message.result);
        break;
      case 'done':
        if (message.name === 'measure') this.measurement.end(message.outcome, message.utilization);
        break;
    }
    if (this.#waiting !== undefined && --this.#waiting.left === 0) this.#waiting.resolve();
  }
}

/** A thread's share of a phase. */
function share(phase: PlannedPhase, thread: number, threads: number): PlannedPhase {
  return {
    ...phase,
    operationsMax: divide(phase.operationsMax, thread, threads),
    rate: phase.rate === undefined ? undefined : phase.rate / threads,
  };
}

/** The part of a whole that falls to one of several: equal, but for the remainder, which the first ones get. */
export function divide(whole: number, part: number, parts: number): number {
  if (!Number.isFinite(whole)) return whole;
  return Math.floor(whole / parts) + (part < whole % parts ? 1 : 0);
}
