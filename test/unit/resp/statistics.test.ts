import { describe, expect, test } from 'vitest';
import { CommandStatistics } from '../../../src/base/command-statistics.js';
import { commandTable, findCommand } from '../../../src/commands/table.js';
import type { Store } from '../../../src/node/store.js';
import {
  commandsUsed,
  cumulativeHistogram,
  percentile,
  totalsOf,
  writesRun,
} from '../../../src/resp/statistics.js';

const GET = findCommand('get')!;
const SET = findCommand('set')!;

function store(threads: number): { store: Store; front: CommandStatistics; owners: CommandStatistics[] } {
  const front = new CommandStatistics(commandTable.length);
  const owners = Array.from({ length: threads }, () => new CommandStatistics(commandTable.length));
  const pool = { owners: owners.map((statistics) => ({ statistics })) };
  return { store: { frontStatistics: front, pool } as unknown as Store, front, owners };
}

describe('command statistics of all threads', () => {
  test('add up', () => {
    const { store: all, front, owners } = store(2);
    owners[0]!.record(GET.index, 3, false);
    owners[1]!.record(GET.index, 5, true);
    front.reject(GET.index);
    owners[1]!.record(SET.index, 1, false);
    expect(totalsOf(all, GET)).toMatchObject({ calls: 2, microseconds: 8, failed: 1, rejected: 1 });
    expect(
      commandsUsed(all)
        .map(({ command }) => command.name)
        .sort(),
    ).toEqual(['get', 'set']);
    expect(writesRun(all)).toBe(1);
    expect(owners[1]!.calls()).toBe(2);
  });

  test('a histogram counts the calls up to each power of two', () => {
    const { store: all, owners } = store(1);
    for (const microseconds of [0, 1, 1, 2, 3, 4, 5, 1000, 1024])
      owners[0]!.record(GET.index, microseconds, false);
    expect(cumulativeHistogram(totalsOf(all, GET))).toEqual([
      [1, 3],
      [4, 5],
      [8, 7],
      [1024, 8],
      [2048, 9],
    ]);
  });

  test('a percentile is a bound that so many calls keep', () => {
    const { store: all, owners } = store(1);
    for (let call = 0; call < 99; call++) owners[0]!.record(GET.index, 6, false);
    owners[0]!.record(GET.index, 500, false);
    const totals = totalsOf(all, GET);
    expect([50, 99, 99.9, 100].map((percent) => percentile(totals, percent))).toEqual([8, 8, 512, 512]);
    expect(percentile(totalsOf(all, SET), 50)).toBe(0);
  });
});
