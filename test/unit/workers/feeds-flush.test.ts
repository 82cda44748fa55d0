import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { slotSet } from '../../../src/types/feed-codec.js';
import { keySlot } from '../../../src/types/slots.js';
import { logState, stageLogging } from '../../../src/workers/feed-source.js';
import type { Shard } from '../../../src/workers/shard.js';
import { temporaryDir } from '../../support/environment.js';
import {
  chunkOf,
  contentsOf,
  followToEnd,
  openCopy,
  pair,
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
    await end.begin({ ...logState(source)!, sequence: 0, flushedAt: 0 }, undefined);
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

  it('says nothing of slots that the feed was not about when it came', async () => {
    const { source, target } = await pair();
    write(source, ['moving', '1'], ['staying', '1']);
    const moving = slotSet([keySlot(Buffer.from('moving'))]);
    const both = slotSet(['moving', 'staying'].map((key) => keySlot(Buffer.from(key))));
    await followToEnd(source, target, 'f', moving);
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

  it('before is no longer known where rows of others come to be kept', async () => {
    const { source } = await pair();
    await flush(source);
    const { flushedAt } = source.replication;
    expect(flushedAt).toBeGreaterThan(0);
    expect(source.replication.isFlushed(Buffer.from('k'), flushedAt)).toBe(true);
    source.replication.forgetFlush();
    source.commit(false);
    expect(source.replication.isFlushed(Buffer.from('k'), flushedAt)).toBe(false);
    await source.close();
  });

  it('that is no longer known ends what a copy has from before that was away at the time', async () => {
    const { source, target } = await pair();
    write(source, ['old', '1'], ['kept', '1']);
    await followToEnd(source, target, 'f');
    source.nowMs += 5;
    await flush(source);
    source.nowMs += 5;
    write(source, ['kept', '2']);
    // Another shard's rows are about to come beside; those who were there have read all of the log.
    await stepOf(source)(() => source.replication.forgetFlush());
    const { log } = source.replication;
    await stepOf(source)(() => log.trim(source.source(), log.last));
    expect(logState(source)!.flushedAt).toBe(0);
    await followToEnd(source, target, 'f');
    expect(contentsOf(target)).toEqual(contentsOf(source));
    expect(keysOf(target)).toEqual(['kept']);
    await Promise.all([source.close(), target.close()]);
  });

  it('that another copy tells of once more says nothing of what has come from other shards since', async () => {
    const { source, target } = await pair();
    await startLogging(target);
    const own = slotSet([keySlot(Buffer.from('own'))]);
    const both = slotSet(['own', 'other'].map((key) => keySlot(Buffer.from(key))));
    await followToEnd(source, target, 'f');
    await followToEnd(target, source, 'g', own);
    source.nowMs += 5;
    await flush(source);
    // The target's log begins with the flush, too. The source reads it when it is about to have another shard's rows.
    await followToEnd(source, target, 'f');
    await stepOf(source)(() => source.replication.forgetFlush());
    await targetOf(source, 'g').resume(both);
    expect(source.setString('other', '1', 0, START_MS + 1)).toBe(true);
    source.commit(false);
    await followToEnd(target, source, 'g', both);
    expect(keysOf(source)).toEqual(['other']);
    await Promise.all([source.close(), target.close()]);
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
