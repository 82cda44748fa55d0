import { SLOTS } from '../../cluster/slots.js';
import { Connection, type ConnectionChoice, encodeWords } from './connection.js';
import { type Decoded, decode, ERROR, readText } from './frames.js';

/** Which node has which slot, as the cluster tells. */
export class ClusterMap {
  readonly #owners: (string | undefined)[] = new Array<string | undefined>(SLOTS).fill(undefined);
  #refreshing: Promise<void> | undefined;
  refreshes = 0;

  /** @param seed where to ask first and, when all known nodes are gone, again */
  constructor(
    readonly seed: string,
    readonly choice: ConnectionChoice,
  ) {}

  owner(slot: number): string | undefined {
    return this.#owners[slot];
  }

  get addresses(): string[] {
    return [...new Set(this.#owners.filter((owner) => owner !== undefined))];
  }

  /** What a MOVED reply says. */
  moved(slot: number, address: string): void {
    this.#owners[slot] = address;
  }

  /** Asks for the map anew; one request at a time. @throws Error if no node tells */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#ask().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #ask(): Promise<void> {
    let failure = new Error('no node is known');
    for (const address of new Set([...this.addresses, this.seed])) {
      try {
        this.#take(await request(address, this.choice, ['CLUSTER', 'SLOTS']), address);
        this.refreshes++;
        return;
      } catch (error) {
        failure = new Error(`${address}: ${(error as Error).message}`);
      }
    }
    throw failure;
  }

  /** @param asked the node that replied, which may leave its own host out */
  #take(reply: Decoded, asked: string): void {
    if (!Array.isArray(reply) || reply.length === 0)
      throw new Error('it has no slots: is it part of a cluster?');
    const askedHost = asked.slice(0, asked.lastIndexOf(':'));
    this.#owners.fill(undefined);
    for (const range of reply as readonly (readonly Decoded[])[]) {
      const [first, last, owner] = range as [number, number, readonly Decoded[]];
      const [host, port] = owner as readonly [string | null, number];
      const address = joinAddress(host === null || host === '' || host === '?' ? askedHost : host, port);
      for (let slot = first; slot <= last && slot < SLOTS; slot++) this.#owners[slot] = address;
    }
  }
}

/** @returns the address that MOVED and ASK name, `host:port`, with the host of `asked` where they leave it out */
export function redirection(text: string, asked: string): { slot: number; address: string } {
  const [, slot = '0', target = ''] = text.split(' ');
  const at = target.lastIndexOf(':');
  const host = target.slice(0, at);
  const address = joinAddress(
    host === '' ? asked.slice(0, asked.lastIndexOf(':')) : host,
    target.slice(at + 1),
  );
  return { slot: Number(slot), address };
}

function joinAddress(host: string, port: number | string): string {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return bare.includes(':') ? `[${bare}]:${port}` : `${bare}:${port}`;
}

const REQUEST_TIMEOUT_MS = 5000;

/** Sends one command on a connection of its own. @throws Error with the reason, or with the error reply's text */
export function request(
  address: string,
  choice: ConnectionChoice,
  words: readonly string[],
): Promise<Decoded> {
  return new Promise((resolve, reject) => {
    const end = (outcome: Decoded | Error) => {
      clearTimeout(timer);
      connection.close();
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    };
    const connection: Connection = new Connection(0, address, choice, {
      ready: () => connection.output.append(encodeWords(words)),
      reply: (_, buffer, start, to) =>
        end(
          buffer[start] === ERROR
            ? new Error(readText(buffer, start, to))
            : // The bytes are only lent.
              decode(Buffer.from(buffer.subarray(start, to)), 0),
        ),
      drained: () => undefined,
      lost: (_, reason) => end(new Error(reason)),
      unreachable: (_, reason) => end(new Error(reason)),
    });
    const timer = setTimeout(
      () => end(new Error(`no reply within ${REQUEST_TIMEOUT_MS} ms`)),
      REQUEST_TIMEOUT_MS,
    );
  });
}
