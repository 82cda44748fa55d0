import type { Timers } from '../../src/base/timers.js';
import type { MasterMessage, MasterStream } from '../../src/cluster/messages.js';
import {
  EMPTY_TOPOLOGY,
  epochOf,
  mergeTopologies,
  type StoreEntry,
  type Topology,
} from '../../src/cluster/topology.js';

/** Time that moves when told to. */
export class ManualTimers implements Timers {
  private pending: { atMs: number; readonly run: () => void }[] = [];

  constructor(private nowMs = 1_000_000) {}

  now(): number {
    return this.nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, run };
    this.pending.push(timer);
    return () => {
      this.pending = this.pending.filter((other) => other !== timer);
    };
  }

  /** Lets time pass, in the steps at which something is due; what that sets off is done before the next step. */
  async advance(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await quiet();
      const [next] = this.pending.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.pending = this.pending.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
    }
    this.nowMs = endMs;
    await quiet();
  }

  /** The clock is set back. What is due, is so after as much time as before. */
  setBack(ms: number): void {
    this.nowMs -= ms;
    for (const timer of this.pending) timer.atMs -= ms;
  }

  /** Time passes while the process stands still: all that is due runs late. */
  async freeze(ms: number): Promise<void> {
    this.nowMs += ms;
    await this.advance(0);
  }
}

/** Until everything that streams within the process have to say has been heard. */
export async function quiet(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
}

export function storeEntry(number: number, facts: Partial<StoreEntry> = {}): StoreEntry {
  return {
    id: number.toString(16).padStart(8, '0').padEnd(40, '0'),
    epoch: 0,
    host: '127.0.0.1',
    port: 7000 + number,
    tlsPort: 0,
    peerPort: 17_000 + number,
    zone: '',
    tags: [],
    doors: [],
    ...facts,
  };
}

/** A store that holds nothing but does as a store must: remembers topologies and answers. */
export class FakeStore {
  topology: Topology = EMPTY_TOPOLOGY;
  clusterId = '';
  refusal: string | undefined;
  /** What it has been told, in short. */
  readonly heard: string[] = [];
  ended: string | undefined;
  /** What it answers to a topology: '' is done, another text an error; undefined: nothing. */
  onTopology: (topology: Topology) => string | undefined = () => '';
  onCompact: (message: Extract<MasterMessage, { kind: 'compact' }>) => void = ({ task }) =>
    this.stream?.send({ kind: 'finished', task });
  stream: MasterStream | undefined;

  constructor(public entry: StoreEntry) {}

  get id(): string {
    return this.entry.id;
  }

  connect(stream: MasterStream): void {
    this.stream = stream;
    this.ended = undefined;
    stream.onMessage = (message) => this.hear(message);
    stream.onEnd = (error) => {
      this.ended = error?.message ?? '';
    };
    stream.send({ kind: 'register', store: this.entry, topology: this.topology });
  }

  report(freeBytes = 0, totalBytes = 0): void {
    this.stream?.send({ kind: 'report', freeBytes, totalBytes, shards: [], keyspaces: [] });
  }

  leave(): void {
    this.stream?.end();
    this.stream = undefined;
  }

  private hear(message: MasterMessage): void {
    this.heard.push(message.kind);
    if (message.kind === 'welcome') this.clusterId = message.clusterId;
    else if (message.kind === 'refused') this.refusal = message.reason;
    else if (message.kind === 'compact') this.onCompact(message);
    else {
      const answer = this.onTopology(message.topology);
      if (answer === undefined) return;
      if (answer === '') this.topology = mergeTopologies(this.topology, message.topology);
      const epoch = epochOf(message.topology);
      this.stream?.send({ kind: 'applied', epoch, ...(answer === '' ? {} : { error: answer }) });
    }
  }
}
