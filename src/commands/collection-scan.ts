import type { Arguments } from '../base/arguments.js';
import { CommandError, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { compileGlob, type Glob } from '../base/glob.js';
import { parseInteger } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { Row, RowType, StringValue } from '../types/row.js';
import { findRow } from './collection-access.js';
import type { ShardHandler } from './definition.js';
import { parseCursor } from './scan.js';

/*
 * HSCAN, SSCAN and ZSCAN. Their cursors need no session: elements of large collections lie in order of their hash, and
 * the cursor is the hash to go on with. Small collections are given whole.
 */

const COUNT_DEFAULT = 10;
/** No hash is greater. */
const CURSOR_MAX = 0xffff_ffff;

interface ScanOptions {
  readonly glob: Glob | undefined;
  readonly count: number;
}

function parseOptions(args: Arguments): ScanOptions | CommandError {
  let glob: Glob | undefined;
  let count = COUNT_DEFAULT;
  for (let index = 3; index < args.count; index += 2) {
    if (index + 1 >= args.count) return SYNTAX_ERROR;
    const token = args.token(index);
    if (token === 'MATCH') glob = compileGlob(args.text(index + 1));
    else if (token === 'COUNT') {
      const parsed = parseInteger(args.text(index + 1));
      if (parsed === undefined) return NOT_AN_INTEGER;
      if (parsed < 1) return SYNTAX_ERROR;
      count = parsed;
    } else return SYNTAX_ERROR;
  }
  return { glob, count };
}

/**
 * A command that replies a step of scanning the collection of its key.
 * @param scan visits elements from a cursor on, by name and value if they have any, and returns the next cursor
 */
export function scanHandler(
  type: RowType,
  scan: (
    row: Row,
    from: { readonly cursor: number; readonly count: number; readonly nowMs: number },
    visit: (name: string, value?: StringValue) => void,
  ) => number,
): ShardHandler {
  return ({ view, reply }, args) => {
    const cursor = parseCursor(args.text(2));
    if (cursor instanceof CommandError) return reply.error(cursor);
    const row = findRow(view, args.text(1), type);
    if (row instanceof CommandError) return reply.error(row);
    if (row === undefined) return writeStep(reply, 0, []);
    const options = parseOptions(args);
    if (options instanceof CommandError) return reply.error(options);
    const { glob, count } = options;
    if (Number(cursor) > CURSOR_MAX) return writeStep(reply, 0, []);
    const found: StringValue[] = [];
    const next = scan(row, { cursor: Number(cursor), count, nowMs: view.nowMs }, (name, value) => {
      if (glob !== undefined && !glob.matches(name)) return;
      found.push(name);
      if (value !== undefined) found.push(value);
    });
    writeStep(reply, next, found);
  };
}

function writeStep(reply: ReplyWriter, cursor: number, found: readonly StringValue[]): void {
  reply.array(2);
  reply.bulk(String(cursor));
  reply.array(found.length);
  for (const each of found) reply.bulk(each);
}
