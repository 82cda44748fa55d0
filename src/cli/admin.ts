import { createInterface } from 'node:readline/promises';
import { type Command, CommanderError } from 'commander';
import { type ChangeRequest, MASTER_PORT, ManagerError } from '../cluster/manager.js';
import {
  type AdminContext,
  compact,
  create,
  describe,
  list,
  Refusal,
  remove,
  stores,
  topology,
  waitReady,
} from './admin-actions.js';
import { addBackups } from './admin-backup.js';
import { change, tasks } from './admin-changes.js';
import { CHANGE_WORDS, operandsText } from './change-words.js';
import { AddressError } from './endpoint.js';
import type { ProgramEnvironment } from './environment.js';
import { keyspaceRequest, RequestError } from './keyspace-words.js';
import type { OpenCluster } from './open-cluster.js';
import { printableLines } from './tables.js';
import { addTargetOptions, adminTarget, type Target, type TargetFlags } from './target.js';

export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const;

interface AdminFlags extends TargetFlags {
  readonly json?: boolean;
}

const HELP = `
Whom it talks to:
  the master, at 127.0.0.1:${MASTER_PORT} unless --master or VASTO_MASTER says otherwise. The master inside a
  'vasto server' that has no master-port is reached through that server: --server 127.0.0.1:6379.

Exit codes:
  0 done   1 refused or failed   2 wrong usage   3 nobody could be reached

Examples:
  vasto admin keyspace create orders --shards 8 --tags ssd
  vasto admin keyspace describe orders --json
  vasto admin stores --server 127.0.0.1:6379
  vasto admin keyspace resize orders 16
  vasto admin backup orders /backups/orders
  vasto admin restore /backups/orders orders-2 --shards 16
`;

/** @param finish is told the exit code */
export function addAdmin(
  program: Command,
  environment: ProgramEnvironment,
  open: OpenCluster,
  finish: (exitCode: number) => void,
): void {
  const leaf = (parent: Command, name: string, description: string): Command =>
    parent.command(name).description(description).helpOption('-h, --help', 'print this help');
  const group = (parent: Command, name: string, description: string): Command =>
    leaf(parent, name, description)
      .exitOverride(asUsageError)
      .helpCommand(false)
      .showHelpAfterError("Run 'vasto admin --help' for what there is.");
  const runs = (command: Command, action: (context: AdminContext, ...words: never[]) => Promise<void>) =>
    addCommonOptions(command).action(async (...given: unknown[]) => {
      const words = given.slice(0, -2) as never[];
      const flags = command.optsWithGlobals<AdminFlags>();
      finish(await carryOut(environment, open, flags, (context) => action(context, ...words)));
    });

  const admin = addCommonOptions(
    group(program, 'admin', 'operate a cluster by script: keyspaces, stores').addHelpText('after', HELP),
  );
  const keyspace = group(admin, 'keyspace', 'make, delete, list, describe, compact, resize, move keyspaces');
  const made = leaf(keyspace, 'create <name>', 'make a keyspace')
    .option('--shards <number>', 'shards (default: 1)')
    .option('--replicas <number>', 'copies of each shard (default: 1)')
    .option('--tags <a,b>', 'only stores with all of these tags hold it')
    .option('--db <number>', 'the number by which SELECT reaches it, too');
  runs(made, (context, name: string) => create(context, keyspaceRequest({ ...made.opts(), name })));
  const removed = leaf(keyspace, 'delete <name>', 'delete a keyspace and all that is in it').option(
    '-y, --yes',
    'do not ask',
  );
  runs(removed, (context, name: string) =>
    remove(context, name, removed.opts<{ yes?: boolean }>().yes === true),
  );
  runs(leaf(keyspace, 'list', 'list the keyspaces'), list);
  runs(leaf(keyspace, 'describe <name>', 'tell where a keyspace is, how large, and why there'), describe);
  runs(leaf(keyspace, 'compact <name>', 'rewrite it, so that what was deleted takes no space'), compact);
  runs(leaf(admin, 'stores', 'list the stores'), stores);
  runs(leaf(admin, 'topology', 'show stores and what they hold'), topology);
  addChanges({ admin, keyspace, leaf, group, runs });
  addBackups({ admin, leaf, runs });
  const waits = leaf(admin, 'wait-ready', 'wait until the cluster can be used')
    .option('--stores <number>', 'at least so many stores are up (default: 1)')
    .option('--keyspace <name>', 'this keyspace is there and all its shards are served')
    .option('--for <seconds>', 'how long to wait (default: 30)');
  runs(waits, (context) => waitReady(context, waits.opts()));
}

interface Branch {
  readonly admin: Command;
  readonly keyspace: Command;
  leaf(parent: Command, name: string, description: string): Command;
  group(parent: Command, name: string, description: string): Command;
  runs(command: Command, action: (context: AdminContext, ...words: never[]) => Promise<void>): void;
}

/** Changes of where keyspaces are. */
function addChanges({ admin, keyspace, leaf, group, runs }: Branch): void {
  const changing = (parent: Command, kind: ChangeRequest['kind']) => {
    const { summary, request } = CHANGE_WORDS[kind];
    const command = leaf(parent, `${kind} ${operandsText(kind)}`.trim(), summary);
    if (kind !== 'abort') command.option('--detach', 'do not wait until it is done');
    runs(command, (context, ...words: string[]) =>
      change(context, request(words), command.opts<{ detach?: boolean }>().detach !== true),
    );
  };
  for (const kind of ['resize', 'replicas', 'move', 'abort'] as const) changing(keyspace, kind);
  const store = group(admin, 'store', 'replace or drain stores');
  for (const kind of ['replace', 'drain', 'undrain'] as const) changing(store, kind);
  changing(admin, 'rebalance');
  runs(leaf(admin, 'tasks', 'show changes that are going on'), tasks);
}

function addCommonOptions(command: Command): Command {
  return addTargetOptions(command).option('--json', 'print JSON; docs/OPERATIONS.md tells its shape');
}

/** Words that commander does not understand are wrong usage; help is not. */
export function asUsageError(error: CommanderError): never {
  throw new CommanderError(error.exitCode === 0 ? EXIT.ok : EXIT.usage, error.code, error.message);
}

async function carryOut(
  environment: ProgramEnvironment,
  open: OpenCluster,
  flags: AdminFlags,
  action: (context: AdminContext) => Promise<void>,
): Promise<number> {
  const isJson = flags.json === true;
  const fail = (exitCode: number, code: string, message: string) => {
    const text = isJson
      ? JSON.stringify({ error: { code, message } })
      : `vasto admin: ${printableLines(message)}`;
    environment.err(`${text}\n`);
    return exitCode;
  };
  let target: Target | undefined;
  try {
    if (flags.master !== undefined && flags.server !== undefined)
      throw new RequestError('--master and --server are two ways to one cluster: give one of them');
    target = adminTarget(flags, environment.variables);
    const cluster = await open(target);
    try {
      await action(contextOf(environment, cluster, isJson));
    } finally {
      cluster.close();
    }
    return EXIT.ok;
  } catch (error) {
    if (error instanceof RequestError || error instanceof AddressError)
      return fail(EXIT.usage, 'USAGE', error.message);
    if (error instanceof Refusal) return fail(EXIT.failed, 'REFUSED', error.message);
    if (!(error instanceof ManagerError)) throw error;
    if (error.code !== 'UNAVAILABLE') return fail(EXIT.failed, error.code, error.message);
    return fail(EXIT.unreachable, error.code, `${error.message}${hint(target)}`);
  }
}

function hint(target: Target | undefined): string {
  const master = '--master host:port names the master';
  const server = "--server host:port goes through a server, as to the master inside 'vasto server'";
  return target?.kind === 'server' ? `\n  ${server}; ${master}.` : `\n  ${master}; ${server}.`;
}

function contextOf(
  environment: ProgramEnvironment,
  cluster: AdminContext['cluster'],
  isJson: boolean,
): AdminContext {
  const { stdin, stdout } = environment;
  return {
    cluster,
    isJson,
    out: environment.out,
    err: environment.err,
    errIsTerminal: environment.errIsTerminal,
    ask: stdin.isTTY === true && stdout.isTTY === true ? (question) => ask(environment, question) : undefined,
  };
}

/** The answer to a question; empty when the person left. */
async function ask({ stdin, stdout }: ProgramEnvironment, question: string): Promise<string> {
  const lines = createInterface({ input: stdin, output: stdout });
  try {
    return await new Promise((resolve, reject) => {
      // An answer that ends the input counts: it is heard in this turn.
      lines.once('close', () => setImmediate(() => resolve('')));
      lines.question(question).then(resolve, reject);
    });
  } finally {
    lines.close();
  }
}
