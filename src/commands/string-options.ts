import type { Arguments } from '../base/arguments.js';
import { CommandError, invalidExpireTime, NOT_AN_INTEGER, SYNTAX_ERROR } from '../base/command-errors.js';
import { INT64_MAX, parseInt64 } from '../base/numbers.js';

/** How an expiry is given: seconds or milliseconds from now (EX, PX), or as Unix time (EXAT, PXAT). */
export type ExpiryUnit = 'EX' | 'PX' | 'EXAT' | 'PXAT';

/** The options of SET and GETEX, as they stand in the arguments. */
export interface StringOptions {
  ifAbsent: boolean;
  ifPresent: boolean;
  get: boolean;
  keepExpiry: boolean;
  persist: boolean;
  expiryUnit: ExpiryUnit | undefined;
  /** Argument that holds the expiry; meaningful only with a unit. */
  expiryIndex: number;
  /** Argument that holds the event time; 0 = none given. */
  eventTimeIndex: number;
}

/** The last double below 2^63: expiries are kept as doubles, and stored as signed 64-bit integers. */
const EXPIRY_MS_MAX = 2 ** 63 - 1024;

/**
 * Reads the options from argument `start` on.
 * Options that exclude each other are a syntax error; the same option given twice is not, and the last holds.
 */
export function parseStringOptions(
  args: Arguments,
  start: number,
  command: 'set' | 'getex',
): StringOptions | CommandError {
  const options: StringOptions = {
    ifAbsent: false,
    ifPresent: false,
    get: false,
    keepExpiry: false,
    persist: false,
    expiryUnit: undefined,
    expiryIndex: 0,
    eventTimeIndex: 0,
  };
  for (let index = start; index < args.count; index++) {
    const token = args.token(index);
    const hasOperand = index + 1 < args.count;
    if (token === 'EX' || token === 'PX' || token === 'EXAT' || token === 'PXAT') {
      const other = options.expiryUnit !== undefined && options.expiryUnit !== token;
      if (other || options.keepExpiry || options.persist || !hasOperand) return SYNTAX_ERROR;
      options.expiryUnit = token;
      options.expiryIndex = ++index;
    } else if (token === 'PERSIST') {
      if (command !== 'getex' || options.expiryUnit !== undefined) return SYNTAX_ERROR;
      options.persist = true;
    } else if (command !== 'set') {
      return SYNTAX_ERROR;
    } else if (token === 'EVENTTIME') {
      if (!hasOperand) return SYNTAX_ERROR;
      options.eventTimeIndex = ++index;
    } else if (!applySetFlag(options, token)) {
      return SYNTAX_ERROR;
    }
  }
  return options;
}

/** @returns false if SET has no such option, or an earlier one excludes it */
function applySetFlag(options: StringOptions, token: string): boolean {
  switch (token) {
    case 'NX':
      options.ifAbsent = true;
      return !options.ifPresent;
    case 'XX':
      options.ifPresent = true;
      return !options.ifAbsent;
    case 'GET':
      options.get = true;
      return true;
    case 'KEEPTTL':
      options.keepExpiry = true;
      return options.expiryUnit === undefined;
    default:
      return false;
  }
}

/**
 * The Unix time in milliseconds that an expiry option means.
 * Checked exactly in 64 bits, as clients may rely on where overflow begins; the result is a double, so times beyond
 * 2^53 ms (in the year 287396) are rounded.
 * @param command name for the error's text
 */
export function parseExpiry(
  text: string,
  unit: ExpiryUnit,
  nowMs: number,
  command: string,
): number | CommandError {
  const amount = parseInt64(text);
  if (amount === undefined) return NOT_AN_INTEGER;
  if (amount <= 0) return invalidExpireTime(command);
  const factor = unit === 'EX' || unit === 'EXAT' ? 1000 : 1;
  const baseMs = unit === 'EX' || unit === 'PX' ? nowMs : 0;
  if (typeof amount === 'number') {
    const expiresAtMs = amount * factor + baseMs;
    if (expiresAtMs <= Number.MAX_SAFE_INTEGER) return expiresAtMs;
  }
  const exactMs = BigInt(amount) * BigInt(factor) + BigInt(baseMs);
  return exactMs > INT64_MAX ? invalidExpireTime(command) : Math.min(Number(exactMs), EXPIRY_MS_MAX);
}

/**
 * A write's own time in Unix milliseconds.
 * Times too far ahead of this node's clock are refused: such a write could not be overwritten until that time came.
 */
export function parseEventTime(
  text: string,
  nowMs: number,
  driftMaxMs: number,
  command: string,
): number | CommandError {
  const eventTimeMs = parseInt64(text);
  if (typeof eventTimeMs !== 'number' || eventTimeMs <= 0) {
    return new CommandError(`ERR invalid event time in '${command}' command`);
  }
  if (eventTimeMs > nowMs + driftMaxMs) {
    return new CommandError(
      `ERR event time in '${command}' command is ${eventTimeMs - nowMs} ms ahead of this node's clock, ` +
        `more than event-time-drift-max-ms (${driftMaxMs}) allows`,
    );
  }
  return eventTimeMs;
}
