import { Buffer } from 'node:buffer';
import { Socket, type SocketConstructorOpts } from 'node:net';

/** As much as the platform asks the kernel for at once. */
const READ_BYTES_MAX = 64 << 10;

/** Where all bare connections are read into, one after the other: what is here is copied out before the next read. */
const landing = Buffer.allocUnsafeSlow(READ_BYTES_MAX);

/**
 * Has what arrives at a socket handed to `receive`, in chunks that are never written to again.
 *
 * A stream's own reading takes 64 KB of memory for each read and gives most of it back, and keeps a stream's books, which costs
 * more than a small command does. So a bare connection is read into one place that all share, and what came is copied. TLS,
 * and connections that have been read from already, are read as streams.
 * @returns the socket to be used from now on; the one given is of no use any more if it is another
 */
export function readChunks(socket: Socket, receive: (chunk: Buffer) => void): Socket {
  const reader = sharingReader(socket, receive) ?? socket;
  reader.on('data', receive);
  return reader;
}

/** The platform's connection below a socket. */
interface Bare {
  _handle: { readonly useUserBuffer?: unknown } | null;
}

/**
 * A socket in place of another that is read into the shared place. `onread` can only be said of a new one, and a server makes
 * sockets without it; so the connection below changes hands. That it has a name, `_handle`, is not documented: without one
 * the connection stays a stream. And should `onread` not be heeded, there are events as of a stream.
 */
function sharingReader(socket: Socket, receive: (chunk: Buffer) => void): Socket | undefined {
  if (Object.getPrototypeOf(socket) !== Socket.prototype || socket.bytesRead > 0) return undefined;
  const bare = socket as unknown as Bare;
  const handle = bare._handle;
  if (typeof handle?.useUserBuffer !== 'function') return undefined;
  bare._handle = null;
  socket.destroy();
  const callback = (bytes: number): boolean => {
    // Small ones are pieces of larger memory: what is kept of one for long keeps 8 KB.
    const chunk = Buffer.allocUnsafe(bytes);
    landing.copy(chunk, 0, 0, bytes);
    receive(chunk);
    return true;
  };
  return new Socket({
    handle,
    allowHalfOpen: socket.allowHalfOpen,
    onread: { buffer: landing, callback },
  } as SocketConstructorOpts);
}
