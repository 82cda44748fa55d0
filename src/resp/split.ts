import { Buffer } from 'node:buffer';
import { ListArguments } from '../base/arguments.js';
import { CommandError, wrongArity } from '../base/command-errors.js';
import { ReplyWriter, type RespVersion } from '../base/reply-writer.js';
import { errorReply } from '../cluster/link-request.js';
import { elementsOf, errorOf, integerOf, stringOf } from '../cluster/reply-scanner.js';
import { keySlot } from '../cluster/slots.js';
import { parseCursor, UNKNOWN_CURSOR } from '../commands/scan.js';
import type { Command } from '../commands/table.js';
import { parsePrefixOptions } from '../commands/vasto.js';

/*
 * Commands that touch several shards of a keyspace, taken apart and put together again. Everything here is pure: what
 * is to be asked of which shard, and what the answers make.
 */

/** How a keyspace is divided. */
export interface Division {
  readonly shards: number;
  readonly shardsOfSlots: Uint16Array;
  /** In order, the shards that commands without keys are about: all of them, but at cluster doors. */
  readonly asked: readonly number[];
}

/** What one shard is asked. */
export interface Part {
  readonly shard: number;
  /** The command, its name first. */
  readonly args: readonly Buffer[];
}

export interface Split {
  readonly parts: readonly Part[];
  /** Makes the reply from those of the parts, or asks more. */
  merge(replies: readonly Buffer[]): Buffer | Split;
}

type Splitter = (args: readonly Buffer[], division: Division, version: RespVersion) => Split | CommandError;

/** Takes a command apart whose definition says `runs: 'split'`. */
export function splitCommand(
  command: Command,
  args: readonly Buffer[],
  division: Division,
  version: RespVersion,
): Split | CommandError {
  const splitter = SPLITTERS[command.name];
  if (splitter === undefined) throw new Error(`no rule splits ${command.name}`);
  return splitter(args, division, version);
}

// ---------------------------------------------------------------- errors

function firstError(replies: readonly Buffer[]): Buffer | undefined {
  return replies.find((reply) => errorOf(reply) !== undefined);
}

/** The error of a write of which some parts may have happened. */
function partialError(replies: readonly Buffer[]): Buffer | undefined {
  const errors = replies.map((reply) => errorOf(reply)).filter((text) => text !== undefined);
  if (errors.length === 0) return undefined;
  const whole = errors.length === replies.length && new Set(errors).size === 1;
  const rest =
    replies.length === errors.length
      ? ''
      : `; on ${errors.length} of the ${replies.length} shards of its keys, on the others it has taken effect`;
  return errorReply(whole ? errors[0]! : `${errors[0]!}${rest}`);
}

/** Merges replies of a read: an error of any is the error of all. */
function reading(merge: (replies: readonly Buffer[]) => Buffer | Split): Split['merge'] {
  return (replies) => firstError(replies) ?? merge(replies);
}

function writing(merge: (replies: readonly Buffer[]) => Buffer): Split['merge'] {
  return (replies) => partialError(replies) ?? merge(replies);
}

// ---------------------------------------------------------------- by key

/** The keys of each shard that has any, by their places. `step` is 2 where a value follows each key. */
function placesByShard(
  args: readonly Buffer[],
  { shardsOfSlots }: Division,
  step: number,
): Map<number, number[]> {
  const places = new Map<number, number[]>();
  for (let index = 1; index < args.length; index += step) {
    const shard = shardsOfSlots[keySlot(args[index]!)]!;
    const held = places.get(shard);
    if (held === undefined) places.set(shard, [index]);
    else held.push(index);
  }
  return places;
}

function partsByKey(args: readonly Buffer[], places: ReadonlyMap<number, number[]>, step: number): Part[] {
  return [...places].map(([shard, indexes]) => ({
    shard,
    args: [args[0]!, ...indexes.flatMap((index) => args.slice(index, index + step))],
  }));
}

function sum(replies: readonly Buffer[]): Buffer {
  return integerReply(replies.reduce((total, reply) => total + (integerOf(reply) ?? 0), 0));
}

function integerReply(value: number): Buffer {
  return Buffer.from(`:${value}\r\n`, 'latin1');
}

const OK = Buffer.from('+OK\r\n', 'latin1');

const counting =
  (merging: typeof reading | typeof writing): Splitter =>
  (args, division) => ({
    parts: partsByKey(args, placesByShard(args, division, 1), 1),
    merge: merging(sum),
  });

const getMany: Splitter = (args, division) => {
  const places = placesByShard(args, division, 1);
  return {
    parts: partsByKey(args, places, 1),
    merge: reading((replies) => {
      const values = new Array<Buffer>(args.length - 1);
      for (const [part, indexes] of [...places.values()].entries()) {
        const elements = elementsOf(replies[part]!) ?? [];
        for (const [at, index] of indexes.entries()) values[index - 1] = elements[at]!;
      }
      return arrayReply(values);
    }),
  };
};

const setMany: Splitter = (args, division) => {
  if (args.length % 2 === 0) return wrongArity('mset');
  return { parts: partsByKey(args, placesByShard(args, division, 2), 2), merge: writing(() => OK) };
};

function arrayReply(elements: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(`*${elements.length}\r\n`, 'latin1'), ...elements]);
}

// ---------------------------------------------------------------- over all shards

function everywhere(args: readonly Buffer[], { asked }: Division): Part[] {
  return asked.map((shard) => ({ shard, args }));
}

const size: Splitter = (args, division) => ({ parts: everywhere(args, division), merge: reading(sum) });

const flush: Splitter = (args, division) => ({
  parts: everywhere(args, division),
  merge: writing(() => OK),
});

const keys: Splitter = (args, division) => ({
  parts: everywhere(args, division),
  merge: reading((replies) => arrayReply(replies.flatMap((reply) => elementsOf(reply) ?? []))),
});

const DBSIZE = Buffer.from('DBSIZE', 'latin1');

/** Draws a shard, in proportion to the keys that they have: so each key is as likely as any other. */
const randomKey: Splitter = (args, division, version) => {
  const nil = new ReplyWriter(16);
  nil.version = version;
  nil.nil();
  return {
    parts: everywhere([DBSIZE], division),
    merge: reading((replies) => {
      const counts = replies.map((reply) => integerOf(reply) ?? 0);
      const total = counts.reduce((all, count) => all + count, 0);
      if (total === 0) return nil.written();
      const shard = division.asked[draw(counts, Math.random() * total)]!;
      return { parts: [{ shard, args }], merge: ([reply]) => reply! };
    }),
  };
};

/**
 * Which of the weights, laid end to end, a point falls into.
 * @param point from 0 to before their sum
 */
export function draw(weights: readonly number[], point: number): number {
  let rest = point;
  for (const [index, weight] of weights.entries()) {
    if (rest < weight) return index;
    rest -= weight;
  }
  return weights.findLastIndex((weight) => weight > 0);
}

// ---------------------------------------------------------------- SCAN

/** Cursors of a shard are below this: that of a keyspace is shard × 2^53 + the shard's own. */
const SHARD_CURSORS = 1n << 53n;
/** Those of scans that a shard has begun are not below this. */
const BEGUN_CURSORS = 1n << 20n;

/**
 * Where a shard is to be begun, the number of shards that there were stands in the place of its own cursor: if there are
 * fewer now, keys may have come into shards that were scanned already, and the scan is to begin again.
 *
 * A cursor goes through one shard after the other, whichever node is asked. A shard that was begun is gone on with,
 * though it may be asked for elsewhere by now: twice is better than not at all.
 */
const scan: Splitter = (args, { shards, asked }) => {
  const cursor = parseCursor(new ListArguments(args).text(1));
  if (cursor instanceof CommandError) return cursor;
  const value = BigInt(cursor);
  const named = Number(value / SHARD_CURSORS);
  // A cursor that names no shard of the keyspace is unknown to any of them, too.
  const begun = named < shards ? named : 0;
  const shard = value === 0n ? asked[0] : begun;
  const within = named < shards ? value % SHARD_CURSORS : value;
  if (within < BEGUN_CURSORS && within > BigInt(shards)) return UNKNOWN_CURSOR;
  const own = within < BEGUN_CURSORS ? 0n : within;
  if (shard === undefined) return { parts: [], merge: () => NOTHING_TO_SCAN };
  return {
    parts: [{ shard, args: [args[0]!, Buffer.from(String(own), 'latin1'), ...args.slice(2)] }],
    merge: reading(([reply]) => {
      const [next, found] = elementsOf(reply!)!;
      return arrayReply([cursorReply(shard, stringOf(next!)!.latin1Slice(), asked, shards), found!]);
    }),
  };
};

const NOTHING_TO_SCAN = Buffer.from('*2\r\n$1\r\n0\r\n*0\r\n', 'latin1');

function cursorReply(shard: number, own: string, asked: readonly number[], shards: number): Buffer {
  let cursor = BigInt(shard) * SHARD_CURSORS + BigInt(own);
  if (own === '0') {
    const next = asked.find((each) => each > shard);
    cursor = next === undefined ? 0n : BigInt(next) * SHARD_CURSORS + BigInt(shards);
  }
  const text = String(cursor);
  return Buffer.from(`$${text.length}\r\n${text}\r\n`, 'latin1');
}

// ---------------------------------------------------------------- VASTO.PREFIX

const prefix: Splitter = (args, division) => {
  const options = parsePrefixOptions(new ListArguments(args));
  if (options instanceof CommandError) return options;
  const { limit, withValues } = options;
  return {
    parts: everywhere(args, division),
    merge: reading((replies) => {
      const step = withValues ? 2 : 1;
      const rows: { key: Buffer; elements: readonly Buffer[] }[] = [];
      for (const reply of replies) {
        const elements = elementsOf(reply)!;
        for (let at = 0; at < elements.length; at += step)
          rows.push({ key: stringOf(elements[at]!)!, elements: elements.slice(at, at + step) });
      }
      // Runs that are in order, which is what this sort is good at.
      rows.sort((a, b) => a.key.compare(b.key));
      return arrayReply(rows.slice(0, limit).flatMap(({ elements }) => elements));
    }),
  };
};

const SPLITTERS: Readonly<Record<string, Splitter>> = {
  mget: getMany,
  mset: setMany,
  del: counting(writing),
  unlink: counting(writing),
  exists: counting(reading),
  touch: counting(reading),
  dbsize: size,
  keys,
  randomkey: randomKey,
  flushdb: flush,
  scan,
  'vasto.prefix': prefix,
};
