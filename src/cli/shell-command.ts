import type { Command } from 'commander';
import { asUsageError } from './admin.js';
import type { ProgramEnvironment } from './environment.js';
import type { OpenCluster } from './open-cluster.js';
import { runShell, type ShellFlags } from './shell.js';
import { addTargetOptions } from './target.js';

const HELP = `
Without a command it reads from standard input: from a person with a prompt, history and completion; from a pipe
line by line. Replies are printed as redis-cli prints them: for people on a terminal, raw into a pipe.

Exit codes:
  0 done   1 a command failed   2 wrong usage   3 the server could not be reached

Examples:
  vasto shell
  vasto shell --server 10.0.0.1:6379 GET user:1
  echo 'GET user:1' | vasto shell
  vasto shell describe orders
`;

/** @param finish is told the exit code */
export function addShell(
  program: Command,
  environment: ProgramEnvironment,
  open: OpenCluster,
  finish: (exitCode: number) => void,
): void {
  const shell = program
    .command('shell')
    .description('type commands: all of Redis, keyspaces, stores')
    .helpOption('-h, --help', 'print this help')
    .exitOverride(asUsageError)
    .usage('[options] [command [argument ...]]')
    .argument('[command...]')
    .passThroughOptions()
    .addHelpText('after', HELP);
  addTargetOptions(shell)
    .option('-n, --db <keyspace>', 'number or name of the keyspace to begin with')
    .option('-2, --resp2', 'speak RESP2 instead of RESP3')
    .option('--raw', 'print replies raw, even on a terminal')
    .option('--no-raw', 'print replies for people, even into a pipe')
    .option(
      '--history <file>',
      "where typed lines are kept, '' for nowhere (VASTO_HISTORY; ~/.vasto_history)",
    )
    .action(async (words: string[], flags: ShellFlags) => {
      finish(await runShell(environment, open, flags, words));
    });
}
