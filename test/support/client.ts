import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type Reply, ReplyParser, render, textOf } from './reply.js';

/** Strings are sent as latin1, so that they can hold any byte. */
export type Argument = string | number | Buffer;

export type Endpoint =
  | { readonly port: number; readonly host?: string; readonly tls?: ConnectionOptions }
  | { readonly path: string };

export function encodeCommand(args: readonly Argument[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg), 'latin1');
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

function open(endpoint: Endpoint): Socket {
  if ('path' in endpoint) return connect(endpoint.path);
  const { host = '127.0.0.1', port, tls } = endpoint;
  if (tls === undefined) return connect({ host, port, noDelay: true });
  const socket = connectTls({ host, port, ...tls });
  socket.setNoDelay();
  return socket;
}

interface Waiter {
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

/** A connection that sends any bytes and hands out replies in the order of their arrival. */
export class RawClient {
  readonly #parser = new ReplyParser();
  readonly #replies: Reply[] = [];
  readonly #waiters: Waiter[] = [];
  #failure: Error | undefined;
  bytesReceived = 0;
  /** Settles when the connection is closed, by whichever side; never rejects. */
  readonly closed: Promise<void>;

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.#received(chunk));
    socket.on('error', (error) => this.#fail(error));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#fail(new Error('connection closed'));
        resolve();
      });
    });
  }

  static connect(endpoint: Endpoint): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = open(endpoint);
      socket.once('error', reject);
      socket.once('tls' in endpoint ? 'secureConnect' : 'connect', () => {
        socket.off('error', reject);
        const client = new RawClient(socket);
        // TCP lets a socket connect to itself where nobody listens on a port of the ephemeral range.
        if (socket.localPort !== undefined && socket.localPort === socket.remotePort) {
          socket.destroy();
          reject(new Error('connected to itself'));
        } else {
          resolve(client);
        }
      });
    });
  }

  get isClosed(): boolean {
    return this.#failure !== undefined;
  }

  send(bytes: Buffer | string): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** The next reply; rejects when the connection ends or nothing arrives in time. */
  next(timeoutMs = 20_000): Promise<Reply> {
    const ready = this.#replies.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(new Error(`no reply within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiters.push(waiter);
    });
  }

  command(...args: Argument[]): Promise<Reply> {
    this.send(encodeCommand(args));
    return this.next();
  }

  /** One write, replies in order. */
  async pipeline(commands: readonly (readonly Argument[])[]): Promise<Reply[]> {
    this.send(Buffer.concat(commands.map(encodeCommand)));
    const replies: Reply[] = [];
    for (let i = 0; i < commands.length; i++) replies.push(await this.next());
    return replies;
  }

  /** The rendered reply: what most assertions compare. */
  async rendered(...args: Argument[]): Promise<string> {
    return render(await this.command(...args));
  }

  /** The text of a reply that must be a string. */
  async text(...args: Argument[]): Promise<string> {
    return textOf(await this.command(...args));
  }

  /** What has arrived and was not taken. */
  get pendingReplies(): number {
    return this.#replies.length;
  }

  close(): void {
    this.socket.destroy();
  }

  #received(chunk: Buffer): void {
    this.bytesReceived += chunk.length;
    this.#parser.push(chunk);
    try {
      for (let reply = this.#parser.next(); reply !== undefined; reply = this.#parser.next()) {
        const waiter = this.#waiters.shift();
        if (waiter === undefined) this.#replies.push(reply);
        else waiter.resolve(reply);
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      this.socket.destroy();
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#failure);
  }
}
