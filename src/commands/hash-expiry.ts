import type { Arguments } from '../base/arguments.js';
import { CommandError, invalidExpireTime, NOT_AN_INTEGER } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { RowType } from '../types/row.js';
import { findRow, hashOf } from './collection-access.js';
import type { ShardHandler } from './definition.js';

/** Expiry of hash fields, as Redis 7.4 has it. */

/** Milliseconds in the unit of a command's times. */
type UnitMs = 1 | 1000;

/** Latest time of an expiry, Unix milliseconds: Redis keeps it in 46 bits. */
const EXPIRY_MAX_MS = 2 ** 46 - 3;

/** What each field is answered with. */
const FieldReply = { Missing: -2, NoExpiry: -1, NotMet: 0, Done: 1, Ended: 2 } as const;

const NO_FIELDS = new CommandError('ERR Mandatory argument FIELDS is missing or not at the right position');
const BAD_COUNT = new CommandError('ERR Number of fields must be a positive integer');
const WRONG_COUNT = new CommandError('ERR The `numfields` parameter must match the number of arguments');
const NEGATIVE_TIME = new CommandError('ERR invalid expire time, must be >= 0');

type Condition = 'NX' | 'XX' | 'GT' | 'LT';

function conditionOf(token: string): Condition | undefined {
  return token === 'NX' || token === 'XX' || token === 'GT' || token === 'LT' ? token : undefined;
}

/** The fields of `FIELDS numfields field …`, which begins at argument `at` and ends the command. */
function parseFields(args: Arguments, at: number): string[] | CommandError {
  if (at >= args.count || args.token(at) !== 'FIELDS') return NO_FIELDS;
  const count = at + 1 < args.count ? parseInteger(args.text(at + 1)) : undefined;
  if (count === undefined || count < 1) return BAD_COUNT;
  if (count !== args.count - at - 2) return WRONG_COUNT;
  const fields: string[] = [];
  for (let index = at + 2; index < args.count; index++) fields.push(args.text(index));
  return fields;
}

/** A field without an expiry counts as one that ends after every other, to GT and LT. */
function allows(condition: Condition | undefined, currentMs: number, atMs: number): boolean {
  switch (condition) {
    case 'NX':
      return currentMs === 0;
    case 'XX':
      return currentMs !== 0;
    case 'GT':
      return currentMs !== 0 && atMs > currentMs;
    case 'LT':
      return currentMs === 0 || atMs < currentMs;
    default:
      return true;
  }
}

/** When the fields of HEXPIRE and its kin are to end, Unix milliseconds. */
function parseDeadline(text: string, unitMs: UnitMs, baseMs: number, name: string): number | CommandError {
  const value = parseInteger(text);
  if (value === undefined) return NOT_AN_INTEGER;
  if (value < 0) return NEGATIVE_TIME;
  const atMs = value * unitMs + baseMs;
  return atMs > EXPIRY_MAX_MS ? invalidExpireTime(name) : atMs;
}

/** HEXPIRE and its kin, by the unit of their time and whether that counts from now. */
export function expireFields(name: string, unitMs: UnitMs, fromNow: boolean): ShardHandler {
  return ({ view, reply }, args) => {
    const { nowMs } = view;
    const row = findRow(view, args.text(1), RowType.Hash);
    if (row instanceof CommandError) return reply.error(row);
    const atMs = parseDeadline(args.text(2), unitMs, fromNow ? nowMs : 0, name);
    if (atMs instanceof CommandError) return reply.error(atMs);
    const condition = conditionOf(args.token(3));
    const fields = parseFields(args, condition === undefined ? 3 : 4);
    if (fields instanceof CommandError) return reply.error(fields);
    const hash = row && hashOf(row);
    let changes = 0;
    reply.array(fields.length);
    for (const field of fields) {
      if (hash?.get(field, nowMs) === undefined) reply.integer(FieldReply.Missing);
      else if (!allows(condition, hash.expiryOf(field), atMs)) reply.integer(FieldReply.NotMet);
      else {
        changes++;
        if (atMs <= nowMs) hash.delete(field, nowMs);
        else hash.setExpiry(field, atMs);
        reply.integer(atMs <= nowMs ? FieldReply.Ended : FieldReply.Done);
      }
    }
    if (row !== undefined && changes > 0) view.changed(row);
  };
}

/** HTTL and its kin. */
export function remainingOfFields(unitMs: UnitMs, fromNow: boolean): ShardHandler {
  return ({ view, reply }, args) => {
    const { nowMs } = view;
    const row = findRow(view, args.text(1), RowType.Hash);
    if (row instanceof CommandError) return reply.error(row);
    const fields = parseFields(args, 2);
    if (fields instanceof CommandError) return reply.error(fields);
    const hash = row && hashOf(row);
    reply.array(fields.length);
    for (const field of fields) {
      const atMs = hash?.get(field, nowMs) === undefined ? undefined : hash.expiryOf(field);
      if (atMs === undefined) reply.integer(FieldReply.Missing);
      else if (atMs === 0) reply.integer(FieldReply.NoExpiry);
      else reply.integer(Math.ceil((atMs - (fromNow ? nowMs : 0)) / unitMs));
    }
  };
}

export const persistFields: ShardHandler = ({ view, reply }, args) => {
  const row = findRow(view, args.text(1), RowType.Hash);
  if (row instanceof CommandError) return reply.error(row);
  const fields = parseFields(args, 2);
  if (fields instanceof CommandError) return reply.error(fields);
  const hash = row && hashOf(row);
  let changes = 0;
  reply.array(fields.length);
  for (const field of fields) {
    if (hash?.get(field, view.nowMs) === undefined) reply.integer(FieldReply.Missing);
    else if (hash.expiryOf(field) === 0) reply.integer(FieldReply.NoExpiry);
    else {
      changes++;
      hash.setExpiry(field, 0);
      reply.integer(FieldReply.Done);
    }
  }
  if (row !== undefined && changes > 0) view.changed(row);
};
