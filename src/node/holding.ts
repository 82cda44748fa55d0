import { SYSTEM_TIMERS, type Timers } from '../base/timers.js';
import type { FeedPosition } from '../types/feed.js';
import type { ShardRoute } from '../workers/pool.js';
import type { FeedEngine } from './feeds/engine.js';
import { drained, readyRoute } from './segments.js';

/** A shard whose commands wait, so that others can get all that it has. */
export interface HeldShard {
  /** The end of its log: nothing comes behind it as long as the hold is in force. */
  readonly position: FeedPosition;
  /** Whether commands still wait: not after {@link release}, when the time is over, or when the worker died. */
  readonly isInForce: boolean;
  /** Lets commands go on. */
  release(): void;
}

/**
 * Has the commands of a shard wait, and tells where its log ends once those under way are done. Connections stall
 * meanwhile; copies and feeds go on.
 * @param maxMs after so long commands go on, whatever has become of it
 * @param onReleased commands go on, unless they wait for something else
 */
export async function holdShard(
  engine: Pick<FeedEngine, 'state'>,
  route: ShardRoute,
  maxMs: number,
  timers: Timers = SYSTEM_TIMERS,
  onReleased: () => void = () => undefined,
): Promise<HeldShard> {
  await readyRoute(route);
  if (route.closed) throw new Error('the shard is not on this store any more');
  let resume: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    resume = resolve;
  });
  route.hold(held);
  const release = () => {
    callOff();
    route.unhold(held);
    resume();
    onReleased();
  };
  const callOff = timers.after(maxMs, release);
  try {
    await drained(route);
    const { log } = await engine.state(route);
    if (log === undefined) throw new Error('the shard does not log its changes: nobody follows it');
    return {
      position: { log: log.log, sequence: log.sequence },
      get isInForce() {
        return route.isHeldBy(held);
      },
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}
