import type { Arguments } from '../base/arguments.js';
import { type CommandError, WRONG_TYPE } from '../base/command-errors.js';
import { type Row, RowType, type StringValue, stringValue, TEXT_BYTES_MAX } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';

/** The live string of a key; undefined where there is no key, an error where the key is of another type. */
export function findString(view: ShardView, key: string): Row | undefined | CommandError {
  const row = view.find(key);
  return row !== undefined && row.type !== RowType.String ? WRONG_TYPE : row;
}

/** Argument `index` as a value that may be kept. */
export function argumentValue(args: Arguments, index: number): StringValue {
  return args.byteLength(index) <= TEXT_BYTES_MAX ? args.text(index) : stringValue(args.copy(index));
}
