import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import Table from 'cli-table3';
import { versionOf } from './servers.mjs';
import { median } from './statistics.mjs';

/** @typedef {{head: string[], rows: string[][]}} Sheet */

/** What the figures depend on besides the programs. @param {'vasto' | 'redis'} subject @param {string} command */
export function environment(subject, command) {
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${gigabytes(totalmem())}, Linux ${release()}`,
    node: process.version,
    redis: versionOf('redis'),
    subject: `${subject} ${versionOf(subject)} (${revision()})`,
    command,
  };
}

function revision() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return 'no revision';
  }
}

/**
 * @param {import('./throughput.mjs').ThroughputRow[]} rows
 * @param {[string, string]} [sides] what is compared with what
 * @param {string} [title]
 * @returns {Sheet}
 */
export function throughputSheet(rows, [first, second] = ['ours', 'redis'], title = 'test') {
  const head = [title, 'P', `${first}/s`, `${second}/s`, 'ratio', 'min–max', 'floor', 'aim', ''];
  return {
    head,
    rows: rows.map((row) => [
      row.test,
      String(row.pipeline),
      thousands(median(row.oursRps)),
      thousands(median(row.redisRps)),
      row.ratio.median.toFixed(2),
      `${row.ratio.min.toFixed(2)}–${row.ratio.max.toFixed(2)}`,
      row.floor?.toFixed(2) ?? '',
      row.aim?.toFixed(2) ?? '',
      verdict(row),
    ]),
  };
}

/** @param {import('./throughput.mjs').ThroughputRow} row */
function verdict({ ratio, floor, aim }) {
  if (floor === undefined) return '';
  if (ratio.median < floor) return 'below the floor';
  return aim === undefined || ratio.median >= aim ? 'reached' : 'above the floor';
}

/** @typedef {{rss: number, rssPeak: number}} Memory */

/**
 * @param {{ours: Memory, redis: Memory}} memory
 * @param {{ours: Memory, redis: Memory}} [loaded] what it was behind the load
 * @returns {Sheet}
 */
export function memorySheet(memory, loaded) {
  const row = (/** @type {'ours' | 'redis'} */ name) => [
    name,
    ...(loaded === undefined ? [] : [megabytes(loaded[name].rss)]),
    megabytes(memory[name].rss),
    megabytes(memory[name].rssPeak),
  ];
  const head = [
    'server',
    ...(loaded === undefined ? [] : ['RSS after the load']),
    'RSS at the end',
    'RSS peak',
  ];
  return { head, rows: [row('ours'), row('redis')] };
}

/** @param {Sheet} sheet for a terminal */
export function terminalTable({ head, rows }) {
  const table = new Table({ head, style: { head: [], border: [] } });
  table.push(...rows);
  return table.toString();
}

/** @param {Sheet} sheet */
export function markdownTable({ head, rows }) {
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** @param {ReturnType<typeof environment>} facts */
export function markdownEnvironment(facts) {
  return Object.entries(facts)
    .map(([name, value]) => `- ${name}: ${name === 'command' ? `\`${value}\`` : value}`)
    .join('\n');
}

/** @param {number} value */
export function thousands(value) {
  return Math.round(value).toLocaleString('en-US');
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${Math.round(bytes / 1024 / 1024)} MB`;
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return `${Math.round(bytes / 1024 ** 3)} GB`;
}
