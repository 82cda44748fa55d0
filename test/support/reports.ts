import type { CopyReport } from '../../src/cluster/plan/reports.js';

/** What a store reports of a copy that has all it should, and nothing else. */
export function copyReport(shard: number, facts: Partial<CopyReport> = {}): CopyReport {
  return {
    shard,
    failure: '',
    isComplete: true,
    isClean: true,
    holding: 0,
    expired: 0,
    feeds: [],
    ...facts,
  };
}
