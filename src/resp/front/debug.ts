import type { Arguments } from '../../base/arguments.js';
import { CommandError, CommandRejected, NO_SUCH_KEY } from '../../base/command-errors.js';
import { parseInteger } from '../../base/numbers.js';
import { readyRoute } from '../../node/segments.js';
import { onlyShardOf } from '../selection.js';
import { type FrontContext, type FrontHandlers, inTurn } from './handlers.js';
import { heapSummary } from './memory.js';

const NOT_ALLOWED = new CommandError(
  'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.',
);
const NO_SUCH_WORKER = new CommandError('ERR no such worker');
const TIMER_MS_MAX = 2 ** 31 - 1;

/** DEBUG, one command to Redis, with subcommands that COMMAND does not know of. */
export const debugHandlers: FrontHandlers = {
  debug: inTurn(async (context, args) => {
    const { server, connection, reply } = context;
    const enabled = server.config.values['enable-debug-command'];
    if (enabled === 'no' || (enabled === 'local' && !isLocal(connection.address))) {
      reply.error(NOT_ALLOWED);
      return;
    }
    const subcommand = SUBCOMMANDS.get(args.token(1));
    if (subcommand?.counts.includes(args.count)) await subcommand.run(context, args);
    else
      reply.error(
        `ERR unknown subcommand or wrong number of arguments for '${args.text(1).slice(0, 128)}'. Try DEBUG HELP.`,
      );
  }),
};

/** Whether a client is on this machine: by address, or by the path of the socket file. */
function isLocal(address: string): boolean {
  return address.startsWith('127.0.0.1:') || address.startsWith('[::1]:') || address.startsWith('/');
}

interface Subcommand {
  /** Numbers of arguments that it takes, DEBUG and its own name counted. */
  readonly counts: readonly number[];
  readonly form: string;
  readonly does: string;
  run(context: FrontContext, args: Arguments): void | Promise<void>;
}

/** The shard of the selected database. */
async function shardOf({ server, session }: FrontContext) {
  const keyspace = session.keyspace ?? (await server.store.database(session.db!));
  const route = onlyShardOf(keyspace, 'DEBUG');
  if (route instanceof CommandError) throw new CommandRejected(route);
  await readyRoute(route);
  return route;
}

const SUBCOMMANDS: ReadonlyMap<string, Subcommand> = new Map<string, Subcommand>([
  [
    'CHANGE-REPL-ID',
    {
      counts: [2],
      form: 'CHANGE-REPL-ID',
      does: 'Take another replication id.',
      run({ server, reply }) {
        server.changeReplicationId();
        reply.ok();
      },
    },
  ],
  [
    'ERROR',
    {
      counts: [3],
      form: 'ERROR <text>',
      does: 'Reply <text> as an error.',
      run: ({ reply }, args) => reply.error(args.text(2)),
    },
  ],
  [
    'JMAP',
    {
      counts: [2],
      form: 'JMAP',
      does: 'How the JavaScript heap is divided.',
      run: ({ reply }) => reply.verbatim(`${heapSummary().join('\n')}\n`),
    },
  ],
  [
    'LOG',
    {
      counts: [3],
      form: 'LOG <message>',
      does: "Write <message> to the server's log.",
      run({ server, reply }, args) {
        server.logger.warning(`DEBUG LOG: ${args.bytes(2).toString('utf8')}`);
        reply.ok();
      },
    },
  ],
  ['OBJECT', { counts: [3], form: 'OBJECT <key>', does: 'How <key> is kept.', run: inspectObject }],
  [
    'SET-ACTIVE-EXPIRE',
    {
      counts: [3],
      form: 'SET-ACTIVE-EXPIRE <0|1>',
      does: 'Whether expired keys are removed from disk; they are never seen, either way.',
      async run({ server, reply }, args) {
        server.store.activeExpire = (parseInteger(args.text(2)) ?? 0) !== 0;
        await server.store.configure();
        reply.ok();
      },
    },
  ],
  [
    'SLEEP',
    {
      counts: [3],
      form: 'SLEEP <seconds>',
      does: 'Have the worker that owns the selected database do nothing for so long. Fractions are allowed.',
      async run(context, args) {
        const seconds = Number.parseFloat(args.text(2)) || 0;
        const route = await shardOf(context);
        await context.server.store.pool.sleep(route, Math.min(Math.max(0, seconds * 1000), TIMER_MS_MAX));
        context.reply.ok();
      },
    },
  ],
  [
    'WORKER-CRASH',
    {
      counts: [2, 3],
      form: 'WORKER-CRASH [<worker>]',
      does: 'Have a worker fail: that of the selected database, or the one of that number.',
      run: crashWorker,
    },
  ],
  ['HELP', { counts: [2], form: 'HELP', does: 'These lines.', run: ({ reply }) => writeHelp(reply) }],
]);

function writeHelp(reply: FrontContext['reply']): void {
  const all = [...SUBCOMMANDS.values()];
  reply.array(1 + 2 * all.length);
  reply.simple('DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:');
  for (const { form, does } of all) {
    reply.simple(form);
    reply.simple(`    ${does}`);
  }
}

async function inspectObject(context: FrontContext, args: Arguments): Promise<void> {
  const { server, reply } = context;
  const found = await server.store.pool.inspect(await shardOf(context), args.text(2));
  if (found === undefined) reply.error(NO_SUCH_KEY);
  else reply.simple(found);
}

async function crashWorker(context: FrontContext, args: Arguments): Promise<void> {
  const { server, reply } = context;
  const { pool } = server.store;
  const owner =
    args.count === 2 ? (await shardOf(context)).owner : pool.owners[parseInteger(args.text(2)) ?? -1];
  if (owner === undefined) {
    reply.error(NO_SUCH_WORKER);
    return;
  }
  await pool.crashWorker(owner);
  reply.ok();
}
