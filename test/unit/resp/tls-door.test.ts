import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { PLAIN_DOOR } from '../../../src/resp/listeners.js';
import { TlsDoors } from '../../../src/resp/tls-door.js';
import { haveOpenssl, TestAuthority } from '../../support/certificates.js';
import { waitUntil } from '../../support/environment.js';
import type { Random } from '../../support/random.js';
import { seeded } from '../../support/replay.js';

const silent = { verbose: () => undefined, warning: () => undefined };

describe.runIf(haveOpenssl())('TLS in front of doors', () => {
  const authority = new TestAuthority();
  const own = authority.issue('server');
  const mine = authority.issue('client');
  const stranger = new TestAuthority('Other CA').issue('stranger');
  const text = `tls-cert-file ${own.cert}\ntls-key-file ${own.key}\ntls-ca-cert-file ${authority.ca}`;
  const config = Config.load({ text });
  const accepted = new Set<Socket>();
  let doors: TlsDoors;
  let port: number;
  const server = createServer({ allowHalfOpen: true }, (socket) => doors.receive(socket, PLAIN_DOOR));

  beforeAll(async () => {
    doors = new TlsDoors(config, silent, (socket) => {
      accepted.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('end', () => socket.end());
      socket.on('close', () => accepted.delete(socket));
      socket.resume();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    port = (server.address() as AddressInfo).port;
  });

  afterAll(() => {
    server.close();
  });

  const options = (files: typeof mine | undefined, version: 'TLSv1.2' | 'TLSv1.3'): ConnectionOptions => ({
    host: '127.0.0.1',
    port,
    maxVersion: version,
    rejectUnauthorized: false,
    ...(files === undefined ? {} : { cert: readFileSync(files.cert), key: readFileSync(files.key) }),
  });

  /** Comes and goes in one of many ways; resolves when the connection is closed. */
  function visit(random: Random): Promise<void> {
    const tls = (files: typeof mine | undefined) =>
      connectTls(options(files, random.pick(['TLSv1.2', 'TLSv1.3'] as const)));
    const shaking = (files: typeof mine | undefined, then: (socket: Socket) => void) => {
      const socket = tls(files);
      return socket.once('secureConnect', () => then(socket));
    };
    const plain = (then: (socket: Socket) => void) => {
      const socket = connect({ host: '127.0.0.1', port });
      return socket.once('connect', () => then(socket));
    };
    const garbage = Buffer.from(random.bytes(random.int(1, 600)), 'latin1');
    const hurry = (socket: Socket) => {
      setTimeout(() => socket.destroy(), random.int(0, 20));
      return socket;
    };
    const socket = random.pick<() => Socket>([
      () => shaking(mine, (each) => each.end('PING\r\n')),
      () => shaking(mine, (each) => each.destroy()),
      () => shaking(stranger, (each) => each.end('PING\r\n')),
      () => shaking(undefined, (each) => each.end()),
      () => hurry(tls(mine)),
      () => plain((each) => each.end(garbage)),
      () => plain((each) => each.write(garbage, () => each.destroy())),
      () => plain((each) => each.resetAndDestroy()),
      () => plain((each) => each.end()),
      // The beginning of a handshake, cut off.
      () => plain((each) => each.end(Buffer.from('16030100f8010000f40303', 'hex'))),
    ])();
    socket.on('error', () => socket.destroy());
    socket.resume();
    return new Promise((resolve) => socket.once('close', () => resolve()));
  }

  it('loses count of nobody, however they come and go', async () => {
    await seeded(1, async (random) => {
      const visits: Promise<void>[] = [];
      for (let round = 0; round < 300; round++) {
        visits.push(visit(random));
        if (round % 100 === 50)
          expect(config.set([['tls-auth-clients', random.pick(['yes', 'no', 'optional'])]])).toBeUndefined();
        if (round % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(visits);
      // Well before the time that a handshake may take.
      await waitUntil('all are gone', () => doors.handshakes === 0 && accepted.size === 0, 5000);
    });
    config.set([['tls-auth-clients', 'yes']]);
    const last = connectTls(options(mine, 'TLSv1.3'));
    await once(last, 'secureConnect');
    await waitUntil('the last one is in', () => accepted.size === 1);
    last.destroy();
  }, 30_000);
});
