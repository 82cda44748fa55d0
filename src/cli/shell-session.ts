import type { Buffer } from 'node:buffer';
import { Refusal } from './admin-actions.js';
import type { ClusterClient } from './cluster-client.js';
import { type CommandDocs, parseCommandDocs } from './command-docs.js';
import { type Reply, textOf } from './reply.js';
import { repliesText } from './reply-text.js';
import { type ConnectionChoice, ConnectionError, RespConnection } from './resp-connection.js';

export interface SessionOptions {
  readonly choice: ConnectionChoice;
  /** How people call the server. */
  readonly name: string;
  readonly openCluster: () => Promise<ClusterClient>;
  /** Prints the reply to a command, or what comes by itself. @param isText a text of many lines */
  readonly print: (reply: Reply, isText?: boolean) => void;
  /** Tells what is no reply: that the connection is lost, for instance. */
  readonly notice: (text: string) => void;
  /** Is called when there is a connection (again). */
  readonly connected?: () => void;
  /** Whether to connect again by itself. */
  readonly reconnects: boolean;
}

const RETRY_MIN_MS = 250;
const RETRY_MAX_MS = 2000;

/**
 * A person's session with a server: where it is, whether it is in a transaction, and the same again on a new
 * connection when one is lost.
 */
export class ShellSession {
  /** Name or number of the keyspace; '0' at first. */
  where = '0';
  isInTransaction = false;
  private connection: RespConnection | undefined;
  private connecting: Promise<RespConnection> | undefined;
  private choice: ConnectionChoice;
  private retry: NodeJS.Timeout | undefined;
  private isClosed = false;
  /** Ends a stream of MONITOR or RESP2 messages. */
  private endStream: (() => void) | undefined;
  private clusterClient: Promise<ClusterClient> | undefined;
  private knownDocs: CommandDocs[] | undefined;

  constructor(private readonly options: SessionOptions) {
    this.choice = options.choice;
  }

  get isConnected(): boolean {
    return this.connection?.isOpen === true;
  }

  /** @throws ConnectionError, or Refusal when the keyspace is not there (any more) */
  async connect(): Promise<RespConnection> {
    if (this.connection?.isOpen) return this.connection;
    this.connecting ??= this.open().finally(() => {
      this.connecting = undefined;
    });
    return this.connecting;
  }

  /**
   * Sends a command and prints the reply.
   * @returns whether it was no error
   * @throws ConnectionError
   */
  async run(words: readonly Buffer[]): Promise<boolean> {
    const reply = await this.command(words);
    if (reply !== undefined) this.options.print(reply, reply.type !== 'error' && repliesText(words));
    if (reply?.type === 'error') return false;
    const name = words[0]!.toString().toLowerCase();
    const streams = name === 'monitor' || (/^[ps]?subscribe$/.test(name) && this.connection?.protocol === 2);
    if (streams) await this.stream();
    return true;
  }

  /** Sends a command. @throws ConnectionError */
  async command(words: readonly (Buffer | string)[]): Promise<Reply | undefined> {
    const connection = await this.connect();
    const reply = await connection.command(words);
    this.note(words.map(String), reply);
    return reply;
  }

  /** Gives up what is under way; the connection with it, since its reply would come late. */
  interrupt(): void {
    const isUsed = this.connection?.isBusy === true || this.endStream !== undefined;
    this.endStream?.();
    if (!isUsed) return;
    this.connection?.close();
    this.forgetTransaction();
    this.connect().catch((error: Error) => {
      if (this.isConnected) this.options.notice(error.message);
      else this.lost(error);
    });
  }

  /** The cluster, by a connection of its own. */
  cluster(): Promise<ClusterClient> {
    this.clusterClient ??= this.options.openCluster();
    return this.clusterClient;
  }

  /** What this connection has been told about who the user is; for connections besides. */
  get login(): ConnectionChoice {
    return this.choice;
  }

  /** What the server says of its commands, by a connection besides; none where it says nothing. */
  async docs(): Promise<readonly CommandDocs[]> {
    if (this.knownDocs !== undefined) return this.knownDocs;
    const connection = await RespConnection.open(this.choice);
    try {
      const reply = await connection.command(['COMMAND', 'DOCS']);
      if (reply === undefined || reply.type === 'error') return [];
      this.knownDocs = parseCommandDocs(reply);
      return this.knownDocs;
    } finally {
      connection.close();
    }
  }

  close(): void {
    this.isClosed = true;
    clearTimeout(this.retry);
    this.connection?.close();
    this.clusterClient?.then(
      (cluster) => cluster.close(),
      () => undefined,
    );
  }

  private async open(): Promise<RespConnection> {
    const connection = await this.openThere();
    this.options.connected?.();
    return connection;
  }

  /** A connection that is where the session is. */
  private async openThere(): Promise<RespConnection> {
    const connection = await RespConnection.open(this.choice);
    if (this.isClosed) {
      connection.close();
      throw new ConnectionError('the shell is being closed');
    }
    this.connection = connection;
    connection.onUnsolicited = (reply) => this.options.print(reply);
    connection.onLost = (error) => this.lost(error);
    if (connection.refusal !== undefined) this.options.notice(connection.refusal);
    if (this.where === '0') return connection;
    const reply = await connection.command(['SELECT', this.where]);
    if (reply?.type !== 'error') return connection;
    // No command that was meant for that keyspace may run in another.
    const reason = reply.text.replace(/^ERR /, '');
    if (!this.options.reconnects) {
      connection.close();
      throw new Refusal(reason);
    }
    this.where = '0';
    throw new Refusal(`${reason}\nThis is keyspace 0 now; nothing was run.`);
  }

  private lost(error: Error): void {
    this.endStream?.();
    if (this.isClosed) return;
    this.options.notice(this.options.reconnects ? `${error.message}; trying again` : error.message);
    this.forgetTransaction();
    if (this.options.reconnects) this.retryIn(RETRY_MIN_MS);
  }

  private retryIn(delayMs: number): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => {
      if (this.isConnected || this.isClosed) return;
      this.connect().then(
        () => this.options.notice(`connected to ${this.options.name} again`),
        (error: Error) => {
          if (this.isConnected) this.options.notice(error.message);
          else if (!this.isClosed) this.retryIn(Math.min(RETRY_MAX_MS, delayMs * 2));
        },
      );
    }, delayMs);
  }

  private forgetTransaction(): void {
    if (this.isInTransaction) this.options.notice('the transaction is lost with the connection');
    this.isInTransaction = false;
  }

  private stream(): Promise<void> {
    return new Promise((resolve) => {
      this.endStream = () => {
        this.endStream = undefined;
        resolve();
      };
    });
  }

  /** Keeps what a command that has succeeded says about the connection. */
  private note(words: readonly string[], reply: Reply | undefined): void {
    const name = words[0]!.toLowerCase();
    if (name === 'exec' || name === 'discard') this.isInTransaction = false;
    if (reply === undefined || reply.type === 'error' || textOf(reply) === 'QUEUED') return;
    if (name === 'multi') this.isInTransaction = true;
    else if (name === 'select') this.where = words[1] ?? '0';
    else if (name === 'auth') this.noteLogin(words.slice(1));
    else if (name === 'hello') this.noteHello(words);
    else if (name === 'reset') {
      this.isInTransaction = false;
      this.where = '0';
      this.connection!.protocol = 2;
    }
  }

  private noteLogin(words: readonly string[]): void {
    const password = words.at(-1);
    this.choice = { ...this.choice, user: words.length > 1 ? words[0] : undefined, password };
    // The greeting was refused for want of a password; what it would have agreed on is agreed on now.
    const connection = this.connection!;
    if (connection.refusal !== undefined && this.choice.protocol === 3)
      connection.greet({ ...this.choice }).catch(() => {
        // Lost: told by onLost.
      });
  }

  private noteHello(words: readonly string[]): void {
    const protocol = words[1] === '3' ? 3 : words[1] === '2' ? 2 : this.connection!.protocol;
    this.connection!.protocol = protocol;
    this.choice = { ...this.choice, protocol };
    const auth = words.findIndex((word) => word.toLowerCase() === 'auth');
    if (auth > 0) this.choice = { ...this.choice, user: words[auth + 1], password: words[auth + 2] };
  }
}
