import type { FeedSlots } from '../types/feed-codec.js';
import type {
  Applied,
  CopyBegin,
  CopySlice,
  FeedPosition,
  FeedReplies,
  FeedState,
  FeedTask,
  LogChunk,
  LogGone,
  LogState,
  Refusal,
  Shown,
  SlotsRemoval,
} from './feed-protocol.js';
import { memoryOf, movable } from './moving.js';
import type { ShardRoute } from './pool.js';
import { type Paced, ShardTasks } from './shard-tasks.js';

/**
 * Feeds as the node sees them: each method asks the owner of a shard, between two batches of commands. What is asked of
 * one shard is begun in that order, so that who switches its log off and on again need not wait in between.
 *
 * All reject when the shard is not open any more or its worker died: whether what was asked for took effect is not
 * known then, and asking again is harmless. A disk that fails rejects too, with nothing done, or is what the refusal
 * says that the target of a feed gives.
 */
export class ShardFeeds extends ShardTasks<FeedTask, FeedReplies> {
  /** Called when a shard has logged something: what commands wrote before their replies are delivered. */
  onLogged: ((route: ShardRoute, sequence: number) => void) | undefined;

  // ---------------------------------------------------------------- at the source

  /**
   * Has a shard log what its clients write, or no more. That it does survives the machine before anybody hears of it. What is set already stays as it is.
   * @returns where the log is now: a copy that begins now continues from there. undefined when off
   */
  setLogging(route: ShardRoute, on: boolean): Promise<LogState | undefined> {
    return this.ask('setLogging', route, { on });
  }

  state(route: ShardRoute): Promise<FeedState> {
    return this.ask('feedState', route, {});
  }

  /**
   * Records behind a position, at least one if there is any, however large it is.
   * @param bytesMax of the records together
   * @param slots only the rows in these; undefined = all
   */
  readLog(
    route: ShardRoute,
    after: FeedPosition,
    bytesMax: number,
    slots?: FeedSlots,
  ): Promise<LogChunk | LogGone> {
    return this.ask('readLog', route, { after, bytesMax, slots });
  }

  /** Lets records go that all followers have on disk. */
  async trimLog(route: ShardRoute, through: number): Promise<void> {
    await this.ask('trimLog', route, { through });
  }

  /**
   * The rows behind a key. Where few rows are in the slots a slice may be empty and yet not the last.
   * @param after what the slice before gave as `last`; undefined = from the first key
   * @param bytesMax of the rows together; a row is read whole
   */
  copySlice(
    route: ShardRoute,
    after: string | undefined,
    slots: FeedSlots | undefined,
    bytesMax: number,
  ): Promise<CopySlice & Paced> {
    return this.askPaced('copySlice', route, { after, slots, bytesMax });
  }

  // ---------------------------------------------------------------- at the target

  /**
   * Notes that a copy begins, the first or another one.
   * @param begin the source's log, as it was before the first slice is read
   * @param slots those that the feed brings; undefined = all
   */
  beginCopy(
    route: ShardRoute,
    feed: string,
    begin: CopyBegin,
    slots?: FeedSlots,
  ): Promise<Refusal | undefined> {
    return this.ask('beginCopy', route, { feed, begin, slots });
  }

  /**
   * A feed that was begun before goes on: notes of which slots it is from now on.
   * @param slots undefined = all
   */
  resumeFeed(route: ShardRoute, feed: string, slots?: FeedSlots): Promise<Refusal | undefined> {
    return this.ask('resumeFeed', route, { feed, slots });
  }

  /**
   * Applies the next slice of a copy, which goes to the worker. With the last one the feed follows the log from where the
   * copy began.
   */
  async applyCopy(route: ShardRoute, feed: string, slice: CopySlice): Promise<(Applied | Refusal) & Paced> {
    const rows = movable(slice.rows);
    const task = { feed, slice: { ...slice, rows } };
    const answer = await this.askPaced('applyCopy', route, task, memoryOf(rows));
    if ('logged' in answer) this.onLogged?.(route, answer.logged!);
    return answer;
  }

  /** Applies records of the source's log, which go to the worker, once: a chunk that has been applied before changes nothing. */
  applyRecords(route: ShardRoute, feed: string, chunk: LogChunk): Promise<Applied | Refusal> {
    const records = movable(chunk.records);
    return this.ask('applyRecords', route, { feed, chunk: { ...chunk, records } }, memoryOf(records));
  }

  /** The feed has ended: its progress is forgotten, what it brought stays. */
  async forgetFeed(route: ShardRoute, feed: string): Promise<void> {
    await this.ask('forgetFeed', route, { feed });
  }

  /**
   * Has commands see only rows of some slots, from the next batch on; also when the shard is opened again.
   * @param shown undefined = all
   * @param own the slots that are the shard's, which is what a flush of it is about; undefined = all
   */
  async show(route: ShardRoute, shown: Shown | undefined, own: FeedSlots | undefined): Promise<void> {
    route.shown = shown;
    route.own = own;
    await this.ask('show', route, { shown, own });
  }

  /**
   * Removes rows of slots that are another shard's now, a slice at a time and without a trace: nobody is told.
   * @param after what the slice before gave as `last`; undefined = from the first key
   */
  removeSlots(route: ShardRoute, slots: FeedSlots, after?: string): Promise<SlotsRemoval & Paced> {
    return this.askPaced('removeSlots', route, { slots, after });
  }
}
