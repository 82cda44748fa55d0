import type { Buffer } from 'node:buffer';
import type { Arguments } from '../base/arguments.js';
import { CommandError } from '../base/command-errors.js';
import { parseScore } from '../types/score.js';
import type { CommandDefinition, ShardContext, Wait } from './definition.js';

/*
 * How a command waits: it parses its arguments into values of its own, and passes an attempt of what it does.
 *
 *   const timeoutMs = parseTimeout(args, args.count - 1);
 *   if (timeoutMs instanceof CommandError) return context.reply.error(timeoutMs);
 *   attemptOrWait(context, { keys, type: RowType.List, timeoutMs, attempt: (each, ready) => popFirst(each, ready) });
 *
 * Its definition has the flag `blocking` and a `replyInstead`.
 */

/** The largest 64-bit integer, rounded up. */
const INT64_MAX = 2 ** 63;

const NOT_A_TIMEOUT = new CommandError('ERR timeout is not a float or out of range');
const NEGATIVE = new CommandError('ERR timeout is negative');
const OUT_OF_RANGE = new CommandError('ERR timeout is out of range');

/**
 * A timeout in seconds, fractions included, rounded up to milliseconds; 0 = for ever. For ever is, too, what comes
 * to more than JavaScript counts exactly: 285 thousand years.
 */
export function parseTimeout(args: Arguments, index: number): number | CommandError {
  const seconds = parseScore(args.text(index));
  if (seconds === undefined) return NOT_A_TIMEOUT;
  const milliseconds = Math.ceil(seconds * 1000);
  // As in Redis 7.0, where a number that is too large for 64 bits becomes the smallest one.
  if (milliseconds < 0 || milliseconds >= INT64_MAX) return NEGATIVE;
  if (milliseconds > INT64_MAX - Date.now()) return OUT_OF_RANGE;
  return milliseconds > Number.MAX_SAFE_INTEGER ? 0 : Math.max(0, milliseconds);
}

/** Whether a command with these arguments may wait. */
export function mayWait(command: CommandDefinition, args: readonly Buffer[]): boolean {
  const { replyInstead, waitsOnlyWith } = command;
  if (replyInstead === undefined || waitsOnlyWith === undefined) return replyInstead !== undefined;
  const isWord = (argument: Buffer) =>
    argument.length === waitsOnlyWith.length && argument.latin1Slice().toUpperCase() === waitsOnlyWith;
  return args.some(isWord);
}

/** Runs a command's attempt; if it finds nothing, its client waits for the keys. */
export function attemptOrWait(context: ShardContext, wait: Wait): void {
  if (!wait.attempt(context, wait.keys)) context.wait!(wait);
}

/** Arguments `first` … before `end`, to be kept. */
export function textsOf(args: Arguments, first: number, end: number): string[] {
  return Array.from({ length: end - first }, (_, index) => args.text(first + index));
}
