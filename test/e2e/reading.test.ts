import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { haveOpenssl, TestAuthority } from '../support/certificates.js';
import { type Endpoint, encodeCommand, RawClient } from '../support/client.js';
import { freePort, temporaryDir, waitUntil } from '../support/environment.js';
import type { Random } from '../support/random.js';
import { seeded } from '../support/replay.js';
import { render, textOf } from '../support/reply.js';
import { SUBJECT, TestServer } from '../support/server.js';

/*
 * Connections of TCP and of a Unix socket are read into memory that all share, and those of TLS as streams: whatever way,
 * each command is what its client sent, however long it waits while others are read.
 */

const ways = haveOpenssl() && SUBJECT === 'vasto' ? ['tcp', 'unix', 'tls'] : ['tcp', 'unix'];

let server: TestServer;
let endpoints: Record<string, Endpoint>;

beforeAll(async () => {
  const path = join(temporaryDir(), 'socket');
  const flags = ['--unixsocket', path];
  let tls: Endpoint = { path };
  if (ways.includes('tls')) {
    const authority = new TestAuthority();
    const { cert, key } = authority.issue('server');
    const port = await freePort();
    flags.push('--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key);
    flags.push('--tls-ca-cert-file', authority.ca, '--tls-auth-clients', 'no');
    tls = { port, tls: { ca: readFileSync(authority.ca) } };
  }
  server = await TestServer.start({ flags });
  endpoints = { tcp: { port: server.port }, unix: { path }, tls };
});

afterAll(() => server.stop());

/** Sends bytes and waits until the platform has taken them, so that they tend to arrive by themselves. */
const sendAlone = (client: RawClient, bytes: Buffer) =>
  new Promise((resolve) => client.socket.write(bytes, resolve));

/** A value that tells whose it is at each of its places. */
const labelled = (name: string, length: number) => `${name}.`.repeat(length).slice(0, length);

function pieces(random: Random, bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = at + 1 + random.int(0, random.chance(0.25) ? 9000 : 60);
    parts.push(bytes.subarray(at, next));
    at = next;
  }
  return parts;
}

describe.each(ways)('what arrives over %s', (way) => {
  const connect = () => RawClient.connect(endpoints[way]!);

  test('in pieces, of clients by turns', async () => {
    await seeded(2, async (random) => {
      const clients = [await connect(), await connect(), await connect()];
      const wanted = clients.map((_, who) =>
        Array.from({ length: 6 }, (_, index) =>
          labelled(`${who}-${index}`, random.int(0, index === 0 ? 20_000 : 300)),
        ),
      );
      const rest = wanted.map((values, who) =>
        pieces(
          random,
          Buffer.concat(
            values.map((value, index) => encodeCommand(['SET', `${way}:${who}:${index}`, value])),
          ),
        ),
      );
      while (rest.some((parts) => parts.length > 0)) {
        const who = random.int(0, clients.length - 1);
        const part = rest[who]!.shift();
        if (part !== undefined) await sendAlone(clients[who]!, part);
      }
      for (const [who, client] of clients.entries()) {
        for (const _ of wanted[who]!) expect(render(await client.next())).toBe('+OK');
        for (const [index, value] of wanted[who]!.entries())
          expect(await client.text('GET', `${way}:${who}:${index}`)).toBe(value);
        client.close();
      }
    });
  });

  test('a pipeline, and a value, larger than what is read at once', async () => {
    const client = await connect();
    const values = Array.from({ length: 3000 }, (_, index) => labelled(`p${index}`, 100));
    values.push(labelled('large', 300_000));
    const replies = await client.pipeline([
      ...values.map((value, index) => ['SET', `${way}:p:${index}`, value]),
      ...values.map((_, index) => ['GET', `${way}:p:${index}`]),
    ]);
    expect(replies.slice(values.length).map(textOf)).toEqual(values);
    client.close();
  });

  test('commands behind one that waits, while others are read', async () => {
    const [waiting, other] = [await connect(), await connect()];
    const kept = labelled('kept', 700);
    waiting.send(encodeCommand(['BLPOP', `${way}:queue`, 0]));
    const clients = async () => await other.text('CLIENT', 'LIST');
    await waitUntil('it waits', async () => / flags=b/.test(await clients()));
    // Whole ones, and the beginning of one.
    await sendAlone(waiting, encodeCommand(['SET', `${way}:kept`, kept]));
    const last = encodeCommand(['GETSET', `${way}:kept`, 'new']);
    await sendAlone(waiting, last.subarray(0, 20));
    for (let round = 0; round < 200; round++)
      expect(await other.text('ECHO', labelled('other', 500))).toBe(labelled('other', 500));
    await other.command('LPUSH', `${way}:queue`, 'element');
    expect(render(await waiting.next())).toBe(`*[$"${way}:queue" $"element"]`);
    expect(render(await waiting.next())).toBe('+OK');
    waiting.send(last.subarray(20));
    expect(textOf(await waiting.next())).toBe(kept);
    waiting.close();
    other.close();
  });

  test('commands of a client that is not read from for a while', async () => {
    const [paused, other] = [await connect(), await connect()];
    expect(await other.rendered('CLIENT', 'PAUSE', 60_000, 'WRITE')).toBe('+OK');
    const values = Array.from({ length: 40 }, (_, index) => labelled(`w${index}`, 20_000));
    paused.send(
      Buffer.concat(values.map((value, index) => encodeCommand(['SET', `${way}:w:${index}`, value]))),
    );
    await waitUntil('it is held back', async () =>
      / flags=b| events= /.test(await other.text('CLIENT', 'LIST')),
    );
    for (let round = 0; round < 200; round++)
      expect(await other.text('ECHO', labelled('other', 500))).toBe(labelled('other', 500));
    expect(paused.pendingReplies).toBe(0);
    expect(await other.rendered('CLIENT', 'UNPAUSE')).toBe('+OK');
    for (const _ of values) expect(render(await paused.next())).toBe('+OK');
    for (const [index, value] of values.entries())
      expect(await other.text('GET', `${way}:w:${index}`)).toBe(value);
    paused.close();
    other.close();
  });

  // Redis has done with a client then.
  test.skipIf(SUBJECT === 'redis')('commands of a client that sends no more', async () => {
    const client = await connect();
    const commands = Array.from({ length: 2000 }, (_, index) => ['ECHO', labelled(`e${index}`, 100)]);
    client.socket.end(Buffer.concat(commands.map(encodeCommand)));
    for (const [, value] of commands) expect(textOf(await client.next())).toBe(value);
    await client.closed;
  });
});
