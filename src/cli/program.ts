import { Command, CommanderError } from 'commander';
import { Config, type ConfigSources } from '../base/config.js';
import { ConfigError } from '../base/config-text.js';
import { VERSION } from '../base/version.js';

/** What the program has from the process it runs in, as parameters so that tests can stand in for it. */
export interface ProgramEnvironment {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Reads standard input to its end. */
  readonly readInput: () => string;
}

/** Starts a server; settled when it is running. */
export type StartServer = (config: Config) => Promise<void>;

const SERVER_HELP = `
Configuration:
  [file]            configuration file in the syntax of redis.conf; conf/vasto.conf lists every directive
  --name value ...  any directive of the file as a flag; flags win over the file
  -                 as first or last word: read more configuration from standard input

Examples:
  vasto server
  vasto server /etc/vasto.conf --port 7000
  vasto server --bind 127.0.0.1 ::1 --appendfsync always
  echo 'port 7000' | vasto server -
`;

/**
 * Runs the command line: `argv` is what follows the program's name.
 * @returns the exit code, or undefined when a server is running and the process should go on.
 *   What `start` throws, except ConfigError, is the caller's to report.
 */
export async function run(
  argv: readonly string[],
  environment: ProgramEnvironment,
  start: StartServer,
): Promise<number | undefined> {
  let exitCode: number | undefined = 0;
  const program = createProgram(environment);
  addServer(program, async (words) => {
    await start(Config.load(sourcesOf(words, environment.readInput)));
    exitCode = undefined;
  });
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

function addServer(program: Command, action: (words: readonly string[]) => Promise<void>): void {
  program
    .command('server')
    .description('run a server: all that one machine needs')
    .usage('[file] [--name value ...]')
    .helpOption('-h, --help', 'print this help')
    // Flags are directives, which have rules of their own: commander hands all of them on as they are.
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText('after', SERVER_HELP)
    .action((_options: unknown, command: Command) => action(command.args));
}

/** Splits the words after `server` into configuration file, standard input and flags, as redis-server does. */
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
