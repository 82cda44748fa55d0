import { encodeCommand, type RawClient } from '../support/client.js';
import { pause } from '../support/environment.js';
import { numberOf, type Reply } from '../support/reply.js';
import type { TestServer } from '../support/server.js';

/** How many clients of a session may wait at a time. */
export const WAITERS = 5;

const SETTLED_WITHIN_MS = 10_000;

/** One that may wait. */
interface Waiter {
  readonly client: RawClient;
  readonly id: number;
  isPending: boolean;
  reply: Reply | Error | undefined;
}

/** The clients of one server that wait for keys, by their places. */
export class Waiters {
  private readonly places = new Map<number, Waiter>();

  private constructor(
    private readonly control: RawClient,
    private readonly connect: () => Promise<RawClient>,
  ) {}

  static async open(server: TestServer, protocol: 2 | 3): Promise<Waiters> {
    const control = await server.connect();
    const waiters = new Waiters(control, () => (protocol === 3 ? server.connect3() : server.connect()));
    // Those of the session before may not have been seen to leave.
    await waiters.settled();
    return waiters;
  }

  isPending(place: number): boolean {
    return this.places.get(place)?.isPending ?? false;
  }

  /** Sends a command that may wait, on a database. */
  async begin(place: number, database: string, args: readonly string[]): Promise<void> {
    const waiter = await this.at(place);
    const { client } = waiter;
    waiter.isPending = true;
    client.send(Buffer.concat([encodeCommand(['SELECT', database]), encodeCommand(args)]));
    void client
      .next()
      .then(() => client.next(0x7fff_ffff))
      .catch((error: Error) => error)
      .then((reply) => {
        waiter.reply = reply;
        waiter.isPending = false;
      });
  }

  private async at(place: number): Promise<Waiter> {
    const there = this.places.get(place);
    if (there !== undefined) return there;
    const client = await this.connect();
    const waiter = {
      client,
      id: numberOf(await client.command('CLIENT', 'ID')),
      isPending: false,
      reply: undefined,
    };
    this.places.set(place, waiter);
    return waiter;
  }

  /** CLIENT UNBLOCK, of whoever is at that place. */
  async unblock(place: number, how: string): Promise<Reply> {
    return this.control.command('CLIENT', 'UNBLOCK', (await this.at(place)).id, how);
  }

  /** Closes the connection, whether or not it waits. */
  leave(place: number): void {
    this.places.get(place)?.client.close();
    this.places.delete(place);
  }

  /** Until those who have no reply are those who wait. @returns the replies that have come, by their places */
  async settled(): Promise<Map<number, Reply | Error>> {
    const deadline = Date.now() + SETTLED_WITHIN_MS;
    const pending = () => [...this.places.values()].filter(({ isPending }) => isPending).length;
    for (;;) {
      const info = await this.control.text('INFO', 'clients');
      const blocked = Number(/blocked_clients:(\d+)/.exec(info)?.[1]);
      if (blocked === pending()) break;
      if (Date.now() > deadline) throw new Error(`${blocked} clients wait, ${pending()} have no reply`);
      await pause(1);
    }
    const replies = new Map<number, Reply | Error>();
    for (const [place, waiter] of this.places) {
      if (waiter.reply !== undefined) replies.set(place, waiter.reply);
      waiter.reply = undefined;
    }
    return replies;
  }

  close(): void {
    for (const place of [...this.places.keys()]) this.leave(place);
    this.control.close();
  }
}
