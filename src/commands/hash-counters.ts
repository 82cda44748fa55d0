import {
  CommandError,
  NAN_OR_INFINITY,
  NOT_A_FLOAT,
  NOT_AN_INTEGER,
  OVERFLOW,
} from '../base/command-errors.js';
import { parseInt64, sumInt64 } from '../base/numbers.js';
import { addLongDoubles, formatLongDouble, parseLongDouble } from '../types/long-double.js';
import { RowType, stringValue, valueText } from '../types/row.js';
import { findRow, hashToWrite, save } from './collection-access.js';
import type { ShardHandler } from './definition.js';

const NOT_AN_INTEGER_IN_HASH = new CommandError('ERR hash value is not an integer');
const NOT_A_FLOAT_IN_HASH = new CommandError('ERR hash value is not a float');
const NAN_OR_INFINITE_INCREMENT = new CommandError('ERR value is NaN or Infinity');

/** HINCRBY: adds in 64 bits; the field's expiry stays. */
export const incrementField: ShardHandler = ({ view, reply }, args) => {
  const increment = parseInt64(args.text(3));
  if (increment === undefined) return reply.error(NOT_AN_INTEGER);
  const key = args.text(1);
  const row = findRow(view, key, RowType.Hash);
  if (row instanceof CommandError) return reply.error(row);
  const hash = hashToWrite(view, row);
  const field = args.text(2);
  const value = hash.get(field, view.nowMs);
  const before = value === undefined ? 0 : parseInt64(valueText(value));
  if (before === undefined) return reply.error(NOT_AN_INTEGER_IN_HASH);
  const after = sumInt64(before, increment);
  if (after === undefined) return reply.error(OVERFLOW);
  hash.set(field, String(after), view.nowMs, true);
  save(view, key, row, hash);
  reply.integer(after);
};

/** HINCRBYFLOAT: as INCRBYFLOAT; the field's expiry stays. */
export const incrementFieldByFloat: ShardHandler = ({ view, reply }, args) => {
  const increment = parseLongDouble(args.text(3));
  if (increment === undefined) return reply.error(NOT_A_FLOAT);
  if (!increment.finite) return reply.error(NAN_OR_INFINITE_INCREMENT);
  const key = args.text(1);
  const row = findRow(view, key, RowType.Hash);
  if (row instanceof CommandError) return reply.error(row);
  const hash = hashToWrite(view, row);
  const field = args.text(2);
  const before = parseLongDouble(valueText(hash.get(field, view.nowMs) ?? '0'));
  if (before === undefined) return reply.error(NOT_A_FLOAT_IN_HASH);
  const after = addLongDoubles(before, increment);
  if (!after.finite) return reply.error(NAN_OR_INFINITY);
  const text = stringValue(formatLongDouble(after));
  hash.set(field, text, view.nowMs, true);
  save(view, key, row, hash);
  reply.bulk(text);
};
