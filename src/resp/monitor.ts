import { Buffer } from 'node:buffer';
import { performance } from 'node:perf_hooks';
import type { Arguments } from '../base/arguments.js';
import { MONITOR_OUTPUT_BYTES_MAX } from '../base/limits.js';
import type { Command } from '../commands/table.js';
import type { Connection } from './connection.js';
import { REDACTED, secretArguments } from './redaction.js';
import type { RespServer } from './server.js';
import { Attention } from './session.js';

/**
 * MONITOR: shows each command to the connections that asked for it, once it has run or is on its way to its shard.
 * Commands of operators are not shown, and neither are passwords.
 */
export class Monitor {
  private readonly watchers = new Set<Connection>();
  /** Lines that wait for the end of the read whose commands they show: one write is cheaper than many. */
  private pending = '';

  constructor(private readonly server: RespServer) {}

  add(connection: Connection): void {
    this.flush();
    this.watchers.add(connection);
    connection.session.set(Attention.Monitor, true);
    this.server.attention |= Attention.Monitored;
  }

  remove(connection: Connection): void {
    if (!this.watchers.has(connection)) return;
    this.flush();
    this.watchers.delete(connection);
    connection.session.set(Attention.Monitor, false);
    if (this.watchers.size === 0) this.server.attention &= ~Attention.Monitored;
  }

  /** @param db the database that is selected once the command has run, or the name of a keyspace without a number */
  show(
    connection: Connection,
    command: Command,
    args: Arguments,
    db: number | string = connection.session.selection,
  ): void {
    if (command.flags.includes('admin') || command.flags.includes('skip_monitor')) return;
    const microseconds = Math.floor((performance.timeOrigin + performance.now()) * 1000);
    const secrets = secretArguments(command, args);
    const texts = Array.from({ length: args.count }, (_, index) =>
      secrets.has(index) ? REDACTED : args.text(index),
    );
    if (this.pending === '') queueMicrotask(() => this.flush());
    this.pending += monitorLine(microseconds, db, connection.address, texts);
    // A watcher sees its own commands between its replies.
    if (this.watchers.has(connection)) this.flush();
  }

  private flush(): void {
    if (this.pending === '') return;
    const bytes = Buffer.from(this.pending, 'latin1');
    this.pending = '';
    for (const watcher of this.watchers) this.send(watcher, bytes);
  }

  /** A watcher that does not read is closed, by client-output-buffer-limit or, without one, by a limit of ours. */
  private send(watcher: Connection, bytes: Buffer): void {
    if (watcher.socket.destroyed || watcher.session.replies === 'off') return;
    if (watcher.queuedOutputBytes > MONITOR_OUTPUT_BYTES_MAX) {
      watcher.destroy(`does not read what MONITOR shows: ${watcher.queuedOutputBytes} bytes wait`);
      this.server.counters.outputLimitDisconnections++;
      return;
    }
    watcher.pushReady();
    watcher.replies.push(bytes);
  }
}

/** One line as MONITOR shows it; all text is latin1. */
export function monitorLine(
  microseconds: number,
  db: number | string,
  address: string,
  args: readonly string[],
): string {
  const seconds = Math.floor(microseconds / 1_000_000);
  const fraction = String(microseconds % 1_000_000).padStart(6, '0');
  // The address of a connection to a socket file is its path, with 0 for a port.
  const origin = address.startsWith('/') ? `unix:${address.slice(0, -':0'.length)}` : address;
  return `+${seconds}.${fraction} [${db} ${origin}] ${args.map(quoted).join(' ')}\r\n`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\x07': '\\a',
  '\b': '\\b',
};

/** Latin1 text in quotes, on one line of printable ASCII. */
function quoted(text: string): string {
  const escaped = text.replace(
    /[^ !#-[\]-~]/g,
    (char) => ESCAPES[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
  return `"${escaped}"`;
}
