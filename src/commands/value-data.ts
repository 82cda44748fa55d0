import { type CollectionLimits, isValue } from '../types/collections/collection.js';
import { HashValue } from '../types/collections/hash.js';
import { ListValue } from '../types/collections/list.js';
import { SetValue } from '../types/collections/set.js';
import { SortedSetValue } from '../types/collections/sorted-set.js';
import { StreamValue } from '../types/collections/stream.js';
import { DEFAULT_PACKING_LIMITS, type PackingLimits } from '../types/rdb/encode.js';
import type { HashField, StringData, ValueData } from '../types/rdb/values.js';
import { type Row, type StringValue, valueText } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';
import { restoreStream, streamData } from './stream-data.js';

/** What a row holds, as plain data for DUMP: all of it in memory. */
export function dataOf(row: Row, nowMs: number): ValueData {
  const { collection } = row;
  if (collection === undefined) return { kind: 'string', value: row.value };
  if (collection instanceof SetValue) return { kind: 'set', members: collection.members() };
  if (collection instanceof HashValue) {
    const fields: HashField[] = [];
    collection.each(nowMs, (field, value) => {
      fields.push({ field, value, expiresAtMs: collection.expiryOf(field) });
      return true;
    });
    return { kind: 'hash', fields };
  }
  if (collection instanceof ListValue) {
    const elements: StringValue[] = [];
    collection.each(0, collection.size, (value) => elements.push(value) > 0);
    return { kind: 'list', elements };
  }
  if (collection instanceof SortedSetValue) {
    const members: { member: string; score: number }[] = [];
    collection.each(0, collection.size, (entry) => members.push(entry) > 0);
    return { kind: 'zset', members };
  }
  if (collection instanceof StreamValue) return streamData(collection);
  throw new Error(`no data of type ${row.type}`);
}

/** Up to what size DUMP gives values the forms that Redis has for small ones. */
export function packingLimits(limits: CollectionLimits): PackingLimits {
  return {
    ...DEFAULT_PACKING_LIMITS,
    hashFieldsMax: limits.hashEntriesMax,
    hashValueBytesMax: limits.hashValueBytesMax,
    setIntegersMax: limits.setIntegersMax,
    sortedSetMembersMax: limits.sortedSetEntriesMax,
    sortedSetMemberBytesMax: limits.sortedSetValueBytesMax,
    listNodeSize: limits.listNodeSize,
    streamNodeBytesMax: limits.streamNodeBytes,
    streamNodeEntriesMax: limits.streamNodeEntries,
  };
}

/**
 * Stages data under a key, whatever was there before.
 * @returns false if nothing of it lives, and the key was removed: all fields of a hash have ended
 */
export function stageData(view: ShardView, key: string, data: ValueData, expiresAtMs: number): boolean {
  if (data.kind === 'string') return view.setString(key, data.value, expiresAtMs);
  const value = collectionOf(view, data);
  const isKey = isValue(value);
  if (isKey) view.setCollection(key, value, expiresAtMs);
  else view.remove(key);
  return isKey;
}

function collectionOf(view: ShardView, data: Exclude<ValueData, StringData>) {
  const host = view.collections;
  switch (data.kind) {
    case 'set': {
      const set = new SetValue(host);
      for (const member of data.members) set.add(valueText(member));
      return set;
    }
    case 'list': {
      const list = new ListValue(host);
      for (const element of data.elements) list.insertAt(list.size, element);
      return list;
    }
    case 'zset': {
      const entries = data.members.map(({ member, score }) => ({ member: valueText(member), score }));
      return SortedSetValue.of(host, entries);
    }
    case 'stream':
      return restoreStream(host, data);
    case 'hash': {
      const hash = new HashValue(host);
      for (const { field, value, expiresAtMs } of data.fields) {
        if (expiresAtMs !== 0 && expiresAtMs <= view.nowMs) continue;
        hash.set(valueText(field), value, view.nowMs);
        if (expiresAtMs !== 0) hash.setExpiry(valueText(field), expiresAtMs);
      }
      return hash;
    }
  }
}
