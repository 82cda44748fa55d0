import { ask, Server, temporaryDirectory, until } from './servers.mjs';

/**
 * @typedef {object} StoresOptions
 * @property {string[]} subjectFlags further flags of every process
 * @property {string} [cpuProfileDir]
 * @property {string} [temporaryParent]
 */

/** A master and its stores, on this machine. */
export class Stores {
  /** @param {StoresOptions} options @param {Server} master */
  constructor(options, master) {
    this.options = options;
    this.master = master;
    /** @type {Server[]} */
    this.stores = [];
  }

  /** @param {StoresOptions} options */
  static async start(options) {
    return new Stores(options, await startRole(options, 'master', []));
  }

  /** All processes. */
  get servers() {
    return [this.master, ...this.stores];
  }

  /** The flags with which a node joins. */
  get joins() {
    return ['--master', `127.0.0.1:${this.master.port}`];
  }

  /** @param {string[]} [flags] */
  async addStore(flags = []) {
    const store = await startRole(this.options, 'store', [...this.joins, ...flags]);
    this.stores.push(store);
    return store;
  }

  addGateway() {
    return startRole(this.options, 'gateway', this.joins);
  }

  /**
   * Makes a keyspace; the first copy of its first shard is on the store that is asked.
   * @param {Server} near @param {string} words name and options, as VASTO KEYSPACE CREATE takes them
   */
  async createKeyspace(near, words) {
    await until(`keyspace ${words} is made`, async () =>
      (await ask(near.port, `VASTO KEYSPACE CREATE ${words}\r\n`)).startsWith('+OK'),
    );
  }

  async stop() {
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

/** @param {StoresOptions} options @param {'master' | 'store' | 'gateway'} role @param {string[]} flags */
function startRole({ subjectFlags, cpuProfileDir, temporaryParent }, role, flags) {
  return Server.start({
    kind: 'vasto',
    role,
    dir: temporaryDirectory(temporaryParent),
    flags: [...flags, ...subjectFlags],
    ...(cpuProfileDir === undefined ? {} : { cpuProfileDir }),
  });
}
