import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';

/** What listens, and whom it tells of trouble. */
export interface Reception {
  /** One for each address. */
  makeServer(): Server;
  /** What went wrong after the port was opened. */
  warn(message: string): void;
}

/** A port that is to be opened on each address of the directive bind. */
export interface PortToOpen extends Reception {
  /** Those with a leading `-` may be missing on this machine; `*` is every one. */
  readonly bind: readonly string[];
  readonly port: number;
  /** The directive that named the port, for messages. */
  readonly directive: string;
  /** Connections that may wait to be taken. */
  readonly backlog: number;
}

/**
 * Opens a port.
 * @returns what listens, one for each address
 * @throws Error with a message for people; then none is open
 */
export async function openPort(place: PortToOpen): Promise<Server[]> {
  const servers: Server[] = [];
  try {
    for (const address of place.bind) {
      const server = await openAddress(address, place);
      if (server !== undefined) servers.push(server);
    }
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  if (servers.length === 0)
    throw new Error(`none of the addresses of bind could be opened: ${place.bind.join(' ')}`);
  return servers;
}

async function openAddress(written: string, place: PortToOpen): Promise<Server | undefined> {
  const isOptional = written.startsWith('-');
  const address = isOptional ? written.slice(1) : written;
  const { port, backlog, directive } = place;
  const host = address === '*' ? '0.0.0.0' : address;
  try {
    return await listen({ host, port, ipv6Only: host.includes(':'), backlog }, place);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    if (isOptional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return undefined;
    const reason = code === 'EADDRINUSE' ? 'another program listens there' : String(code || cause);
    throw new Error(
      `cannot listen on ${address}:${port}: ${reason}. Choose another with --${directive} or --bind.`,
      { cause },
    );
  }
}

/**
 * What gives bare connections to `accept`.
 * @param allowHalfOpen whether a client that sends no more may still be answered
 */
export function socketServer(allowHalfOpen: boolean, accept: (socket: Socket) => void): Server {
  return createServer({ allowHalfOpen, noDelay: true }, accept);
}

/** Opens one place, a port or the path of a socket. */
export function listen(where: ListenOptions, { makeServer, warn }: Reception): Promise<Server> {
  const server = makeServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      server.on('error', (error) => warn(`listener: ${error.message}`));
      resolve(server);
    });
  });
}
