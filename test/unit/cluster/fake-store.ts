import { createServer, type Server, type Socket } from 'node:net';
import { encodeCommand, splitFrames } from '../../../src/cluster/frames.js';
import type { KeyspaceEntry, StoreEntry, Topology } from '../../../src/cluster/topology.js';
import { RequestDecoder } from '../../../src/resp/decoder.js';

const LIMITS = { bulkBytesMax: 1 << 29, queryBytesMax: 2 ** 40, authenticated: true };

/** What a fake store does with a command: its reply, or nothing, which leaves it unanswered. */
export type Behaviour = (words: string[], connection: FakeConnection) => string | undefined;

export interface FakeConnection {
  readonly socket: Socket;
  /** Chunks that arrived. */
  reads: number;
  readonly greeting: string[][];
}

/** The other end of links: a store of which tests decide what it answers. */
export class FakeStore {
  readonly connections: FakeConnection[] = [];
  readonly commands: string[][] = [];
  port = 0;
  private server: Server | undefined;

  constructor(
    readonly id: string,
    public behaviour: Behaviour,
  ) {}

  async listen(port = this.port): Promise<void> {
    const server = createServer((socket) => this.accept(socket));
    this.server = server;
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    this.port = (server.address() as { port: number }).port;
  }

  /** Ends the server and its connections; its port stays its own. */
  async stop(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    this.breakAll();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  breakAll(): void {
    for (const { socket } of this.connections.splice(0)) socket.destroy();
  }

  get entry(): StoreEntry {
    const { id, port } = this;
    return { id, epoch: 1, host: '127.0.0.1', port, tlsPort: 0, peerPort: 0, zone: '', tags: [], doors: [] };
  }

  private accept(socket: Socket): void {
    const connection: FakeConnection = { socket, reads: 0, greeting: [] };
    this.connections.push(connection);
    const decoder = new RequestDecoder(
      {
        command: (args) => {
          const words = args.map((each) => each.toString('latin1'));
          if (words[0] === 'VASTO.PEER' || words[0] === 'HELLO') connection.greeting.push(words);
          else this.commands.push(words);
          const reply = this.behaviour(words, connection);
          if (reply !== undefined && !socket.destroyed) socket.write(reply, 'latin1');
        },
        protocolError: () => socket.destroy(),
      },
      LIMITS,
    );
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      connection.reads++;
      decoder.push(chunk);
    });
  }
}

/** Greets, and answers each command with its last word. */
export const echo: Behaviour = (words) => {
  if (words[0] === 'VASTO.PEER') return '+OK\r\n';
  if (words[0] === 'HELLO') return '%0\r\n';
  const last = words.at(-1)!;
  return `$${last.length}\r\n${last}\r\n`;
};

/** A topology of one keyspace `k`, whose shards are on these stores. */
export function topologyOf(stores: readonly FakeStore[], shards: readonly FakeStore[]): Topology {
  const keyspace: KeyspaceEntry = {
    id: 'k',
    epoch: 1,
    name: 'k',
    db: undefined,
    replicas: 1,
    tags: [],
    shards: shards.map(({ id }) => ({ stores: [id] })),
    deleted: false,
  };
  return {
    clusterId: 'c',
    stores: new Map(stores.map((store) => [store.id, store.entry])),
    keyspaces: new Map([['k', keyspace]]),
  };
}

/** Gathers replies, each as its text. */
export class Replies {
  readonly texts: string[] = [];
  isComplete = false;
  private readonly waiters: (() => void)[] = [];

  deliver(bytes: Buffer, done: number): void {
    this.texts.push(
      ...bytes
        .toString('latin1')
        .split('\r\n')
        .filter((line) => line !== '' && !line.startsWith('$')),
    );
    if (done !== 0) return;
    this.isComplete = true;
    for (const resume of this.waiters) resume();
  }

  async all(): Promise<string[]> {
    if (!this.isComplete) await new Promise<void>((resolve) => this.waiters.push(resolve));
    return this.texts;
  }
}

export function command(...words: string[]): Buffer {
  return encodeCommand(words);
}

export { splitFrames };
