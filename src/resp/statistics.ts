import { type CommandTotals, sumTotals } from '../base/command-statistics.js';
import type { Command } from '../commands/table.js';
import { commandTable } from '../commands/table.js';
import type { Store } from '../node/store.js';

/** What a command came to on all threads together. */
export function totalsOf(store: Store, command: Command): CommandTotals {
  const { frontStatistics, pool } = store;
  return sumTotals([
    frontStatistics.read(command.index),
    ...pool.owners.map((owner) => owner.statistics.read(command.index)),
  ]);
}

/** A command, and what it came to. */
export interface CommandUsed {
  readonly command: Command;
  readonly totals: CommandTotals;
}

/** The commands that ran, failed or were refused, with what they came to. */
export function commandsUsed(store: Store): CommandUsed[] {
  return commandTable
    .map((command) => ({ command, totals: totalsOf(store, command) }))
    .filter(({ totals }) => totals.calls + totals.rejected + totals.failed > 0);
}

/** Number of calls that took at most so many microseconds, for each power of two at which the number changes. */
export function cumulativeHistogram(totals: CommandTotals): [microseconds: number, calls: number][] {
  const found = new Map<number, number>();
  let sum = 0;
  totals.buckets.forEach((count, index) => {
    sum += count;
    if (count > 0) found.set(upperBound(index), sum);
  });
  return [...found];
}

/** Element 1 of the buckets holds whole microseconds of which there is just one: 1. */
function upperBound(bucket: number): number {
  return bucket < 2 ? 1 : 2 ** bucket;
}

/** A time that the given share of the calls did not exceed: the next power of two above it. */
export function percentile(totals: CommandTotals, percent: number): number {
  const wanted = Math.max(1, Math.ceil((totals.calls * percent) / 100));
  const histogram = cumulativeHistogram(totals);
  const found = histogram.find(([, calls]) => calls >= wanted) ?? histogram[histogram.length - 1];
  return found?.[0] ?? 0;
}

/** Calls of commands that write, on all threads together. */
export function writesRun(store: Store): number {
  const threads = [store.frontStatistics, ...store.pool.owners.map((owner) => owner.statistics)];
  return WRITES.reduce(
    (sum, index) => sum + threads.reduce((calls, statistics) => calls + statistics.callsOf(index), 0),
    0,
  );
}

const WRITES: readonly number[] = commandTable
  .filter((command) => command.flags.includes('write'))
  .map((command) => command.index);
