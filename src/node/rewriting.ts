import { setTimeout as wait } from 'node:timers/promises';
import { REWRITE_RESTARTS_MAX } from '../base/limits.js';
import type { TaskProgress } from '../cluster/manager.js';
import type { ShardRoute, WorkerPool } from '../workers/pool.js';
import { readyRoute } from './segments.js';

/**
 * Rewrites a shard while it serves: step by step, with a pause as long as the last step took, so that its clients keep
 * at least half of the worker. Rejects when it cannot be done; the shard is as before then.
 */
export async function rewriteShard(
  pool: WorkerPool,
  route: ShardRoute,
  onProgress: (progress: TaskProgress) => void,
): Promise<void> {
  let copiedBytes = 0;
  for (let restarts = 0; ; ) {
    await readyRoute(route);
    if (route.closed) throw new Error('the shard is not on this store any more');
    const startMs = performance.now();
    const progress = await pool.rewrite(route);
    onProgress({ done: progress.copiedBytes, total: progress.totalBytes, phase: 'copying what is alive' });
    if (progress.isDone) return;
    if (progress.copiedBytes < copiedBytes && ++restarts > REWRITE_RESTARTS_MAX) {
      await pool.abandonRewrite(route);
      throw new Error(
        `the shard was emptied, or went to another worker, ${restarts} times while it was rewritten: try again when it is at rest`,
      );
    }
    ({ copiedBytes } = progress);
    await wait(performance.now() - startMs);
  }
}
