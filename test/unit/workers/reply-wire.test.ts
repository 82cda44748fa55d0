import { describe, expect, it } from 'vitest';
import type { ReplyMessage } from '../../../src/workers/protocol.js';
import { fromWire, toWire, WIRE_ROOM_BYTES } from '../../../src/workers/reply-wire.js';

const ENTRY_BYTES = 12;

/** A message whose memory holds its replies, a table, and some more. */
function message(replyBytes: number, entries: number, more: number): ReplyMessage {
  const tableOffset = (replyBytes + 3) & ~3;
  const buffer = new ArrayBuffer(tableOffset + entries * ENTRY_BYTES + more);
  new Uint8Array(buffer).fill(0xee);
  return { buffer, tableOffset, entries, last: entries % 2 === 0 };
}

const bytesOf = ({ buffer, tableOffset, entries }: ReplyMessage) =>
  Buffer.from(buffer).subarray(0, tableOffset + entries * ENTRY_BYTES);

describe('replies that cross to the front', () => {
  it('are memory alone where there is nothing else to tell', () => {
    for (const replyBytes of [0, 5, 8, 1000])
      for (const entries of [0, 1, 7])
        for (const more of [WIRE_ROOM_BYTES, WIRE_ROOM_BYTES + 1, WIRE_ROOM_BYTES + 2, 4096]) {
          const sent = message(replyBytes, entries, more);
          const before = Buffer.from(bytesOf(sent));
          const wire = toWire(sent);
          expect(wire).toBe(sent.buffer);
          expect(fromWire(wire)).toEqual(sent);
          expect(bytesOf(sent).equals(before)).toBe(true);
        }
  });

  it('tell in it what one shard has logged', () => {
    for (const sequence of [
      1,
      2 ** 31,
      2 ** 32 - 1,
      2 ** 32,
      2 ** 40 + 2 ** 31 + 5,
      Number.MAX_SAFE_INTEGER,
    ]) {
      const sent = { ...message(5, 3, WIRE_ROOM_BYTES), logged: [7, sequence] };
      const before = Buffer.from(bytesOf(sent));
      const wire = toWire(sent);
      expect(wire).toBe(sent.buffer);
      expect(fromWire(wire)).toEqual(sent);
      expect(bytesOf(sent).equals(before)).toBe(true);
    }
  });

  it('stay an object where there is, or where the memory has no room', () => {
    const replies = message(8, 1, 100);
    const news: Partial<ReplyMessage>[] = [
      { slow: [] },
      { logged: [1, 2, 3, 4] },
      { blocked: [] },
      { ended: [] },
    ];
    for (const each of [
      ...news.map((more) => ({ ...replies, ...more })),
      message(8, 1, 8),
      message(0, 0, 0),
    ]) {
      expect(toWire(each)).toBe(each);
      expect(fromWire(each)).toBe(each);
    }
  });
});
