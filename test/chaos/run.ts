import { pause } from '../support/environment.js';
import { type Door, DoorClient, Lane, Tally } from './clients.js';
import { ChaosCluster } from './cluster.js';
import { Faults } from './faults.js';
import type { State } from './operations.js';
import { KEYSPACES, type Round, Schedule } from './schedule.js';
import { alarms, compareCopies, describeHistory, type KnownKey, readKeyspace } from './verdict.js';
import { Windows } from './windows.js';

export interface ChaosOptions {
  readonly seed: number;
  readonly stores: number;
  /** Rounds are begun until either is over. */
  readonly rounds: number;
  readonly minutes: number;
  /** Between two commands of a lane, milliseconds. */
  readonly thinkMs: number;
  /** Rows in each keyspace that are written once and must stay as they are. */
  readonly ballastRows: number;
  /** Takes what somebody may want to read while it goes on. */
  readonly report: (line: string) => void;
  /** Whether no further round is to begin. */
  readonly isEnough?: () => boolean;
  /** Called twice a second. */
  readonly progress?: (status: ChaosStatus) => void;
}

export interface ChaosStatus {
  readonly elapsedMs: number;
  readonly round: number;
  readonly acknowledged: number;
  readonly actions: number;
  readonly current: string;
  readonly failuresInside: number;
  readonly findings: number;
}

export interface ChaosFigures {
  readonly rounds: number;
  readonly elapsedMs: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly transactions: number;
  /** Writes that WAIT has found on a replica. */
  readonly waited: number;
  /** Commands that failed while a fault excused it. */
  readonly failuresInside: number;
  /** Commands that the client did not send, for want of a connection. */
  readonly notSent: number;
  /** What was done, by kind. */
  readonly actions: ReadonlyMap<string, number>;
  /** Keys that were judged, once in each round in which they were used, and of how many of those nothing could be said. */
  readonly judged: number;
  readonly undecided: number;
  /** Rounds in which shards of a store were taken over though nothing was done to it. */
  readonly deposed: number;
  /** For each round the longest that a command took which succeeded, milliseconds. */
  readonly slowestMs: readonly number[];
  /** What was wrong; empty if nothing was. The run ends with the first round that does not come to rest. */
  readonly findings: readonly string[];
  /** What all nodes have printed, where there are findings. */
  readonly logs: ReadonlyMap<string, string>;
}

const LANES_PER_CLIENT = 2;
const BALLAST_BYTES = 400;
const BALLAST_BATCH = 200;
/** Copies are compared in all rows of the ballast once in so many rounds. */
const WHOLE_EVERY = 5;
/** How long clients go on after all changes are over, before what is there is looked at, milliseconds. */
const AFTERMATH_MS = 1000;
const WATCH_MS = 200;
/** Of the keys that are judged, how many may have too many possible states: or else the run says little. */
const UNDECIDED_SHARE_MAX = 0.01;
/** Findings of one round that are told. */
const FINDINGS_MAX = 30;

/** Runs a cluster through rounds of faults, and looks after each at what is there. */
export async function runChaos(options: ChaosOptions): Promise<ChaosFigures> {
  const solid = Math.ceil(options.stores / 2);
  const cluster = await ChaosCluster.start(options.stores, solid);
  try {
    return await new ChaosRun(options, cluster).run(new Schedule(options.seed, options.stores, solid));
  } finally {
    await cluster.stop();
  }
}

class ChaosRun {
  private readonly windows = new Windows();
  private readonly tally = new Tally();
  private readonly clients: DoorClient[] = [];
  private readonly lanes: Lane[] = [];
  private readonly findings: string[] = [];
  private readonly slowestMs: number[] = [];
  private readonly begunAt = Date.now();
  private readonly faults: Faults;
  /** Lines of each node's output that have been looked at. */
  private readonly seen = new Map<string, number>();
  private round = 0;
  private roundAt = 0;
  private failuresInside = 0;
  private deposed = 0;
  private judged = 0;
  private undecided = 0;
  private isOver = false;
  /** The last round has not come to its end. */
  private isStuck = false;

  constructor(
    private readonly options: ChaosOptions,
    private readonly cluster: ChaosCluster,
  ) {
    this.faults = new Faults(cluster, this.windows, (text) => this.note(text));
  }

  private note(text: string): void {
    const at = ((Date.now() - this.begunAt) / 1000).toFixed(1);
    this.options.report(`${at.padStart(7)} s  ${text}`);
  }

  async run(schedule: Schedule): Promise<ChaosFigures> {
    const watching = Promise.all([this.watchTopology(), this.showProgress()]);
    try {
      await this.fill();
      this.openClients();
      await Promise.all(this.clients.map(({ opened }) => opened));
      const endsAt = this.begunAt + this.options.minutes * 60_000;
      const { rounds, isEnough } = this.options;
      while (this.round < rounds && Date.now() < endsAt && !this.isStuck && isEnough?.() !== true)
        await this.oneRound(schedule.next());
      if (this.undecided > this.judged * UNDECIDED_SHARE_MAX)
        this.findings.push(
          `nothing can be said of ${this.undecided} of ${this.judged} keys, too many: there are too many states that they may have`,
        );
    } finally {
      this.isOver = true;
      for (const client of this.clients) client.close();
      await watching;
    }
    return this.figures();
  }

  private async fill(): Promise<void> {
    const client = await this.cluster.gateway.connect();
    for (const { name } of KEYSPACES) {
      await client.rendered('SELECT', name);
      const rows = this.ballast.map((key) => ['SET', key, ballastValue(key)]);
      for (let first = 0; first < rows.length; first += BALLAST_BATCH)
        await client.pipeline(rows.slice(first, first + BALLAST_BATCH));
    }
    client.close();
  }

  private get ballast(): string[] {
    return Array.from({ length: this.options.ballastRows }, (_, row) => `ballast:${row}`);
  }

  /** For each keyspace clients at the gateway, at two stores, and one that finds its way by itself. */
  private openClients(): void {
    const { stores, gateway } = this.cluster;
    for (const [number, { name: keyspace }] of KEYSPACES.entries()) {
      const at = [gateway, stores[number % stores.length]!.node, stores[(number + 2) % stores.length]!.node];
      const doors: Door[] = at.map(({ address: name, port }) => ({
        name,
        keyspace,
        addresses: [{ host: '127.0.0.1', port }],
        isCluster: false,
      }));
      const addresses = stores.map(({ host, doorPorts }) => ({ host, port: doorPorts[number]! }));
      doors.push({ name: 'cluster', keyspace, addresses, isCluster: true });
      for (const door of doors) this.openLanes(door);
    }
  }

  private openLanes(door: Door): void {
    const client = new DoorClient(door);
    this.clients.push(client);
    for (let lane = 0; lane < LANES_PER_CLIENT; lane++) {
      const name = `lane${this.lanes.length}`;
      const seed = this.options.seed + this.lanes.length + 1;
      this.lanes.push(new Lane(client, name, seed, this.options.thinkMs, this.tally));
    }
  }

  private async oneRound(round: Round): Promise<void> {
    this.round++;
    this.roundAt = Date.now();
    const told = this.findings.length;
    this.note(`round ${this.round}: ${round.theme}`);
    for (const lane of this.lanes) lane.start();
    try {
      await this.faults.run(round);
      this.note('everything is healed');
      await this.cluster.settled();
      await pause(AFTERMATH_MS);
      await this.stopLanes();
      await this.cluster.level();
      this.note('everything is at rest');
      await this.look();
    } catch (error) {
      this.findings.push((error as Error).message);
      this.isStuck = true;
      await this.stopLanes().catch(() => undefined);
    }
    this.slowestMs.push(this.tally.slowestMs);
    const { slowestMs, acknowledged } = this.tally;
    this.note(`slowest command ${slowestMs} ms; ${acknowledged} acknowledged in all`);
    this.tally.slowestMs = 0;
    for (const finding of this.findings.slice(told, told + FINDINGS_MAX)) this.note(`FINDING ${finding}`);
  }

  private async stopLanes(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.stop()));
  }

  /** Compares what is there with what clients were told, and takes it as where the next round begins. */
  private async look(): Promise<void> {
    if (this.windows.faults.some(({ kind }) => kind === 'deposed')) this.deposed++;
    this.judgeFailures();
    const isWhole = this.round % WHOLE_EVERY === 0;
    for (const [number, { name }] of KEYSPACES.entries()) {
      const lanes = this.lanes.filter(({ keyspace }) => keyspace === name);
      const own: KnownKey[] = lanes.flatMap(({ histories }) => histories);
      const ballast = this.ballast.map((key): KnownKey => ({ key, kind: 'string' }));
      const { states, problems } = await readKeyspace(this.cluster, name, [...own, ...ballast]);
      this.findings.push(...problems);
      for (const { key } of ballast)
        if (states.get(key)![0] !== ballastValue(key))
          this.findings.push(`${name}: ${key} is ${states.get(key)![0] ?? 'gone'}`);
      const compared = isWhole ? [...own, ...ballast] : own;
      this.findings.push(...(await compareCopies(this.cluster, number, compared, states)));
      this.judgeHistories(lanes, states);
    }
    this.judgeNodes();
    this.windows.clear();
  }

  private judgeFailures(): void {
    for (const failure of this.tally.failures.splice(0)) {
      if (this.windows.excuses(failure)) this.failuresInside++;
      else {
        const { keyspace, key, door, sentAt, endedAt, message } = failure;
        const [from, to] = [sentAt - this.roundAt, endedAt - this.roundAt];
        this.findings.push(`no fault excuses ${keyspace} ${key} at ${door}, ${from} to ${to} ms: ${message}`);
      }
    }
    for (const { door, from, to } of this.tally.unusable.splice(0))
      if (door !== 'cluster' && from > this.roundAt + AFTERMATH_MS && !this.windows.isDoorOut(door, from, to))
        this.findings.push(`${door} did not let clients in for ${to - from} ms`);
  }

  private judgeHistories(lanes: readonly Lane[], states: ReadonlyMap<string, State>): void {
    for (const lane of lanes)
      for (const history of lane.histories) {
        const found = states.get(history.key)!;
        const allowance = this.windows.allowance(lane.keyspace, history.key);
        const verdict = history.judge(found, allowance);
        if (history.events.length > 0) this.judged++;
        if (verdict.kind === 'undecided') this.undecided++;
        else if (verdict.kind === 'wrong')
          this.findings.push(
            `${lane.keyspace}: ${verdict.text} (${JSON.stringify(allowance)}, round at ${this.roundAt})\n${describeHistory(history, this.roundAt)}`,
          );
        history.settle(found);
      }
  }

  private judgeNodes(): void {
    for (const { node, exit } of this.cluster.unexpectedExits.splice(0))
      this.findings.push(`${node} ended by itself: code ${exit.code}, signal ${exit.signal}`);
    for (const node of this.cluster.all) {
      // The last one may not be whole yet.
      const lines = node.output.split('\n').slice(0, -1);
      for (const line of alarms(lines.slice(this.seen.get(node.address) ?? 0)))
        this.findings.push(`${this.cluster.nameOf(node)} logs: ${line}`);
      this.seen.set(node.address, lines.length);
    }
  }

  /** Follows the topology; while the master is away nothing changes. */
  private async watchTopology(): Promise<void> {
    let last = '';
    while (!this.isOver) {
      const topology = await this.cluster.nodes.control.fetchTopology().catch(() => undefined);
      const text = topology === undefined ? last : JSON.stringify([...topology.keyspaces.values()]);
      if (text !== last && topology !== undefined) this.windows.saw(topology, Date.now());
      last = text;
      await pause(WATCH_MS);
    }
  }

  private async showProgress(): Promise<void> {
    const { progress } = this.options;
    while (!this.isOver && progress !== undefined) {
      const { round, failuresInside, faults } = this;
      progress({
        elapsedMs: Date.now() - this.begunAt,
        round,
        acknowledged: this.tally.acknowledged,
        actions: [...faults.counts.values()].reduce((sum, count) => sum + count, 0),
        current: faults.current,
        failuresInside: failuresInside + this.tally.failures.length,
        findings: this.findings.length,
      });
      await pause(500);
    }
  }

  private figures(): ChaosFigures {
    const { acknowledged, reads, transactions, waited, notSent } = this.tally;
    const { findings, failuresInside, deposed, slowestMs, judged, undecided } = this;
    const logs =
      findings.length === 0
        ? []
        : this.cluster.all.map((node) => [this.cluster.nameOf(node), node.output] as const);
    return {
      rounds: this.round,
      elapsedMs: Date.now() - this.begunAt,
      ...{ acknowledged, reads, transactions, waited, notSent },
      ...{ failuresInside, deposed, slowestMs, findings, judged, undecided },
      actions: this.faults.counts,
      logs: new Map(logs),
    };
  }
}

function ballastValue(key: string): string {
  return `${key} `.padEnd(BALLAST_BYTES, key);
}
