import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { connect as connectPlain, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type Endpoint, endpointText } from './endpoint.js';
import { type Reply, ReplyDecoder, textOf } from './reply.js';

/** Files of PEM, and whether the server must show a certificate that is trusted. */
export interface TlsChoice {
  readonly cacert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly insecure: boolean;
}

export interface ConnectionChoice {
  readonly endpoint: Endpoint;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** undefined = none. */
  readonly tls: TlsChoice | undefined;
  readonly protocol: 2 | 3;
  /** For connecting and greeting. */
  readonly timeoutMs: number;
}

/** A connection that is being made. */
export interface ConnectingSocket {
  readonly socket: Socket;
  /** The event after which it can be written to. */
  readonly readyEvent: string;
  /** What people call the server. */
  readonly name: string;
}

/** There is no connection (any more): the server may be down. */
export class ConnectionError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConnectionError';
  }
}

export type Word = string | Buffer;

interface Waiting {
  /** For commands that RESP3 answers with pushes: which ones, and how many are still to come. */
  readonly pushes: { readonly kind: string; remaining: number } | undefined;
  resolve(reply: Reply | undefined): void;
  reject(error: Error): void;
}

/** Commands whose confirmations are pushes in RESP3, and not replies. */
const SUBSCRIBING = /^[ps]?(un)?subscribe$/;

/**
 * One connection, as a person uses it: replies with their types, pushes, MONITOR. The libraries there are for
 * programs make arrays of maps and strings of doubles, and keep MONITOR and subscriptions for themselves.
 */
export class RespConnection {
  private readonly decoder = new ReplyDecoder();
  private readonly waiting: Waiting[] = [];
  private failure: ConnectionError | undefined;
  /** 3 once the server has agreed to it. */
  protocol: 2 | 3 = 2;
  /** What the server said instead of a welcome: that it wants a password, mostly. */
  refusal: string | undefined;
  /** What comes without being asked for: pushes, lines of MONITOR, messages of RESP2. */
  onUnsolicited: (reply: Reply) => void = () => undefined;
  /** The connection has ended, and not by {@link close}. */
  onLost: (error: ConnectionError) => void = () => undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly name: string,
  ) {
    socket.on('data', (chunk: Buffer) => this.received(chunk));
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(undefined));
  }

  /** Connects, authenticates, agrees on the protocol. @throws {@link ConnectionError} */
  static async open(choice: ConnectionChoice): Promise<RespConnection> {
    const name = endpointText(choice.endpoint);
    const socket =
      choice.tls === undefined
        ? connectPlain(choice.endpoint)
        : connectTls({ ...choice.endpoint, ...tlsOptions(choice.tls, choice.endpoint) });
    const readyEvent = choice.tls === undefined ? 'connect' : 'secureConnect';
    return RespConnection.over({ socket, readyEvent, name }, choice);
  }

  /** The same, on a socket that is connecting. @throws {@link ConnectionError} */
  static async over(
    { socket, readyEvent, name }: ConnectingSocket,
    choice: Omit<ConnectionChoice, 'endpoint' | 'tls'>,
  ): Promise<RespConnection> {
    const { timeoutMs } = choice;
    await connected(socket, readyEvent, name, timeoutMs);
    const connection = new RespConnection(socket, name);
    const timer = setTimeout(() => socket.destroy(new Error(`no reply within ${timeoutMs} ms`)), timeoutMs);
    try {
      await connection.greet(choice);
    } finally {
      clearTimeout(timer);
    }
    return connection;
  }

  get isOpen(): boolean {
    return this.failure === undefined;
  }

  /** Whether something has been asked that is not answered. */
  get isBusy(): boolean {
    return this.waiting.length > 0;
  }

  /**
   * @returns the reply; undefined for a subscription whose confirmations were pushes
   * @throws {@link ConnectionError}
   */
  command(words: readonly Word[]): Promise<Reply | undefined> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.waiting.push({ pushes: this.pushesOf(words), resolve, reject });
      this.socket.write(encodeCommand(words));
    });
  }

  close(): void {
    this.onLost = () => undefined;
    this.fail(undefined);
    this.socket.destroy();
  }

  /** HELLO with the password, or what older servers understand; undefined is what it may do without. */
  async greet({
    user,
    password,
    protocol,
  }: Pick<ConnectionChoice, 'user' | 'password' | 'protocol'>): Promise<void> {
    this.refusal = undefined;
    if (protocol === 3) {
      const login = password === undefined ? [] : ['AUTH', user ?? 'default', password];
      const reply = await this.command(['HELLO', '3', ...login]);
      if (reply?.type !== 'error') {
        this.protocol = 3;
        return;
      }
      this.refusal = reply.text;
      if (!/NOPROTO|unknown command/i.test(reply.text)) return;
      this.refusal = undefined;
    }
    this.protocol = 2;
    if (password === undefined) return;
    const reply = await this.command(['AUTH', ...(user === undefined ? [] : [user]), password]);
    if (reply?.type === 'error') this.refusal = reply.text;
  }

  private pushesOf(words: readonly Word[]): Waiting['pushes'] {
    const kind = String(words[0]).toLowerCase();
    if (this.protocol !== 3 || !SUBSCRIBING.test(kind)) return undefined;
    return { kind, remaining: Math.max(1, words.length - 1) };
  }

  private received(chunk: Buffer): void {
    try {
      for (const reply of this.decoder.push(chunk)) this.dispatch(reply);
    } catch (error) {
      this.socket.destroy(error as Error);
    }
  }

  private dispatch(reply: Reply): void {
    const first = this.waiting[0];
    if (reply.type === 'push') {
      const pushes = first?.pushes;
      this.onUnsolicited(reply);
      if (pushes === undefined || textOf(reply.items[0]) !== pushes.kind || --pushes.remaining > 0) return;
      this.waiting.shift()!.resolve(undefined);
    } else if (first === undefined) this.onUnsolicited(reply);
    else this.waiting.shift()!.resolve(reply);
  }

  private fail(error: Error | undefined): void {
    if (this.failure !== undefined) return;
    const reason = error === undefined ? 'the server closed it' : error.message;
    this.failure = new ConnectionError(`the connection to ${this.name} is lost: ${reason}`, { cause: error });
    for (const { reject } of this.waiting.splice(0)) reject(this.failure);
    this.onLost(this.failure);
  }
}

export function encodeCommand(words: readonly Word[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${words.length}\r\n`)];
  for (const word of words) {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

function connected(socket: Socket, readyEvent: string, name: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new ConnectionError(`cannot connect to ${name}: ${explain(error)}`, { cause: error }));
    };
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.once('error', fail);
    socket.once(readyEvent, () => {
      clearTimeout(timer);
      socket.off('error', fail);
      socket.setNoDelay(true);
      resolve();
    });
  });
}

function tlsOptions({ cacert, cert, key, insecure }: TlsChoice, endpoint: Endpoint): ConnectionOptions {
  const read = (path: string) => {
    try {
      return readFileSync(path);
    } catch (error) {
      throw new ConnectionError(`cannot read ${path}: ${(error as Error).message}`, { cause: error });
    }
  };
  return {
    rejectUnauthorized: !insecure,
    ...('host' in endpoint && !/^[\d.:[\]]+$/.test(endpoint.host) ? { servername: endpoint.host } : {}),
    ...(cacert === undefined ? {} : { ca: read(cacert) }),
    ...(cert === undefined ? {} : { cert: read(cert) }),
    ...(key === undefined ? {} : { key: read(key) }),
  };
}

/** Node gives an AggregateError without a message when a name has several addresses and all fail. */
function explain(error: Error): string {
  if (error.message !== '') return error.message;
  const causes = error instanceof AggregateError ? (error.errors as Error[]) : [];
  return (
    causes.map(({ message }) => message).join('; ') || (error as NodeJS.ErrnoException).code || error.name
  );
}
