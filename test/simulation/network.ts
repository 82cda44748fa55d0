import type { MessageStream } from '../../src/cluster/messages.js';
import type { Random } from '../support/random.js';
import type { Life, Scheduler } from './scheduler.js';

/** A message is on its way for so long, milliseconds. */
const LATENCY_MIN_MS = 0.1;
const LATENCY_MAX_MS = 2;
/** Now and then one takes that long. */
const LATENCY_LATE_MS = 60;
const LATE_CHANCE = 0.02;
/** Each end asks the other for signs of life; none for so long is the end of the connection, milliseconds. */
const KEEPALIVE_MIN_MS = 2000;
const KEEPALIVE_MAX_MS = 3100;
/** After a cut, what waits is sent again so much later at most, milliseconds. */
const RESEND_MAX_MS = 200;

/** Who has lost a connection hears of it when he says something, which he does so often, milliseconds. */
const TELL_AGAIN_MS = 500;

/** Who has a place in the network. */
export interface Host {
  readonly name: string;
  /** The process that is there; undefined while none is. */
  readonly life: Life | undefined;
}

/** The end of a connection as the process sees it that has it. */
class End<In, Out> implements MessageStream<In, Out> {
  onMessage: (message: In) => void = () => undefined;
  onEnd: (error: Error | undefined) => void = () => undefined;
  /** What the network itself wants to know, see {@link Network.connect}. */
  onOver: () => void = () => undefined;
  peer!: End<Out, In>;
  isOver = false;
  /** What is on its way from here, in order. */
  private readonly sent: { readonly message: Out; readonly atMs: number }[] = [];
  private lastAtMs = 0;

  constructor(
    private readonly network: Network,
    readonly host: Host,
    readonly life: Life,
    private readonly connection: Connection,
  ) {}

  send(message: Out): void {
    if (this.isOver || this.life.isOver) return;
    const { scheduler } = this.network;
    this.lastAtMs = Math.max(this.lastAtMs, scheduler.nowMs + this.network.latencyMs());
    this.sent.push({ message, atMs: this.lastAtMs });
    scheduler.after(this.lastAtMs - scheduler.nowMs, () => this.deliver());
  }

  /** Brings what is due to the other side, if there is a way. */
  private deliver(): void {
    const { connection, sent, network } = this;
    if (!connection.isWhole || !network.isOpen(this.host, this.peer.host)) return;
    for (let next = sent[0]; next !== undefined && next.atMs <= network.scheduler.nowMs; next = sent[0]) {
      sent.shift();
      const { peer } = this;
      if (peer.isOver || peer.life.isOver) return;
      connection.open();
      peer.onMessage(next.message);
    }
  }

  /** The machine is not there any more that would send again what has not arrived. */
  stopResending(): void {
    const { scheduler } = this.network;
    const isOnItsWay = this.network.isOpen(this.host, this.peer.host);
    const arriving = isOnItsWay ? this.sent.filter(({ atMs }) => atMs > scheduler.nowMs) : [];
    this.sent.splice(0, this.sent.length, ...arriving);
  }

  /** The way is open again. */
  resend(delayMs: number): void {
    this.network.scheduler.after(delayMs, () => this.deliver());
  }

  end(): void {
    this.close(undefined, undefined);
  }

  /** @param here what this side is told, which has not ended it itself */
  close(here: Error | undefined, there: Error | undefined): void {
    if (this.isOver) return;
    const { network, peer } = this;
    // The other side gets what is on its way, and then the end.
    const { scheduler } = network;
    const atMs = Math.max(this.lastAtMs, scheduler.nowMs + network.latencyMs());
    const tell = () => {
      if (peer.isOver || peer.life.isOver) return;
      if (network.isOpen(this.host, peer.host)) peer.fall(there);
      else scheduler.after(TELL_AGAIN_MS, tell);
    };
    scheduler.after(atMs - scheduler.nowMs, tell);
    this.fall(here, here === undefined);
  }

  /** The connection is not there any more for this side. */
  fall(error: Error | undefined, isSilent = false): void {
    if (this.isOver) return;
    this.isOver = true;
    if (!isSilent) this.sent.length = 0;
    if (this.life.isOver) return;
    if (!isSilent) this.onEnd(error);
    this.onOver();
  }
}

/** What both ends have in common. */
class Connection {
  private isAccepted = false;
  ends!: readonly [End<unknown, unknown>, End<unknown, unknown>];

  constructor(
    private readonly network: Network,
    private readonly accept: () => void,
  ) {}

  /** Whether the connection is made, which takes both ways. */
  get isWhole(): boolean {
    const [one, other] = this.ends;
    return (
      this.isAccepted ||
      (this.network.isOpen(one.host, other.host) && this.network.isOpen(other.host, one.host))
    );
  }

  /** The first message has arrived. */
  open(): void {
    if (this.isAccepted) return;
    this.isAccepted = true;
    this.accept();
  }

  get isOver(): boolean {
    return this.ends.every((end) => end.isOver || end.life.isOver);
  }

  isBetween(one: Host, other: Host): boolean {
    const [a, b] = this.ends;
    return (a.host === one && b.host === other) || (a.host === other && b.host === one);
  }
}

/**
 * Hosts and the ways between them, each way by itself open or cut. What is sent on one connection arrives in order or
 * waits; what is sent on different ones may overtake. A connection that hears nothing ends, and what was on its way with it.
 */
export class Network {
  private readonly cuts = new Map<string, number>();
  private connections: Connection[] = [];

  constructor(
    readonly scheduler: Scheduler,
    private readonly random: Random,
  ) {}

  latencyMs(): number {
    const { random } = this;
    if (random.chance(LATE_CHANCE)) return random.float() * LATENCY_LATE_MS;
    return LATENCY_MIN_MS + random.float() * (LATENCY_MAX_MS - LATENCY_MIN_MS);
  }

  isOpen(from: Host, to: Host): boolean {
    return from === to || (this.cuts.get(`${from.name} ${to.name}`) ?? 0) === 0;
  }

  /**
   * Begins a conversation with the process at another host.
   * @param accept gives the other end to that process, when the first message comes
   * @param over is called when this side has no connection any more, whoever ended it
   */
  connect<In, Out>(
    from: Host,
    to: Host,
    accept: (end: MessageStream<Out, In>) => void,
    over: () => void = () => undefined,
  ): MessageStream<In, Out> {
    const [near, far] = [from.life!, to.life];
    const connection = new Connection(this, () => accept(there));
    const here = new End<In, Out>(this, from, near, connection);
    // Where nobody listens, the end of nobody answers.
    const there = new End<Out, In>(this, to, far ?? near, connection);
    here.peer = there;
    there.peer = here;
    here.onOver = over;
    connection.ends = [here as End<unknown, unknown>, there as End<unknown, unknown>];
    if (far === undefined || far.isOver) {
      there.isOver = true;
      this.refuse(from, to, here as End<unknown, unknown>);
    } else {
      this.connections.push(connection);
      if (!connection.isWhole) this.watch(connection);
    }
    return here;
  }

  private refuse(from: Host, to: Host, here: End<unknown, unknown>): void {
    const isReached = this.isOpen(from, to) && this.isOpen(to, from);
    const delayMs = isReached ? 2 * this.latencyMs() : this.keepaliveMs();
    this.scheduler.after(delayMs, () => here.fall(new Error(`nobody answers at ${to.name}`)));
  }

  private keepaliveMs(): number {
    return KEEPALIVE_MIN_MS + this.random.float() * (KEEPALIVE_MAX_MS - KEEPALIVE_MIN_MS);
  }

  /** What one side sends does not reach the other. Cuts add up. */
  cut(from: Host, to: Host): void {
    const key = `${from.name} ${to.name}`;
    this.cuts.set(key, (this.cuts.get(key) ?? 0) + 1);
    for (const connection of this.between(from, to)) this.watch(connection);
  }

  mend(from: Host, to: Host): void {
    const key = `${from.name} ${to.name}`;
    this.cuts.set(key, Math.max(0, (this.cuts.get(key) ?? 0) - 1));
    if (this.isOpen(from, to))
      for (const { ends } of this.between(from, to))
        for (const end of ends) end.resend(this.random.float() * RESEND_MAX_MS);
  }

  /** Each side, by itself, finds out that it hears nothing. */
  private watch(connection: Connection): void {
    const [one, other] = connection.ends;
    for (const end of connection.ends)
      this.scheduler.after(this.keepaliveMs(), () => {
        if (this.isOpen(one.host, other.host) && this.isOpen(other.host, one.host)) return;
        end.close(new Error('the connection does not answer'), new Error('the connection was reset'));
      });
  }

  /** All connections between two hosts break, with what is on its way. */
  reset(one: Host, other: Host): void {
    for (const { ends } of this.between(one, other))
      for (const end of ends) end.fall(new Error('the connection was reset'));
  }

  /** The process at a host has ended. @param isHeard whether its machine still tells others so */
  died(host: Host, isHeard: boolean): void {
    for (const { ends } of this.connections) {
      const [near, far] = ends[0].host === host ? ends : [ends[1], ends[0]];
      if (near.host !== host || far.isOver) continue;
      if (!isHeard) near.stopResending();
      const error = new Error(`${host.name} is gone`);
      const isReached = isHeard && this.isOpen(host, far.host);
      this.scheduler.after(isReached ? this.latencyMs() : this.keepaliveMs(), () => far.fall(error));
    }
  }

  private between(one: Host, other: Host): Connection[] {
    this.connections = this.connections.filter((connection) => !connection.isOver);
    return this.connections.filter((connection) => connection.isBetween(one, other));
  }
}
