import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import type { FollowerMessage, SourceMessage } from '../../../src/cluster/feed-messages.js';
import { peerMethods } from '../../../src/peers/proto.js';
import {
  fromWireFollowerMessage,
  fromWireSourceMessage,
  toWireFollowerMessage,
  toWireSourceMessage,
} from '../../../src/peers/wire.js';

const { Feed } = peerMethods();
const ID = 'ab'.repeat(20);
const POSITION = { log: 'L', sequence: 2 ** 52 + 1 };
const COPYING = {
  phase: 'copying',
  begin: { ...POSITION, rememberedSince: 2 ** 52 },
  after: undefined,
} as const;
const OPEN = {
  kind: 'open',
  clusterId: 'c',
  follower: ID,
  source: ID,
  feed: `${ID}/3`,
  keyspace: 'abcdef',
  shard: 3,
  partWillDo: false,
  fromBeginning: false,
} as const;

const ALL = { slots: undefined, whole: undefined };
const SOME = new Uint8Array(2048).fill(170);

const followers: FollowerMessage[] = [
  { ...OPEN, ...ALL, resume: undefined },
  { ...OPEN, slots: SOME, whole: undefined, resume: { phase: 'tailing', position: POSITION } },
  { ...OPEN, slots: SOME, whole: new Uint8Array(2048).fill(128), resume: undefined },
  { ...OPEN, ...ALL, partWillDo: true, fromBeginning: true, resume: COPYING },
  { ...OPEN, ...ALL, resume: { ...COPYING, after: '' } },
  { kind: 'ack', position: undefined, bytes: 0 },
  { kind: 'ack', position: POSITION, bytes: 2 ** 40 },
];

const SLICE = {
  rows: new Uint8Array([0, 255]),
  rowCount: 1,
  after: undefined,
  last: undefined,
  isDone: true,
};
const sources: SourceMessage[] = [
  { kind: 'begin', from: { phase: 'tailing', position: { log: 'L', sequence: 0 } } },
  {
    kind: 'begin',
    from: { ...COPYING, begin: { ...COPYING.begin, flushedAt: 7, flushes: new Uint8Array(3) } },
  },
  { kind: 'begin', from: { ...COPYING, after: 'k\u00ff\u0000' } },
  { kind: 'slice', slice: SLICE },
  { kind: 'slice', slice: { ...SLICE, after: '', last: '\u00ff', isDone: false } },
  { kind: 'records', chunk: { after: POSITION, records: new Uint8Array([1, 2, 3]), last: POSITION } },
  { kind: 'beat', position: POSITION, nowMs: 1_700_000_000_000, marks: [] },
  { kind: 'beat', position: POSITION, nowMs: 1, marks: [{ epoch: 1_700_000_000_001, sequence: 0 }] },
  { kind: 'refused', reason: 'not here' },
];

/** What a message says: whether its bytes are in a Buffer is no matter. */
function textOf(message: SourceMessage): string {
  return JSON.stringify(message, (_, value) =>
    value instanceof Uint8Array
      ? Buffer.from(value).latin1Slice()
      : value?.type === 'Buffer'
        ? Buffer.from(value.data).latin1Slice()
        : value,
  );
}

describe('the messages of peer.proto', () => {
  test.each(followers)('from followers say what was said: $kind', (message) => {
    const bytes = Feed.requestSerialize(toWireFollowerMessage(message));
    expect(fromWireFollowerMessage(Feed.requestDeserialize(bytes))).toEqual(message);
  });

  test.each(sources)('from sources say what was said: $kind', (message) => {
    const bytes = Feed.responseSerialize(toWireSourceMessage(message));
    expect(textOf(fromWireSourceMessage(Feed.responseDeserialize(bytes)))).toEqual(textOf(message));
  });

  test.each([0, 1, 127, 128, 16_383, 16_384, 500_000, 2_097_152])('bring %i bytes', (size) => {
    const records = Buffer.alloc(size, 'abc');
    const sent: SourceMessage[] = [
      { kind: 'records', chunk: { after: POSITION, records, last: POSITION } },
      { kind: 'slice', slice: { ...SLICE, rows: records, last: 'z' } },
    ];
    for (const message of sent) {
      const bytes = Buffer.from(Feed.responseSerialize(toWireSourceMessage(message)));
      expect(textOf(fromWireSourceMessage(Feed.responseDeserialize(bytes)))).toBe(textOf(message));
    }
  });

  test.each([
    [{}, /none that this version knows/],
    [{ open: { ...OPEN, source: 'no id', resume: undefined } }, /is no id of a store/],
    [{ open: { ...OPEN, feed: '', resume: undefined } }, /a feed without an id/],
    [{ open: { ...OPEN, slots: new Uint8Array(3), resume: undefined } }, /slots in 3 bytes/],
    [{ open: { ...OPEN, whole: new Uint8Array(0), resume: undefined } }, /slots in 0 bytes/],
    [{ open: { ...OPEN, resume: {} } }, /there is no position/],
    [{ ack: { position: { log: '', sequence: 1 }, bytes: 0 } }, /without the id of its log/],
    [{ ack: { position: undefined, bytes: 2 ** 60 } }, /not a whole number/],
  ])('are refused where they make no sense', (wire, reason) => {
    expect(() => fromWireFollowerMessage(wire)).toThrow(reason);
  });
});
