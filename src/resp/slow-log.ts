import type { Arguments } from '../base/arguments.js';
import type { Config } from '../base/config.js';
import { SLOWLOG_ARGUMENT_BYTES_MAX, SLOWLOG_ARGUMENTS_MAX } from '../base/limits.js';
import type { Command } from '../commands/table.js';
import type { SlowCommand } from '../workers/protocol.js';
import type { Connection } from './connection.js';
import { REDACTED, secretArguments } from './redaction.js';

/** Whose command it was; the connection itself may be gone by the time anybody asks. */
type Client = Pick<Connection, 'address'> & { readonly session: { readonly name: string } };

export interface SlowLogEntry {
  /** Grows by one with each entry, for the life of the server. */
  readonly id: number;
  readonly unixSeconds: number;
  readonly microseconds: number;
  /** latin1, shortened. */
  readonly arguments: readonly string[];
  readonly address: string;
  readonly clientName: string;
}

/** The commands that took long: SLOWLOG. It keeps the last `slowlog-max-len` of them. */
export class SlowLog {
  /** Oldest first. */
  private entries: SlowLogEntry[] = [];
  private nextId = 0;

  constructor(readonly config: Config) {}

  get length(): number {
    return this.entries.length;
  }

  /** A command that ran on the front. */
  addFront(connection: Client, command: Command, args: Arguments, microseconds: number): void {
    this.add(connection, Date.now(), microseconds, shortened(command, args));
  }

  /** A command that a worker ran; its connection may be gone. */
  addShard(connection: Client | undefined, slow: SlowCommand): void {
    this.add(connection, slow.unixMs, slow.microseconds, slow.arguments);
  }

  /** The last `count` entries, newest first. */
  latest(count: number): SlowLogEntry[] {
    const from = Math.max(0, this.entries.length - count);
    return this.entries.slice(from).reverse();
  }

  clear(): void {
    this.entries = [];
  }

  private add(
    client: Client | undefined,
    unixMs: number,
    microseconds: number,
    args: readonly string[],
  ): void {
    this.entries.push({
      id: this.nextId++,
      unixSeconds: Math.floor(unixMs / 1000),
      microseconds,
      arguments: args,
      address: client?.address ?? '',
      clientName: client?.session.name ?? '',
    });
    const excess = this.entries.length - this.config.values['slowlog-max-len'];
    if (excess > 0) this.entries.splice(0, excess);
  }
}

/** The arguments as the log keeps them: not too many, not too long, and without passwords. */
function shortened(command: Command, args: Arguments): string[] {
  const secrets = secretArguments(command, args);
  const whole = args.count <= SLOWLOG_ARGUMENTS_MAX ? args.count : SLOWLOG_ARGUMENTS_MAX - 1;
  const texts = Array.from({ length: whole }, (_, index) =>
    secrets.has(index) ? REDACTED : shortenedArgument(args, index),
  );
  if (whole < args.count) texts.push(`... (${args.count - whole} more arguments)`);
  return texts;
}

function shortenedArgument(args: Arguments, index: number): string {
  const extra = args.byteLength(index) - SLOWLOG_ARGUMENT_BYTES_MAX;
  if (extra <= 0) return args.text(index);
  return `${args.bytes(index).latin1Slice(0, SLOWLOG_ARGUMENT_BYTES_MAX)}... (${extra} more bytes)`;
}
