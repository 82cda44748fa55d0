import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, quotable, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { StreamValue } from '../types/collections/stream.js';
import {
  type ConsumerRecord,
  consumerName,
  type GroupRecord,
  type PendingRecord,
  pendingId,
} from '../types/collections/stream-groups.js';
import type { StringValue } from '../types/row.js';
import { parseStreamId, STREAM_ID_MAX, STREAM_ID_MIN, type StreamId } from '../types/stream-id.js';
import type { ShardHandler } from './definition.js';
import {
  type FoundGroup,
  INVALID_STREAM_ID,
  parseRangeEnd,
  requireGroup,
  saveStream,
  writeEntry,
  writeId,
} from './stream-access.js';

/** XPENDING, XCLAIM and XAUTOCLAIM. */

/** Pending entries that are looked at in one go. */
const SLICE_ENTRIES = 256;

interface PendingQuery {
  readonly idleMinMs: number;
  readonly from: StreamId;
  readonly to: StreamId;
  readonly count: number;
  readonly consumer: string | undefined;
}

/** What XPENDING asks for, with more than key and group. */
function parsePendingQuery(args: Arguments): PendingQuery | CommandError {
  let at = 3;
  let idleMinMs = 0;
  if (args.token(3) === 'IDLE') {
    const idle = parseInteger(args.text(4));
    if (idle === undefined) return NOT_AN_INTEGER;
    if (args.count < 8) return SYNTAX_ERROR;
    idleMinMs = idle;
    at = 5;
  }
  const count = parseInteger(args.text(at + 2));
  if (count === undefined) return NOT_AN_INTEGER;
  const from = parseRangeEnd(args.text(at), 'start');
  if (from instanceof CommandError) return from;
  const to = parseRangeEnd(args.text(at + 1), 'stop');
  if (to instanceof CommandError) return to;
  const consumer = at + 3 < args.count ? args.text(at + 3) : undefined;
  return { idleMinMs, from, to, count: Math.max(0, count), consumer };
}

/** XPENDING key group [[IDLE min-idle-time] start end count [consumer]] */
export const pending: ShardHandler = ({ view, reply }, args) => {
  if (args.count !== 3 && (args.count < 6 || args.count > 9)) return reply.error(SYNTAX_ERROR);
  const query = args.count === 3 ? undefined : parsePendingQuery(args);
  if (query instanceof CommandError) return reply.error(query);
  const found = requireGroup(view, args.text(1), args.text(2));
  if (found instanceof CommandError) return reply.error(found);
  if (query === undefined) summarize(reply, found);
  else listPending(reply, found, query, view.nowMs);
};

function summarize(reply: ReplyWriter, { stream: { groups }, group }: FoundGroup): void {
  const total = groups.countPending(group);
  reply.array(4);
  reply.integer(total);
  if (total === 0) {
    reply.nil();
    reply.nil();
    reply.nilArray();
    return;
  }
  for (const id of groups.pendingBounds(group)) writeId(reply, id);
  const counts = groups
    .consumers(group)
    .map((consumer) => [consumerName(consumer), groups.countOwned(consumer)] as const)
    .filter(([, count]) => count > 0);
  reply.array(counts.length);
  for (const [name, count] of counts) {
    reply.array(2);
    reply.bulk(name);
    reply.bulk(String(count));
  }
}

function listPending(
  reply: ReplyWriter,
  { stream: { groups }, group }: FoundGroup,
  { idleMinMs, from, to, count, consumer }: PendingQuery,
  nowMs: number,
): void {
  const owner = consumer === undefined ? undefined : groups.consumer(group, consumer);
  if (consumer !== undefined && owner === undefined) {
    reply.array(0);
    return;
  }
  const records: PendingRecord[] = [];
  eachPending(groups, group, owner, from, to, (record) => {
    if (records.length >= count) return false;
    if (idleMinMs === 0 || nowMs - record.deliveredAtMs >= idleMinMs) records.push(record);
    return true;
  });
  const names = new Map<number, string>();
  reply.array(records.length);
  for (const record of records) {
    const name = names.get(record.consumer) ?? groups.consumerName(record.consumer);
    names.set(record.consumer, name);
    reply.array(4);
    writeId(reply, pendingId(record));
    reply.bulk(name);
    reply.integer(Math.max(0, nowMs - record.deliveredAtMs));
    reply.integer(record.deliveries);
  }
}

/** Visits what is pending for a group, or for one of its consumers, until `visit` returns false. */
function eachPending(
  groups: StreamValue['groups'],
  group: GroupRecord,
  owner: ConsumerRecord | undefined,
  from: StreamId,
  to: StreamId,
  visit: (record: PendingRecord) => boolean,
): void {
  for (let next = from; ; ) {
    const slice =
      owner === undefined
        ? groups.pendingBetween(group, next, to, SLICE_ENTRIES)
        : groups.ownedBetween(owner, next, to, SLICE_ENTRIES).map((id) => groups.pending(group, id)!);
    for (const record of slice) if (!visit(record)) return;
    if (slice.length < SLICE_ENTRIES) return;
    next = `${pendingId(slice.at(-1)!)}\0`;
  }
}

interface ClaimOptions {
  idleMinMs: number;
  /** Unix milliseconds. */
  deliveredAtMs: number;
  deliveries: number | undefined;
  force: boolean;
  justId: boolean;
  lastId: StreamId;
  /** Place of the first argument that is no id. */
  endOfIds: number;
}

function parseMinIdle(text: string, command: string): number | CommandError {
  const idle = parseInteger(text);
  if (idle === undefined) return new CommandError(`ERR Invalid min-idle-time argument for ${command}`);
  return Math.max(0, idle);
}

function parseClaim(args: Arguments, nowMs: number): ClaimOptions | CommandError {
  const idleMinMs = parseMinIdle(args.text(4), 'XCLAIM');
  if (idleMinMs instanceof CommandError) return idleMinMs;
  const options: ClaimOptions = {
    idleMinMs,
    deliveredAtMs: nowMs,
    deliveries: undefined,
    force: false,
    justId: false,
    lastId: STREAM_ID_MIN,
    endOfIds: 5,
  };
  while (options.endOfIds < args.count && parseStreamId(args.text(options.endOfIds), 'first') !== undefined)
    options.endOfIds++;
  for (let index = options.endOfIds; index < args.count; index++) {
    const token = args.token(index);
    if (token === 'FORCE') options.force = true;
    else if (token === 'JUSTID') options.justId = true;
    else {
      const error =
        index + 1 < args.count && VALUED_CLAIM_OPTIONS.has(token)
          ? parseClaimValue(token, args.text(++index), options, nowMs)
          : new CommandError(`ERR Unrecognized XCLAIM option '${quotable(args.text(index))}'`);
      if (error !== undefined) return error;
    }
  }
  return options;
}

const VALUED_CLAIM_OPTIONS = new Set(['IDLE', 'TIME', 'RETRYCOUNT', 'LASTID']);

function parseClaimValue(
  token: string,
  text: string,
  options: ClaimOptions,
  nowMs: number,
): CommandError | undefined {
  if (token === 'LASTID') {
    const id = parseStreamId(text, 'first');
    if (id === undefined) return INVALID_STREAM_ID;
    options.lastId = id;
    return undefined;
  }
  const value = parseInteger(text);
  if (value === undefined) return new CommandError(`ERR Invalid ${token} option argument for XCLAIM`);
  if (token === 'RETRYCOUNT') options.deliveries = value < 0 ? undefined : value;
  else {
    const time = token === 'IDLE' ? nowMs - value : value;
    // A time that cannot be stands for now.
    options.deliveredAtMs = time < 0 || time > nowMs ? nowMs : time;
  }
  return undefined;
}

/** What was claimed: ids, with the fields of their entries. */
type Claimed = readonly [id: StreamId, fields: readonly StringValue[]];

function writeClaimed(reply: ReplyWriter, claimed: readonly Claimed[], justId: boolean): void {
  reply.array(claimed.length);
  for (const [id, fields] of claimed) {
    if (justId) writeId(reply, id);
    else writeEntry(reply, id, fields);
  }
}

/**
 * XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-ms] [RETRYCOUNT count] [FORCE] [JUSTID]
 * [LASTID id]
 */
export const claim: ShardHandler = ({ view, reply }, args) => {
  const found = requireGroup(view, args.text(1), args.text(2));
  if (found instanceof CommandError) return reply.error(found);
  const options = parseClaim(args, view.nowMs);
  if (options instanceof CommandError) return reply.error(options);
  const { row, stream, group } = found;
  const { groups } = stream;
  let hasChanged = options.lastId > group.lastId;
  if (hasChanged) groups.advance(group, options.lastId, group.entriesRead);
  const claimant = new Claimant(stream, group, args.text(3), view.nowMs);
  const claimed: Claimed[] = [];
  for (let index = 5; index < options.endOfIds; index++) {
    const id = parseStreamId(args.text(index), 'first')!;
    const record = groups.pending(group, id);
    const fields = stream.get(id);
    if (fields === undefined) {
      // The entry has been deleted: nobody can be given it any more.
      if (groups.removePending(group, id)) hasChanged = true;
      continue;
    }
    if (record === undefined && !options.force) continue;
    if (record !== undefined && view.nowMs - record.deliveredAtMs < options.idleMinMs) continue;
    const deliveries = options.deliveries ?? (record?.deliveries ?? 1) + (options.justId ? 0 : 1);
    groups.setPending(group, id, claimant.number, options.deliveredAtMs, deliveries);
    stream.settle();
    claimed.push([id, fields]);
    hasChanged = true;
  }
  if (hasChanged) saveStream(view, row);
  writeClaimed(reply, claimed, options.justId);
};

/** The consumer that claims: it is made with the first entry that it gets. */
class Claimant {
  private known: number | undefined;

  constructor(
    private readonly stream: StreamValue,
    private readonly group: GroupRecord,
    private readonly name: string,
    private readonly nowMs: number,
  ) {}

  get number(): number {
    this.known ??= this.find();
    return this.known;
  }

  private find(): number {
    const { groups } = this.stream;
    const consumer = groups.consumer(this.group, this.name);
    if (consumer === undefined) return groups.addConsumer(this.group, this.name, this.nowMs).number;
    groups.see(consumer, this.nowMs);
    return consumer.number;
  }
}

const COUNT_TOO_SMALL = new CommandError('ERR COUNT must be > 0');
const COUNT_DEFAULT = 100;
/** Pending entries that XAUTOCLAIM looks at for each that it may claim. */
const ATTEMPTS_FACTOR = 10;
/** COUNT must be less: that of Redis on 64 bits. */
const COUNT_END = 2 ** 59;

interface AutoclaimOptions {
  readonly idleMinMs: number;
  readonly from: StreamId;
  readonly count: number;
  readonly justId: boolean;
}

function parseAutoclaim(args: Arguments): AutoclaimOptions | CommandError {
  const idleMinMs = parseMinIdle(args.text(4), 'XAUTOCLAIM');
  if (idleMinMs instanceof CommandError) return idleMinMs;
  const from = parseRangeEnd(args.text(5), 'start');
  if (from instanceof CommandError) return from;
  let count = COUNT_DEFAULT;
  let justId = false;
  for (let index = 6; index < args.count; index++) {
    const token = args.token(index);
    if (token === 'COUNT' && index + 1 < args.count) {
      const given = parseInteger(args.text(++index));
      if (given === undefined || given < 1 || given >= COUNT_END) return COUNT_TOO_SMALL;
      count = given;
    } else if (token === 'JUSTID') justId = true;
    else return SYNTAX_ERROR;
  }
  return { idleMinMs, from, count, justId };
}

/** XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID] */
export const autoclaim: ShardHandler = ({ view, reply }, args) => {
  const options = parseAutoclaim(args);
  if (options instanceof CommandError) return reply.error(options);
  const found = requireGroup(view, args.text(1), args.text(2));
  if (found instanceof CommandError) return reply.error(found);
  const { row, stream, group } = found;
  const { groups } = stream;
  const { candidates, next } = candidatesOf(found, options, view.nowMs);
  const claimant = new Claimant(stream, group, args.text(3), view.nowMs);
  const claimed: Claimed[] = [];
  const deleted: StreamId[] = [];
  for (const record of candidates) {
    const id = pendingId(record);
    const fields = stream.get(id);
    if (fields === undefined) {
      groups.removePending(group, id);
      deleted.push(id);
      continue;
    }
    const deliveries = record.deliveries + (options.justId ? 0 : 1);
    groups.setPending(group, id, claimant.number, view.nowMs, deliveries);
    claimed.push([id, fields]);
  }
  if (candidates.length > 0) saveStream(view, row);
  reply.array(3);
  writeId(reply, next);
  writeClaimed(reply, claimed, options.justId);
  reply.array(deleted.length);
  for (const id of deleted) writeId(reply, id);
};

/** What XAUTOCLAIM is to claim, or to find deleted, and the id to go on with; the least of all at the end. */
function candidatesOf(
  { stream, group }: FoundGroup,
  { idleMinMs, from, count }: AutoclaimOptions,
  nowMs: number,
): { candidates: PendingRecord[]; next: StreamId } {
  const candidates: PendingRecord[] = [];
  let attempts = count * ATTEMPTS_FACTOR;
  let next = STREAM_ID_MIN;
  eachPending(stream.groups, group, undefined, from, STREAM_ID_MAX, (record) => {
    if (attempts-- === 0 || candidates.length === count) {
      next = pendingId(record);
      return false;
    }
    const isIdle = nowMs - record.deliveredAtMs >= idleMinMs;
    if (isIdle || stream.rank(pendingId(record)) === stream.rankBehind(pendingId(record)))
      candidates.push(record);
    return true;
  });
  return { candidates, next };
}
