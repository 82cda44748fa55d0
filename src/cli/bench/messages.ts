import type { CheckOptions, CheckResult } from './checker.js';
import type { EngineOptions, PhaseOutcome } from './engine.js';
import type { Sample } from './recorder.js';
import type { SourceOptions } from './sources.js';

/** Everything that a thread is told when it starts; plain data. */
export interface ThreadPlan {
  readonly thread: number;
  readonly threads: number;
  /** Tells this run's values from those of others. */
  readonly run: number;
  readonly prefix: string;
  readonly engine: EngineOptions;
  readonly pipeline: number;
  readonly source: SourceOptions;
  readonly check: CheckOptions;
}

/** In the order in which they come; a run leaves out what it does not need. */
export type PhaseName = 'connect' | 'load' | 'warmup' | 'measure' | 'verify' | 'clean';

export type ToThread =
  | {
      readonly type: 'phase';
      readonly name: PhaseName;
      readonly operationsMax: number;
      readonly durationMs: number;
      readonly rate?: number | undefined;
    }
  /** End the phase early. */
  | { readonly type: 'stop' }
  /** Tell the result and end. */
  | { readonly type: 'finish' };

export type FromThread =
  | { readonly type: 'sample'; readonly sample: Sample }
  /** `utilization`: the part of the phase that the thread was busy, 0 to 1. */
  | {
      readonly type: 'done';
      readonly name: PhaseName;
      readonly outcome: PhaseOutcome;
      readonly utilization: number;
    }
  | { readonly type: 'result'; readonly result: ThreadResult }
  | { readonly type: 'failed'; readonly message: string };

export interface ThreadResult {
  readonly check: CheckResult;
  readonly errors: Readonly<Record<string, number>>;
  readonly errorExamples: readonly string[];
  readonly disconnections: number;
  readonly redirections: number;
  readonly retries: number;
  readonly aborted: string | undefined;
}
