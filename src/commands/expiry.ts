import type { Arguments } from '../base/arguments.js';
import { CommandError, invalidExpireTime, NOT_AN_INTEGER, quotable } from '../base/command-errors.js';
import { INT64_MAX, INT64_MIN, type Int64, parseInt64, toInt64 } from '../base/numbers.js';
import type { Row } from '../types/row.js';
import { type CommandDefinition, oneKey, type ShardHandler } from './definition.js';

/** Milliseconds in the unit of a command's times. */
type UnitMs = 1 | 1000;

interface ExpireOptions {
  readonly onlyWithout: boolean;
  readonly onlyWith: boolean;
  readonly onlyLater: boolean;
  readonly onlySooner: boolean;
}

const NX_CONFLICT = new CommandError('ERR NX and XX, GT or LT options at the same time are not compatible');
const GT_LT_CONFLICT = new CommandError('ERR GT and LT options at the same time are not compatible');

function parseExpireOptions(args: Arguments): ExpireOptions | CommandError {
  const given = new Set<string>();
  for (let index = 3; index < args.count; index++) {
    const token = args.token(index);
    if (token !== 'NX' && token !== 'XX' && token !== 'GT' && token !== 'LT')
      return new CommandError(`ERR Unsupported option ${quotable(args.text(index))}`);
    given.add(token);
  }
  if (given.has('NX') && given.size > 1) return NX_CONFLICT;
  if (given.has('GT') && given.has('LT')) return GT_LT_CONFLICT;
  return {
    onlyWithout: given.has('NX'),
    onlyWith: given.has('XX'),
    onlyLater: given.has('GT'),
    onlySooner: given.has('LT'),
  };
}

/**
 * `value` units behind `baseMs`, in Unix milliseconds. Beyond 2^53 ms (the year 287396) it is rounded to a
 * double; the check for overflow is exact.
 * @returns undefined if the time does not fit 64 bits
 */
function deadlineMs(value: Int64, unitMs: UnitMs, baseMs: number): number | undefined {
  const near = Number(value) * unitMs + baseMs;
  if (typeof value === 'number' && Number.isSafeInteger(value * unitMs) && Number.isSafeInteger(near))
    return near;
  const spanMs = BigInt(value) * BigInt(unitMs);
  if (spanMs > INT64_MAX || spanMs < INT64_MIN) return undefined;
  const exact = spanMs + BigInt(baseMs);
  return exact > INT64_MAX ? undefined : Number(exact);
}

/** A key without an expiry counts as one that ends after every other, to GT and LT. */
function allows(options: ExpireOptions, row: Row, atMs: number): boolean {
  const current = row.expiresAtMs;
  const expires = current !== 0;
  if (options.onlyWithout && expires) return false;
  if (options.onlyWith && !expires) return false;
  if (options.onlyLater && (!expires || atMs <= current)) return false;
  return !(options.onlySooner && expires && atMs >= current);
}

/** EXPIRE and its kin, by the unit of their time and whether that counts from now. */
function expireHandler(name: string, unitMs: UnitMs, fromNow: boolean): ShardHandler {
  return ({ view, reply }, args) => {
    const options = parseExpireOptions(args);
    if (options instanceof CommandError) return reply.error(options);
    const value = parseInt64(args.text(2));
    if (value === undefined) return reply.error(NOT_AN_INTEGER);
    const atMs = deadlineMs(value, unitMs, fromNow ? view.nowMs : 0);
    if (atMs === undefined) return reply.error(invalidExpireTime(name));
    const key = args.text(1);
    const row = view.find(key);
    if (row === undefined || !allows(options, row, atMs)) return reply.integer(0);
    // Not left to setExpiry, to which time 0 means never.
    if (atMs <= view.nowMs) view.remove(key);
    else view.setExpiry(row, atMs);
    reply.integer(1);
  };
}

/** Whole units, half rounded up; exact beyond 2^53 too, and within 64 bits. */
function roundToUnits(ms: number, unitMs: UnitMs): Int64 {
  if (ms + 500 <= Number.MAX_SAFE_INTEGER) return unitMs === 1 ? ms : Math.floor((ms + 500) / 1000);
  if (unitMs === 1) return toInt64(BigInt(ms) > INT64_MAX ? INT64_MAX : BigInt(ms));
  return toInt64((BigInt(ms) + 500n) / 1000n);
}

/** TTL and its kin: −2 without the key, −1 without an expiry. */
function remainingHandler(unitMs: UnitMs, fromNow: boolean): ShardHandler {
  return ({ view, reply }, args) => {
    const row = view.peek(args.text(1));
    if (row === undefined) return reply.integer(-2);
    if (row.expiresAtMs === 0) return reply.integer(-1);
    reply.integer(roundToUnits(row.expiresAtMs - (fromNow ? view.nowMs : 0), unitMs));
  };
}

const persist: ShardHandler = ({ view, reply }, args) => {
  const row = view.find(args.text(1));
  if (row === undefined || row.expiresAtMs === 0) return reply.integer(0);
  view.setExpiry(row, 0);
  reply.integer(1);
};

/** What the four commands that set an expiry have in common. */
function expireDefinition(
  name: string,
  since: string,
  unitMs: UnitMs,
  fromNow: boolean,
  summary: string,
): CommandDefinition {
  const unit = unitMs === 1 ? 'milliseconds' : 'seconds';
  return {
    name,
    arity: -3,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'update'),
    group: 'generic',
    since,
    summary,
    complexity: 'O(1)',
    syntax: `key ${fromNow ? unit : `unix-time-${unit}`} [NX | XX | GT | LT]`,
    runs: 'shard',
    run: expireHandler(name, unitMs, fromNow),
  };
}

/** What the four commands that tell an expiry have in common. */
function remainingDefinition(
  name: string,
  since: string,
  unitMs: UnitMs,
  fromNow: boolean,
  summary: string,
): CommandDefinition {
  return {
    name,
    arity: 2,
    flags: ['readonly', 'fast'],
    keys: oneKey('RO', 'access'),
    group: 'generic',
    since,
    summary,
    complexity: 'O(1)',
    syntax: 'key',
    ...(fromNow ? { tips: ['nondeterministic_output'] } : {}),
    runs: 'shard',
    run: remainingHandler(unitMs, fromNow),
  };
}

export const expiryCommands: readonly CommandDefinition[] = [
  expireDefinition('expire', '1.0.0', 1000, true, 'Lets a key end after so many seconds'),
  expireDefinition('pexpire', '2.6.0', 1, true, 'Lets a key end after so many milliseconds'),
  expireDefinition('expireat', '1.2.0', 1000, false, 'Lets a key end at a Unix time in seconds'),
  expireDefinition('pexpireat', '2.6.0', 1, false, 'Lets a key end at a Unix time in milliseconds'),
  remainingDefinition('ttl', '1.0.0', 1000, true, 'Tells how many seconds a key has left'),
  remainingDefinition('pttl', '2.6.0', 1, true, 'Tells how many milliseconds a key has left'),
  remainingDefinition(
    'expiretime',
    '7.0.0',
    1000,
    false,
    'Tells the Unix time in seconds at which a key ends',
  ),
  remainingDefinition(
    'pexpiretime',
    '7.0.0',
    1,
    false,
    'Tells the Unix time in milliseconds at which a key ends',
  ),
  {
    name: 'persist',
    arity: 2,
    flags: ['write', 'fast'],
    keys: oneKey('RW', 'update'),
    group: 'generic',
    since: '2.2.0',
    summary: 'Takes the expiry off a key',
    complexity: 'O(1)',
    syntax: 'key',
    runs: 'shard',
    run: persist,
  },
];
