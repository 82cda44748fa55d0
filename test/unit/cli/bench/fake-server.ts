import { createServer, type Server, type Socket } from 'node:net';
import { encodeCommand } from '../../../support/client.js';

/** What a command is answered with; undefined leaves it to the server itself, null closes the connection. */
export type Lie = (words: readonly Buffer[], server: FakeServer) => string | Buffer | null | undefined;

const nil = '$-1\r\n';
const bulk = (bytes: Buffer | undefined) =>
  bytes === undefined
    ? nil
    : Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]);

/** An in-memory server of the few commands that `vasto bench` sends, which may be told to lie. */
export class FakeServer {
  readonly data = new Map<string, Buffer>();
  /** Every command it got, as text. */
  readonly log: string[] = [];
  lie: Lie = () => undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      let held = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        held = Buffer.concat([held, chunk]);
        for (let words = cut(held); words !== undefined; words = cut(held)) {
          held = held.subarray(encodeCommand(words).length);
          const reply = this.#answer(words);
          if (reply === null) {
            socket.destroy();
            return;
          }
          socket.write(reply);
        }
      });
    });
  }

  static start(): Promise<FakeServer> {
    const fake = new FakeServer();
    return new Promise((resolve) => fake.#server.listen(0, '127.0.0.1', () => resolve(fake)));
  }

  get address(): string {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('not listening');
    return `127.0.0.1:${address.port}`;
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #answer(words: readonly Buffer[]): string | Buffer | null {
    this.log.push(words.join(' '));
    const lie = this.lie(words, this);
    return lie === undefined ? this.answer(words) : lie;
  }

  /** The truth. */
  answer(words: readonly Buffer[]): string | Buffer {
    const [name, ...rest] = words;
    const keys = rest.map(String);
    switch (String(name)) {
      case 'PING':
        return '+PONG\r\n';
      case 'SELECT':
        return '+OK\r\n';
      case 'GET':
        return bulk(this.data.get(keys[0]!));
      case 'MGET':
        return Buffer.concat([
          Buffer.from(`*${keys.length}\r\n`),
          ...keys.map((key) => Buffer.from(bulk(this.data.get(key)))),
        ]);
      case 'SET':
      case 'MSET':
        for (let i = 0; i < keys.length; i += 2) this.data.set(keys[i]!, Buffer.from(rest[i + 1]!));
        return '+OK\r\n';
      case 'INCR': {
        const value = Number(this.data.get(keys[0]!) ?? 0) + 1;
        this.data.set(keys[0]!, Buffer.from(String(value)));
        return `:${value}\r\n`;
      }
      case 'DEL':
        return `:${this.data.delete(keys[0]!) ? 1 : 0}\r\n`;
      case 'EXISTS':
        return `:${this.data.has(keys[0]!) ? 1 : 0}\r\n`;
      default:
        return `-ERR unknown command '${String(name)}'\r\n`;
    }
  }
}

/** The first whole command. */
function cut(bytes: Buffer): Buffer[] | undefined {
  let at = 0;
  const line = () => {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const text = bytes.toString('latin1', at + 1, end);
    at = end + 2;
    return Number(text);
  };
  const count = bytes.length === 0 ? undefined : line();
  if (count === undefined) return undefined;
  const words: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const length = line();
    if (length === undefined || at + length + 2 > bytes.length) return undefined;
    words.push(bytes.subarray(at, at + length));
    at += length + 2;
  }
  return words;
}
