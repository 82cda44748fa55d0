import type { Socket } from 'node:net';
import { PEERS_ASKED_MAX } from '../base/limits.js';

/** How a node begins: a whole VASTO.PEER, so that nothing but its handler answers. */
const GREETING = /^\*[3-9]\r\n\$10\r\nVASTO\.PEER\r\n/i;
const GREETING_BYTES_MAX = 32;
/** A node speaks at once. */
const WAIT_MS = 200;

/**
 * The gate for those who would be turned away as clients, because the house is full or they come from outside: they
 * may still be nodes of the cluster, which say so with their first bytes.
 */
export class PeerGate {
  private asked = 0;

  /**
   * @param admit lets a connection in that says it is a node; what it has said is to be read again
   * @param refuse turns it away
   */
  ask(socket: Socket, admit: () => void, refuse: () => void): void {
    if (this.asked >= PEERS_ASKED_MAX) {
      refuse();
      return;
    }
    this.asked++;
    const decide = (chunk: Buffer | undefined) => {
      clearTimeout(timer);
      this.asked--;
      for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener);
      if (chunk === undefined || !GREETING.test(chunk.toString('latin1', 0, GREETING_BYTES_MAX))) {
        refuse();
        return;
      }
      socket.pause();
      socket.unshift(chunk);
      admit();
      socket.resume();
    };
    const listeners = {
      data: decide,
      end: () => decide(undefined),
      error: () => decide(undefined),
    };
    const timer = setTimeout(() => decide(undefined), WAIT_MS);
    for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener);
  }
}
