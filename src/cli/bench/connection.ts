import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { Output } from './encoder.js';
import { ERROR, ProtocolError, ReplyReader, readText } from './frames.js';
import type { Operation } from './operation.js';

export interface TlsChoice {
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  readonly serverName?: string | undefined;
  readonly insecure: boolean;
}

/** How to connect to any node; plain data, since it goes to other threads. */
export interface ConnectionChoice {
  readonly tls?: TlsChoice | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** A database's number or a keyspace's name, for SELECT. */
  readonly keyspace?: string | undefined;
  readonly resp: 2 | 3;
  readonly readBufferBytes: number;
}

/** What is told of a connection. `unreachable` comes for each attempt that fails, before the next is made. */
export interface ConnectionEvents {
  ready(connection: Connection): void;
  /** The reply of the oldest operation, which is taken out by this call's receiver; valid until it returns. */
  reply(connection: Connection, buffer: Buffer, start: number, end: number): void;
  /** All replies of a read from the socket have been told. */
  drained(connection: Connection): void;
  /** A connection that was ready broke. */
  lost(connection: Connection, reason: string): void;
  unreachable(connection: Connection, reason: string): void;
}

const RETRY_FIRST_MS = 50;
const RETRY_MAX_MS = 1000;

/** An operation, or what stands for the reply to ASKING, in the order of replies. */
export type Expected = Operation | 'asking';

/** A pipelined connection to one node, which is made again whenever it breaks. */
export class Connection {
  readonly output = new Output();
  /** Operations whose replies are due, oldest first, whether their commands have been written or not. */
  readonly expected = new Queue<Expected>();
  isReady = false;
  isDirty = false;
  #socket: Socket | undefined;
  #reader: ReplyReader | undefined;
  #handshakeLeft = 0;
  #retryMs = RETRY_FIRST_MS;
  #retryTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(
    readonly client: number,
    readonly address: string,
    readonly choice: ConnectionChoice,
    readonly events: ConnectionEvents,
  ) {
    this.#dial();
  }

  /** Writes what has been put into `output`, once the connection is ready. */
  flush(): void {
    this.isDirty = false;
    if (this.isReady && this.output.length > 0) this.#socket?.write(this.output.take());
  }

  /** Takes all operations back: what of them was not written will not be. */
  takeExpected(): Operation[] {
    const taken: Operation[] = [];
    for (let each = this.expected.shift(); each !== undefined; each = this.expected.shift()) {
      if (each !== 'asking') taken.push(each);
    }
    this.output.length = 0;
    return taken;
  }

  /** Breaks the connection, which is then made again. */
  reset(reason: string): void {
    this.#broken(this.#socket, reason);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retryTimer);
    this.#socket?.destroy();
  }

  #createReader(socket: Socket): ReplyReader {
    return new ReplyReader((buffer, start, end) => {
      // What follows a reply for which the connection was given up is nobody's.
      if (socket !== this.#socket) return;
      if (this.#handshakeLeft === 0) this.events.reply(this, buffer, start, end);
      else this.#handshakeReply(buffer, start, end);
    });
  }

  #dial(): void {
    const socket = openSocket(this.address, this.choice, (bytes, buffer) => {
      if (socket === this.#socket) this.#received(buffer, bytes);
    });
    this.#socket = socket;
    this.#reader = this.#createReader(socket);
    let reason = 'the server closed the connection';
    socket.setNoDelay(true);
    socket.on('error', (error: NodeJS.ErrnoException) => {
      reason = error.message === '' ? (error.code ?? 'connection failed') : error.message;
    });
    socket.once('close', () => this.#broken(socket, reason));
    socket.once(this.choice.tls === undefined ? 'connect' : 'secureConnect', () => this.#shakeHands(socket));
  }

  #shakeHands(socket: Socket): void {
    const commands = handshake(this.choice);
    this.#handshakeLeft = commands.length;
    if (commands.length === 0) this.#becomeReady();
    else socket.write(Buffer.concat(commands.map(encodeWords)));
  }

  #handshakeReply(buffer: Buffer, start: number, end: number): void {
    if (buffer[start] === ERROR) {
      this.#broken(this.#socket, readText(buffer, start, end));
    } else if (--this.#handshakeLeft === 0) {
      this.#becomeReady();
    }
  }

  #becomeReady(): void {
    this.isReady = true;
    this.#retryMs = RETRY_FIRST_MS;
    this.events.ready(this);
    this.flush();
  }

  #received(buffer: Buffer, length: number): void {
    try {
      this.#reader?.push(buffer, length);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#broken(this.#socket, `protocol error: ${error.message}`);
    }
    this.events.drained(this);
  }

  #broken(socket: Socket | undefined, reason: string): void {
    if (socket === undefined || socket !== this.#socket || this.#isClosed) return;
    this.#socket = undefined;
    socket.destroy();
    const wasReady = this.isReady;
    this.isReady = false;
    this.#handshakeLeft = 0;
    if (wasReady) this.events.lost(this, reason);
    else this.events.unreachable(this, reason);
    if (this.#isClosed) return;
    this.#retryTimer = setTimeout(() => this.#dial(), this.#retryMs);
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
  }
}

type OnRead = (bytes: number, buffer: Buffer) => void;

function openSocket(address: string, choice: ConnectionChoice, onRead: OnRead): Socket {
  const place = parseAddress(address);
  if (choice.tls !== undefined) {
    const socket = connectTls({ ...place, ...tlsOptions(choice.tls, place.host) });
    socket.on('data', (chunk: Buffer) => onRead(chunk.length, chunk));
    return socket;
  }
  // One buffer for all reads of a connection: memory for each read would cost more than the replies in it.
  const callback = (bytes: number, buffer: Uint8Array) => {
    onRead(bytes, buffer as Buffer);
    return true;
  };
  return connectSocket({ ...place, onread: { buffer: Buffer.alloc(choice.readBufferBytes), callback } });
}

function tlsOptions(tls: TlsChoice, host: string | undefined): ConnectionOptions {
  const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file));
  const serverName = tls.serverName ?? (host !== undefined && isIP(host) === 0 ? host : undefined);
  return {
    ca: read(tls.caFile),
    cert: read(tls.certFile),
    key: read(tls.keyFile),
    rejectUnauthorized: !tls.insecure,
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
}

interface SocketPlace {
  readonly host?: string;
  readonly port: number;
  readonly path?: string;
}

/** @param address `host:port`, `[ipv6]:port` or the path of a Unix socket */
function parseAddress(address: string): SocketPlace {
  if (address.startsWith('/')) return { path: address, port: 0 };
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) };
}

function handshake({ user, password, keyspace, resp }: ConnectionChoice): string[][] {
  const commands: string[][] = [];
  if (resp === 3) {
    commands.push(['HELLO', '3', ...(password === undefined ? [] : ['AUTH', user ?? 'default', password])]);
  } else if (password !== undefined) commands.push(['AUTH', ...(user === undefined ? [] : [user]), password]);
  if (keyspace !== undefined) commands.push(['SELECT', keyspace]);
  return commands;
}

export function encodeWords(words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join('')}`);
}

/** A first-in-first-out queue in a ring, which grows as it must. */
export class Queue<T> {
  #items: (T | undefined)[] = new Array<T | undefined>(16).fill(undefined);
  #first = 0;
  length = 0;

  push(item: T): void {
    if (this.length === this.#items.length) this.#grow();
    this.#items[(this.#first + this.length++) & (this.#items.length - 1)] = item;
  }

  peek(): T | undefined {
    return this.length === 0 ? undefined : this.#items[this.#first];
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#items.length - 1);
    this.length--;
    return item;
  }

  #grow(): void {
    const ordered = [...this.#items.slice(this.#first), ...this.#items.slice(0, this.#first)];
    this.#items = [...ordered, ...new Array<T | undefined>(ordered.length).fill(undefined)];
    this.#first = 0;
  }
}
