import { setTimeout as pause } from 'node:timers/promises';
import { Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { Backoff } from '../base/backoff.js';
import type { Logger } from '../base/logger.js';
import type { TopologyListener } from '../cluster/follower.js';
import type {
  ChangeBegun,
  ChangeRequest,
  ChangeStatus,
  ClusterManager,
  KeyspaceRequest,
  ManagerError,
  StoreStatus,
  TaskProgress,
} from '../cluster/manager.js';
import type { MasterStream } from '../cluster/messages.js';
import type { KeyspaceEntry, Topology } from '../cluster/topology.js';
import { masterStream } from './grpc-stream.js';
import { type MasterMethods, masterMethods } from './proto.js';
import { type ChannelSecurity, callOnce, type MasterConnection, MasterReach } from './reach.js';
import { isConnectionLost, managerErrorOf } from './status.js';
import {
  fromWireFollowMessage,
  fromWireKeyspace,
  fromWireProgress,
  fromWireStatus,
  fromWireTopology,
  toWireRequest,
} from './wire.js';
import { fromWireChangeStatus, toWireChangeRequest } from './wire-changes.js';
import type { WireFollowMessage, WireProgress } from './wire-types.js';

export interface MasterClientOptions {
  /** As host:port; tried in this order. */
  readonly addresses: readonly string[];
  readonly security: ChannelSecurity;
  /** How long one address has to answer, milliseconds. */
  readonly answerMs: number;
  /** How long a call waits for a master while there is none; 0 = each address is tried once. */
  readonly patienceMs: number;
  /** Is told when what goes on by itself finds no master, and when it has found one again. */
  readonly logger?: Pick<Logger, 'notice' | 'warning'>;
}

/** Deadlines of calls, milliseconds; those of changes are longer than the master's own for the stores it waits for. */
const QUESTION_MS = 10_000;
const CHANGE_MS = 60_000;
const CHANGE_SHARD_MS = 100;

/** A conversation that lasted so long was one. */
const CONVERSATION_MIN_MS = 1000;

/** What converses with a master: StoreAgent does. */
export interface Conversant {
  converse(stream: MasterStream): void;
}

/** A master in another process. */
export class MasterClient implements Omit<ClusterManager, 'topology'> {
  private readonly reach: MasterReach;
  /** What goes on by itself. */
  private readonly running = new Set<AbortController>();
  /** Why no master can be reached at present, for people; '' while none is looked for in vain. */
  problem = '';
  /** Since when none answers, by performance.now(); undefined while one does. For clients of which something goes on by itself. */
  awaySinceMs: number | undefined = performance.now();

  constructor(private readonly options: MasterClientOptions) {
    this.reach = new MasterReach(options.addresses, options.security, options.answerMs);
  }

  fetchTopology(): Promise<Topology> {
    return this.call('GetTopology', {}, QUESTION_MS, fromWireTopology);
  }

  stores(): Promise<StoreStatus[]> {
    return this.call('ListStores', {}, QUESTION_MS, ({ stores }) => stores.map(fromWireStatus));
  }

  createKeyspace(request: KeyspaceRequest): Promise<KeyspaceEntry> {
    const timeoutMs = CHANGE_MS + request.shards * CHANGE_SHARD_MS;
    return this.call('CreateKeyspace', toWireRequest(request), timeoutMs, fromWireKeyspace);
  }

  deleteKeyspace(name: string): Promise<void> {
    return this.call('DeleteKeyspace', { name }, CHANGE_MS, () => undefined);
  }

  swapDatabases(first: number, second: number): Promise<void> {
    return this.call('SwapDatabases', { first, second }, CHANGE_MS, () => undefined);
  }

  beginChange(request: ChangeRequest): Promise<ChangeBegun> {
    return this.call('BeginChange', toWireChangeRequest(request), CHANGE_MS, ({ id, explanation }) => ({
      id,
      explanation,
    }));
  }

  changeStatuses(): Promise<ChangeStatus[]> {
    return this.call('ListChanges', {}, QUESTION_MS, ({ changes }) => changes.map(fromWireChangeStatus));
  }

  /** Takes as long as it takes: that the master is there is seen by the connection. */
  async compactKeyspace(name: string, onProgress: (progress: TaskProgress) => void): Promise<void> {
    const connection = await this.connected();
    const { path, requestSerialize, responseDeserialize } = masterMethods().CompactKeyspace;
    const call = connection.client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {
      name,
    });
    try {
      await new Promise<void>((resolve, reject) => {
        call.on('data', (wire: WireProgress) => {
          try {
            onProgress(fromWireProgress(wire));
          } catch (error) {
            reject(error);
            call.cancel();
          }
        });
        call.on('error', reject);
        call.on('end', resolve);
      });
    } catch (error) {
      throw this.failed(error, connection);
    }
  }

  /**
   * Has a listener told of each topology, and of events, of whichever master there is, for as long as it wants.
   * @returns what ends it
   */
  follow(listener: TopologyListener): () => void {
    return this.keep((connection, over) => this.followOnce(connection, listener, over));
  }

  /**
   * Gives a store a conversation with a master, and another one whenever that is lost, until a master refuses it.
   * @returns what ends it; the conversation under way is for the store to end
   */
  keepRegistered(store: Conversant): () => void {
    let isRefused = false;
    const stop = this.keep(async ({ client }) => {
      const { path, requestSerialize, responseDeserialize } = masterMethods().Register;
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
      const stream = masterStream(call);
      store.converse(stream);
      const { onMessage } = stream;
      stream.onMessage = (message) => {
        isRefused ||= message.kind === 'refused';
        onMessage(message);
      };
      const reason = await stream.ended;
      if (isRefused) stop();
      return reason;
    });
    return stop;
  }

  /** Ends everything that goes on. */
  close(): void {
    for (const each of this.running) each.abort();
    this.reach.close();
  }

  // ---------------------------------------------------------------- calls

  private connected(): Promise<MasterConnection> {
    return this.reach.connectBy(performance.now() + this.options.patienceMs);
  }

  private async call<Name extends keyof MasterMethods, Result>(
    name: Name,
    request: RequestOf<Name>,
    timeoutMs: number,
    decode: (reply: ReplyOf<Name>) => Result,
  ): Promise<Result> {
    const connection = await this.connected();
    const method = masterMethods()[name] as unknown as MethodDefinition<RequestOf<Name>, ReplyOf<Name>>;
    try {
      return decode(await callOnce(connection.client, method, request, timeoutMs));
    } catch (error) {
      throw this.failed(error, connection);
    }
  }

  private failed(error: unknown, connection: MasterConnection): ManagerError {
    if (isConnectionLost(error)) this.reach.discard(connection);
    return managerErrorOf(error, connection.address);
  }

  // ---------------------------------------------------------------- what goes on by itself

  /**
   * Has `run` do something with a connection for as long as that lasts, again and again.
   * @param run resolves when it is over, with the reason where there is one
   * @returns what ends it
   */
  private keep(
    run: (connection: MasterConnection, over: AbortSignal) => Promise<Error | undefined>,
  ): () => void {
    const stop = new AbortController();
    this.running.add(stop);
    void this.repeat(run, stop.signal).finally(() => this.running.delete(stop));
    return () => stop.abort();
  }

  private async repeat(
    run: (connection: MasterConnection, over: AbortSignal) => Promise<Error | undefined>,
    over: AbortSignal,
  ): Promise<void> {
    const backoff = new Backoff();
    let told = '';
    while (!over.aborted) {
      let connection: MasterConnection;
      try {
        connection = await this.reach.connect();
      } catch (error) {
        const { message } = error as Error;
        if (!over.aborted && message !== this.problem)
          this.options.logger?.warning(`${message}; trying again and again`);
        this.problem = message;
        continue;
      }
      if (over.aborted) return;
      if (this.problem !== '') this.options.logger?.notice(`the master at ${connection.address} answers`);
      this.problem = '';
      this.awaySinceMs = undefined;
      const beganAtMs = performance.now();
      const reason = await run(connection, over);
      if (over.aborted) return;
      this.awaySinceMs = performance.now();
      // What is left of the connection is not to be trusted: a new one says hello first.
      this.reach.discard(connection);
      if (performance.now() - beganAtMs >= CONVERSATION_MIN_MS) {
        backoff.reset();
        told = '';
      } else if (reason !== undefined && reason.message !== told) {
        this.options.logger?.warning(`the master at ${connection.address} hangs up: ${reason.message}`);
        told = reason.message;
      }
      await this.wait(backoff.delayMs, over);
      backoff.grow();
    }
  }

  private async wait(ms: number, over: AbortSignal): Promise<void> {
    try {
      await pause(ms, undefined, { signal: over });
    } catch (error) {
      if (!over.aborted) throw error;
    }
  }

  private followOnce(
    { client, address }: MasterConnection,
    listener: TopologyListener,
    over: AbortSignal,
  ): Promise<Error | undefined> {
    const { path, requestSerialize, responseDeserialize } = masterMethods().Follow;
    const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {});
    const cancel = () => call.cancel();
    over.addEventListener('abort', cancel, { once: true });
    return new Promise((resolve) => {
      let isConnected = false;
      const end = (error?: Error) => {
        over.removeEventListener('abort', cancel);
        if (isConnected && !over.aborted) listener.connected(false);
        isConnected = false;
        resolve(error);
      };
      call.on('metadata', () => {
        isConnected = true;
        listener.connected(true);
      });
      call.on('data', (wire: WireFollowMessage) => {
        try {
          const message = fromWireFollowMessage(wire);
          if (message.kind === 'topology') listener.topology(message.topology);
          else listener.event(message.event);
        } catch (error) {
          this.options.logger?.warning(
            `what the master tells is not understood: ${(error as Error).message}`,
          );
          call.cancel();
        }
      });
      call.on('error', (error: Error) => end(new Error(managerErrorOf(error, address).message)));
      call.on('end', () => end());
    });
  }
}

type RequestOf<Name extends keyof MasterMethods> =
  MasterMethods[Name] extends MethodDefinition<infer Request, infer _> ? Request : never;
type ReplyOf<Name extends keyof MasterMethods> =
  MasterMethods[Name] extends MethodDefinition<infer _, infer Reply> ? Reply : never;
