import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  Client,
  type ClientOptions,
  Metadata,
  Server,
  type ServerCredentials,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { NodeSecrets } from '../../../src/cluster/secrets.js';
import { GrpcSecurity, refuseExposed } from '../../../src/master/credentials.js';
import { haveOpenssl, TestAuthority } from '../../support/certificates.js';
import { temporaryDir } from '../../support/environment.js';

const LOOPBACK = ['127.0.0.1'];
const same = (bytes: Buffer) => bytes;
const DEFINITION = {
  path: '/test.Test/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

const configured = (text: string) => Config.load({ text });
const servers: Server[] = [];
let calls = 0;

afterEach(() => {
  for (const server of servers.splice(0)) server.forceShutdown();
});

/** A server that echoes, secured as the configuration says. */
async function serve(config: Config): Promise<number> {
  const security = GrpcSecurity.of(config);
  const server = new Server(security.serverOptions());
  servers.push(server);
  server.addService(
    { echo: DEFINITION },
    {
      echo: (call: { request: Buffer; metadata: Metadata }, done: (error: null, reply: Buffer) => void) => {
        calls++;
        const seen = JSON.stringify(call.metadata.toJSON());
        done(null, Buffer.from(`${call.request.toString()} ${seen.includes('secret')}`));
      },
    },
  );
  return bind(server, security.serverCredentials(LOOPBACK));
}

function bind(server: Server, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port))),
  );
}

/** What a client with a configuration is answered. */
async function call(
  port: number,
  config: Config,
  host = '127.0.0.1',
  security = GrpcSecurity.of(config),
): Promise<string> {
  const options: ClientOptions = { ...security.clientOptions(), 'grpc.use_local_subchannel_pool': 1 };
  const client = new Client(`${host}:${port}`, security.channelCredentials(), options);
  try {
    return await new Promise<string>((resolve) =>
      client.makeUnaryRequest<Buffer, Buffer>(
        DEFINITION.path,
        same,
        same,
        Buffer.from('hello'),
        new Metadata(),
        { deadline: Date.now() + 5000 },
        (error: ServiceError | null, reply?: Buffer) =>
          resolve(error ? `${status[error.code]}: ${error.details}` : reply!.toString()),
      ),
    );
  } finally {
    client.close();
  }
}

describe('gRPC between nodes', () => {
  it('without configuration is plain and open, on this machine', async () => {
    expect(await call(await serve(configured('')), configured(''))).toBe('hello false');
  });

  it('with a secret refuses those who have none or another before any handler hears of them', async () => {
    const port = await serve(configured('cluster-secret grüezi'));
    calls = 0;
    expect(await call(port, configured(''))).toBe(
      'UNAUTHENTICATED: nodes of this cluster show a secret: set cluster-secret',
    );
    expect(await call(port, configured('cluster-secret gruezi'))).toMatch(/^UNAUTHENTICATED: wrong secret/);
    expect(calls).toBe(0);
    expect(await call(port, configured('cluster-secret grüezi'))).toBe('hello false');
    expect(await call(port, configured('requirepass grüezi'))).toBe('hello false');
  });

  it('does not listen for strangers', () => {
    const refusal = (text: string, ...addresses: string[]) => {
      const { values } = configured(text);
      return refuseExposed(values, new NodeSecrets(values['cluster-secret'] ? ['x'] : []), addresses);
    };
    for (const address of ['127.0.0.1', '127.1.2.3', '::1', '-::1', '[::1]', 'localhost', '::ffff:127.0.0.1'])
      expect([address, refusal('', address)]).toEqual([address, undefined]);
    for (const address of ['0.0.0.0', '*', '::', '10.0.0.1', 'myhost', '127.0.0.1.example.com'])
      expect(refusal('', '127.0.0.1', address)).toContain(`on ${address}: anybody`);
    expect(refusal('cluster-secret x', '0.0.0.0')).toBeUndefined();
    expect(refusal('protected-mode no', '0.0.0.0')).toBeUndefined();
    expect(refusal('tls-cluster yes', '0.0.0.0')).toBeUndefined();
    expect(refusal('tls-cluster yes\ntls-auth-clients optional', '0.0.0.0')).toMatch(/Set cluster-secret/);
    expect(() => GrpcSecurity.of(configured('')).serverCredentials(['0.0.0.0'])).toThrow(
      /refusing to listen/,
    );
  });
});

describe.runIf(haveOpenssl())('gRPC between nodes over TLS', () => {
  const authority = new TestAuthority();
  const node = authority.issue('node', { passphrase: 'p4ss' });
  const other = new TestAuthority('Other CA');
  const stranger = other.issue('stranger');
  const trust = `tls-cluster yes\ntls-ca-cert-file ${authority.ca}`;
  const identity = `tls-cert-file ${node.cert}\ntls-key-file ${node.key}\ntls-key-file-pass p4ss`;
  const strange = `tls-cert-file ${stranger.cert}\ntls-key-file ${stranger.key}`;

  it('lets in those with a certificate of the authority, and nobody else', async () => {
    const port = await serve(configured(`${trust}\n${identity}`));
    calls = 0;
    expect(await call(port, configured(`${trust}\n${strange}`))).toMatch(/^UNAVAILABLE/);
    expect(await call(port, configured(trust))).toMatch(/^UNAVAILABLE/);
    expect(await call(port, configured(''))).toMatch(/^UNAVAILABLE/);
    expect(calls).toBe(0);
    expect(await call(port, configured(`${trust}\n${identity}`))).toBe('hello false');
  });

  it('is not fooled by a server with a certificate of another authority', async () => {
    const port = await serve(configured(`tls-cluster yes\ntls-ca-cert-file ${other.ca}\n${strange}`));
    expect(await call(port, configured(`${trust}\n${identity}`))).toMatch(/^UNAVAILABLE/);
  });

  it('asks for the secret, too; without client certificates for that alone', async () => {
    const port = await serve(configured(`${trust}\n${identity}\ntls-auth-clients no\ncluster-secret x`));
    expect(await call(port, configured(`${trust}\ncluster-secret x`))).toBe('hello false');
    expect(await call(port, configured(`${trust}\ncluster-secret y`))).toMatch(
      /^UNAUTHENTICATED: wrong secret/,
    );
  });

  it('compares names where tls-check-host-names says so', async () => {
    const named = authority.issue('named', { hosts: 'DNS:node.example' });
    const files = `tls-cert-file ${named.cert}\ntls-key-file ${named.key}`;
    const port = await serve(configured(`${trust}\n${files}`));
    expect(await call(port, configured(`${trust}\n${identity}`))).toBe('hello false');
    const strict = configured(`${trust}\n${identity}\ntls-check-host-names yes`);
    expect(await call(port, strict)).toMatch(/^UNAVAILABLE.*(altnames|does not match|IP)/is);
    expect(await call(await serve(configured(`${trust}\n${identity}`)), strict)).toBe('hello false');
  });

  it('goes on when files of the client have gone since the start: its calls fail, no more', async () => {
    const port = await serve(configured(`${trust}\n${identity}`));
    const gone = configured(`${trust}\n${identity}`);
    const client = GrpcSecurity.of(gone);
    gone.set([['tls-ca-cert-file', '/none']]);
    expect(() => client.channelCredentials()).not.toThrow();
    expect(await call(port, gone, '127.0.0.1', client)).toMatch(/^UNAVAILABLE/);
    expect(() => GrpcSecurity.of(gone)).toThrow('cannot read tls-ca-cert-file /none');
  });

  it('shows a renewed certificate once CONFIG SET has had it read', async () => {
    const dir = temporaryDir();
    const place = (files: { cert: string; key: string }) => {
      copyFileSync(files.cert, join(dir, 'crt'));
      copyFileSync(files.key, join(dir, 'key'));
    };
    place(stranger);
    const config = configured(`${trust}\ntls-cert-file ${dir}/crt\ntls-key-file ${dir}/key`);
    const port = await serve(config);
    const client = configured(`${trust}\n${identity}`);
    expect(await call(port, client)).toMatch(/^UNAVAILABLE/);
    place(authority.issue('renewed'));
    expect(config.set([['tls-cert-file', `${dir}/crt`]])).toBeUndefined();
    expect(await call(port, client)).toBe('hello false');
    expect(config.set([['tls-auth-clients', 'no']])).toMatch(/fixed at start/);
    expect(config.set([['tls-key-file', stranger.cert]])).toMatch(/is not a private key in PEM form/);
    expect(await call(port, client)).toBe('hello false');
  });
});
