import { setTimeout as pause } from 'node:timers/promises';
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientOptions,
  type ClientUnaryCall,
  logVerbosity,
  Metadata,
  type MethodDefinition,
  setLogVerbosity,
} from '@grpc/grpc-js';
import { Backoff } from '../base/backoff.js';
import { VERSION } from '../base/version.js';
import { ManagerError } from '../cluster/manager.js';
import { CHANNEL_OPTIONS } from './channel.js';
import { masterMethods } from './proto.js';
import { managerErrorOf } from './status.js';

/** What connections to masters are made with: GrpcSecurity has it. */
export interface ChannelSecurity {
  channelCredentials(): ChannelCredentials;
  clientOptions(): Pick<ClientOptions, 'interceptors'>;
}

/** A connection to a master that has answered. */
export interface MasterConnection {
  /** As host:port. */
  readonly address: string;
  readonly client: Client;
}

/** A call with one request and one reply. Rejects with what gRPC says, ServiceError. */
export function callOnce<Request, Reply>(
  client: Client,
  { path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Reply>,
  request: Request,
  timeoutMs: number,
  over?: AbortSignal,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const options: CallOptions = { deadline: Date.now() + timeoutMs };
    const call: ClientUnaryCall = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new Metadata(),
      options,
      (error, reply) => {
        over?.removeEventListener('abort', cancel);
        if (error === null) resolve(reply!);
        else reject(error);
      },
    );
    const cancel = () => call.cancel();
    over?.addEventListener('abort', cancel, { once: true });
  });
}

/**
 * Finds a master. There is one connection at a time, which everything shares; whoever sees that it is of no use any
 * more says so, and the next one to need it has another made. Addresses are tried in the order in which they are
 * given, so that all nodes find the same master.
 */
export class MasterReach {
  private current: MasterConnection | undefined;
  private attempting: Promise<MasterConnection> | undefined;
  private readonly backoff = new Backoff();
  private readonly over = new AbortController();

  /**
   * @param addresses as host:port
   * @param answerMs how long one address has to answer
   */
  constructor(
    private readonly addresses: readonly string[],
    private readonly security: ChannelSecurity,
    private readonly answerMs: number,
  ) {
    setLogVerbosity(logVerbosity.NONE);
  }

  get isClosed(): boolean {
    return this.over.signal.aborted;
  }

  /**
   * The connection there is, or one that is made now: each address is tried once, a little after the last attempt
   * failed. Rejects with ManagerError: UNAVAILABLE, or what a master refused it for.
   */
  async connect(): Promise<MasterConnection> {
    if (this.current !== undefined) return this.current;
    this.attempting ??= this.attempt().finally(() => {
      this.attempting = undefined;
    });
    return this.attempting;
  }

  /** As {@link connect}, again and again until `untilMs`, by performance.now(): nobody sets that clock. */
  async connectBy(untilMs: number): Promise<MasterConnection> {
    for (;;) {
      try {
        return await this.connect();
      } catch (error) {
        const mayChange = error instanceof ManagerError && error.code === 'UNAVAILABLE' && !this.isClosed;
        if (!mayChange || performance.now() >= untilMs) throw error;
      }
    }
  }

  /** A connection does not work any more. */
  discard(connection: MasterConnection): void {
    if (this.current !== connection) return;
    this.current = undefined;
    connection.client.close();
  }

  close(): void {
    this.over.abort();
    this.current?.client.close();
    this.current = undefined;
  }

  private async attempt(): Promise<MasterConnection> {
    const { signal } = this.over;
    try {
      await pause(this.backoff.delayMs, undefined, { signal });
    } catch (cause) {
      throw new ManagerError('UNAVAILABLE', 'the connection to the master is closed', { cause });
    }
    const failures: { readonly address: string; readonly error: ManagerError }[] = [];
    for (const address of this.addresses) {
      try {
        const connection = await this.greet(address);
        this.current = connection;
        this.backoff.reset();
        return connection;
      } catch (error) {
        if (signal.aborted) break;
        failures.push({ address, error: managerErrorOf(error, address) });
      }
    }
    this.backoff.grow();
    throw unreachable(failures);
  }

  private async greet(address: string): Promise<MasterConnection> {
    const { security, over } = this;
    const options = { ...security.clientOptions(), ...CHANNEL_OPTIONS };
    const client = new Client(`dns:${address}`, security.channelCredentials(), options);
    try {
      await callOnce(client, masterMethods().Hello, { version: VERSION }, this.answerMs, over.signal);
      if (over.signal.aborted)
        throw new ManagerError('UNAVAILABLE', 'the connection to the master is closed');
      return { address, client };
    } catch (error) {
      client.close();
      throw error;
    }
  }
}

/** Why none of the addresses could be used: what one that has answered says, or that none has. */
function unreachable(
  failures: readonly { readonly address: string; readonly error: ManagerError }[],
): ManagerError {
  const refused = failures.find(({ error }) => error.code !== 'UNAVAILABLE');
  if (refused !== undefined) return refused.error;
  const reasons = failures.map(({ address, error: { message } }) =>
    message.includes(address) ? message : `${address}: ${message}`,
  );
  return new ManagerError('UNAVAILABLE', `no master can be reached (${reasons.join('; ') || 'closed'})`, {
    cause: failures[0]?.error,
  });
}
