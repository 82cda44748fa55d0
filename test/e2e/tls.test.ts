import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CertificateFiles, haveOpenssl, TestAuthority } from '../support/certificates.js';
import { encodeCommand, RawClient } from '../support/client.js';
import { freePort, haveTool, temporaryDir, waitUntil } from '../support/environment.js';
import { render } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';
import { runTool } from '../support/tools.js';

const present = haveOpenssl() && SUBJECT === 'vasto';

describe.runIf(present)('TLS for clients', () => {
  let authority: TestAuthority;
  let own: CertificateFiles;
  let mine: CertificateFiles;
  let server: TestServer;
  let tlsPort: number;

  /** Starts a server with a TLS port beside the plain one. */
  async function start(...flags: string[]): Promise<[TestServer, number]> {
    const port = await freePort();
    const files = [
      '--tls-cert-file',
      own.cert,
      '--tls-key-file',
      own.key,
      '--tls-ca-cert-file',
      authority.ca,
    ];
    const started = await TestServer.start({ flags: ['--tls-port', String(port), ...files, ...flags] });
    return [started, port];
  }

  const withCertificate = (files = mine): ConnectionOptions => ({
    ca: readFileSync(authority.ca),
    cert: readFileSync(files.cert),
    key: readFileSync(files.key),
  });
  const withoutCertificate = (): ConnectionOptions => ({ ca: readFileSync(authority.ca) });

  const connect = (tls: ConnectionOptions, port = tlsPort) => RawClient.connect({ port, tls });

  /** What a client is answered; one that is refused after its side of the handshake only finds that on reading. */
  async function pings(tls: ConnectionOptions, port = tlsPort): Promise<string> {
    try {
      const client = await connect(tls, port);
      const reply = await client.rendered('PING');
      client.close();
      return reply;
    } catch (error) {
      return `failed: ${(error as Error).message}`;
    }
  }

  beforeAll(async () => {
    authority = new TestAuthority();
    own = authority.issue('server');
    mine = authority.issue('client');
    [server, tlsPort] = await start();
  });

  afterAll(() => server.stop());

  test('a client with a certificate is served, as over the plain port', async () => {
    const client = await connect(withCertificate());
    expect(await client.rendered('SET', 'a', 'over tls')).toBe('+OK');
    const plain = await server.connect();
    expect(await plain.rendered('GET', 'a')).toBe('$"over tls"');
    const large = 'x'.repeat(3_000_000);
    expect(await client.rendered('SET', 'large', large)).toBe('+OK');
    expect(await client.text('GET', 'large')).toBe(large);
    const replies = await client.pipeline(Array.from({ length: 5000 }, (_, i) => ['INCRBY', 'n', i]));
    expect(render(replies.at(-1)!)).toBe(`:${(4999 * 5000) / 2}`);
    expect(await client.text('CLIENT', 'INFO')).toContain(`laddr=127.0.0.1:${tlsPort}`);
    expect(await client.rendered('QUIT')).toBe('+OK');
    await client.closed;
    plain.close();
  });

  test('those without one, or with one of another authority, are not', async () => {
    const stranger = new TestAuthority('Other CA').issue('stranger');
    expect(await pings(withCertificate())).toBe('+PONG');
    expect(await pings(withoutCertificate())).toMatch(/^failed: /);
    expect(await pings(withCertificate(stranger))).toMatch(/^failed: /);
    await waitUntil('nobody is left over', async () => {
      const plain = await server.connect();
      const clients = await plain.text('CLIENT', 'LIST');
      plain.close();
      return clients.trim().split('\n').length === 1;
    });
  });

  test('a client that has said all it wants gets its replies', async () => {
    const client = await connect({ ...withCertificate(), allowHalfOpen: true } as ConnectionOptions);
    client.socket.end(
      Buffer.concat([encodeCommand(['SET', 'last', 'words']), encodeCommand(['GET', 'last'])]),
    );
    expect(render(await client.next())).toBe('+OK');
    expect(render(await client.next())).toBe('$"words"');
    await client.closed;
  });

  test('plain text on the TLS port, and TLS on the plain port, harm nobody', async () => {
    const plain = await RawClient.connect({ port: tlsPort });
    plain.send('PING\r\n');
    await plain.closed;
    expect(await pings(withCertificate(), server.port)).toMatch(/^failed: /);
    expect(await pings(withCertificate())).toBe('+PONG');
  });

  test('protocols and ciphers are those of the configuration', async () => {
    const [strict, port] = await start(
      ...['--tls-auth-clients', 'no', '--tls-protocols', 'TLSv1.2'],
      ...['--tls-ciphers', 'ECDHE-ECDSA-AES256-GCM-SHA384', '--loglevel', 'verbose'],
    );
    const client = await connect(withoutCertificate(), port);
    const socket = client.socket as TLSSocket;
    expect(socket.getProtocol()).toBe('TLSv1.2');
    expect(socket.getCipher().name).toBe('ECDHE-ECDSA-AES256-GCM-SHA384');
    client.close();
    expect(await pings({ ...withoutCertificate(), minVersion: 'TLSv1.3' }, port)).toMatch(/^failed: /);
    const admin = await strict.connect();
    expect(await admin.rendered('CONFIG', 'SET', 'tls-protocols', 'TLSv1.3')).toBe('+OK');
    expect(await pings({ ...withoutCertificate(), maxVersion: 'TLSv1.2' }, port)).toMatch(/^failed: /);
    expect(await pings(withoutCertificate(), port)).toBe('+PONG');
    expect(await admin.rendered('CONFIG', 'SET', 'tls-ciphers', 'no such cipher')).toMatch(
      /^-ERR CONFIG SET failed \(possibly related to argument 'tls-ciphers'\) - .*no cipher match/,
    );
    expect(await admin.rendered('CONFIG', 'GET', 'tls-ciphers')).toContain('ECDHE-ECDSA-AES256-GCM-SHA384');
    expect(strict.stdout).toMatch(/TLS connection from 127\.0\.0\.1 refused/);
    admin.close();
    await strict.stop();
  });

  test('sessions are resumed, unless session caching is off', async () => {
    const resumes = async (port: number, version: 'TLSv1.2' | 'TLSv1.3'): Promise<boolean> => {
      const options: ConnectionOptions = { ...withCertificate(), maxVersion: version };
      const first = await connect(options, port);
      const known = (first.socket as TLSSocket).getSession();
      const later = new Promise<Buffer>((resolve) => first.socket.once('session', resolve));
      await first.rendered('PING');
      const session = version === 'TLSv1.2' ? known : await Promise.race([later, first.closed]);
      first.close();
      const second = await connect(session ? { ...options, session } : options, port);
      expect(await second.rendered('PING')).toBe('+PONG');
      const resumed = (second.socket as TLSSocket).isSessionReused();
      second.close();
      return resumed;
    };
    expect(await resumes(tlsPort, 'TLSv1.2')).toBe(true);
    expect(await resumes(tlsPort, 'TLSv1.3')).toBe(true);
    const [without, port] = await start('--tls-session-caching', 'no');
    expect(await resumes(port, 'TLSv1.2')).toBe(false);
    await without.stop();
  });

  test('tls-auth-clients changes for new connections at once, and for sessions that would be resumed', async () => {
    const [changing, port] = await start('--tls-auth-clients', 'no');
    const early = await connect({ ...withoutCertificate(), maxVersion: 'TLSv1.2' }, port);
    const session = (early.socket as TLSSocket).getSession()!;
    expect(await early.rendered('CONFIG', 'SET', 'tls-auth-clients', 'optional')).toBe('+OK');
    const stranger = new TestAuthority('Other CA').issue('stranger');
    expect(await pings(withoutCertificate(), port)).toBe('+PONG');
    expect(await pings(withCertificate(), port)).toBe('+PONG');
    expect(await pings(withCertificate(stranger), port)).toMatch(/^failed: /);
    expect(await early.rendered('CONFIG', 'SET', 'tls-auth-clients', 'yes')).toBe('+OK');
    expect(await pings({ ...withoutCertificate(), maxVersion: 'TLSv1.2', session }, port)).toMatch(
      /^failed: /,
    );
    expect(await early.rendered('PING')).toBe('+PONG');
    early.close();
    await changing.stop();
  });

  test('a renewed certificate is read by CONFIG SET of the same path; a bad one changes nothing', async () => {
    const dir = temporaryDir();
    const [cert, key] = [join(dir, 'current.crt'), join(dir, 'current.key')];
    const place = (files: CertificateFiles) => {
      copyFileSync(files.cert, cert);
      copyFileSync(files.key, key);
    };
    const subject = async (): Promise<string> => {
      const client = await connect(withCertificate(), port);
      const name = (client.socket as TLSSocket).getPeerCertificate().subject.CN;
      client.close();
      return String(name);
    };
    place(own);
    const [renewing, port] = await start('--tls-cert-file', cert, '--tls-key-file', key);
    const admin = await renewing.connect();
    expect(await subject()).toBe('server');
    place(authority.issue('renewed', { passphrase: 'open sesame' }));
    const refused =
      /^-ERR CONFIG SET failed \(possibly related to argument 'tls-cert-file'\) - .*needs a passphrase: set tls-key-file-pass/;
    expect(await admin.rendered('CONFIG', 'SET', 'tls-cert-file', cert)).toMatch(refused);
    expect(await subject()).toBe('server');
    expect(
      await admin.rendered('CONFIG', 'SET', 'tls-key-file-pass', 'open sesame', 'tls-cert-file', cert),
    ).toBe('+OK');
    expect(await subject()).toBe('renewed');
    writeFileSync(key, 'nonsense');
    expect(await admin.rendered('CONFIG', 'SET', 'tls-key-file', key)).toMatch(
      /is not a private key in PEM form/,
    );
    expect(await subject()).toBe('renewed');
    renewing.child.kill('SIGHUP');
    await waitUntil('it says so', () => renewing.stdout.includes('SIGHUP: what was in force stays'));
    place(authority.issue('signalled'));
    renewing.child.kill('SIGHUP');
    await waitUntil('it says so', () =>
      renewing.stdout.includes('SIGHUP: certificates and secrets were read'),
    );
    expect(await subject()).toBe('signalled');
    admin.close();
    await renewing.stop();
  });

  test('port 0 with a tls-port serves TLS alone; a password is asked for there, too', async () => {
    const port = await freePort();
    const files = [
      '--tls-cert-file',
      own.cert,
      '--tls-key-file',
      own.key,
      '--tls-ca-cert-dir',
      authority.dir,
    ];
    const flags = ['--port', '0', '--tls-port', String(port), ...files, '--requirepass', 'secret'];
    const only = await TestServer.spawn({ flags });
    await waitUntil('it listens', () => only.stdout.includes(`RESP over TLS on port ${port}`));
    const client = await connect(withCertificate(), port);
    expect(await client.rendered('PING')).toBe('-NOAUTH Authentication required.');
    expect(await client.rendered('AUTH', 'secret')).toBe('+OK');
    expect(await client.text('INFO', 'server')).toContain(`tcp_port:${port}\r\n`);
    client.close();
    await only.stop();
  });

  test('maxclients holds; clients that never shake hands take no place of others', async () => {
    const [small, port] = await start('--maxclients', '3');
    const admin = await small.connect();
    const silent = Array.from({ length: 2 }, () => connectPlain({ host: '127.0.0.1', port }));
    await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    expect(await pings(withCertificate(), port)).toMatch(/^failed: /);
    for (const socket of silent) socket.destroy();
    // Well before the time that a handshake may take.
    await waitUntil(
      'there is room again',
      async () => (await pings(withCertificate(), port)) === '+PONG',
      3000,
    );
    expect(await admin.text('INFO', 'stats')).toMatch(/rejected_connections:[1-9]/);
    admin.close();
    await small.stop();
  });

  describe('what cannot be ends the start with the reason', () => {
    const failing = async (...flags: string[]): Promise<string> => {
      const spawned = await TestServer.spawn({ flags: ['--tls-port', String(await freePort()), ...flags] });
      const { code } = await spawned.ended();
      expect(code).toBe(1);
      return spawned.output;
    };

    test('files', async () => {
      const pair = ['--tls-cert-file', own.cert, '--tls-key-file', own.key];
      expect(await failing()).toContain('set tls-cert-file to the path of a PEM file');
      expect(await failing(...pair)).toContain(
        'Either tls-ca-cert-file or tls-ca-cert-dir must be specified',
      );
      expect(await failing('--tls-cert-file', '/none.crt', '--tls-key-file', own.key)).toContain(
        'cannot read tls-cert-file /none.crt: ENOENT',
      );
      expect(await failing('--tls-cert-file', own.cert, '--tls-key-file', mine.key)).toContain(
        `the private key in tls-key-file ${mine.key} does not belong to the certificate in tls-cert-file ${own.cert}`,
      );
      expect(await failing('--tls-cert-file', own.key, '--tls-key-file', own.key)).toContain(
        `tls-cert-file ${own.key} does not begin with a certificate in PEM form`,
      );
      expect(await failing(...pair, '--tls-ca-cert-file', own.key)).toContain('holds no certificate');
      expect(await failing(...pair, '--tls-ca-cert-dir', '/none')).toContain(
        'cannot list tls-ca-cert-dir /none',
      );
    });

    test('no port by which other nodes reach this one', async () => {
      expect(await failing('--tls-port', '0', '--tls-cluster', 'yes')).toContain('by its tls-port: set it');
    });

    test('passphrases', async () => {
      const files = authority.issue('locked', { passphrase: 'right' });
      const pair = ['--tls-cert-file', files.cert, '--tls-key-file', files.key];
      const output = await failing(...pair, '--tls-key-file-pass', 'wrong');
      expect(output).toContain(`tls-key-file ${files.key}: wrong tls-key-file-pass`);
      expect(output).not.toMatch(/right|pass.*wrong\b.*wrong\b/);
    });
  });

  describe('clients that people use', () => {
    test.skipIf(!haveTool('redis-cli'))('redis-cli --tls', async () => {
      const tls = ['--tls', '--cacert', authority.ca, '--cert', mine.cert, '--key', mine.key];
      const cli = (...args: string[]) => runTool('redis-cli', ['-p', String(tlsPort), ...tls, ...args]);
      expect((await cli('SET', 'cli', 'yes')).stdout).toBe('OK\n');
      expect((await cli('GET', 'cli')).stdout).toBe('yes\n');
      expect((await cli('--scan', '--pattern', 'cl*')).stdout).toBe('cli\n');
    });

    test('ioredis', async () => {
      const client = new Redis({ host: '127.0.0.1', port: tlsPort, tls: withCertificate() });
      expect(await client.set('ioredis', 'yes')).toBe('OK');
      const values = await Promise.all(Array.from({ length: 500 }, () => client.get('ioredis')));
      expect(new Set(values)).toEqual(new Set(['yes']));
      await client.quit();
    });

    test('node-redis', async () => {
      const { ca, cert, key } = withCertificate() as Record<'ca' | 'cert' | 'key', Buffer>;
      const client = createClient({ socket: { host: '127.0.0.1', port: tlsPort, tls: true, ca, cert, key } });
      await client.connect();
      expect(await client.set('node-redis', 'yes')).toBe('OK');
      expect(await client.get('node-redis')).toBe('yes');
      await client.close();
    });
  });
});
