import { performance } from 'node:perf_hooks';
import { Checker } from './checker.js';
import { Encoder } from './encoder.js';
import { Engine, type Phase, type PhaseOutcome } from './engine.js';
import type { FromThread, PhaseName, ThreadPlan, ToThread } from './messages.js';
import type { OperationSource } from './operation.js';
import { Random } from './random.js';
import { Recorder } from './recorder.js';
import { Chain, capacityOf, SweepSource, WorkloadSource } from './sources.js';
import { CounterTracker, WriteTracker } from './tracker.js';
import { Values } from './values.js';
import { does } from './workload.js';

/** How often a thread tells what it has counted. */
const SAMPLE_MS = 250;
/** What goes over all keys has at least so many commands on their way for each client. */
const SWEEP_PIPELINE_MIN = 32;
/** Told apart from the streams of the workload, whose numbers are those of threads. */
const LOAD_STREAM = 1 << 20;

/** One thread's part of a run: does the phases it is told to, and tells what came of them. */
export class BenchThread {
  readonly #source: WorkloadSource;
  readonly #writes: WriteTracker;
  readonly #counters: CounterTracker;
  readonly #checker: Checker;
  readonly #recorder = new Recorder();
  readonly #engine: Engine;

  constructor(
    readonly plan: ThreadPlan,
    readonly post: (message: FromThread) => void,
  ) {
    const { source, thread, threads, prefix } = plan;
    const values = new Values(prefix, plan.run, thread);
    const encoder = new Encoder({ prefix, tagged: source.grouped, thread, threads }, values);
    this.#source = new WorkloadSource(source);
    this.#writes = new WriteTracker(capacityOf(source.workload, source.keys));
    this.#counters = new CounterTracker(does(source.workload, 'incr') ? source.keys : 0);
    this.#checker = new Checker(plan.check, encoder, values, this.#writes, this.#counters);
    this.#engine = new Engine(
      plan.engine,
      encoder,
      this.#writes,
      this.#counters,
      this.#checker,
      this.#recorder,
    );
  }

  /** Never rejects: a failure is posted. */
  async handle(message: ToThread): Promise<void> {
    try {
      if (message.type === 'stop') this.#engine.stop();
      else if (message.type === 'finish') this.#finish();
      else await this.#runPhase(message);
    } catch (error) {
      this.#engine.close();
      this.post({ type: 'failed', message: (error as Error).message });
    }
  }

  async #runPhase(message: Extract<ToThread, { type: 'phase' }>): Promise<void> {
    const { name } = message;
    const before = performance.eventLoopUtilization();
    const isMeasured = name === 'measure';
    this.#recorder.isOn = isMeasured;
    const timer = isMeasured ? setInterval(() => this.#postSample(), SAMPLE_MS) : undefined;
    const outcome = await this.#run(name, message);
    clearInterval(timer);
    if (isMeasured) this.#postSample();
    this.#recorder.isOn = false;
    const { utilization } = performance.eventLoopUtilization(before);
    this.post({ type: 'done', name, outcome, utilization });
  }

  async #run(name: PhaseName, limits: Omit<Phase, 'source' | 'pipeline'>): Promise<PhaseOutcome> {
    if (name === 'connect') {
      await this.#engine.connect();
      return { elapsedMs: 0, unsent: 0 };
    }
    const isWorkload = name === 'warmup' || name === 'measure';
    const { operationsMax, durationMs, rate } = limits;
    return this.#engine.run({
      source: isWorkload ? this.#source : this.#sweep(name),
      pipeline: isWorkload ? this.plan.pipeline : Math.max(SWEEP_PIPELINE_MIN, this.plan.pipeline),
      operationsMax,
      durationMs,
      rate,
    });
  }

  #sweep(name: PhaseName): OperationSource {
    const { keys, workload } = this.plan.source;
    const counters = this.#counters;
    if (name === 'load') {
      const sources = [];
      if (this.plan.source.loads)
        sources.push(new SweepSource('set', 'set', keys, undefined, this.#loadSize()));
      if (this.plan.check.values && counters.counters > 0) {
        sources.push(new SweepSource('incr', 'getCounter', counters.counters));
      }
      return new Chain(sources);
    }
    if (name === 'verify') {
      return new Chain([
        new SweepSource('get', 'get', this.#writes.keys, (key) => this.#writes.floor(key) > 0),
        new SweepSource('incr', 'getCounter', counters.counters, (counter) => counters.wasTouched(counter)),
      ]);
    }
    const all = capacityOf(workload, keys);
    const isLoaded = this.plan.source.loads || does(workload, 'set', 'mset', 'insert');
    return new Chain([
      new SweepSource('del', 'del', isLoaded ? all : 0),
      new SweepSource('del', 'delCounter', counters.counters),
    ]);
  }

  #loadSize(): () => number {
    const { min, max } = this.plan.source.valueSize;
    const random = new Random(this.plan.source.seed, LOAD_STREAM + this.plan.thread);
    return () => min + random.below(max - min + 1);
  }

  #postSample(): void {
    this.post({ type: 'sample', sample: this.#recorder.take() });
  }

  #finish(): void {
    this.#engine.close();
    const { disconnections, redirections, retries, aborted } = this.#engine;
    this.post({
      type: 'result',
      result: {
        check: this.#checker.result(),
        errors: Object.fromEntries(this.#recorder.errors.counts),
        errorExamples: this.#recorder.errorExamples,
        disconnections,
        redirections,
        retries,
        aborted,
      },
    });
  }
}
