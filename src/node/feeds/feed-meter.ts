import { FEED_MARKS_MAX } from '../../base/limits.js';

/** That the source's log ended at a record at some time. */
interface Mark {
  readonly sequence: number;
  /** By the clock of the follower. */
  readonly atMs: number;
}

/** Tells how far a follower is behind its source, from what the source says now and then of its log. */
export class FeedMeter {
  /** What the source has said and the follower has not reached, oldest first. */
  private marks: Mark[] = [];
  private head = 0;
  private applied = 0;
  private isTailing = false;
  private heard = false;

  /** A copy begins, or goes on: its end cannot be told. */
  copying(): void {
    this.isTailing = false;
    this.marks = [];
    this.heard = false;
    this.head = 0;
    this.applied = 0;
  }

  /** A conversation begins, or goes on, behind this record: what the source has is to be heard first. */
  tailing(sequence: number): void {
    this.heard = false;
    this.reached(sequence);
  }

  /** The follower has all up to this record. */
  reached(sequence: number): void {
    this.isTailing = true;
    this.applied = sequence;
    this.head = Math.max(this.head, sequence);
    const next = this.marks.findIndex((mark) => mark.sequence > sequence);
    this.marks = next < 0 ? [] : this.marks.slice(next);
  }

  /** The source says where its log ends. */
  headIs(sequence: number, nowMs: number): void {
    this.head = sequence;
    this.heard = true;
    if (sequence <= this.applied && this.isTailing) return;
    if (this.marks.length >= FEED_MARKS_MAX) this.marks.pop();
    this.marks.push({ sequence, atMs: nowMs });
  }

  /** Whether the follower has all that the source had when it was last heard of. */
  get isLevel(): boolean {
    return this.isTailing && this.heard && this.marks.length === 0;
  }

  /** Whether the follower lacks nothing that the source has had for longer than `ms`. */
  isWithin(ms: number, nowMs: number): boolean {
    return this.isTailing && this.heard && this.lagMs(nowMs) <= ms;
  }

  /** Records that the follower has not. */
  get records(): number {
    return Math.max(0, this.head - this.applied);
  }

  /** For how long the follower has been without something that the source had, milliseconds. */
  lagMs(nowMs: number): number {
    const [oldest] = this.marks;
    return oldest === undefined ? 0 : Math.max(0, nowMs - oldest.atMs);
  }
}
