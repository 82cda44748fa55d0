import { Buffer } from 'node:buffer';
import type { FollowerMessage, SourceMessage } from '../cluster/feed-messages.js';
import { exact, given, idOf, WireError } from '../master/wire-checks.js';
import type { Maybe } from '../master/wire-types.js';
import type { FeedPosition, FeedStart, LogChunk } from '../types/feed.js';
import { FEED_SLOTS_BYTES } from '../types/feed-codec.js';

/*
 * The messages of peer.proto as @grpc/proto-loader has them (see proto.ts), and what they say, as values of the
 * cluster. Reading checks what protobuf does not. All of it is pure.
 */

interface WirePosition {
  log: string;
  sequence: number;
}

interface WireChunk {
  after: Maybe<WirePosition>;
  records: Uint8Array;
  last: Maybe<WirePosition>;
}

interface WireCopyBegin {
  position: Maybe<WirePosition>;
  rememberedSince: number;
  flushedAt: number;
  flushes?: Uint8Array;
  after?: Uint8Array;
}

/** Of the members one is there: that which `phase` names. */
interface WireStart {
  phase?: string;
  copying?: Maybe<WireCopyBegin>;
  tailing?: Maybe<WirePosition>;
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
    whole?: Uint8Array;
    partWillDo: boolean;
    fromBeginning: boolean;
    resume: Maybe<WireStart>;
  }>;
  ack?: Maybe<{ position: Maybe<WirePosition>; bytes: number }>;
}

/** As {@link WireFollowerMessage}. */
export interface WireSourceMessage {
  message?: string;
  begin?: Maybe<WireStart>;
  slice?: Maybe<{
    rows: Uint8Array;
    rowCount: number;
    after?: Uint8Array;
    last?: Uint8Array;
    isDone: boolean;
  }>;
  records?: Maybe<WireChunk>;
  beat?: Maybe<{
    position: Maybe<WirePosition>;
    nowMs: number;
    marks: { epoch: number; sequence: number }[];
  }>;
  refused?: Maybe<{ reason: string }>;
}

/** A log's id is short; what is longer is none. */
const LOG_ID_LENGTH_MAX = 64;
/** A feed's id names stores, shards and changes. */
const FEED_ID_LENGTH_MAX = 1024;

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

function toWireStart(start: FeedStart): WireStart {
  if (start.phase === 'tailing') return { tailing: toWirePosition(start.position) };
  const { rememberedSince, flushedAt, flushes, ...position } = start.begin;
  const after = optional('after', toWireKey(start.after));
  const facts = { rememberedSince, flushedAt: flushedAt ?? 0, ...optional('flushes', flushes) };
  return { copying: { position: toWirePosition(position), ...facts, ...after } };
}

function fromWireStart({ copying, tailing }: WireStart): FeedStart {
  if (tailing) return { phase: 'tailing', position: fromWirePosition(tailing) };
  const { position, rememberedSince, flushedAt, flushes, after } = given(copying, 'position');
  return {
    phase: 'copying',
    begin: {
      ...fromWirePosition(given(position, 'position')),
      rememberedSince: exact(rememberedSince, 'remembered_since'),
      ...optional('flushedAt', exact(flushedAt, 'flushed_at') || undefined),
      // In memory of their own, as slots are.
      ...optional('flushes', flushes && new Uint8Array(flushes)),
    },
    after: fromWireKey(after),
  };
}

export function toWireFollowerMessage(message: FollowerMessage): WireFollowerMessage {
  if (message.kind === 'ack') {
    const { position, bytes } = message;
    return { ack: { position: position && toWirePosition(position), bytes } };
  }
  const { kind: _, slots, whole, resume, ...facts } = message;
  const sets = { ...optional('slots', slots), ...optional('whole', whole) };
  return { open: { ...facts, ...sets, resume: resume && toWireStart(resume) } };
}

/** @throws WireError */
export function fromWireFollowerMessage({ open, ack }: WireFollowerMessage): FollowerMessage {
  if (ack) {
    const position = ack.position ? fromWirePosition(ack.position) : undefined;
    return { kind: 'ack', position, bytes: exact(ack.bytes, 'bytes') };
  }
  if (!open) throw new WireError('it is none that this version knows');
  const { clusterId, follower, source, feed, keyspace, shard, partWillDo, fromBeginning, resume } = open;
  if (feed === '' || feed.length > FEED_ID_LENGTH_MAX) throw new WireError('a feed without an id');
  return {
    kind: 'open',
    clusterId,
    follower: idOf(follower, 'store'),
    source: idOf(source, 'store'),
    feed,
    keyspace: idOf(keyspace, 'keyspace'),
    shard,
    slots: fromWireSlots(open.slots),
    whole: fromWireSlots(open.whole),
    partWillDo,
    fromBeginning,
    resume: resume ? fromWireStart(resume) : undefined,
  };
}

function fromWireSlots(slots: Uint8Array | undefined): Uint8Array | undefined {
  if (slots !== undefined && slots.length !== FEED_SLOTS_BYTES)
    throw new WireError(`slots in ${slots.length} bytes instead of ${FEED_SLOTS_BYTES}`);
  // In memory of their own: what is sent to a worker takes along all of the memory that it lies in.
  return slots && new Uint8Array(slots);
}

function toWireChunk({ after, records, last }: LogChunk): WireChunk {
  return { after: toWirePosition(after), records, last: toWirePosition(last) };
}

function fromWireChunk({ after, records, last }: WireChunk): LogChunk {
  return {
    after: fromWirePosition(given(after, 'position')),
    records,
    last: fromWirePosition(given(last, 'position')),
  };
}

export function toWireSourceMessage(message: SourceMessage): WireSourceMessage {
  switch (message.kind) {
    case 'begin':
      return { begin: toWireStart(message.from) };
    case 'slice': {
      const { rows, rowCount, after, last, isDone } = message.slice;
      const keys = { ...optional('after', toWireKey(after)), ...optional('last', toWireKey(last)) };
      return { slice: { rows, rowCount, ...keys, isDone } };
    }
    case 'records':
      return { records: toWireChunk(message.chunk) };
    case 'beat':
      return {
        beat: {
          position: toWirePosition(message.position),
          nowMs: message.nowMs,
          marks: message.marks.map(({ epoch, sequence }) => ({ epoch, sequence })),
        },
      };
    case 'refused':
      return { refused: { reason: message.reason } };
  }
}

/** @throws WireError */
export function fromWireSourceMessage(wire: WireSourceMessage): SourceMessage {
  const { begin, slice, records, beat, refused } = wire;
  if (begin) return { kind: 'begin', from: fromWireStart(begin) };
  if (slice) {
    const { rows, rowCount, isDone } = slice;
    const range = { after: fromWireKey(slice.after), last: fromWireKey(slice.last) };
    return { kind: 'slice', slice: { rows, rowCount, ...range, isDone } };
  }
  if (records) return { kind: 'records', chunk: fromWireChunk(records) };
  if (beat)
    return {
      kind: 'beat',
      position: fromWirePosition(given(beat.position, 'position')),
      nowMs: exact(beat.nowMs, 'now_ms'),
      marks: beat.marks.map(({ epoch, sequence }) => ({
        epoch: exact(epoch, 'the epoch of a mark'),
        sequence: exact(sequence, 'the place of a mark'),
      })),
    };
  if (refused) return { kind: 'refused', reason: refused.reason };
  throw new WireError('it is none that this version knows');
}
