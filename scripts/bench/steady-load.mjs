import { build } from 'hdr-histogram-js';
import { Client } from './client.mjs';

/*
 * A load that does not give way: operations are due by the clock, and each one's latency counts from when it was due,
 * whether or not the server was slow to answer those before it.
 */

const TICK_MS = 1;
/** More under way means that the servers cannot do what is asked of them; then latencies tell nothing. */
const UNDER_WAY_MAX = 100_000;
const LATENCY_US_MAX = 60_000_000;
const ERROR_EXAMPLES_MAX = 5;

/**
 * @typedef {object} SteadyLoadOptions
 * @property {number[]} ports the connections are spread over them
 * @property {number} [database]
 * @property {number} connections
 * @property {number} rate operations a second, reads and writes by turns
 * @property {number} keyCount all of them exist
 * @property {(index: number) => string} key
 * @property {(index: number) => string} value never empty
 */

/** Latencies of a time. */
class Phase {
  /** Microseconds. */
  histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_US_MAX,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
    useWebAssembly: false,
  });
  #seconds = 0;
  #enteredMs = 0;

  enter() {
    this.#enteredMs = performance.now();
  }

  leave() {
    this.#seconds += (performance.now() - this.#enteredMs) / 1000;
  }

  summary() {
    const { histogram } = this;
    const ms = (/** @type {number} */ percent) => histogram.getValueAtPercentile(percent) / 1000;
    return {
      seconds: this.#seconds,
      operations: histogram.totalCount,
      p50Ms: ms(50),
      p99Ms: ms(99),
      p999Ms: ms(99.9),
      maxMs: histogram.maxValue / 1000,
    };
  }
}

/** Reads and writes random keys, at a constant rate, until it is stopped. */
export class SteadyLoad {
  /** By name, in order. @type {Map<string, Phase>} */
  #phases = new Map();
  /** Those that count now. @type {Phase[]} */
  #current = [];
  #underWay = 0;
  #dueMs = 0;
  #isWrite = false;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;
  errors = 0;
  /** @type {string[]} */
  errorExamples = [];
  /** Called with each key's number, and for how long it was waited for. @type {(index: number, ms: number) => void} */
  onDone = () => undefined;

  /** @param {SteadyLoadOptions} options @param {Client[]} clients */
  constructor(options, clients) {
    this.options = options;
    this.clients = clients;
  }

  /** @param {SteadyLoadOptions} options */
  static async start(options) {
    const { ports, connections, database = 0 } = options;
    const opened = Array.from({ length: connections }, (_, index) =>
      Client.open(ports[index % ports.length]),
    );
    const clients = await Promise.all(opened);
    await Promise.all(clients.map((client) => client.call('SELECT', String(database))));
    const load = new SteadyLoad(options, clients);
    load.#dueMs = performance.now();
    load.#timer = setInterval(() => load.#tick(), TICK_MS);
    return load;
  }

  /** What is answered from now on counts for these phases; one may come again. @param {string[]} names */
  enter(names) {
    for (const phase of this.#current) phase.leave();
    this.#current = names.map((name) => {
      const phase = this.#phases.get(name) ?? new Phase();
      this.#phases.set(name, phase);
      phase.enter();
      return phase;
    });
  }

  /** Has the load last for some time. @param {string[]} names of phases @param {number} seconds */
  async during(names, seconds) {
    this.enter(names);
    await new Promise((done) => setTimeout(done, seconds * 1000));
    this.enter([]);
  }

  #tick() {
    const { options, clients } = this;
    const nowMs = performance.now();
    const everyMs = 1000 / options.rate;
    if (this.#underWay > UNDER_WAY_MAX)
      throw new Error(`${options.rate} operations a second are too many for this machine: use --rate`);
    for (; this.#dueMs <= nowMs; this.#dueMs += everyMs)
      this.#send(clients[Math.floor(Math.random() * clients.length)], this.#dueMs);
    for (const client of clients) client.flush();
  }

  /** @param {Client} client @param {number} dueMs */
  #send(client, dueMs) {
    const { keyCount, key, value } = this.options;
    const index = Math.floor(Math.random() * keyCount);
    this.#isWrite = !this.#isWrite;
    const command = this.#isWrite ? ['SET', key(index), value(index)] : ['GET', key(index)];
    this.#underWay++;
    client.queue(command, (reply) => {
      this.#underWay--;
      const ms = performance.now() - dueMs;
      for (const phase of this.#current) phase.histogram.recordValue(Math.max(1, Math.round(ms * 1000)));
      if (reply instanceof Error || reply === null) this.#failed(command, reply);
      this.onDone(index, ms);
    });
  }

  /** @param {string[]} command @param {Error | null} reply */
  #failed([name, key], reply) {
    this.errors++;
    if (this.errorExamples.length < ERROR_EXAMPLES_MAX)
      this.errorExamples.push(`${name} ${key}: ${reply?.message ?? 'the key is missing'}`);
  }

  /** Ends it. @throws Error if anything was answered with an error, or a key was not there */
  async stop() {
    clearInterval(this.#timer);
    while (this.#underWay > 0) await new Promise((done) => setTimeout(done, 10));
    for (const client of this.clients) client.close();
    if (this.errors > 0)
      throw new Error(`${this.errors} operations went wrong:\n  ${this.errorExamples.join('\n  ')}`);
  }

  /** @param {string} name of a phase that is over */
  summary(name) {
    const phase = this.#phases.get(name);
    if (phase === undefined) throw new Error(`there was no phase ${name}`);
    return phase.summary();
  }
}
