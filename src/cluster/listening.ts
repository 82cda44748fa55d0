import { createServer, type Server, type Socket } from 'node:net';

/** A port that is to be opened on each address of the directive bind. */
export interface PortToOpen {
  /** Those with a leading `-` may be missing on this machine; `*` is every one. */
  readonly bind: readonly string[];
  readonly port: number;
  /** The directive that named the port, for messages. */
  readonly directive: string;
  /** Connections that may wait to be taken. */
  readonly backlog: number;
  accept(socket: Socket): void;
  /** What went wrong after the port was opened. */
  warn(message: string): void;
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
  try {
    return await listen(address === '*' ? '0.0.0.0' : address, place);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    if (isOptional && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return undefined;
    const reason = code === 'EADDRINUSE' ? 'another program listens there' : String(code || cause);
    throw new Error(
      `cannot listen on ${address}:${place.port}: ${reason}. Choose another with --${place.directive} or --bind.`,
      { cause },
    );
  }
}

function listen(host: string, { port, backlog, accept, warn }: PortToOpen): Promise<Server> {
  const server = createServer({ noDelay: true }, accept);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, ipv6Only: host.includes(':'), backlog }, () => {
      server.off('error', reject);
      server.on('error', (error) => warn(`listener: ${error.message}`));
      resolve(server);
    });
  });
}
