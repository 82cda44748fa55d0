import { Command, CommanderError } from 'commander';
import { Config, type ConfigSources } from '../base/config.js';
import { ConfigError } from '../base/config-text.js';
import { VERSION } from '../base/version.js';
import { addAdmin } from './admin.js';
import { benchCommand } from './bench/options.js';
import { runBench } from './bench/run.js';
import type { ProgramEnvironment } from './environment.js';
import { openCluster } from './open-cluster.js';
import { addShell } from './shell-command.js';

/** Starts a server; settled when it is running. */
export type StartServer = (config: Config) => Promise<void>;

interface Role {
  /** What it is, in a line of the help. */
  readonly description: string;
  /** Command lines that show how it is used. */
  readonly examples: readonly string[];
}

/** The servers that this program can be, in the order of the help. */
const ROLES = {
  server: {
    description: 'run a server: all that one machine needs',
    examples: [
      'vasto server',
      'vasto server /etc/vasto.conf --port 7000',
      'vasto server --bind 127.0.0.1 ::1 --appendfsync always',
      "echo 'port 7000' | vasto server -",
    ],
  },
  master: {
    description: 'manage a cluster: which store holds what',
    examples: ['vasto master', 'vasto master /etc/vasto.conf --master-port 8278 --bind 10.0.0.1'],
  },
  store: {
    description: 'hold data for a cluster',
    examples: ['vasto store --master 10.0.0.1:8278 --dir /data --zone a --tags ssd'],
  },
  gateway: {
    description: 'serve the data of a cluster, without holding any',
    examples: ['vasto gateway --master 10.0.0.1:8278 --port 6379'],
  },
} as const satisfies Record<string, Role>;

export type RoleName = keyof typeof ROLES;

/** How each role is started; the command line offers those that are here. */
export type Roles = Readonly<Partial<Record<RoleName, StartServer>>>;

function helpOf(role: Role): string {
  return `
Configuration:
  [file]            configuration file in the syntax of redis.conf; conf/vasto.conf lists every directive
  --name value ...  any directive of the file as a flag; flags win over the file
  -                 as first or last word: read more configuration from standard input

Examples:
${role.examples.map((line) => `  ${line}\n`).join('')}`;
}

/**
 * Runs the command line: `argv` is what follows the program's name.
 * @returns the exit code, or undefined when a server is running and the process should go on.
 *   What a role's start throws, except ConfigError, is the caller's to report.
 */
export async function run(
  argv: readonly string[],
  environment: ProgramEnvironment,
  roles: Roles,
): Promise<number | undefined> {
  let exitCode: number | undefined = 0;
  const program = createProgram(environment);
  for (const name of Object.keys(ROLES) as RoleName[]) {
    const start = roles[name];
    if (start === undefined) continue;
    addRole(program, name, async (words) => {
      await start(Config.load(sourcesOf(words, environment.readInput)));
      exitCode = undefined;
    });
  }
  const finish = (code: number) => {
    exitCode = code;
  };
  addAdmin(program, environment, openCluster, finish);
  addShell(program, environment, openCluster, finish);
  addTool(
    program,
    benchCommand(async (options) => {
      exitCode = await runBench(options, environment);
    }),
  );
  try {
    if (argv.length === 0) program.outputHelp();
    else await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    if (!(error instanceof ConfigError)) throw error;
    environment.err(`vasto: ${error.message}\n`);
    return 1;
  }
}

function createProgram(environment: ProgramEnvironment): Command {
  return new Command('vasto')
    .description('An on-disk key-value store that any Redis client can use')
    .version(VERSION, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError("Run 'vasto --help' for what there is.")
    .configureOutput({
      writeOut: environment.out,
      writeErr: environment.err,
      outputError: (text, write) => write(text.replace(/^error: /, 'vasto: ')),
    });
}

/** Adds a command that has options of its own; errors and help go where the program's go. */
function addTool(program: Command, tool: Command): void {
  program.addCommand(tool.copyInheritedSettings(program));
}

function addRole(
  program: Command,
  name: RoleName,
  action: (words: readonly string[]) => Promise<void>,
): void {
  program
    .command(name)
    .description(ROLES[name].description)
    .usage('[file] [--name value ...]')
    .helpOption('-h, --help', 'print this help')
    // Flags are directives, which have rules of their own: commander hands all of them on as they are.
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText('after', helpOf(ROLES[name]))
    .action((_options: unknown, command: Command) => action(command.args));
}

/** Splits the words after a role's name into configuration file, standard input and flags, as redis-server does. */
function sourcesOf(words: readonly string[], readInput: () => string): ConfigSources {
  const flags = [...words];
  const file = flags[0] !== undefined && !flags[0].startsWith('-') ? flags.shift() : undefined;
  let readsInput = false;
  if (flags[0] === '-') {
    readsInput = true;
    flags.shift();
  } else if (flags.at(-1) === '-') {
    readsInput = true;
    flags.pop();
  }
  return { file, text: readsInput ? readInput() : undefined, flags };
}
