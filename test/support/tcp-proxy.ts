import { connect, createServer, type Server, type Socket } from 'node:net';

/** A stretch of network that can be cut: connections to its port go on to another one. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  private state: 'open' | 'cut' | 'silent' = 'open';

  private constructor(
    private readonly server: Server,
    private readonly target: number,
  ) {}

  /**
   * @param port 0 = any that is free
   * @param host of the machine itself: nodes that announce another loopback address than they listen at are reached through it
   */
  static async open(target: number, port = 0, host = '127.0.0.1'): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new TcpProxy(server, target);
    server.on('connection', (socket) => proxy.join(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    return proxy;
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  private join(near: Socket): void {
    if (this.state === 'cut') {
      near.destroy();
      return;
    }
    const far = connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true });
    for (const socket of [near, far]) {
      this.sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        this.sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
      if (this.state === 'silent') socket.pause();
    }
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => near.write(bytes));
    near.on('end', () => far.end());
    far.on('end', () => near.end());
  }

  /** Breaks all connections; further ones break at once, until {@link mend}. */
  cut(): void {
    this.state = 'cut';
    for (const socket of this.sockets) socket.destroy();
  }

  /** Nothing goes through any more, and nobody is told. */
  silence(): void {
    this.state = 'silent';
    for (const socket of this.sockets) socket.pause();
  }

  mend(): void {
    this.state = 'open';
    for (const socket of this.sockets) socket.resume();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}
