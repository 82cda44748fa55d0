import type { Arguments } from '../base/arguments.js';
import { parseInteger } from '../base/numbers.js';
import type { ReplyWriter } from '../base/reply-writer.js';
import type { RowType } from '../types/row.js';
import type { ShardView } from '../types/shard-view.js';

/** Command flags, in Redis's words (COMMAND INFO). */
export type CommandFlag =
  | 'write'
  | 'readonly'
  | 'denyoom'
  | 'admin'
  | 'pubsub'
  | 'noscript'
  | 'blocking'
  | 'loading'
  | 'stale'
  | 'skip_monitor'
  | 'skip_slowlog'
  | 'asking'
  | 'fast'
  | 'no_auth'
  | 'may_replicate'
  | 'no_async_loading'
  | 'no_multi'
  | 'no_mandatory_keys'
  | 'allow_busy'
  | 'movablekeys';

/** Groups of the documentation; `vasto` holds the commands Redis does not have. */
export type CommandGroup =
  | 'string'
  | 'bitmap'
  | 'hyperloglog'
  | 'hash'
  | 'list'
  | 'set'
  | 'sorted-set'
  | 'geo'
  | 'stream'
  | 'generic'
  | 'connection'
  | 'server'
  | 'transactions'
  | 'cluster'
  | 'vasto';

/** What a command does to the keys a specification finds: access first, then purpose (Redis's key specs). */
export type KeyFlag =
  | 'RO'
  | 'RW'
  | 'OW'
  | 'RM'
  | 'access'
  | 'update'
  | 'insert'
  | 'delete'
  | 'not_key'
  | 'incomplete'
  | 'variable_flags';

/** Where the keys of a command stand: first argument, last argument (negative: from the end), step. */
export interface KeySpecification {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly flags: readonly KeyFlag[];
  /** Whether argument `first` is no key but tells how many of them follow it; `last` is then of no account. */
  readonly counted?: true;
  /** The key stands behind the last such word among the arguments from `first` on; `last` is then of no account. */
  readonly keyword?: string;
  /** Whether instead the keys are the first half of all arguments behind the first such word: each has a value there. */
  readonly halved?: true;
  /** Whether clients are told that only the server can find these keys, as Redis tells them. */
  readonly untold?: true;
}

const NO_BOUNDS = { first: 1, last: 0 };

/**
 * The arguments that are keys by a specification: every `step`-th from `first` to `last`, none if `last` is less.
 * @param count number of arguments with the command's name
 * @param text gives an argument
 */
export function keyBounds(
  specification: KeySpecification,
  count: number,
  text: (index: number) => string,
): { first: number; last: number } {
  const { first, last, keyword, halved } = specification;
  if (keyword !== undefined && halved) return halfBehind(keyword, first, count, text);
  if (keyword !== undefined) {
    for (let index = count - 2; index >= first; index--)
      if (text(index).toUpperCase() === keyword) return { first: index + 1, last: index + 1 };
    return NO_BOUNDS;
  }
  if (specification.counted === undefined)
    return { first, last: last < 0 ? count + last : Math.min(last, count - 1) };
  const keys = first < count ? parseInteger(text(first)) : undefined;
  return { first: first + 1, last: keys === undefined ? first : Math.min(first + keys, count - 1) };
}

function halfBehind(
  keyword: string,
  from: number,
  count: number,
  text: (index: number) => string,
): { first: number; last: number } {
  for (let index = from; index < count; index++) {
    const word = text(index);
    if (word.length !== keyword.length || word.toUpperCase() !== keyword) continue;
    return { first: index + 1, last: index + Math.floor((count - index - 1) / 2) };
  }
  return NO_BOUNDS;
}

/** Knobs that shard commands read, kept current by CONFIG SET. */
export interface ShardSettings {
  readonly protoMaxBulkBytes: number;
  /** How far ahead of this node's clock an EVENTTIME may lie. */
  readonly eventTimeDriftMaxMs: number;
  readonly maxmemoryPolicy: string;
  /** What one command may hold in memory of elements until it is done. */
  readonly heldBytesMax: number;
}

/** What a command that runs on a shard's owner works with. */
export interface ShardContext {
  readonly view: ShardView;
  readonly reply: ReplyWriter;
  readonly settings: ShardSettings;
  readonly clientId: number;
  /** False while the shard takes no writes: a command that only reads is not to store what it has computed either. */
  readonly writable: boolean;
  /**
   * The other database of a command that names one (MOVE, COPY … DB), which the front has brought to the same owner;
   * the view itself when the command names the selected database.
   */
  readonly target: ShardView | undefined;
  /**
   * Whether the client has waited for the keys already, on a shard that went elsewhere: it waits on, and is served as one is
   * that waits when its keys change. A key of another type is no error to it.
   */
  readonly isResumed?: boolean;
  /** Has EXEC of this client fail if the key changes before. */
  watch?(key: string): void;
  /**
   * Has the client wait, who gets the command's reply when an attempt succeeds or the time is up; where nothing may
   * wait, as in MULTI, it gets a nil at once. Nothing is to be replied besides. See waiting.ts.
   */
  wait?(wait: Wait): void;
}

/** What a command waits for, and how it goes on. Nothing in it may point into the command's arguments. */
export interface Wait {
  readonly keys: readonly string[];
  /** The type of a key that is worth an attempt. */
  readonly type: RowType;
  /** Milliseconds; 0 = for ever. */
  readonly timeoutMs: number;
  /** Whether an attempt is wanted, too, when a key has gone or become of another type: the client may have to be told. */
  readonly triesWhenGone?: boolean;
  /** The command to send again when the shard goes elsewhere, if the words that came would mean something else by then. */
  readonly again?: readonly string[];
  /**
   * Does what the command is to do, if the keys let it, and replies.
   * @param keys all of them at first, later the one that has changed
   * @returns whether it has replied, an error included; if not, nothing has been changed or written
   */
  attempt(context: ShardContext, keys: readonly string[]): boolean;
}

/** What is known of a command that may wait without running it. */
export interface WaitRules {
  /**
   * The argument that is its timeout, in seconds; negative: from the end. Or the option that has it, in milliseconds,
   * and without which the command does not wait.
   */
  readonly timeout: number | 'BLOCK';
  /** What it replies where nothing may wait, as in MULTI. In vain all wait for the same, a nil array. */
  readonly instead: 'nil' | 'nilArray';
}

/** Runs synchronously and writes exactly one reply. */
export type ShardHandler = (context: ShardContext, args: Arguments) => void;

/**
 * A command, whole: everything that COMMAND, routing, checks, and the documentation say of it derives from this.
 * `runs` tells where:
 * - `shard`: on the owner of its keys (or of the selected database, for those without keys), by `run`;
 * - `front`: on the connection's thread, by the front's handler of the same name;
 * - `split`: as `shard`, and over several shards by a rule of the router.
 */
export interface CommandDefinition {
  /** Lower case; a subcommand is `container|sub`. */
  readonly name: string;
  /** Number of arguments with the name; negative: at least so many. */
  readonly arity: number;
  readonly flags: readonly CommandFlag[];
  readonly keys: readonly KeySpecification[];
  readonly group: CommandGroup;
  /** Version of Redis (or of Vasto, for its own) that introduced it. */
  readonly since: string;
  readonly summary: string;
  readonly complexity: string;
  /** Arguments behind the name in the documentation's notation: `key value [NX | XX] [EX seconds]`. */
  readonly syntax: string;
  /** ACL categories beyond those that follow from group and flags, without the `@`. */
  readonly categories?: readonly string[];
  /** Hints for clients and proxies (COMMAND's command tips). */
  readonly tips?: readonly string[];
  readonly runs: 'front' | 'shard' | 'split';
  readonly run?: ShardHandler;
  /** Of a command that may wait. */
  readonly waits?: WaitRules | undefined;
  readonly subcommands?: readonly CommandDefinition[];
}

/** The key specification of most commands: one key, the first argument. */
export function oneKey(...flags: KeyFlag[]): readonly KeySpecification[] {
  return [{ first: 1, last: 1, step: 1, flags }];
}

/** All arguments are keys, or every `step`-th from the first. */
export function allKeys(step: number, ...flags: KeyFlag[]): readonly KeySpecification[] {
  return [{ first: 1, last: -1, step, flags }];
}

/** Argument `first` tells how many keys follow it. */
export function countedKeys(first: number, ...flags: KeyFlag[]): KeySpecification {
  return { first, last: first, step: 1, flags, counted: true };
}
