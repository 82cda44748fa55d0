import type { Arguments } from '../base/arguments.js';
import { CommandError, SYNTAX_ERROR, wrongArity } from '../base/command-errors.js';
import { INT64_MAX } from '../base/numbers.js';
import type { HashValue } from '../types/collections/hash.js';
import { RowType } from '../types/row.js';
import { findRow, hashOf, hashToWrite, save } from './collection-access.js';
import { scanHandler } from './collection-scan.js';
import type { ShardContext, ShardHandler } from './definition.js';
import { parsePickCount, pickNames } from './random-picks.js';
import { argumentValue } from './string-access.js';
import { textsOf } from './waiting.js';

/** The commands of hashes but for those that count, see hash-counters.ts, and those of expiry, see hash-expiry.ts. */

/** The hash of the first argument; undefined where there is no key, and after an error, which is then replied. */
function readHash({ view, reply }: ShardContext, args: Arguments): HashValue | undefined | 'replied' {
  const row = findRow(view, args.text(1), RowType.Hash);
  if (row instanceof CommandError) {
    reply.error(row);
    return 'replied';
  }
  return row && hashOf(row);
}

/** Sets the fields of HSET and HMSET. Returns how many are new, or an error. */
function setFields({ view }: ShardContext, args: Arguments, name: string): number | CommandError {
  if (args.count % 2 !== 0) return wrongArity(name);
  const key = args.text(1);
  const row = findRow(view, key, RowType.Hash);
  if (row instanceof CommandError) return row;
  const hash = hashToWrite(view, row);
  if (hash.version !== 0) hash.prefetch(textsOf(args, 2, args.count, 2));
  let added = 0;
  for (let index = 2; index < args.count; index += 2)
    if (hash.set(args.text(index), argumentValue(args, index + 1), view.nowMs)) added++;
  save(view, key, row, hash);
  return added;
}

export const setPairs: ShardHandler = (context, args) => {
  const added = setFields(context, args, 'hset');
  if (added instanceof CommandError) context.reply.error(added);
  else context.reply.integer(added);
};

export const setManyPairs: ShardHandler = (context, args) => {
  const added = setFields(context, args, 'hmset');
  if (added instanceof CommandError) context.reply.error(added);
  else context.reply.ok();
};

export const setIfAbsent: ShardHandler = ({ view, reply }, args) => {
  const key = args.text(1);
  const row = findRow(view, key, RowType.Hash);
  if (row instanceof CommandError) return reply.error(row);
  const hash = hashToWrite(view, row);
  const field = args.text(2);
  if (hash.get(field, view.nowMs) !== undefined) return reply.integer(0);
  hash.set(field, argumentValue(args, 3), view.nowMs);
  save(view, key, row, hash);
  reply.integer(1);
};

export const getField: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  context.reply.bulkOrNil(hash?.get(args.text(2), context.view.nowMs));
};

export const getFields: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  const { reply, view } = context;
  const fields = textsOf(args, 2, args.count);
  reply.array(fields.length);
  if (hash === undefined) for (let left = fields.length; left > 0; left--) reply.nil();
  else for (const value of hash.getMany(fields, view.nowMs)) reply.bulkOrNil(value);
};

export const getAll: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  const { reply, view } = context;
  reply.map(hash?.liveSize(view.nowMs) ?? 0);
  hash?.each(view.nowMs, (field, value) => {
    reply.bulk(field);
    reply.bulk(value);
    return true;
  });
};

export const getNames: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  const { reply, view } = context;
  reply.array(hash?.liveSize(view.nowMs) ?? 0);
  hash?.eachName(view.nowMs, (field) => {
    reply.bulk(field);
    return true;
  });
};

export const getValues: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  const { reply, view } = context;
  reply.array(hash?.liveSize(view.nowMs) ?? 0);
  hash?.each(view.nowMs, (_field, value) => {
    reply.bulk(value);
    return true;
  });
};

export const countFields: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  context.reply.integer(hash?.liveSize(context.view.nowMs) ?? 0);
};

export const fieldLength: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  context.reply.integer(hash?.get(args.text(2), context.view.nowMs)?.length ?? 0);
};

export const fieldExists: ShardHandler = (context, args) => {
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  context.reply.integer(hash?.get(args.text(2), context.view.nowMs) === undefined ? 0 : 1);
};

export const deleteFields: ShardHandler = ({ view, reply }, args) => {
  const row = findRow(view, args.text(1), RowType.Hash);
  if (row instanceof CommandError) return reply.error(row);
  if (row === undefined) return reply.integer(0);
  const hash = hashOf(row);
  let removed = 0;
  for (let index = 2; index < args.count; index++) if (hash.delete(args.text(index), view.nowMs)) removed++;
  if (removed > 0) view.changed(row);
  reply.integer(removed);
};

const WITH_VALUES_MAX = Number(INT64_MAX / 2n);
const OUT_OF_RANGE = new CommandError('ERR value is out of range');

/** HRANDFIELD key [count [WITHVALUES]]. In RESP3 fields with their values are pairs. */
export const randomFields: ShardHandler = (context, args) => {
  const { view, reply } = context;
  if (args.count === 2) {
    const hash = readHash(context, args);
    if (hash === 'replied') return;
    const isEmpty = hash === undefined || hash.liveSize(view.nowMs) === 0;
    return reply.bulkOrNil(isEmpty ? undefined : hash.pick(Math.random, view.nowMs));
  }
  const count = parsePickCount(args.text(2));
  if (count instanceof CommandError) return reply.error(count);
  const withValues = args.count === 4;
  if (args.count > 4 || (withValues && args.token(3) !== 'WITHVALUES')) return reply.error(SYNTAX_ERROR);
  if (withValues && Math.abs(count) > WITH_VALUES_MAX) return reply.error(OUT_OF_RANGE);
  const hash = readHash(context, args);
  if (hash === 'replied') return;
  const size = hash?.liveSize(view.nowMs) ?? 0;
  if (hash === undefined || size === 0 || count === 0) return reply.array(0);
  const source = {
    size,
    pick: () => hash.pick(Math.random, view.nowMs),
    all: () => {
      const names: string[] = [];
      hash.eachName(view.nowMs, (field) => names.push(field) > 0);
      return names;
    },
  };
  const names = pickNames(source, count);
  if (names instanceof CommandError) reply.error(names);
  else replyFields(context, hash, names, withValues);
};

function replyFields(
  { reply, view }: ShardContext,
  hash: HashValue,
  fields: readonly string[],
  withValues: boolean,
): void {
  const inPairs = withValues && reply.version === 3;
  reply.array(withValues && !inPairs ? fields.length * 2 : fields.length);
  const values = withValues ? hash.getMany(fields, view.nowMs) : [];
  for (const [index, field] of fields.entries()) {
    if (inPairs) reply.array(2);
    reply.bulk(field);
    if (withValues) reply.bulkOrNil(values[index]);
  }
}

export const scanFields: ShardHandler = scanHandler(RowType.Hash, (row, { cursor, count, nowMs }, visit) =>
  hashOf(row).scan(cursor, count, nowMs, visit),
);
