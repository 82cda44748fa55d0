/** Each side of a feed gives a sign of life so often, milliseconds. */
export const BEAT_EVERY_MS = 500;

/** Whoever was silent for so long is dropped, milliseconds. */
export const SILENT_MAX_MS = 3000;

/**
 * A source that has not heard yet of a feed that is opened waits so long for news, milliseconds: less than the follower
 * waits for an answer.
 */
export const EARLY_MAX_MS = 2000;

/**
 * While a copy is being made, milliseconds: signs of life come behind its pieces, which take their time on a slow network.
 * With less, a copy of which no piece arrives in time would begin anew for ever.
 */
export const COPYING_SILENT_MAX_MS = 30_000;

/** A source that has nothing to send looks into the log so often all the same, milliseconds. */
export const LOOK_EVERY_MS = 5000;

/** A copy that waits because of the rate looks so often whether that has been changed, milliseconds. */
export const RATE_ASKED_EVERY_MS = 200;

/** While there is always something, a source that is not busy reads its log so often, unless somebody waits for it, milliseconds. */
export const TAIL_EVERY_MS = 20;

/** One that is busy reads it at least so often, milliseconds: what is lost with its machine is about that. */
export const TAIL_BUSY_EVERY_MS = 50;

/** A read of the log makes room for clients: the next one begins after so many times as long as it took. */
const TAIL_REST_SHARE = 15;

/**
 * How long after a read of the log the next one begins, where there is always something, milliseconds. How long a read took
 * tells how much else front and worker have to do.
 */
export function tailEveryMs(readTookMs: number): number {
  return Math.min(TAIL_BUSY_EVERY_MS, Math.max(TAIL_EVERY_MS, TAIL_REST_SHARE * readTookMs));
}

/** What all followers have acknowledged is dropped from a log so often, milliseconds. */
export const TRIM_EVERY_MS = 50;
