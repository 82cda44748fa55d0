import { connect } from 'node:net';

/**
 * Sends bytes, ends its side, and gives everything the server says until it closes, as latin1.
 * A server answers all that it has read before it heeds the end.
 */
export function exchange(port: number, input: string | Buffer, timeoutMs = 15_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    const received: Buffer[] = [];
    const finish = () => {
      clearTimeout(timer);
      resolve(Buffer.concat(received).toString('latin1'));
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the server neither answered nor closed within ${timeoutMs} ms`));
    }, timeoutMs);
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    // A reset is how a close looks when the server leaves bytes unread.
    socket.on('error', finish);
    socket.on('close', finish);
    socket.on('end', () => socket.destroy());
    socket.end(typeof input === 'string' ? Buffer.from(input, 'latin1') : input);
  });
}
