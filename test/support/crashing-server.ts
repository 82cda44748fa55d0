import { Redis } from 'ioredis';
import { TestServer } from './server.js';

/** A server that is killed under its clients and started again on the same port, and their connections to it. */
export class CrashingServer {
  private readonly clients = new Set<Redis>();
  private up: Promise<void> = Promise.resolve();

  private constructor(private server: TestServer) {}

  static async start(): Promise<CrashingServer> {
    return new CrashingServer(await TestServer.start({ workers: 2 }));
  }

  /**
   * A connection, as soon as the server is there. When it breaks, what is under way on it is rejected, and nothing is
   * sent again: what that means is for the program to say.
   */
  async connect(): Promise<Redis> {
    for (;;) {
      await this.up;
      const client = new Redis({
        port: this.server.port,
        host: '127.0.0.1',
        retryStrategy: () => null,
        lazyConnect: true,
      });
      client.on('error', () => undefined);
      try {
        await client.connect();
      } catch {
        // It has died meanwhile.
        continue;
      }
      this.clients.add(client);
      client.once('end', () => this.clients.delete(client));
      return client;
    }
  }

  /** `kill -9`, and a start. */
  async crash(): Promise<void> {
    const { server } = this;
    this.up = (async () => {
      await server.kill9();
      this.server = await server.restart({ port: server.port });
    })();
    await this.up;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.disconnect();
    await this.server.stop();
  }
}
