import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import temporaryRoot from '../support/temporary-root.js';
import { type ChaosFigures, type ChaosStatus, runChaos } from './run.js';

/* `npm run chaos`: the run by itself, with somebody watching. */

const program = new Command('npm run chaos --')
  .description(
    'Breaks a cluster of real processes in many ways while clients use it, and looks at what is left.',
  )
  .option('--seed <n>', 'what is done, and when (default: random)', integer)
  .option('--minutes <n>', 'rounds are begun for so long', number, 30)
  .option('--rounds <n>', 'and no more than so many', integer, 100_000)
  .option('--stores <n>', 'stores, from 4', integer, 5)
  .option('--think <ms>', 'between two commands of a client', number, 15)
  .option('--logs <dir>', 'where to put the logs of all nodes when something is wrong', 'chaos-logs')
  .parse();

const options = program.opts<{
  seed?: number;
  minutes: number;
  rounds: number;
  stores: number;
  think: number;
  logs: string;
}>();

function integer(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError('an integer is expected');
  return Number(text);
}

function number(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('a number above 0 is expected');
  return value;
}

const isTerminal = process.stdout.isTTY === true;
let isLineOpen = false;
let toldAtMs = 0;

function report(line: string): void {
  process.stdout.write(`${isLineOpen ? '\r\x1b[K' : ''}${line}\n`);
  isLineOpen = false;
}

/** One line that is always the last one; where there is no terminal, a line every half minute. */
function progress(status: ChaosStatus): void {
  const line = lineOf(status);
  if (isTerminal) {
    process.stdout.write(`\r\x1b[K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`);
    isLineOpen = true;
  } else if (status.elapsedMs - toldAtMs >= 30_000) {
    toldAtMs = status.elapsedMs;
    report(line);
  }
}

function lineOf({ elapsedMs, round, acknowledged, actions, failuresInside, findings, current }: ChaosStatus) {
  const counts = `round ${round}, ${acknowledged} acknowledged, ${actions} actions, ${failuresInside} failed`;
  return `[${minutes(elapsedMs)}] ${counts}, ${findings} findings  ${current}`;
}

function minutes(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function summary(seed: number, figures: ChaosFigures): string {
  const { rounds, elapsedMs, acknowledged, reads, transactions, waited, failuresInside, notSent } = figures;
  const slowest = [...figures.slowestMs].sort((a, b) => a - b);
  const actions = [...figures.actions].sort().map(([kind, count]) => `${kind} ${count}`);
  return [
    `seed ${seed}, ${options.stores} stores: ${rounds} rounds in ${minutes(elapsedMs)}`,
    `commands acknowledged ${acknowledged} (reads ${reads}, transactions ${transactions}; WAIT found ${waited} on a replica)`,
    `failed while a fault excused it ${failuresInside}; not sent for want of a connection ${notSent}`,
    `done: ${actions.join(', ')}`,
    `keys judged ${figures.judged}, of which nothing could be said: ${figures.undecided}`,
    `stores taken for dead that were not, in rounds: ${figures.deposed}`,
    `slowest command of a round: median ${slowest[slowest.length >> 1] ?? 0} ms, most ${slowest.at(-1) ?? 0} ms`,
    `findings: ${figures.findings.length}`,
  ].join('\n');
}

function keepLogs(logs: ReadonlyMap<string, string>): void {
  mkdirSync(options.logs, { recursive: true });
  for (const [name, text] of logs) writeFileSync(join(options.logs, `${name.replace(' ', '-')}.log`), text);
  report(`what the nodes have logged is in ${options.logs}`);
}

process.once('exit', temporaryRoot());
const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
report(`seed ${seed} (the same again: npm run chaos -- --seed ${seed} --stores ${options.stores})`);
let isEnough = false;
process.once('SIGINT', () => {
  report('the run ends with this round; once more ends it at once');
  isEnough = true;
  process.once('SIGINT', () => process.exit(130));
});
process.once('SIGTERM', () => process.exit(130));
const figures = await runChaos({
  seed,
  stores: options.stores,
  rounds: options.rounds,
  minutes: options.minutes,
  thinkMs: options.think,
  ballastRows: 2000,
  report,
  progress,
  isEnough: () => isEnough,
});
report(summary(seed, figures));
if (figures.findings.length > 0) keepLogs(figures.logs);
process.exit(figures.findings.length === 0 ? 0 : 1);
