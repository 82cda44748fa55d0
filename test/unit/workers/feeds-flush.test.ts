import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { timestampOf } from '../../../src/base/clock.js';
import { FLUSHES_PER_SHARD_MAX } from '../../../src/base/limits.js';
import type { FeedPosition } from '../../../src/types/feed.js';
import { joinRecords, slotSet } from '../../../src/types/feed-codec.js';
import { FlushSet } from '../../../src/types/flush-set.js';
import { stringValue } from '../../../src/types/row.js';
import { keySlot } from '../../../src/types/slots.js';
import { copySlice } from '../../../src/workers/feed-copy.js';
import { logState, stageLogging } from '../../../src/workers/feed-source.js';
import { FeedTarget } from '../../../src/workers/feed-target.js';
import { readReplication, writeReplication } from '../../../src/workers/replication-meta.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import {
  chunkOf,
  contentsOf,
  followToEnd,
  openCopy,
  pair,
  RETENTION_MS,
  startLogging,
  stepOf,
  targetOf,
  write,
} from './feed-harness.js';
import { afterCrash, auditDisk, databaseOf, keysOf, START_MS } from './shard-harness.js';

describe('a flush', () => {
  async function flush(shard: Shard): Promise<void> {
    await shard.prepareFlush();
    shard.flush();
    shard.commit(false);
  }

  it('empties the copies in one step, and keeps what feeds have come to', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1'], ['b', '2']);
    await startLogging(target);
    write(target, ['own', '1']);
    await followToEnd(source, target, 'f');
    const { path } = databaseOf(target);
    const ids = [logState(source)!.log, logState(target)!.log];
    await flush(source);
    write(source, ['c', '3']);
    const chunks = await followToEnd(source, target, 'f');
    expect(databaseOf(target).path).not.toBe(path);
    expect(chunks).toHaveLength(2);
    expect(keysOf(target)).toEqual(['c']);
    expect([logState(source)!.log, logState(target)!.log]).toEqual(ids);
    // Who follows the target begins with the flush.
    expect(chunkOf(target, 0).last.sequence).toBe(logState(target)!.sequence);
    // So does who was far behind at the source.
    const late = (await openCopy()).shard;
    const end = targetOf(late);
    await end.begin({ ...logState(source)!, sequence: 0, flushes: new Uint8Array() }, undefined);
    await end.applyCopy({
      after: undefined,
      last: undefined,
      rows: new Uint8Array(),
      rowCount: 0,
      isDone: true,
    });
    await followToEnd(source, late, 'f');
    expect(contentsOf(late)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close(), late.close()]);
  });

  it('leaves what was written later, and ends what is older and still arrives', async () => {
    const { source, target } = await pair();
    await startLogging(target);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g');
    write(source, ['old', '1']);
    await followToEnd(source, target, 'f');
    write(target, ['older than the flush', '1']);
    source.nowMs += 5;
    await flush(source);
    target.nowMs += 10;
    write(target, ['later', '1']);
    const { path } = databaseOf(target);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g');
    for (const shard of [source, target]) expect(keysOf(shard)).toEqual(['later']);
    expect(databaseOf(target).path).toBe(path);
    auditDisk(target);
    // A write with an older time than the flush is older than the deletion of its key.
    expect(source.setString('k', '1', 0, START_MS + 1)).toBe(false);
    await Promise.all([source.close(), target.close()]);
  });

  it('leaves what was written later to a copy that does not log, also when it was opened anew since', async () => {
    const { source } = await pair();
    const directory = temporaryDir();
    let { shard } = await openCopy(directory);
    write(source, ['old', '1']);
    await followToEnd(source, shard, 'f');
    source.nowMs += 5;
    await flush(source);
    shard.nowMs += 10;
    write(shard, ['later', '1']);
    ({ shard } = await afterCrash(shard, directory));
    await followToEnd(source, shard, 'f');
    expect(keysOf(shard)).toEqual(['later']);
    source.nowMs += 10;
    await flush(source);
    shard.nowMs += 30;
    write(shard, ['latest', '1']);
    await followToEnd(source, shard, 'f');
    expect(keysOf(shard)).toEqual(['latest']);
    await Promise.all([source.close(), shard.close()]);
  });

  it('of some slots leaves the others', async () => {
    const { source, target } = await pair();
    write(source, ['moving', '1']);
    write(target, ['own', '1']);
    const slots = slotSet([keySlot(Buffer.from('moving'))]);
    await followToEnd(source, target, 'f', slots);
    expect(keysOf(target)).toEqual(['moving', 'own']);
    source.replication.setOwn(slots);
    source.nowMs += 5;
    await flush(source);
    await followToEnd(source, target, 'f', slots);
    expect(keysOf(target)).toEqual(['own']);
    // Copies that follow both shards take nothing older of these slots, so the owner does not, either.
    expect(target.setString('moving', '2', 0, START_MS + 1)).toBe(false);
    expect(target.setString('own', '2', 0, START_MS + 1)).toBe(true);
    target.commit(false);
    auditDisk(target);
    await Promise.all([source.close(), target.close()]);
  });

  it('says nothing of slots that the shard did not have when it came', async () => {
    const { source, target } = await pair();
    write(source, ['moving', '1']);
    const moving = slotSet([keySlot(Buffer.from('moving'))]);
    const both = slotSet(['moving', 'staying'].map((key) => keySlot(Buffer.from(key))));
    await followToEnd(source, target, 'f', moving);
    source.replication.setOwn(moving);
    source.nowMs += 5;
    await flush(source);
    await followToEnd(source, target, 'f', moving);
    await targetOf(target).resume(both);
    // Later than the flush here, older than it by its time: it was another shard's, which was not flushed.
    expect(target.setString('staying', '2', 0, START_MS + 1)).toBe(true);
    await Promise.all([source.close(), target.close()]);
  });

  it('is refused where rows of others have to stay', async () => {
    const { source } = await pair();
    write(source, ['own', '1'], ['other', '1']);
    expect(source.canFlush).toBe(true);
    source.hidden.show({ slots: slotSet([keySlot(Buffer.from('own'))]), keepsOthers: true });
    expect(source.canFlush).toBe(false);
    expect(source.count()).toBe(1);
    source.hidden.show({ slots: slotSet([keySlot(Buffer.from('own'))]), keepsOthers: false });
    expect(source.canFlush).toBe(true);
    await flush(source);
    source.hidden.show(undefined);
    expect(source.count()).toBe(0);
    await source.close();
  });

  const slotsOf = (...keys: string[]) => slotSet(keys.map((key) => keySlot(Buffer.from(key))));

  it('is remembered for the slots that the shard had, also when it has others', async () => {
    const directory = temporaryDir();
    let { shard } = await openCopy(directory);
    await startLogging(shard);
    shard.replication.setOwn(slotsOf('own'));
    await flush(shard);
    const { latestFlush } = shard.replication;
    shard.replication.setOwn(slotsOf('own', 'other'));
    ({ shard } = await afterCrash(shard, directory));
    expect(shard.replication.isFlushed(Buffer.from('own'), latestFlush)).toBe(true);
    expect(shard.replication.isFlushed(Buffer.from('other'), latestFlush)).toBe(false);
    await shard.close();
  });

  it('ends what a copy has from before that was away at the time, though rows of others are beside by then', async () => {
    const { source, target } = await pair();
    for (const shard of [source, target]) shard.replication.setOwn(slotsOf('old', 'kept'));
    write(source, ['old', '1'], ['kept', '1']);
    await followToEnd(source, target, 'f');
    source.nowMs += 5;
    await flush(source);
    // Another shard's rows, older than the flush; those who were there have read all of the log.
    source.replication.setOwn(slotsOf('old', 'kept', 'other'));
    expect(source.setString('other', stringValue('1'), 0, START_MS + 1)).toBe(true);
    source.commit(false);
    write(source, ['kept', '2']);
    const { log } = source.replication;
    await stepOf(source)(() => log.trim(source.source(), log.last));
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    expect(keysOf(target)).toEqual(['kept', 'other']);
    await Promise.all([source.close(), target.close()]);
  });

  it('that another copy tells of once more says nothing of what has come from other shards since', async () => {
    const { source, target } = await pair();
    await startLogging(target);
    const own = slotSet([keySlot(Buffer.from('own'))]);
    const both = slotSet(['own', 'other'].map((key) => keySlot(Buffer.from(key))));
    for (const shard of [source, target]) shard.replication.setOwn(own);
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g', own);
    source.nowMs += 5;
    await flush(source);
    // The target's log begins with the flush, too. The source reads it when it is about to have another shard's rows.
    await followToEnd(source, target, 'f');
    source.replication.setOwn(both);
    await targetOf(source, 'g').resume(both);
    expect(source.setString('other', '1', 0, START_MS + 1)).toBe(true);
    source.commit(false);
    await followToEnd(target, source, 'g', both);
    expect(keysOf(source)).toEqual(['other']);
    await Promise.all([source.close(), target.close()]);
  });

  it('that comes when the copy has other slots leaves those', async () => {
    const { source, target } = await pair();
    for (const shard of [source, target]) shard.replication.setOwn(slotsOf('a'));
    write(source, ['a', '1']);
    await followToEnd(source, target, 'f');
    target.replication.setOwn(slotsOf('a', 'b'));
    write(target, ['b', '1']);
    source.nowMs += 5;
    await flush(source);
    await followToEnd(source, target, 'f');
    expect(keysOf(target)).toEqual(['b']);
    await Promise.all([source.close(), target.close()]);
  });

  it('is remembered when the feed that told of it has ended, and told to those who copy', async () => {
    const { source, target } = await pair();
    write(source, ['moving', '1']);
    await followToEnd(source, target, 'f', slotsOf('moving'));
    source.replication.setOwn(slotsOf('moving'));
    source.nowMs += 5;
    await flush(source);
    await followToEnd(source, target, 'f', slotsOf('moving'));
    await targetOf(target).end();
    const { shard } = await openCopy();
    // It was away at the flush, and has got this from elsewhere.
    write(shard, ['moving', '1'], ['own', '1']);
    await startLogging(target);
    await followToEnd(target, shard, 'g');
    expect(keysOf(shard)).toEqual(['own']);
    for (const each of [target, shard]) {
      expect(each.setString('moving', stringValue('2'), 0, START_MS + 1)).toBe(false);
      expect(each.setString('own', stringValue('2'), 0, START_MS + 1)).toBe(true);
      each.commit(false);
    }
    await Promise.all([source.close(), target.close(), shard.close()]);
  });

  it('is taken for all of its slots, whatever the feed is thought to be about', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1']);
    write(target, ['b', '1'], ['c', '1']);
    await followToEnd(source, target, 'f', slotsOf('a'));
    // The source has come to have another slot, of which the target has not heard.
    source.replication.setOwn(slotsOf('a', 'b'));
    source.nowMs += 5;
    await flush(source);
    await followToEnd(source, target, 'f', slotsOf('a'));
    expect(keysOf(target)).toEqual(['c']);
    const { shard } = await openCopy();
    write(shard, ['b', '1'], ['c', '1']);
    await followToEnd(source, shard, 'f', slotsOf('a'));
    expect(keysOf(shard)).toEqual(['c']);
    await Promise.all([source.close(), target.close(), shard.close()]);
  });

  it('that a record of an earlier version tells of is one of all that the feed is about', async () => {
    const { source, target } = await pair();
    write(target, ['moving', '1'], ['own', '1']);
    await followToEnd(source, target, 'f', slotsOf('moving'));
    const { log } = logState(source)!;
    const record = Buffer.alloc(9, 2);
    record.writeBigUInt64BE(BigInt(timestampOf(target.nowMs + 1)), 1);
    const [after, last] = [0, 1].map((sequence) => ({ log, sequence })) as [FeedPosition, FeedPosition];
    await targetOf(target).applyRecords({ after, records: joinRecords([record]), last });
    expect(keysOf(target)).toEqual(['own']);
    await Promise.all([source.close(), target.close()]);
  });

  it('that an earlier version tells of is one of all that the feed is about', async () => {
    const { source, target } = await pair();
    write(target, ['moving', '1'], ['own', '1']);
    const { log } = logState(source)!;
    const flushedAt = timestampOf(target.nowMs + 1);
    const end = targetOf(target);
    await end.begin({ log, sequence: 0, rememberedSince: 0, flushedAt }, slotsOf('moving'));
    await end.applyCopy(copySlice(source, undefined, slotsOf('moving'), 1000));
    expect(keysOf(target)).toEqual(['own']);
    await Promise.all([source.close(), target.close()]);
  });

  it('that an earlier version wrote down is one of the slots that the shard has', async () => {
    const directory = temporaryDir();
    let { shard } = await openCopy(directory);
    await startLogging(shard);
    const database = databaseOf(shard);
    const { record } = readReplication(database);
    const flushedAt = timestampOf(START_MS);
    writeReplication(database, { ...record!, flushedAt, clearedAt: flushedAt });
    database.commit(false);
    const flushOf = (key: string) => shard.replication.flushOf(key);
    for (const keepsRecord of [true, false]) {
      ({ shard } = await afterCrash(shard, directory));
      expect([flushOf('own'), flushOf('other')]).toEqual([flushedAt, flushedAt]);
      // Until it is known which slots these are, all stays as it was.
      if (keepsRecord) await stepOf(shard)(() => stageLogging(shard, false));
    }
    shard.replication.setOwn(slotsOf('own'));
    expect([flushOf('own'), flushOf('other')]).toEqual([flushedAt, 0]);
    await stepOf(shard)(() => stageLogging(shard, true));
    ({ shard } = await afterCrash(shard, directory));
    expect([flushOf('own'), flushOf('other')]).toEqual([flushedAt, 0]);
    await shard.close();
  });

  it('is forgotten when there are too many of other slots: copies drop what is older all the same', async () => {
    const { source } = await pair();
    source.nowMs += 1000;
    for (let slot = 0; slot <= FLUSHES_PER_SHARD_MAX; slot++) {
      const at = timestampOf(START_MS + slot);
      await stepOf(source)(() => source.replication.remember(FlushSet.of(at, slotSet([slot])), source.nowMs));
    }
    const { flushes, log } = source.replication;
    expect([flushes.at(0), flushes.at(1)]).toEqual([0, timestampOf(START_MS + 1)]);
    expect(log.sinceMs).toBe(START_MS + 1);
    // One of its own slots comes beside those.
    source.replication.setOwn(slotSet([FLUSHES_PER_SHARD_MAX + 1]));
    await flush(source);
    const { flushes: known, own } = source.replication;
    expect([known.flushes.length, known.at(1), known.reachedIn(own) > 0]).toEqual([
      FLUSHES_PER_SHARD_MAX,
      0,
      true,
    ]);
    expect(source.replication.log.sinceMs).toBe(START_MS + 2);
    await source.close();
  });

  it('is forgotten when deletions of its time are', async () => {
    const { source } = await pair();
    await stepOf(source)(() =>
      source.replication.remember(FlushSet.of(timestampOf(START_MS), slotsOf('a')), source.nowMs),
    );
    source.nowMs += RETENTION_MS + 1;
    const at = timestampOf(START_MS + 1);
    await stepOf(source)(() => source.replication.remember(FlushSet.of(at, slotsOf('b')), source.nowMs));
    expect([source.replication.flushOf('a'), source.replication.flushOf('b')]).toEqual([0, at]);
    await source.close();
  });

  it('is remembered when nobody follows any more: what is older is refused, not left out of the next copy', async () => {
    const { source } = await pair();
    source.nowMs += 5;
    await flush(source);
    await stepOf(source)(() => stageLogging(source, false));
    expect(source.replication.isActive).toBe(false);
    expect(source.setString('older', '1', 0, START_MS + 1)).toBe(false);
    expect(source.setString('later', '1', 0, START_MS + 50)).toBe(true);
    source.commit(false);
    await startLogging(source);
    const { shard } = await openCopy();
    await followToEnd(source, shard, 'f');
    expect(keysOf(shard)).toEqual(keysOf(source));
    await Promise.all([source.close(), shard.close()]);
  });

  it('ends what a copy has from before, also when the process ended in the middle of that', async () => {
    const { source, target } = await pair();
    write(source, ['old', '1'], ['kept', '1']);
    await followToEnd(source, target, 'f');
    source.nowMs += 5;
    await flush(source);
    write(source, ['kept', '2']);
    const { log } = source.replication;
    await stepOf(source)(() => log.trim(source.source(), log.last));
    let steps = 0;
    const ending = new FeedTarget(target, 'f', (work) => {
      if (++steps > 1) throw new Error('ended');
      return stepOf(target)(work);
    });
    await expect(ending.begin(logState(source)!, undefined)).rejects.toThrow('ended');
    expect(keysOf(target)).toContain('old');
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    expect(keysOf(target)).toEqual(['kept']);
    await Promise.all([source.close(), target.close()]);
  });

  it('that fails leaves everything as it was', async () => {
    const { source, target } = await pair();
    write(source, ['a', '1']);
    await followToEnd(source, target, 'f');
    await source.prepareFlush();
    source.flush();
    const { log } = source.replication;
    source.rollback();
    expect(log.last).toBe(1);
    write(source, ['b', '1']);
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    await Promise.all([source.close(), target.close()]);
  });
});
