import type { ElementHost } from '../types/collections/elements.js';
import { StreamValue } from '../types/collections/stream.js';
import { consumerName, type GroupRecord, groupName } from '../types/collections/stream-groups.js';
import type { PendingEntry, StreamData, StreamEntry, StreamGroup } from '../types/rdb/values.js';
import { valueText } from '../types/row.js';
import { STREAM_ID_MAX, STREAM_ID_MIN } from '../types/stream-id.js';

/** A stream as plain data, and back: for DUMP and RESTORE. */

export function streamData(stream: StreamValue): StreamData {
  const { lastId, maxDeletedId, entriesAdded } = stream;
  const entries: StreamEntry[] = [];
  stream.each(0, stream.size, false, (id, fields) => entries.push({ id, fields }) > 0);
  const groups = stream.groups.all().map((group) => groupData(stream, group));
  return { kind: 'stream', entries, lastId, maxDeletedId, entriesAdded, groups };
}

function groupData({ groups }: StreamValue, group: GroupRecord): StreamGroup {
  const consumers = groups.consumers(group).map((consumer) => {
    const pending = groups
      .ownedBetween(consumer, STREAM_ID_MIN, STREAM_ID_MAX, Number.POSITIVE_INFINITY)
      .map((id): PendingEntry => {
        const { deliveredAtMs, deliveries } = groups.pending(group, id)!;
        return { id, deliveredAtMs, deliveries };
      });
    return { name: consumerName(consumer), seenAtMs: consumer.seenAtMs, pending };
  });
  return { name: groupName(group), lastId: group.lastId, entriesRead: group.entriesRead, consumers };
}

export function restoreStream(host: ElementHost, data: StreamData): StreamValue {
  const stream = new StreamValue(host);
  for (const entry of data.entries) stream.restore(entry);
  stream.lastId = data.lastId;
  stream.maxDeletedId = data.maxDeletedId;
  stream.entriesAdded = data.entriesAdded;
  const { groups } = stream;
  for (const { name, lastId, entriesRead, consumers } of data.groups) {
    const group = groups.create(valueText(name), lastId, entriesRead);
    for (const { name: consumerText, seenAtMs, pending } of consumers) {
      const { number } = groups.addConsumer(group, valueText(consumerText), seenAtMs);
      for (const { id, deliveredAtMs, deliveries } of pending) {
        groups.setPending(group, id, number, deliveredAtMs, deliveries);
        stream.settle();
      }
    }
    stream.settle();
  }
  return stream;
}
