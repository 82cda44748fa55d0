import type { StringValue } from '../row.js';
import type { StreamId } from '../stream-id.js';

/*
 * Values as plain data, on their way from or to a payload. Nothing here shares memory with one.
 */

export interface StringData {
  readonly kind: 'string';
  readonly value: StringValue;
}

export interface ListData {
  readonly kind: 'list';
  /** Head to tail, at least one. */
  readonly elements: readonly StringValue[];
}

export interface SetData {
  readonly kind: 'set';
  /** Distinct, in no order, at least one. */
  readonly members: readonly StringValue[];
}

export interface HashField {
  readonly field: StringValue;
  readonly value: StringValue;
  /** Unix time in milliseconds at which the field ends; 0 = never. It may be in the past. */
  readonly expiresAtMs: number;
}

export interface HashData {
  readonly kind: 'hash';
  /** Distinct, in order of insertion as far as that is known, at least one. */
  readonly fields: readonly HashField[];
}

export interface ScoredMember {
  readonly member: StringValue;
  /** Not NaN. */
  readonly score: number;
}

export interface SortedSetData {
  readonly kind: 'zset';
  /** Distinct members, ascending by score, then by the bytes of the member, at least one. */
  readonly members: readonly ScoredMember[];
}

export interface StreamEntry {
  readonly id: StreamId;
  /** Fields and values by turns; the same field may come more than once. */
  readonly fields: readonly StringValue[];
}

/** An entry that a consumer was given and has not acknowledged. */
export interface PendingEntry {
  readonly id: StreamId;
  /** Unix time of the last delivery, milliseconds. */
  readonly deliveredAtMs: number;
  /** Deliveries so far. */
  readonly deliveries: number;
}

export interface StreamConsumer {
  readonly name: StringValue;
  /** Unix time of its last attempt to read, milliseconds. */
  readonly seenAtMs: number;
  /** Ascending by id. No two consumers of a group have the same entry, which need not be in the stream any more. */
  readonly pending: readonly PendingEntry[];
}

export interface StreamGroup {
  readonly name: StringValue;
  readonly lastId: StreamId;
  /** Entries ever read; undefined where it is not known. Rounded beyond 2^53. */
  readonly entriesRead: number | undefined;
  /** By distinct names, in byte order. */
  readonly consumers: readonly StreamConsumer[];
}

export interface StreamData {
  readonly kind: 'stream';
  /** Ascending by id, none above `lastId`; may be empty. */
  readonly entries: readonly StreamEntry[];
  /** The greatest id that any entry ever had. */
  readonly lastId: StreamId;
  /** The greatest id of all deleted entries, the least of all ids where there is none. */
  readonly maxDeletedId: StreamId;
  /** Entries ever added. Rounded beyond 2^53. */
  readonly entriesAdded: number;
  /** By distinct names, in byte order. */
  readonly groups: readonly StreamGroup[];
}

export type ValueData = StringData | ListData | SetData | HashData | SortedSetData | StreamData;

/** Why a payload holds no value that can be had. */
export type PayloadFault =
  /** It is not what it should be: "Bad data format". */
  | { readonly kind: 'malformed' }
  /** A string longer than allowed. */
  | { readonly kind: 'too-long' }
  /** More than may be held in memory at once, see RESTORED_BYTES_MAX. */
  | { readonly kind: 'too-large' }
  /** A value of a type that no version of this program has; `type` is its name in Redis's words. */
  | { readonly kind: 'unsupported'; readonly type: string };

/** Numbers of the forms of values in Redis's format, up to version 12 (Redis 8.0). */
export const PayloadType = {
  String: 0,
  List: 1,
  Set: 2,
  /** Scores as text. */
  SortedSetText: 3,
  Hash: 4,
  /** Scores as doubles. */
  SortedSet: 5,
  ModulePreRelease: 6,
  Module: 7,
  HashZipmap: 9,
  ListZiplist: 10,
  SetIntset: 11,
  SortedSetZiplist: 12,
  HashZiplist: 13,
  ListQuicklist: 14,
  Stream: 15,
  HashListpack: 16,
  SortedSetListpack: 17,
  ListQuicklist2: 18,
  /** Since Redis 7.0: with the first id, the greatest deleted one, and counters. */
  Stream2: 19,
  /** Since Redis 7.2. */
  SetListpack: 20,
  /** Since Redis 7.2: with the time at which a consumer was last active. */
  Stream3: 21,
  /** Since Redis 7.4: fields with expiry. */
  HashExpiring: 24,
  HashListpackExpiring: 25,
} as const;
