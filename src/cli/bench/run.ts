import { Coordinator, type RunObserver } from './coordinator.js';
import { type BenchOptions, limits } from './options.js';
import { phases, threadPlans } from './plan.js';
import { TerminalProgress } from './progress.js';
import { report } from './report.js';
import { summarize } from './result.js';

export interface BenchOutput {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const SILENT: RunObserver = { phase: () => undefined, moment: () => undefined };
const INTERRUPTED = 130;

/**
 * Runs a benchmark from its options to its report.
 * @returns the exit code
 */
export async function runBench(options: BenchOptions, { out, err }: BenchOutput): Promise<number> {
  const progress = process.stderr.isTTY ? new TerminalProgress(process.stderr, limits(options)) : undefined;
  if (options.json !== true) out(`seed ${options.seed}\n`);
  const startedAt = new Date();
  const plans = threadPlans(options);
  const coordinator = new Coordinator(plans, progress ?? SILENT);
  // The first interrupt ends the load and still reports; the second ends everything.
  let interrupts = 0;
  const interrupt = () => {
    if (++interrupts > 1) process.exit(INTERRUPTED);
    coordinator.stop();
  };
  process.on('SIGINT', interrupt);
  try {
    await coordinator.run(phases(options));
  } catch (error) {
    progress?.end();
    err(`vasto: bench: ${(error as Error).message}\n`);
    return 1;
  } finally {
    process.off('SIGINT', interrupt);
  }
  progress?.end();
  const { name, exponent } = plans[0]!.source.distribution;
  const { result, latencies } = summarize(options, coordinator, startedAt, { distribution: name, exponent });
  out(options.json === true ? `${JSON.stringify(result, undefined, 2)}\n` : report(result, latencies));
  return result.ok ? 0 : 1;
}
