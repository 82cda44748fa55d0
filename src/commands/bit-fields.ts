import type { Buffer } from 'node:buffer';
import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { parseInt64, toInt64 } from '../base/numbers.js';
import {
  addToField,
  type FieldType,
  type OverflowRule,
  parseFieldType,
  readField,
  writeField,
} from '../types/bit-fields.js';
import { RowFlag, type StringValue, stringValue, valueBytes } from '../types/row.js';
import { parseBitOffset, widened } from './bit-access.js';
import type { ShardContext } from './definition.js';
import { findString } from './string-access.js';

const INVALID_TYPE = new CommandError(
  'ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.',
);
const INVALID_OVERFLOW = new CommandError('ERR Invalid OVERFLOW type specified');
const ONLY_GET = new CommandError('ERR BITFIELD_RO only supports the GET subcommand');

interface FieldOperation {
  readonly action: 'GET' | 'SET' | 'INCRBY';
  readonly type: FieldType;
  /** Of the field's first bit. */
  readonly offset: number;
  readonly rule: OverflowRule;
  /** What to store or to add; 0 for GET. */
  readonly operand: bigint;
}

/** BITFIELD, and BITFIELD_RO with `readOnly`. All operations are checked before the first is carried out. */
export function bitField({ view, reply, settings }: ShardContext, args: Arguments, readOnly: boolean) {
  const operations = parseOperations(args, settings.protoMaxBulkBytes);
  if (operations instanceof CommandError) return reply.error(operations);
  const writes = operations.filter(({ action }) => action !== 'GET');
  if (readOnly && writes.length > 0) return reply.error(ONLY_GET);
  const key = args.text(1);
  const row = findString(view, key);
  if (row instanceof CommandError) return reply.error(row);
  const value: StringValue = row === undefined ? '' : row.value;
  if (writes.length === 0) {
    const bytes = valueBytes(value);
    reply.array(operations.length);
    for (const { offset, type } of operations) reply.integer(toInt64(readField(bytes, offset, type)));
    return;
  }
  const endBit = writes.reduce((end, { offset, type }) => Math.max(end, offset + type.bits), 0);
  const bytes = widened(value, Math.ceil(endBit / 8));
  reply.array(operations.length);
  for (const operation of operations) {
    const result = carryOut(bytes, operation);
    if (result === undefined) reply.nil();
    else reply.integer(toInt64(result));
  }
  const written = stringValue(bytes);
  if (row === undefined) view.setString(key, written, 0, undefined, RowFlag.Raw);
  else view.updateString(row, written, RowFlag.Raw);
}

/** @returns the old value for GET and SET, the new one for INCRBY; undefined if the overflow rule forbids it */
function carryOut(
  bytes: Buffer,
  { action, type, offset, rule, operand }: FieldOperation,
): bigint | undefined {
  const before = readField(bytes, offset, type);
  if (action === 'GET') return before;
  const after =
    action === 'SET' ? addToField(type, operand, 0n, rule) : addToField(type, before, operand, rule);
  if (after === undefined) return undefined;
  writeField(bytes, offset, type, after);
  return action === 'SET' ? before : after;
}

function parseOperations(args: Arguments, protoMaxBulkBytes: number): FieldOperation[] | CommandError {
  const operations: FieldOperation[] = [];
  let rule: OverflowRule = 'WRAP';
  for (let index = 2; index < args.count; ) {
    const token = args.token(index);
    const operands = args.count - index - 1;
    if (token === 'OVERFLOW' && operands >= 1) {
      const given = args.token(index + 1);
      if (given !== 'WRAP' && given !== 'SAT' && given !== 'FAIL') return INVALID_OVERFLOW;
      rule = given;
      index += 2;
      continue;
    }
    const isGet = token === 'GET' && operands >= 2;
    if (!isGet && !((token === 'SET' || token === 'INCRBY') && operands >= 3)) return SYNTAX_ERROR;
    const type = parseFieldType(args.text(index + 1));
    if (type === undefined) return INVALID_TYPE;
    const offset = parseBitOffset(args.text(index + 2), protoMaxBulkBytes, type.bits);
    if (offset instanceof CommandError) return offset;
    const operand = isGet ? 0 : parseInt64(args.text(index + 3));
    if (operand === undefined) return NOT_AN_INTEGER;
    operations.push({
      action: token as FieldOperation['action'],
      type,
      offset,
      rule,
      operand: BigInt(operand),
    });
    index += isGet ? 3 : 4;
  }
  return operations;
}
