import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { type PeerConnection, PeerCredentials } from '../../../src/cluster/links-credentials.js';
import { haveOpenssl, TestAuthority } from '../../support/certificates.js';

const of = (text: string) => PeerCredentials.of(Config.load({ text }));
const closing: { destroy(): unknown }[] = [];
const servers: Server[] = [];

afterEach(() => {
  for (const socket of closing.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** `ready`, or the error. */
async function outcome(connection: PeerConnection | string): Promise<string> {
  if (typeof connection === 'string') return connection;
  const { socket, readyEvent } = connection;
  closing.push(socket);
  try {
    await once(socket, readyEvent);
    return 'ready';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('connections to other nodes', () => {
  it('go to the plain port', async () => {
    const port = await listening(createServer((socket) => closing.push(socket)));
    const connection = of('').openSocket({ host: '127.0.0.1', port, tlsPort: 1 });
    expect(connection).toMatchObject({ port, readyEvent: 'connect' });
    expect(await outcome(connection)).toBe('ready');
  });

  it('are not tried where there is no such port', () => {
    expect(of('').openSocket({ host: '127.0.0.1', port: 0, tlsPort: 5 })).toMatch(/^it has no port/);
  });
});

describe('whoever says that it is a node', () => {
  const plain = new Socket();
  const claim = (text: string, secret: string | undefined, isAuthenticated: boolean) =>
    of(text).refusal({ socket: plain, secret, isAuthenticated });

  it('shows the secret', () => {
    expect(claim('cluster-secret x', 'x', false)).toBeUndefined();
    expect(claim('cluster-secret x', undefined, true)).toMatch(/set cluster-secret/);
    expect(claim('cluster-secret x', 'y', true)).toMatch(/^wrong secret/);
    expect(claim('cluster-secret x\nrequirepass p', 'p', false)).toMatch(/^wrong secret/);
  });

  it('shows the password where there is no secret: it is never easier than AUTH', () => {
    expect(claim('requirepass p', 'p', false)).toBeUndefined();
    expect(claim('requirepass p', undefined, false)).toMatch(/set cluster-secret/);
    expect(claim('', undefined, true)).toBeUndefined();
    expect(claim('', undefined, false)).toMatch(/set cluster-secret/);
  });
});

describe.runIf(haveOpenssl())('connections to other nodes over TLS', () => {
  const authority = new TestAuthority();
  const node = authority.issue('node');
  const trust = `tls-cluster yes\ntls-ca-cert-file ${authority.ca}`;
  const full = `${trust}\ntls-cert-file ${node.cert}\ntls-key-file ${node.key}`;

  /** A server with a certificate that asks for one, and its side of the last connection. */
  async function serve(files = node, ca = authority.ca): Promise<{ port: number; peer: Promise<TLSSocket> }> {
    const [cert, key] = [readFileSync(files.cert), readFileSync(files.key)];
    const options = { cert, key, ca: readFileSync(ca), requestCert: true, rejectUnauthorized: false };
    const server = createTlsServer(options);
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    const peer = once(server, 'secureConnection').then(([socket]) => {
      closing.push(socket as TLSSocket);
      return socket as TLSSocket;
    });
    return { port: await listening(server), peer };
  }

  it('show a certificate, and trust those of the authority only', async () => {
    const { port, peer } = await serve();
    const connection = of(full).openSocket({ host: '127.0.0.1', port: 1, tlsPort: port });
    expect(connection).toMatchObject({ port, readyEvent: 'secureConnect' });
    expect(await outcome(connection)).toBe('ready');
    const accepted = await peer;
    const claim = { secret: undefined, isAuthenticated: false };
    expect(of(full).refusal({ ...claim, socket: accepted })).toBeUndefined();
    expect(of(`${full}\ncluster-secret x`).refusal({ ...claim, socket: accepted })).toMatch(
      /set cluster-secret/,
    );
    const other = new TestAuthority('Other CA');
    const fake = await serve(other.issue('fake'), other.ca);
    const wrong = of(full).openSocket({ host: '127.0.0.1', port: 1, tlsPort: fake.port });
    expect(await outcome(wrong)).toMatch(/unable to verify|self.signed|issuer/);
  });

  it('without a certificate are not those of nodes', async () => {
    const { port, peer } = await serve();
    expect(await outcome(of(trust).openSocket({ host: '127.0.0.1', port: 1, tlsPort: port }))).toBe('ready');
    const claim = { secret: undefined, isAuthenticated: true };
    expect(of(full).refusal({ ...claim, socket: await peer })).toMatch(
      /^nodes of this cluster show certificates/,
    );
    expect(of(full).refusal({ ...claim, socket: new Socket() })).toMatch(/show certificates/);
  });

  it('are not tried where there is no TLS port', () => {
    expect(of(full).openSocket({ host: '127.0.0.1', port: 5, tlsPort: 0 })).toMatch(/^it has no tls-port/);
  });

  it('fail with the reason when files cannot be used', async () => {
    expect(() => of('tls-cluster yes')).toThrow(/set tls-ca-cert-file or tls-ca-cert-dir/);
    const config = Config.load({ text: full });
    const credentials = PeerCredentials.of(config);
    config.set([['tls-cert-file', '/none']]);
    const connection = credentials.openSocket({ host: '127.0.0.1', port: 1, tlsPort: 2 });
    expect(await outcome(connection)).toMatch(/^cannot read tls-cert-file \/none: ENOENT/);
  });
});
