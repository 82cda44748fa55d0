import { randomBytes } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { type DistributionChoice, ZIPF_EXPONENT } from './distribution.js';
import { RANGE_KEYS_MAX, type SizeRange } from './sources.js';
import { VALUE_BYTES_MIN } from './values.js';
import { does, parseWorkload, WORKLOADS_HELP, type Workload } from './workload.js';

/** The options of the command line, checked one by one. */
export interface BenchOptions {
  readonly server: string;
  readonly cluster?: string;
  readonly clients: number;
  readonly pipeline: number;
  readonly threads: number;
  readonly requests?: number;
  readonly duration?: number;
  readonly warmup: number;
  readonly rate?: number;
  readonly workload: Workload;
  readonly keys: number;
  readonly distribution?: DistributionChoice;
  readonly valueSize: SizeRange;
  readonly batch: number;
  readonly prefix: string;
  readonly seed: number;
  readonly load: boolean;
  readonly check: boolean;
  readonly verify: boolean;
  readonly shared?: boolean;
  readonly clean?: boolean;
  readonly allowErrors?: boolean;
  readonly timeout: number;
  readonly user?: string;
  readonly pass?: string;
  readonly db?: string;
  readonly resp: 2 | 3;
  readonly tls?: boolean;
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly sni?: string;
  readonly insecure?: boolean;
  readonly json?: boolean;
}

const CLIENTS_MAX = 10_000;
const PIPELINE_MAX = 10_000;
const ON_THEIR_WAY_MAX = 1_000_000;
const THREADS_MAX = 64;
/** Names of keys have ten digits, and insertions double their number. */
const KEYS_MAX = 2 ** 31;
const VALUE_BYTES_MAX = 512 * 1024 * 1024;
const REQUESTS_DEFAULT = 100_000;

const EXAMPLES = `
Examples:
  vasto bench --workload mixed:80/20 --duration 30s --clients 100 --pipeline 16
  vasto bench --server 10.0.0.5:6379 --workload a --keys 10000000 --value-size 100-4000
  vasto bench --cluster 10.0.0.5:7000 --workload get:80,set:15,incr:5 --rate 20000 --json

Exit code: 0; 1 if a check failed, a command got an error or a connection broke; docs/BENCH.md tells more.
`;

/** @param action runs the benchmark */
export function benchCommand(action: (options: BenchOptions) => Promise<void>): Command {
  const command = new Command('bench')
    .description('load any Redis endpoint, measure latencies and check what it replies')
    .helpOption('-h, --help', 'print this help')
    .option('--server <address>', 'host:port, or the path of a Unix socket', address, '127.0.0.1:6379')
    .option('--cluster <address>', 'any node of a Redis Cluster, instead of --server', address)
    .option('--clients <n>', 'connections (with --cluster: to each node)', integer(1, CLIENTS_MAX), 50)
    .option('--pipeline <n>', 'requests that each client has on their way', integer(1, PIPELINE_MAX), 1)
    .option('--threads <n>', 'threads that the load comes from', integer(1, THREADS_MAX), 1)
    .option('--requests <n>', `operations (default: ${REQUESTS_DEFAULT}, or as many as fit)`, integer(1))
    .option('--duration <time>', 'such as 30s, 5m, 500ms; a bare number is seconds', durationMs)
    .option('--warmup <time>', 'load that is not measured, before', durationMs, 0)
    .option('--rate <n>', 'operations a second, sent when due whether or not earlier ones ended', positive)
    .option('--workload <mix>', WORKLOADS_HELP, workload, parseWorkload('mixed'))
    .option('--keys <n>', 'size of the key space', integer(1, KEYS_MAX), 100_000)
    .option('--distribution <name>', 'uniform, zipf, zipf:EXPONENT, sequential or latest', distribution)
    .option('--value-size <bytes>', 'such as 100, 4kb or 64-1024', sizeRange, { min: 100, max: 100 })
    .option('--batch <n>', 'keys of one MGET or MSET', integer(1, RANGE_KEYS_MAX), 10)
    .option('--prefix <text>', 'what all keys begin with', 'bench:')
    .option('--seed <n>', 'the same seed makes the same sequence', integer(0), randomBytes(4).readUInt32LE());
  addRest(command);
  return command.addHelpText('after', EXAMPLES).action(async (given: BenchOptions) => {
    const problem = conflict(given);
    if (problem !== undefined) command.error(`error: ${problem}`);
    await action(given);
  });
}

function addRest(command: Command): void {
  command
    .option('--no-load', 'do not write all keys first (done if the workload reads)')
    .option('--no-check', 'do not check the values that are read')
    .option('--no-verify', 'do not read at the end what was written')
    .option('--shared', 'others write these keys too: check that values are whole, not that they are fresh')
    .option('--clean', 'delete the keys at the end')
    .option('--allow-errors', 'error replies and broken connections are reported, but no failure')
    .option('--timeout <time>', 'how long a reply or a connection may be missing', durationMs, 15_000)
    .option('--user <name>', 'with --pass')
    .option('--pass <password>', 'a password (REDISCLI_AUTH in the environment is taken otherwise)')
    .option('--db <name>', 'number of a database or name of a keyspace')
    .addOption(new Option('--resp <version>', 'protocol').choices(['2', '3']).default(2).argParser(protocol))
    .option('--tls', 'connect by TLS')
    .option('--cacert <file>', 'certificates of the authorities to trust')
    .option('--cert <file>', 'certificate to show')
    .option('--key <file>', 'its private key')
    .option('--sni <name>', 'name of the server to ask for and expect')
    .option('--insecure', "do not check the server's certificate")
    .option('--json', 'print the result as JSON');
}

/** What is wrong with the options together. */
function conflict(options: BenchOptions): string | undefined {
  const { clients, pipeline, threads, keys, valueSize, check, workload: mix } = options;
  if (threads > clients) return `--threads ${threads} is more than --clients ${clients}`;
  if (threads > keys)
    return `--threads ${threads} is more than --keys ${keys}: each thread has keys of its own`;
  if (clients * pipeline > ON_THEIR_WAY_MAX) {
    return `--clients ${clients} with --pipeline ${pipeline} is more than ${ON_THEIR_WAY_MAX} requests on their way`;
  }
  const writes = does(mix, 'set', 'mset', 'insert', 'rmw') || loads(options);
  if (check && writes && valueSize.min < VALUE_BYTES_MIN) {
    return `--value-size ${valueSize.min}: values that can be checked have at least ${VALUE_BYTES_MIN} bytes (or --no-check)`;
  }
  if (options.cluster !== undefined && options.db !== undefined)
    return '--db: a cluster has one database only';
  if (options.user !== undefined && passwordOf(options) === undefined) return '--user needs --pass';
  const tlsOnly = (['cacert', 'cert', 'key', 'sni', 'insecure'] as const).find((name) => options[name]);
  if (tlsOnly !== undefined && options.tls !== true) return `--${tlsOnly} needs --tls`;
  return undefined;
}

/** Whether all keys are written before the workload begins. */
export function loads({ load, workload: mix }: BenchOptions): boolean {
  return load && does(mix, 'get', 'mget', 'range', 'rmw', 'exists');
}

export function passwordOf({ pass }: BenchOptions): string | undefined {
  return pass ?? process.env.REDISCLI_AUTH;
}

/** Operations to do, and for how long; unbounded where the other is given. */
export function limits({ requests, duration }: BenchOptions): { operationsMax: number; durationMs: number } {
  const operationsMax = requests ?? (duration === undefined ? REQUESTS_DEFAULT : Number.POSITIVE_INFINITY);
  return { operationsMax, durationMs: duration ?? Number.POSITIVE_INFINITY };
}

function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `at least ${min}` : `${min} to ${max}`;
    throw new InvalidArgumentError(`It must be an integer, ${range}.`);
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('It must be a number greater than 0.');
}

const MS_PER_UNIT: Readonly<Record<string, number>> = { '': 1000, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function durationMs(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('Write a time such as 30s, 5m or 500ms.');
  return Number(number) * MS_PER_UNIT[unit]!;
}

const BYTES_PER_UNIT: Readonly<Record<string, number>> = { '': 1, b: 1, kb: 1024, mb: 1024 ** 2 };

function sizeRange(text: string): SizeRange {
  const [min, max = min] = text.toLowerCase().split('-').map(bytes);
  if (
    min !== undefined &&
    max !== undefined &&
    min <= max &&
    max <= VALUE_BYTES_MAX &&
    text.split('-').length < 3
  ) {
    return { min, max };
  }
  throw new InvalidArgumentError('Write a size such as 100, 4kb or 64-1024, at most 512mb.');
}

function bytes(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d+)(b|kb|mb)?$/.exec(text) ?? [];
  return number === undefined ? undefined : Number(number) * BYTES_PER_UNIT[unit]!;
}

function distribution(text: string): DistributionChoice {
  const [, name, exponent] =
    /^(uniform|sequential|zipf|latest)(?::(\d+(?:\.\d+)?))?$/.exec(text.toLowerCase()) ?? [];
  const takesExponent = name === 'zipf' || name === 'latest';
  const value = exponent === undefined ? ZIPF_EXPONENT : Number(exponent);
  if (name === undefined || (exponent !== undefined && !takesExponent) || value <= 0 || value > 10) {
    throw new InvalidArgumentError(
      'There are uniform, zipf, latest (both with an exponent up to 10, such as zipf:1.2) and sequential.',
    );
  }
  return { name: name as DistributionChoice['name'], exponent: value };
}

function workload(text: string): Workload {
  try {
    return parseWorkload(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function address(text: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^:\s[\]]+):(\d+)$/.exec(text)?.[1]);
  if (text.startsWith('/') || (port >= 1 && port <= 65535)) return text;
  throw new InvalidArgumentError('Write host:port, [IPv6 address]:port or the path of a Unix socket.');
}

function protocol(text: string): 2 | 3 {
  if (text === '2' || text === '3') return text === '2' ? 2 : 3;
  throw new InvalidArgumentError('It is 2 or 3.');
}
