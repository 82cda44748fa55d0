import { isIPv6 } from 'node:net';

/** Where a server listens. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

/** What an address on the command line may not be: the message says what it is to be. */
export class AddressError extends Error {
  constructor(text: string, wanted: string) {
    super(`'${text}' is no address: ${wanted}`);
    this.name = 'AddressError';
  }
}

const HOST_PORT = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:[\]/]*))(?::(\d{1,5}))?$/;

/**
 * `host:port`, `host`, `:port`, `[address]:port`, or, where a path is allowed, that of a Unix socket.
 * @throws {@link AddressError}
 */
export function parseEndpoint(text: string, portDefault: number, allowPath = true): Endpoint {
  if (allowPath && text.startsWith('/')) return { path: text };
  if (isIPv6(text)) return { host: text, port: portDefault };
  const match = HOST_PORT.exec(text);
  const port = Number(match?.[3] ?? portDefault);
  const wanted = allowPath ? 'host:port, or the path of a Unix socket' : 'host:port';
  if (match === null || text === '' || port < 1 || port > 65535) throw new AddressError(text, wanted);
  return { host: match[1] ?? (match[2] || '127.0.0.1'), port };
}

/** As people write it. */
export function endpointText(endpoint: Endpoint): string {
  if ('path' in endpoint) return endpoint.path;
  return `${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;
}
