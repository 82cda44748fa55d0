import { Buffer } from 'node:buffer';
import type { Arguments } from '../../base/arguments.js';
import {
  type CommandError,
  NOT_AN_INTEGER,
  replyOf,
  SYNTAX_ERROR,
  wrongArity,
} from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import type { StoreBackups } from '../../node/backups.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';
import { writeFields } from './vasto-fields.js';

/** The commands of `vasto admin backup` and `restore`. */
export const backupHandlers: FrontHandlers = {
  'vasto.snapshot': inTurn((context, args) => act(context, args, SNAPSHOT_ACTIONS)),
  'vasto.restore': inTurn((context, args) => act(context, args, RESTORE_ACTIONS)),
};

/** The place of a shard's number; what comes behind it are numbers too, but for rows. */
const SHARD_AT = 3;

interface Action {
  /** Numbers of arguments it takes, all words counted. */
  readonly countMin: number;
  readonly countMax: number;
  /** How many arguments from {@link SHARD_AT} on are numbers. */
  readonly numbers: number;
  run(
    context: FrontContext,
    backups: StoreBackups,
    args: Arguments,
    numbers: readonly number[],
  ): Promise<void>;
}

const SNAPSHOT_ACTIONS: Readonly<Record<string, Action>> = {
  OPEN: { countMin: 4, countMax: 4, numbers: 1, run: open },
  READ: { countMin: 5, countMax: 5, numbers: 2, run: read },
  CLOSE: { countMin: 5, countMax: 5, numbers: 2, run: close },
};

const RESTORE_ACTIONS: Readonly<Record<string, Action>> = {
  STATE: { countMin: 4, countMax: 4, numbers: 1, run: state },
  ROWS: { countMin: 7, countMax: Number.POSITIVE_INFINITY, numbers: 2, run: restore },
};

async function act(
  context: FrontContext,
  args: Arguments,
  actions: Readonly<Record<string, Action>>,
): Promise<void> {
  const refusal = await run(context, args, actions).catch(replyOf);
  if (refusal !== undefined) context.reply.error(refusal);
}

async function run(
  context: FrontContext,
  args: Arguments,
  actions: Readonly<Record<string, Action>>,
): Promise<CommandError | undefined> {
  const word = args.token(1);
  const action = Object.hasOwn(actions, word) ? actions[word] : undefined;
  if (action === undefined) return SYNTAX_ERROR;
  if (args.count < action.countMin || args.count > action.countMax) return wrongArity(context.command.name);
  const numbers: number[] = [];
  for (let index = SHARD_AT; index < SHARD_AT + action.numbers; index++) {
    const number = parseInteger(args.text(index));
    if (number === undefined || number < 0) return NOT_AN_INTEGER;
    numbers.push(number);
  }
  await action.run(context, context.server.store.backups, args, numbers);
  return undefined;
}

async function open(
  { reply }: FrontContext,
  backups: StoreBackups,
  args: Arguments,
  [shard]: readonly number[],
): Promise<void> {
  const { snapshot, takenAtMs, keys, bytes, epoch, shards } = await backups.open(args.text(2), shard!);
  writeFields(reply, [
    ['snapshot', (out) => out.integer(snapshot)],
    ['taken-at-ms', (out) => out.integer(takenAtMs)],
    ['keys', (out) => out.integer(keys)],
    ['bytes', (out) => out.integer(bytes)],
    ['epoch', (out) => out.integer(epoch)],
    ['shards', (out) => out.integer(shards)],
  ]);
}

async function read(
  { reply }: FrontContext,
  backups: StoreBackups,
  args: Arguments,
  [shard, snapshot]: readonly number[],
): Promise<void> {
  const { rows, keys, isDone } = await backups.read(args.text(2), shard!, snapshot!);
  reply.array(3);
  reply.integer(isDone ? 1 : 0);
  reply.integer(keys);
  reply.bulk(Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength));
}

async function close(
  { reply }: FrontContext,
  backups: StoreBackups,
  args: Arguments,
  [shard, snapshot]: readonly number[],
): Promise<void> {
  await backups.close(args.text(2), shard!, snapshot!);
  reply.ok();
}

async function state(
  { reply }: FrontContext,
  backups: StoreBackups,
  args: Arguments,
  [shard]: readonly number[],
): Promise<void> {
  const { keys, remembers, latest } = await backups.state(args.text(2), shard!);
  writeFields(reply, [
    ['keys', (out) => out.integer(keys)],
    ['remembers', (out) => out.integer(remembers ? 1 : 0)],
    ['latest', (out) => out.integer(latest)],
  ]);
}

/** Rows that are too long for one argument come in several. */
async function restore(
  { reply }: FrontContext,
  backups: StoreBackups,
  args: Arguments,
  [shard, shards]: readonly number[],
): Promise<void> {
  const parts: Buffer[] = [];
  for (let index = 6; index < args.count; index++) parts.push(args.bytes(index));
  // Memory of its own: what is sent to a worker takes along all of the memory that it lies in.
  const rows = new Uint8Array(Buffer.concat(parts));
  const place = { shard: shard!, shards: shards!, restore: args.text(5) };
  const { applied, skipped, ended } = await backups.restore(args.text(2), place, rows);
  reply.array(3);
  for (const number of [applied, skipped, ended]) reply.integer(number);
}
