import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../admin-actions.js';
import { TryAgainError } from './store-client.js';

/** How long something is tried that comes to nothing, milliseconds: a store may be started again meanwhile. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 300;
/** How often something is begun that goes well for a while. */
const BEGINNINGS_MAX = 20;

/**
 * Does what may have to be tried again.
 * @param what it is, for people
 * @param work calls `begun` once it has come to anything: then there is patience anew
 * @throws Refusal when it will not be tried any more
 */
export async function persistently<T>(what: string, work: (begun: () => void) => Promise<T>): Promise<T> {
  let sinceMs = performance.now();
  for (let beginnings = 0; ; ) {
    let hasBegun = false;
    try {
      return await work(() => {
        hasBegun = true;
      });
    } catch (error) {
      if (!(error instanceof TryAgainError)) throw error;
      const nowMs = performance.now();
      if (hasBegun) {
        beginnings++;
        sinceMs = nowMs;
      }
      if (nowMs - sinceMs > PATIENCE_MS || beginnings >= BEGINNINGS_MAX)
        throw new Refusal(`${what}: ${error.message}`);
      await pause(PAUSE_MS);
    }
  }
}

/**
 * Works on items, so many at a time; the first failure ends it, when what is under way has ended.
 * @param onFailure is called with the first failure: what is under way may be of no use any more
 */
export async function inParallel<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
  onFailure?: () => void,
): Promise<void> {
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const lane = async () => {
    while (failure === undefined && next < items.length)
      await work(items[next++]!).catch((error: unknown) => {
        if (failure !== undefined) return;
        failure = { error };
        onFailure?.();
      });
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  if (failure !== undefined) throw (failure as { readonly error: unknown }).error;
}
