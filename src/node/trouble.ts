import type { Logger } from '../base/logger.js';
import type { Timers } from '../base/timers.js';

/** What fails for so long is no hitch: people are told, milliseconds. */
const TOLD_AFTER_MS = 5000;

/** Different reasons of which people are told before it works again. */
const REASONS_MAX = 16;

/** Who is told of trouble, and what time it is. */
export interface TroubleHost {
  readonly timers: Pick<Timers, 'now'>;
  readonly logger: Pick<Logger, 'verbose' | 'notice' | 'warning'>;
}

/**
 * Something that is tried again and again until it works: people are told of each reason once, when it has failed for some
 * seconds.
 */
export class Trouble {
  private sinceMs: number | undefined;
  private readonly told = new Set<string>();

  /** @param what does not work, for people, as of now */
  constructor(
    private readonly host: TroubleHost,
    private readonly what: () => string,
  ) {}

  /** It has failed, and is tried again. */
  failed(reason: unknown): void {
    const { timers, logger } = this.host;
    const nowMs = timers.now();
    this.sinceMs ??= nowMs;
    const forMs = nowMs - this.sinceMs;
    const text = `${this.what()}: ${reason instanceof Error ? reason.message : String(reason)}`;
    if (forMs < TOLD_AFTER_MS || this.told.has(text) || this.told.size >= REASONS_MAX) {
      logger.verbose(text);
      return;
    }
    this.told.add(text);
    logger.warning(`${text}; tried again and again for ${Math.round(forMs / 1000)} s by now`);
  }

  /** It has worked, or is of no interest any more. */
  isOver(): void {
    if (this.told.size > 0) this.host.logger.notice(`${this.what()}: no longer so`);
    this.sinceMs = undefined;
    this.told.clear();
  }
}
