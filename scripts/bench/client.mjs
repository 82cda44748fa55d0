import Parser from 'redis-parser';
import { connectTo, encode } from './load.mjs';

/** @typedef {string | number | null | Error | Reply[]} Reply errors within replies are values */

/** A connection that pipelines commands. */
export class Client {
  /** @type {((reply: Reply) => void)[]} those that wait for a reply, first come first */
  #waiting = [];
  #out = '';

  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.socket = socket;
    const parser = new Parser({
      returnReply: (/** @type {Reply} */ reply) => this.#waiting.shift()?.(reply),
      returnError: (/** @type {Error} */ error) => this.#waiting.shift()?.(error),
      returnFatalError: (/** @type {Error} */ error) => socket.destroy(error),
    });
    socket.on('data', (chunk) => parser.execute(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const done of this.#waiting.splice(0)) done(new Error('the connection was closed'));
    });
  }

  /** @param {number} port @returns {Promise<Client>} */
  static async open(port) {
    return new Client(await connectTo(port));
  }

  /**
   * Adds a command to what the next {@link flush} sends.
   * @param {string[]} args @param {(reply: Reply) => void} done
   */
  queue(args, done) {
    this.#out += encode(args);
    this.#waiting.push(done);
  }

  flush() {
    if (this.#out === '') return;
    this.socket.write(this.#out, 'latin1');
    this.#out = '';
  }

  /** @param {...string} args @returns {Promise<Exclude<Reply, Error>>} rejects with what the server says is wrong */
  call(...args) {
    return new Promise((done, failed) => {
      this.queue(args, (reply) => (reply instanceof Error ? failed(reply) : done(reply)));
      this.flush();
    });
  }

  close() {
    this.socket.destroy();
  }
}

/**
 * What a reply of names and values by turns says.
 * @param {Reply} reply @returns {Record<string, Reply>}
 */
export function fieldsOf(reply) {
  const fields = /** @type {Reply[]} */ (reply);
  const entries = [];
  for (let at = 0; at + 1 < fields.length; at += 2) entries.push([fields[at], fields[at + 1]]);
  return Object.fromEntries(entries);
}

/**
 * The fields of a section of INFO that are numbers.
 * @param {Client} client @param {string} section @returns {Promise<Record<string, number>>}
 */
export async function info(client, section) {
  const text = String(await client.call('INFO', section));
  return Object.fromEntries(
    [...text.matchAll(/^(\w+):(\d+(?:\.\d+)?)\r?$/gm)].map(([, name, value]) => [name, Number(value)]),
  );
}
