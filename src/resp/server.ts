import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Arguments } from '../base/arguments.js';
import type { CommandError } from '../base/command-errors.js';
import type { Config } from '../base/config.js';
import { ErrorTally } from '../base/error-tally.js';
import type { Logger } from '../base/logger.js';
import { RemoteLinks } from '../cluster/links.js';
import type { PeerCredentials } from '../cluster/links-credentials.js';
import { type Command, commandTable } from '../commands/table.js';
import type { Store } from '../node/store.js';
import type { ShardRoute } from '../workers/pool.js';
import type { SlowCommand } from '../workers/protocol.js';
import { askAgain } from './blocking.js';
import { ClusterDoors } from './cluster-doors.js';
import { Connection, type ConnectionHost } from './connection.js';
import { dispatch } from './dispatcher.js';
import { LatencyMonitor } from './latency-monitor.js';
import { type Door, type ListenerHost, Listeners } from './listeners.js';
import { MemoryGauge } from './memory-gauge.js';
import { Monitor } from './monitor.js';
import { PeerGate } from './peer-gate.js';
import { Rates } from './rates.js';
import { refuse } from './refusal.js';
import { Saver } from './saver.js';
import { Attention } from './session.js';
import { SlowLog } from './slow-log.js';
import { writesRun } from './statistics.js';
import { forgetWatches } from './watches.js';

const MAX_CLIENTS_REACHED = '-ERR max number of clients reached\r\n';
const PROTECTED =
  '-DENIED Vasto runs in protected mode: no password is set, and this connection does not come from the same machine. Set a password with the directive requirepass, or bind only addresses that you trust and set protected-mode no.\r\n';
const TIMEOUT_CHECK_MS = 1000;
const SHUTDOWN_WAIT_MS = 5000;

/** Counters since start, or since CONFIG RESETSTAT. */
export interface ServerCounters {
  connectionsReceived: number;
  connectionsRejected: number;
  inputBytes: number;
  outputBytes: number;
  outputLimitDisconnections: number;
  queryLimitDisconnections: number;
}

/** The RESP door of a node: its listeners, its connections, and what they share. */
export class RespServer implements ConnectionHost, ListenerHost {
  readonly connections = new Map<number, Connection>();
  readonly monitor = new Monitor(this);
  readonly slowLog: SlowLog;
  readonly latency: LatencyMonitor;
  readonly errors = new ErrorTally();
  readonly rates = new Rates();
  readonly commandRate = this.rates.of(() => this.commandsProcessed());
  readonly inputRate = this.rates.of(() => this.counters.inputBytes);
  readonly outputRate = this.rates.of(() => this.counters.outputBytes);
  readonly memory: MemoryGauge;
  readonly saver: Saver;
  /** The ways to other stores. */
  readonly links: RemoteLinks;
  /** What cluster doors show. */
  readonly doors: ClusterDoors;
  /** Commands of clients that went on to other stores, since start or CONFIG RESETSTAT. */
  forwardedCommands = 0;
  /** Connections of other nodes, which do not count towards maxclients. */
  peerConnections = 0;
  /** Tells one run of the server from another, and one history of writes from another. */
  readonly runId = randomBytes(20).toString('hex');
  replicationId = randomBytes(20).toString('hex');
  /** Connections that wait for something to happen (WAIT). */
  blockedClients = 0;
  /** The connection that asked for the end: it is to see that everything else has ended, and stays open as long. */
  closesLast: Connection | undefined;
  readonly startedAtMs = Date.now();
  counters = freshCounters();
  /** Bits of Attention that hold for every connection. */
  attention = 0;
  private readonly listeners: Listeners;
  private readonly peerGate = new PeerGate();
  private nextClientId = 1;
  private pause: { untilMs: number; writesOnly: boolean; timer: NodeJS.Timeout } | undefined;
  private unpauseWaiters: (() => void)[] = [];
  private readonly idleTimer: NodeJS.Timeout;
  private shuttingDown = false;

  /**
   * @param peers how other nodes are reached, and known
   * @param requestShutdown has the whole node end, as SIGTERM does
   */
  constructor(
    readonly config: Config,
    readonly logger: Logger,
    readonly store: Store,
    readonly peers: PeerCredentials,
    readonly requestShutdown: () => void,
  ) {
    this.listeners = new Listeners(config, logger, this);
    this.slowLog = new SlowLog(config);
    this.latency = new LatencyMonitor(config);
    this.memory = new MemoryGauge(() => store.report());
    this.saver = new Saver(
      store,
      () => writesRun(store),
      (error) => logger.warning(`saving failed: ${error.message}`),
    );
    this.links = new RemoteLinks({
      self: store.id,
      topology: () => store.keyspaces.topology,
      timeoutMs: () => config.values['cluster-node-timeout'],
      secret: () => peers.secrets.shown,
      openSocket: (entry) => peers.openSocket(entry),
    });
    this.doors = new ClusterDoors(config, store, this.links, store.id || this.runId);
    store.keyspaces.onChange(() => {
      this.links.topologyChanged();
      this.doors.topologyChanged();
      for (const { session } of this.connections.values()) session.forgetRoute();
    });
    this.idleTimer = setInterval(() => this.closeIdle(), TIMEOUT_CHECK_MS);
    this.idleTimer.unref();
  }

  // ---------------------------------------------------------------- listening

  /** Opens the doors that the configuration names. @throws Error with the address that failed */
  listen(): Promise<void> {
    return this.listeners.open();
  }

  hasRoom(arriving: number): boolean {
    const clients = this.connections.size - this.peerConnections;
    return clients + arriving < this.config.values.maxclients && !this.shuttingDown;
  }

  dropped(): void {
    this.counters.connectionsReceived++;
    this.counters.connectionsRejected++;
  }

  accept(socket: Socket, door: Door): void {
    this.counters.connectionsReceived++;
    const isForbidden = this.isForbidden(socket);
    if (this.hasRoom(0) && !isForbidden) {
      this.admit(socket, door);
      return;
    }
    const refuse = () => {
      this.counters.connectionsRejected++;
      socket.on('error', () => socket.destroy());
      socket.end(isForbidden ? PROTECTED : MAX_CLIENTS_REACHED);
    };
    const mayBePeer = door.kind === 'plain' && (!isForbidden || this.peers.secrets.areNeeded);
    if (!mayBePeer || this.shuttingDown) refuse();
    else
      this.peerGate.ask(
        socket,
        () => {
          this.admit(socket, door).mustBePeer = true;
        },
        refuse,
      );
  }

  private admit(socket: Socket, door: Door): Connection {
    const { values } = this.config;
    const isTcp = socket.remoteAddress !== undefined;
    if (isTcp && values['tcp-keepalive'] > 0) socket.setKeepAlive(true, values['tcp-keepalive'] * 1000);
    const id = this.nextClientId++;
    const limits = {
      bulkBytesMax: values['proto-max-bulk-len'],
      queryBytesMax: values['client-query-buffer-limit'],
      authenticated: values.requirepass === '',
    };
    const address = isTcp ? endpoint(socket.remoteAddress!, socket.remotePort!) : `${values.unixsocket}:0`;
    const local = isTcp ? endpoint(socket.localAddress!, socket.localPort!) : `${values.unixsocket}:0`;
    const connection = new Connection(id, socket, address, local, limits, this);
    connection.door = door;
    if (door.kind === 'cluster') connection.session.bindDoor(door.keyspace);
    connection.session.set(Attention.Unauthenticated, values.requirepass !== '');
    this.connections.set(id, connection);
    return connection;
  }

  /** Protected mode: without a password, only this machine is let in. */
  private isForbidden(socket: Socket): boolean {
    const { values } = this.config;
    if (!values['protected-mode'] || values.requirepass !== '') return false;
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) return false;
    return !/^(127\.|::1$|::ffff:127\.)/.test(remoteAddress);
  }

  // ---------------------------------------------------------------- what connections ask for

  execute(connection: Connection, args: Buffer[], frames: Buffer): void {
    dispatch(this, connection, args, frames);
  }

  failed(connection: Connection, error: CommandError): void {
    refuse(connection, error, connection.session.lastCommand, this);
  }

  closed(connection: Connection): void {
    this.connections.delete(connection.session.id);
    if (connection.session.isPeer) this.peerConnections--;
    this.monitor.remove(connection);
    forgetWatches(connection);
  }

  outputExceeded(connection: Connection, queuedBytes: number): boolean {
    const limit = this.config.values['client-output-buffer-limit'].normal;
    if (limit.hardBytes === 0 || queuedBytes <= limit.hardBytes) return false;
    this.counters.outputLimitDisconnections++;
    connection.destroy(
      `client-output-buffer-limit of ${limit.hardBytes} bytes exceeded; raise it with CONFIG SET client-output-buffer-limit`,
    );
    return true;
  }

  countInput(bytes: number): void {
    this.counters.inputBytes += bytes;
  }

  countOutput(bytes: number): void {
    this.counters.outputBytes += bytes;
  }

  logClosed(connection: Connection, reason: string): void {
    if (reason.includes('client-query-buffer-limit')) this.counters.queryLimitDisconnections++;
    this.logger.verbose(`client ${connection.session.id} (${connection.address}): ${reason}`);
  }

  // ---------------------------------------------------------------- statistics

  /** Accounts a command that ran on the front. */
  accountFront(
    connection: Connection,
    command: Command,
    args: Arguments,
    microseconds: number,
    failed: boolean,
  ): void {
    this.store.frontStatistics.record(command.index, microseconds, failed);
    if (WAITS_FOR_OTHERS.has(command.name)) return;
    this.latency.sampleCommand(command, microseconds);
    if (command.flags.includes('skip_slowlog')) return;
    const threshold = this.config.values['slowlog-log-slower-than'];
    if (threshold >= 0 && microseconds >= threshold)
      this.slowLog.addFront(connection, command, args, microseconds);
  }

  /** Accounts a slow command that a worker reports. */
  accountSlow(slow: SlowCommand): void {
    const command = commandTable[slow.command]!;
    const threshold = this.config.values['slowlog-log-slower-than'];
    if (threshold >= 0 && slow.microseconds >= threshold)
      this.slowLog.addShard(this.connections.get(slow.clientId), slow);
    this.latency.sampleCommand(command, slow.microseconds);
  }

  /** Commands that ran, wherever they did. */
  commandsProcessed(): number {
    const { frontStatistics, pool } = this.store;
    const here = pool.owners.reduce((sum, owner) => sum + owner.statistics.calls(), frontStatistics.calls());
    return here + this.forwardedCommands;
  }

  changeReplicationId(): void {
    this.replicationId = randomBytes(20).toString('hex');
  }

  async resetCounters(): Promise<void> {
    this.saver.countersReset();
    this.counters = freshCounters();
    this.forwardedCommands = 0;
    this.errors.clear();
    this.store.frontStatistics.clear();
    await this.store.pool.resetStatistics();
  }

  // ---------------------------------------------------------------- CLIENT PAUSE

  /** Holds commands back until `untilMs`; a pause in force is only ever made longer and stricter. */
  pauseClients(untilMs: number, writesOnly: boolean): void {
    const stricter = this.pause !== undefined && !this.pause.writesOnly ? false : writesOnly;
    const until = Math.max(untilMs, this.pause?.untilMs ?? 0);
    clearTimeout(this.pause?.timer);
    const timer = setTimeout(() => this.unpauseClients(), Math.min(until - Date.now(), 2 ** 31 - 1));
    this.pause = { untilMs: until, writesOnly: stricter, timer };
    this.attention |= Attention.Paused;
  }

  unpauseClients(): void {
    if (this.pause === undefined) return;
    clearTimeout(this.pause.timer);
    this.pause = undefined;
    this.attention &= ~Attention.Paused;
    const waiters = this.unpauseWaiters;
    this.unpauseWaiters = [];
    for (const resume of waiters) resume();
  }

  unpaused(): Promise<void> {
    return new Promise((resolve) => this.unpauseWaiters.push(resolve));
  }

  isPausedFor(connection: Connection, command: Command): boolean {
    if (this.pause === undefined || command.name.startsWith('client')) return false;
    if (!this.pause.writesOnly) return command.runs !== 'front' || !PAUSE_EXEMPT.has(command.name);
    if (command.name === 'exec')
      return connection.session.queued?.some((item) => item.command.flags.includes('write')) ?? false;
    return command.flags.includes('write') && connection.session.queued === undefined;
  }

  /** Number of connections that hold a command back until the pause ends. */
  get pausedConnections(): number {
    return this.unpauseWaiters.length;
  }

  // ---------------------------------------------------------------- watches

  /** What was known of watches on these shards is lost: EXEC fails for those who watch there. Who waits asks again. */
  loseWatches(routes: readonly ShardRoute[]): void {
    askAgain(this.connections.values(), routes);
    for (const { session } of this.connections.values())
      for (const route of routes) {
        if (!session.watched.has(route)) continue;
        session.watchBroken = true;
        if (route.closed) session.watched.delete(route);
      }
  }

  /**
   * Two databases have changed places: who watches keys on one of their shards watches on both, until EXEC, and who
   * waits for keys of one asks again.
   */
  databasesSwapped(routes: readonly [ShardRoute, ShardRoute]): void {
    askAgain(this.connections.values(), routes);
    for (const { session } of this.connections.values())
      if (routes.some((route) => session.watched.has(route)))
        for (const route of routes) session.watched.add(route);
  }

  // ---------------------------------------------------------------- end

  private closeIdle(): void {
    const { timeout } = this.config.values;
    if (timeout === 0) return;
    const before = Date.now() - timeout * 1000;
    for (const connection of this.connections.values()) {
      const { session } = connection;
      if (
        session.lastCommandAtMs < before &&
        !(session.attention & Attention.Monitor) &&
        !session.isPeer &&
        connection.replies.isEmpty
      )
        connection.destroy(`idle for more than ${timeout} s (directive timeout)`);
    }
  }

  /** Stops accepting, lets what is under way finish, and closes all connections. */
  async close(): Promise<void> {
    this.shuttingDown = true;
    clearInterval(this.idleTimer);
    this.rates.stop();
    this.memory.stop();
    this.listeners.close();
    this.unpauseClients();
    const closing = [...this.connections.values()].filter((connection) => connection !== this.closesLast);
    // What they wait for does not come any more.
    for (const connection of closing) if (connection.blocking?.isBlocked) connection.destroy('');
    const answered = Promise.all(
      closing.map((connection) => connection.afterReplies(() => connection.closeAfterReplies())),
    );
    const tooLong = new Promise((resolve) => setTimeout(resolve, SHUTDOWN_WAIT_MS).unref());
    await Promise.race([answered, tooLong]);
    for (const connection of closing) connection.destroy('');
    this.links.close();
  }
}

/** Commands whose time is not their own: they are not slow. */
const WAITS_FOR_OTHERS: ReadonlySet<string> = new Set(['wait']);

/** Commands that CLIENT PAUSE ALL lets through: those that end or watch it. */
const PAUSE_EXEMPT = new Set(['quit', 'reset', 'shutdown', 'monitor']);

function endpoint(address: string, port: number): string {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}

function freshCounters(): ServerCounters {
  return {
    connectionsReceived: 0,
    connectionsRejected: 0,
    inputBytes: 0,
    outputBytes: 0,
    outputLimitDisconnections: 0,
    queryLimitDisconnections: 0,
  };
}
