import { placeKey, type ShardDuty } from '../cluster/plan/duties.js';
import type { SlotSet } from '../cluster/slot-set.js';
import type { KeyspaceEntry } from '../cluster/topology.js';
import type { ShardRoute } from '../workers/pool.js';
import type { CopyMemory } from './copy-memory.js';
import type { HeldShard } from './holding.js';

/** A copy of a shard on this store: what it remembers, what it is to do, and what is going on with it. */
export class Copy {
  /** Under the entry in force. */
  duty: ShardDuty | undefined;
  entry: KeyspaceEntry | undefined;
  /** The hand-over for which writes are, or were, held. */
  held: { readonly epoch: number; readonly hold: HeldShard } | undefined;
  /** Epoch of the hand-over for which holding was tried last. */
  attempt = 0;
  /** Epoch of the last hand-over for which writes did not wait long enough. */
  expired = 0;
  /** What the worker has been told to show; undefined = all. */
  showing: SlotSet | undefined;
  isReviewing = false;
  isReviewDue = false;
  isRemoving = false;
  /** Epoch of the mark that is being put. */
  marking = 0;
  isEnded = false;
  private openGate: (() => void) | undefined;

  constructor(
    readonly keyspace: string,
    readonly shard: number,
    readonly route: ShardRoute,
    public memory: CopyMemory,
  ) {}

  /** Whether commands get what they should: all of its slots are here, and nobody else takes writes of them. */
  get isAnswering(): boolean {
    const { duty, memory } = this;
    if (duty === undefined || duty.role !== 'owner') return true;
    if (!memory.complete.includes(duty.slots)) return false;
    return duty.awaited.every((each) => (memory.read.get(placeKey(each)) ?? 0) >= each.mark);
  }

  /** The slots whose rows commands are to see; undefined = all, because there are no others. */
  get shown(): SlotSet | undefined {
    const { duty, memory } = this;
    if (duty === undefined) return undefined;
    const shown = duty.slots.within(memory.complete);
    return memory.leftover.isEmpty && shown.includes(duty.kept) ? undefined : shown;
  }

  /** Has commands wait until {@link open}. */
  shut(): void {
    if (this.openGate !== undefined) return;
    this.route.gate = new Promise((resolve) => {
      this.openGate = resolve;
    });
  }

  open(): void {
    this.route.gate = undefined;
    this.openGate?.();
    this.openGate = undefined;
  }

  /** Writes need not wait any more. */
  letGo(): void {
    this.held?.hold.release();
    this.held = undefined;
  }

  /** It is not this store's any more. */
  end(): void {
    this.isEnded = true;
    this.letGo();
    this.open();
  }
}
