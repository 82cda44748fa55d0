import type { Buffer } from 'node:buffer';
import type { Arguments } from '../base/arguments.js';
import { CommandError } from '../base/command-errors.js';
import { parseLongDouble } from '../types/long-double.js';
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
/** Binary exponents beyond which a product is a double no more: what is larger is out of range, what is smaller rounds up. */
const EXPONENT_MAX = 1000;

/**
 * A timeout in seconds, fractions included, rounded up to milliseconds; 0 = for ever. For ever is, too, what comes
 * to more than JavaScript counts exactly: 285 thousand years.
 */
export function parseTimeout(args: Arguments, index: number): number | CommandError {
  const seconds = parseLongDouble(args.text(index));
  if (seconds === undefined) return NOT_A_TIMEOUT;
  const exponent = Math.max(-EXPONENT_MAX, Math.min(EXPONENT_MAX, seconds.exponent));
  const milliseconds = Math.ceil(Number(seconds.mantissa) * 2 ** exponent * 1000);
  // As in Redis 7.0, where a number that is too large for 64 bits becomes the smallest one.
  if (!seconds.finite || milliseconds < 0 || milliseconds >= INT64_MAX) return NEGATIVE;
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
