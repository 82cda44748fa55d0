import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { RespVersion } from '../../src/base/reply-writer.js';
import { encodeCommand, type RawClient } from './client.js';
import { waitUntil } from './environment.js';
import { render } from './reply.js';
import { type ServerKind, TestServer } from './server.js';

/** Until so many clients wait for keys, as one of them is told. */
export async function waitForWaiting(asked: RawClient, count: number): Promise<void> {
  await waitUntil(`${count} clients wait`, async () =>
    (await asked.text('INFO', 'clients')).includes(`blocked_clients:${count}\r\n`),
  );
}

/** The next reply, as tests compare it. */
export async function next(client: RawClient): Promise<string> {
  return render(await client.next());
}

/** A server for the tests of a `describe`, each of which begins with no keys and nobody waiting. */
export class WaitingRoom {
  server!: TestServer;
  /** One who does not wait. */
  client!: RawClient;
  private readonly guests: RawClient[] = [];

  /**
   * To be made in the body of a `describe`.
   * @param versions of the protocol that those who wait speak, one after the other
   */
  constructor(
    kind: ServerKind,
    private readonly versions: readonly RespVersion[] = [2],
  ) {
    beforeAll(async () => {
      this.server = await TestServer.start({ kind, ...(kind === 'vasto' && { workers: 2 }) });
      this.client = await this.server.connect();
    });
    beforeEach(async () => {
      this.dismiss();
      await this.waiters(0);
      await this.client.command('FLUSHALL');
    });
    afterAll(async () => {
      this.dismiss();
      this.client.close();
      await this.server.stop();
    });
  }

  private dismiss(): void {
    for (const each of this.guests.splice(0)) each.close();
  }

  /** A further client, closed when the test is over. */
  async enter(version: RespVersion = 2): Promise<RawClient> {
    const guest = version === 2 ? await this.server.connect() : await this.server.connect3();
    this.guests.push(guest);
    return guest;
  }

  /** Until so many clients wait. */
  waiters(count: number): Promise<void> {
    return waitForWaiting(this.client, count);
  }

  /** A further client that has sent a command and waits, `ahead` others before it. */
  async waiting(ahead: number, ...words: (string | number)[]): Promise<RawClient> {
    const guest = await this.enter(this.versions[ahead % this.versions.length]);
    await this.send(guest, ahead, words);
    return guest;
  }

  /** Has a client send a command that waits. */
  async send(guest: RawClient, ahead: number, words: readonly (string | number)[]): Promise<void> {
    guest.send(encodeCommand(words));
    await this.waiters(ahead + 1);
  }
}
