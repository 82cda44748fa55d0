import { Buffer } from 'node:buffer';
import { type Arguments, ListArguments } from '../base/arguments.js';
import { CommandError } from '../base/command-errors.js';
import { parseInteger } from '../base/numbers.js';
import { parseLongDouble } from '../types/long-double.js';
import type { CommandDefinition, ShardContext, Wait } from './definition.js';

/*
 * How a command waits: it parses its arguments into values of its own, and passes an attempt of what it does.
 *
 *   const timeoutMs = parseTimeout(args, args.count - 1);
 *   if (timeoutMs instanceof CommandError) return context.reply.error(timeoutMs);
 *   attemptOrWait(context, { keys, type: RowType.List, timeoutMs, attempt: (each, ready) => popFirst(each, ready) });
 *
 * Its definition has the flag `blocking` and says in `waits` where its timeout stands.
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

/** The options before STREAMS, with the number of their values. */
const READ_OPTIONS: ReadonlyMap<string, number> = new Map([
  ['BLOCK', 1],
  ['COUNT', 1],
  ['GROUP', 2],
  ['NOACK', 0],
]);
const READ_OPTION_BYTES_MAX = 5;

/** The place of the value of BLOCK, of which the last one counts; 0 where there is none. */
function blockPlace(args: readonly Buffer[]): number {
  let place = 0;
  for (let at = 1; at < args.length; ) {
    const argument = args[at]!;
    const word = argument.length > READ_OPTION_BYTES_MAX ? '' : argument.latin1Slice().toUpperCase();
    const values = READ_OPTIONS.get(word);
    if (values === undefined) break;
    if (word === 'BLOCK' && at + 1 < args.length) place = at + 1;
    at += 1 + values;
  }
  return place;
}

/** The place of a command's timeout among its arguments; 0 where it does not wait. */
function timeoutPlace({ waits }: CommandDefinition, args: readonly Buffer[]): number {
  if (waits === undefined) return 0;
  if (waits.timeout === 'BLOCK') return blockPlace(args);
  return waits.timeout < 0 ? args.length + waits.timeout : waits.timeout;
}

/** Whether a command with these arguments may wait. */
export function mayWait(command: CommandDefinition, args: readonly Buffer[]): boolean {
  return command.waits !== undefined && timeoutPlace(command, args) > 0;
}

/**
 * Until when a command waits that may wait.
 * @param sinceMs milliseconds, from whenever
 * @returns the same; 0 = for ever, and where its timeout is not one
 */
export function waitDeadline(command: CommandDefinition, args: readonly Buffer[], sinceMs: number): number {
  const place = timeoutPlace(command, args);
  const list = new ListArguments(args);
  const isOption = command.waits?.timeout === 'BLOCK';
  const timeoutMs = isOption ? parseInteger(list.text(place)) : parseTimeout(list, place);
  return typeof timeoutMs === 'number' && timeoutMs > 0 ? sinceMs + timeoutMs : 0;
}

/**
 * The arguments of a command that may wait, with another timeout.
 * @param timeoutMs at least 1
 */
export function withTimeout(
  command: CommandDefinition,
  args: readonly Buffer[],
  timeoutMs: number,
): Buffer[] {
  const isOption = command.waits?.timeout === 'BLOCK';
  return args.with(
    timeoutPlace(command, args),
    Buffer.from(String(isOption ? timeoutMs : timeoutMs / 1000), 'latin1'),
  );
}

/** Runs a command's attempt; if it finds nothing, its client waits for the keys. */
export function attemptOrWait(context: ShardContext, wait: Wait): void {
  if (context.isResumed || !wait.attempt(context, wait.keys)) context.wait!(wait);
}

/** Arguments from `first` to before `end`, as texts: all of them, or each `step`-th. */
export function textsOf(args: Arguments, first: number, end: number, step = 1): string[] {
  return Array.from({ length: Math.ceil((end - first) / step) }, (_, index) =>
    args.text(first + step * index),
  );
}
