import { connect } from 'node:net';

const BATCH_COMMANDS = 200;
const CONNECTIONS = 8;

/** @param {string[]} args @returns {string} latin1 */
export function encode(args) {
  return `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg, 'latin1')}\r\n${arg}\r\n`).join('')}`;
}

/**
 * Writes keys through a few pipelining connections.
 * @param {object} job
 * @param {number} job.port
 * @param {number} [job.database]
 * @param {number} job.count
 * @param {(index: number) => string} job.key
 * @param {(index: number) => string} job.value
 * @param {(done: number) => void} [job.progress]
 */
export async function loadKeys({ port, database, count, key, value, progress }) {
  const command = (/** @type {number} */ index) => ['SET', key(index), value(index)];
  await runCommands({ port, database, count, command, progress });
}

/**
 * Runs commands through a few pipelining connections.
 * @param {object} job
 * @param {number} job.port
 * @param {number} [job.database]
 * @param {number} job.count
 * @param {(index: number) => string[]} job.command
 * @param {number} [job.replyLines] how many lines the reply to each of them has
 * @param {(done: number) => void} [job.progress]
 */
export async function runCommands({ port, database = 0, count, command, replyLines = 1, progress }) {
  let next = 0;
  let done = 0;
  const nextBatch = () => {
    const end = Math.min(count, next + BATCH_COMMANDS);
    let text = '';
    const size = end - next;
    for (; next < end; next++) text += encode(command(next));
    return { text, size };
  };
  const worker = async () => {
    const connection = await Connection.open(port);
    if (database !== 0) await connection.replyLines(encode(['SELECT', String(database)]), 1);
    for (let batch = nextBatch(); batch.size > 0; batch = nextBatch()) {
      await connection.replyLines(batch.text, batch.size * replyLines);
      done += batch.size;
      progress?.(done);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}

/** @param {number} port @returns {Promise<import('node:net').Socket>} connected */
export function connectTo(port) {
  return new Promise((done, failed) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      done(socket);
    });
  });
}

/** A connection for what redis-benchmark cannot do. */
export class Connection {
  /** @param {import('node:net').Socket} socket */
  constructor(socket) {
    this.socket = socket;
    this.received = '';
    /** @type {(() => void) | undefined} */
    this.wake = undefined;
    this.closed = false;
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      this.received += text;
      this.wake?.();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.closed = true;
      this.wake?.();
    });
  }

  /** @param {number} port @returns {Promise<Connection>} */
  static async open(port) {
    return new Connection(await connectTo(port));
  }

  /**
   * Sends a batch whose replies have so many lines together, none of which is an error.
   * @param {string} text @param {number} lines
   */
  async replyLines(text, lines) {
    this.socket.write(text, 'latin1');
    for (let left = lines; left > 0; ) {
      const end = this.received.lastIndexOf('\n') + 1;
      const whole = this.received.slice(0, end);
      this.received = this.received.slice(end);
      if (/^-/m.test(whole)) throw new Error(`the load failed: ${whole.slice(-300)}`);
      left -= whole.split('\n').length - 1;
      if (left > 0) await this.#more();
    }
  }

  /**
   * One SCAN call.
   * @param {string} cursor @param {string} pattern @param {number} count
   * @returns {Promise<{cursor: string, keys: string[]}>}
   */
  async scan(cursor, pattern, count) {
    this.socket.write(encode(['SCAN', cursor, 'MATCH', pattern, 'COUNT', String(count)]), 'latin1');
    for (;;) {
      const reply = parseScan(this.received);
      if (reply !== undefined) {
        this.received = '';
        return reply;
      }
      await this.#more();
    }
  }

  close() {
    this.socket.destroy();
  }

  async #more() {
    if (this.closed) throw new Error(`the server closed the connection: ${this.received.slice(-300)}`);
    await new Promise((done) => {
      this.wake = () => done(undefined);
    });
  }
}

/**
 * Reads SCAN's reply; its keys have no line breaks here.
 * @param {string} text
 */
function parseScan(text) {
  if (text.startsWith('-')) throw new Error(`SCAN failed: ${text}`);
  const lines = text.split('\r\n');
  // *2, $n, cursor, *k, then two lines a key, then the empty rest.
  const header = lines[3];
  if (header === undefined || lines.length < 5) return undefined;
  const count = Number(header.slice(1));
  if (lines.length < 5 + 2 * count) return undefined;
  const keys = Array.from({ length: count }, (_, index) => lines[5 + 2 * index] ?? '');
  return { cursor: lines[2] ?? '0', keys };
}
