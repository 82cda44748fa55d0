import { Buffer } from 'node:buffer';
import { type FeedSlots, hasSlot } from '../types/feed-codec.js';
import { isKey, type Row } from '../types/row.js';
import { keySlot } from '../types/slots.js';
import type { Tally } from './counting.js';
import type { Shown } from './feed-protocol.js';

type Counted = Pick<Row, 'type' | 'expiresAtMs'>;

/**
 * The rows of a shard that commands do not see, because their slots are not, or not yet, this shard's: while rows come
 * from other shards, and until those that have gone elsewhere are removed.
 *
 * How many there are is found out by looking at all rows when somebody asks, and kept up to date from then on.
 */
export class HiddenRows {
  private shown: FeedSlots | undefined;
  private keepsOthers = false;
  private stored: Tally | undefined;

  /** The slots that commands see; undefined = all. */
  get slots(): FeedSlots | undefined {
    return this.shown;
  }

  /** Whether rows that are hidden, and the log that tells of them, have to stay. */
  get areKept(): boolean {
    return this.keepsOthers;
  }

  /** @param shown undefined = all */
  show(shown: Shown | undefined): void {
    this.shown = shown?.slots;
    this.keepsOthers = shown?.keepsOthers === true;
    this.stored = undefined;
  }

  /** Whether commands see a key, if it is there. */
  shows(key: Buffer): boolean {
    return this.shown === undefined || hasSlot(this.shown, keySlot(key));
  }

  /** As {@link shows}, of a key as latin1 text. */
  showsName(name: string): boolean {
    return this.shown === undefined || this.shows(Buffer.from(name, 'latin1'));
  }

  /**
   * How many stored rows are hidden, those that have ended included.
   * @param countAll counts the rows that {@link shows} does not
   */
  tally(countAll: () => Tally): Tally {
    if (this.shown === undefined) return NONE;
    this.stored ??= countAll();
    return this.stored;
  }

  /** Takes note that a row, of whatever key, is there from now on (`by` 1), or is not any more (−1). */
  counted(name: string, { type, expiresAtMs }: Counted, by: 1 | -1): void {
    const { stored } = this;
    if (stored === undefined || !isKey(type) || this.showsName(name)) return;
    stored.live += by;
    if (expiresAtMs !== 0) stored.expiring += by;
  }

  /** What was counted does not hold any more. */
  forgetCount(): void {
    this.stored = undefined;
  }
}

const NONE: Tally = { live: 0, expiring: 0 };
