import type { Arguments } from '../base/arguments.js';
import type { Config } from '../base/config.js';
import type { Command } from '../commands/table.js';
import type { SlowCommand } from '../workers/protocol.js';
import type { Connection } from './connection.js';

/** The commands that took long, newest first: SLOWLOG. */
export class SlowLog {
  constructor(readonly config: Config) {}

  /** A command that ran on the front. */
  addFront(_connection: Connection, _command: Command, _args: Arguments, _microseconds: number): void {}

  /** A command that a worker ran; its connection may be gone. */
  addShard(_connection: Connection | undefined, _slow: SlowCommand): void {}
}
