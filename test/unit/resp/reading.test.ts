import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { readChunks } from '../../../src/resp/reading.js';
import { temporaryDir, waitUntil } from '../../support/environment.js';

interface Reader {
  readonly client: Socket;
  /** As the server accepted it. */
  readonly accepted: Socket;
  /** As it is to be used. */
  readonly socket: Socket;
  /** What came; looked at when all has come. */
  readonly chunks: Buffer[];
  text(): string;
}

let server: Server;
const clients: Socket[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await new Promise((resolve) => server.close(resolve));
});

/** As on a platform whose connections do not know of it. */
function hideUserBuffer(socket: Socket): void {
  const { _handle } = socket as unknown as { readonly _handle: object };
  Object.defineProperty(_handle, 'useUserBuffer', { value: undefined });
}

/** Makes connections to a server on TCP or on a file. */
async function listen(isTcp: boolean, asStream: boolean): Promise<() => Promise<Reader>> {
  server = createServer({ allowHalfOpen: true });
  const path = join(temporaryDir(), 'socket');
  if (isTcp) server.listen(0, '127.0.0.1');
  else server.listen(path);
  await once(server, 'listening');
  const address = server.address();
  return async () => {
    const client = typeof address === 'object' ? connect(address!.port, '127.0.0.1') : connect(path);
    clients.push(client);
    const chunks: Buffer[] = [];
    const [accepted] = (await once(server, 'connection')) as [Socket];
    if (asStream) hideUserBuffer(accepted);
    const socket = readChunks(accepted, (chunk) => chunks.push(chunk));
    clients.push(socket);
    return { client, accepted, socket, chunks, text: () => Buffer.concat(chunks).latin1Slice() };
  };
}

const arrived = (condition: () => boolean) => waitUntil('all has come', condition);
const sent = (socket: Socket, text: string) => new Promise((resolve) => socket.write(text, resolve));

const ways = [
  { name: 'of TCP, into the shared place', isTcp: true, asStream: false },
  { name: 'of a file, into the shared place', isTcp: false, asStream: false },
  { name: 'of TCP, as a stream', isTcp: true, asStream: true },
];

describe.each(ways)('reading connections $name', ({ isTcp, asStream }) => {
  it('takes the way that it should', async () => {
    const { client, accepted, socket, chunks } = await (await listen(isTcp, asStream))();
    expect(socket === accepted).toBe(asStream);
    let events = 0;
    socket.on('data', () => events++);
    await sent(client, 'x');
    await arrived(() => chunks.length > 0);
    expect(events).toBe(asStream ? 1 : 0);
    expect(socket.remoteAddress).toBe(isTcp ? '127.0.0.1' : undefined);
  });

  it('keeps what came of each, however they take turns', async () => {
    const open = await listen(isTcp, asStream);
    const readers = [await open(), await open()];
    const expected = ['', ''];
    for (const length of [1, 100, 4095, 4096, 70_000, 3, 200_000])
      for (const [index, { client, text }] of readers.entries()) {
        const bytes = `${index}:${length};`.repeat(length).slice(0, length);
        expected[index] += bytes;
        await sent(client, bytes);
        await arrived(() => text().length === expected[index]!.length);
      }
    for (const [index, { text }] of readers.entries()) expect(text() === expected[index]).toBe(true);
  });

  it('lets what comes wait while it pauses', async () => {
    const open = await listen(isTcp, asStream);
    const [paused, other] = [await open(), await open()];
    await sent(paused.client, 'a');
    await arrived(() => paused.text() === 'a');
    paused.socket.pause();
    await sent(paused.client, 'b');
    await sent(other.client, 'c');
    await arrived(() => other.text() === 'c');
    expect(paused.text()).toBe('a');
    paused.socket.resume();
    await arrived(() => paused.text() === 'ab');
  });

  it('pauses in the middle of what has come', async () => {
    const reader = await (await listen(isTcp, asStream))();
    const push = reader.chunks.push.bind(reader.chunks);
    reader.chunks.push = (chunk) => {
      reader.socket.pause();
      setImmediate(() => reader.socket.resume());
      return push(chunk);
    };
    const text = 'pause;'.repeat(100_000);
    reader.client.end(text);
    await once(reader.socket, 'end');
    expect(reader.text() === text).toBe(true);
  });

  it('tells of the end behind what came, and can still write', async () => {
    const { client, socket, text } = await (await listen(isTcp, asStream))();
    client.end('last');
    await once(socket, 'end');
    expect(text()).toBe('last');
    const closed = once(socket, 'close');
    socket.end('answer');
    const [answer] = await once(client, 'data');
    expect(String(answer)).toBe('answer');
    await closed;
  });

  it('tells of a client that breaks off', async () => {
    const { client, socket } = await (await listen(isTcp, asStream))();
    const closed = once(socket, 'close');
    socket.on('end', () => socket.destroy());
    client.destroy();
    await closed;
  });
});

it('goes on as a stream where one was read from already', async () => {
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as { port: number }).port, '127.0.0.1');
  clients.push(client);
  const [accepted] = (await once(server, 'connection')) as [Socket];
  client.write('greeting');
  const [first] = (await once(accepted, 'data')) as [Buffer];
  accepted.pause();
  accepted.unshift(first);
  const chunks: Buffer[] = [];
  const socket = readChunks(accepted, (chunk) => chunks.push(chunk));
  expect(socket).toBe(accepted);
  socket.resume();
  await sent(client, ', and more');
  await arrived(() => Buffer.concat(chunks).latin1Slice() === 'greeting, and more');
});
