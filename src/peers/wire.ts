import { Buffer } from 'node:buffer';
import type { FeedPosition, FeedResume, FollowerMessage, SourceMessage } from '../cluster/feed-messages.js';
import { SLOTS } from '../cluster/slots.js';
import { exact, given, idOf, type Maybe, WireError } from '../master/wire.js';

/*
 * The messages of peer.proto as @grpc/proto-loader has them (see proto.ts), and what they say, as values of the
 * cluster. Reading checks what protobuf does not. All of it is pure.
 */

interface WirePosition {
  log: string;
  sequence: number;
}

interface WireResume {
  position: Maybe<WirePosition>;
  isCopying: boolean;
  copiedTo?: Uint8Array;
}

/** Of the members one is there: that which `message` names. */
export interface WireFollowerMessage {
  message?: string;
  open?: Maybe<{
    clusterId: string;
    follower: string;
    source: string;
    feed: string;
    keyspace: string;
    shard: number;
    slots?: Uint8Array;
    resume: Maybe<WireResume>;
  }>;
  ack?: Maybe<{ position: Maybe<WirePosition>; bytes: number }>;
}

/** As {@link WireFollowerMessage}. */
export interface WireSourceMessage {
  message?: string;
  begin?: Maybe<WireResume>;
  slice?: Maybe<{
    rows: Uint8Array;
    rowCount: number;
    after?: Uint8Array;
    last?: Uint8Array;
    isDone: boolean;
  }>;
  records?: Maybe<{ records: Uint8Array; last: Maybe<WirePosition> }>;
  beat?: Maybe<{ position: Maybe<WirePosition>; nowMs: number }>;
  refused?: Maybe<{ reason: string }>;
}

/** A log's id is short; what is longer is none. */
const LOG_ID_LENGTH_MAX = 64;
/** A feed's id names stores, shards and changes. */
const FEED_ID_LENGTH_MAX = 1024;
const SLOT_BYTES = SLOTS / 8;

function toWirePosition({ log, sequence }: FeedPosition): WirePosition {
  return { log, sequence };
}

function fromWirePosition(wire: WirePosition): FeedPosition {
  if (wire.log === '' || wire.log.length > LOG_ID_LENGTH_MAX)
    throw new WireError('a position without the id of its log');
  return { log: wire.log, sequence: exact(wire.sequence, 'the sequence of a record') };
}

function toWireKey(key: string | undefined): Uint8Array | undefined {
  return key === undefined ? undefined : Buffer.from(key, 'latin1');
}

function fromWireKey(key: Uint8Array | undefined): string | undefined {
  return key === undefined ? undefined : Buffer.from(key).latin1Slice();
}

function optional<Name extends string, Value>(
  name: Name,
  value: Value | undefined,
): { [Key in Name]?: Value } {
  return (value === undefined ? {} : { [name]: value }) as { [Key in Name]?: Value };
}

function toWireResume({ position, isCopying, copiedTo }: FeedResume): WireResume {
  return { position: toWirePosition(position), isCopying, ...optional('copiedTo', toWireKey(copiedTo)) };
}

function fromWireResume({ position, isCopying, copiedTo }: WireResume): FeedResume {
  return {
    position: fromWirePosition(given(position, 'position')),
    isCopying,
    copiedTo: isCopying ? fromWireKey(copiedTo) : undefined,
  };
}

export function toWireFollowerMessage(message: FollowerMessage): WireFollowerMessage {
  if (message.kind === 'ack') {
    const { position, bytes } = message;
    return { ack: { position: position && toWirePosition(position), bytes } };
  }
  const { kind: _, slots, resume, ...facts } = message;
  return { open: { ...facts, ...optional('slots', slots), resume: resume && toWireResume(resume) } };
}

/** @throws WireError */
export function fromWireFollowerMessage({ open, ack }: WireFollowerMessage): FollowerMessage {
  if (ack) {
    const position = ack.position ? fromWirePosition(ack.position) : undefined;
    return { kind: 'ack', position, bytes: exact(ack.bytes, 'bytes') };
  }
  if (!open) throw new WireError('it is none that this version knows');
  const { clusterId, follower, source, feed, keyspace, shard, slots, resume } = open;
  if (feed === '' || feed.length > FEED_ID_LENGTH_MAX) throw new WireError('a feed without an id');
  if (slots !== undefined && slots.length !== SLOT_BYTES)
    throw new WireError(`slots in ${slots.length} bytes instead of ${SLOT_BYTES}`);
  return {
    kind: 'open',
    clusterId,
    follower: idOf(follower, 'store'),
    source: idOf(source, 'store'),
    feed,
    keyspace: idOf(keyspace, 'keyspace'),
    shard,
    slots,
    resume: resume ? fromWireResume(resume) : undefined,
  };
}

export function toWireSourceMessage(message: SourceMessage): WireSourceMessage {
  switch (message.kind) {
    case 'begin':
      return { begin: toWireResume(message.from) };
    case 'slice': {
      const { rows, rowCount, after, last, isDone } = message;
      const keys = { ...optional('after', toWireKey(after)), ...optional('last', toWireKey(last)) };
      return { slice: { rows, rowCount, ...keys, isDone } };
    }
    case 'records':
      return { records: { records: message.records, last: toWirePosition(message.last) } };
    case 'beat':
      return { beat: { position: toWirePosition(message.position), nowMs: message.nowMs } };
    case 'refused':
      return { refused: { reason: message.reason } };
  }
}

/** @throws WireError */
export function fromWireSourceMessage(wire: WireSourceMessage): SourceMessage {
  const { begin, slice, records, beat, refused } = wire;
  if (begin) return { kind: 'begin', from: fromWireResume(begin) };
  if (slice) {
    const { rows, rowCount, isDone } = slice;
    const range = { after: fromWireKey(slice.after), last: fromWireKey(slice.last) };
    return { kind: 'slice', rows, rowCount, ...range, isDone };
  }
  if (records)
    return {
      kind: 'records',
      records: records.records,
      last: fromWirePosition(given(records.last, 'position')),
    };
  if (beat)
    return {
      kind: 'beat',
      position: fromWirePosition(given(beat.position, 'position')),
      nowMs: exact(beat.nowMs, 'now_ms'),
    };
  if (refused) return { kind: 'refused', reason: refused.reason };
  throw new WireError('it is none that this version knows');
}
