import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { DEDICATED_LINKS_MAX, MOVED_COMMANDS_MAX, SPARE_LINKS_MAX } from '../base/limits.js';
import type { RespVersion } from '../base/reply-writer.js';
import { commandSlot } from './command-slot.js';
import { commandOfFrame, encodeCommand, type Frame } from './frames.js';
import { shardsOfSlots } from './jump-hash.js';
import { Link, MOVED_CODE } from './link.js';
import type { LinkHost, LinkTarget, Opening } from './link-host.js';
import { errorReply, Gather, LinkRequest, type ReplyReceiver } from './link-request.js';
import type { KeyspaceEntry, StoreEntry, Topology } from './topology.js';

/** A connection on its way. */
export interface OpenSocket {
  readonly socket: Duplex;
  /** The event after which it can be written to. */
  readonly readyEvent: string;
  readonly port: number;
}

export interface LinksOptions {
  /** Id of this store; '' where no data is held. */
  readonly self: string;
  /** The topology in force. */
  topology(): Topology;
  /** `cluster-node-timeout`, milliseconds. */
  timeoutMs(): number;
  /** The secret to show to other nodes, where there is one. */
  secret?(): string | undefined;
  /** Opens a connection to a store's plain door, by TLS where nodes speak it; a text tells why that cannot be. */
  openSocket?(store: StoreEntry): OpenSocket | string;
}

const TICK_MS = 100;
const PING = encodeCommand(['PING']);
/** How long to wait for news of where a shard is before asking again. */
const MOVED_DELAY_MS = 50;

/** A command that another node refused, because its shard is not there. */
interface Moved {
  readonly target: LinkTarget;
  readonly request: LinkRequest;
}

/**
 * The links of this node to the stores of its cluster: one for each store, keyspace and protocol version, and those
 * that belong to one client each.
 */
export class RemoteLinks implements LinkHost {
  private readonly shared = new Map<string, Map<string, (Link | undefined)[]>>();
  private readonly dedicated = new Set<Link>();
  private spare: Link[] = [];
  private movedOnes: Moved[] = [];
  private movedCommands = 0;
  private movedTimer: NodeJS.Timeout | undefined;
  private ticker: NodeJS.Timeout | undefined;
  private isClosed = false;
  /** When stores were asked for a sign of life. */
  private askedAtMs = 0;

  constructor(private readonly options: LinksOptions) {}

  get timeoutMs(): number {
    return this.options.timeoutMs();
  }

  /** All there are, dedicated ones too. */
  *all(): Iterable<Link> {
    for (const keyspaces of this.shared.values())
      for (const versions of keyspaces.values())
        for (const link of versions) if (link !== undefined) yield link;
    yield* this.dedicated;
  }

  /** Whether a store is known to be out of reach; one that nobody had reason to call is not. */
  isAway(store: string): boolean {
    for (const versions of this.shared.get(store)?.values() ?? [])
      if (versions.some((link) => link?.isAway === true)) return true;
    return false;
  }

  // ---------------------------------------------------------------- links

  /** The link that all clients of this node share. */
  to(store: string, keyspace: string, version: RespVersion): Link {
    const existing = this.shared.get(store)?.get(keyspace)?.[version];
    if (existing !== undefined && !existing.isClosed) return existing;
    const link = new Link({ store, keyspace, version }, this);
    const keyspaces = this.shared.get(store) ?? new Map<string, (Link | undefined)[]>();
    const versions = keyspaces.get(keyspace) ?? [];
    versions[version] = link;
    this.shared.set(store, keyspaces.set(keyspace, versions));
    this.startTicking();
    return link;
  }

  /**
   * A link for one client alone, which must give it back by {@link release}.
   * @param onLost is called when it broke: what its other end knew of the client is gone
   * @returns undefined when there are too many
   */
  openDedicated(store: string, keyspace: string, version: RespVersion, onLost: () => void): Link | undefined {
    const matches = ({ isReady, target }: Link) =>
      isReady && target.store === store && target.keyspace === keyspace && target.version === version;
    const index = this.spare.findIndex(matches);
    if (index >= 0) {
      const link = this.spare.splice(index, 1)[0]!;
      link.onLost = onLost;
      return link;
    }
    if (this.dedicated.size >= DEDICATED_LINKS_MAX && !this.dropSpare()) return undefined;
    const link = new Link({ store, keyspace, version }, this, true, onLost);
    this.dedicated.add(link);
    this.startTicking();
    return link;
  }

  /** @param isClean whether nothing of its client is left at its other end, so that another client may have it */
  release(link: Link, isClean: boolean): void {
    link.onLost = () => undefined;
    if (isClean && link.isReady && link.pending.commands === 0 && this.spare.length < SPARE_LINKS_MAX)
      this.spare.push(link);
    else {
      this.dedicated.delete(link);
      link.close();
    }
  }

  private dropSpare(): boolean {
    const link = this.spare.shift();
    if (link === undefined) return false;
    this.dedicated.delete(link);
    link.close();
    return true;
  }

  // ---------------------------------------------------------------- connecting

  open(target: LinkTarget): Opening | string {
    const { stores, keyspaces, clusterId } = this.options.topology();
    const store = stores.get(target.store);
    const keyspace = keyspaces.get(target.keyspace);
    if (keyspace === undefined || keyspace.deleted) return 'the keyspace has been deleted';
    if (store === undefined) return 'no such store is in the cluster';
    const opened = (this.options.openSocket ?? openPlain)(store);
    if (typeof opened === 'string') return opened;
    const { socket, readyEvent, port } = opened;
    const secret = this.options.secret?.();
    const words = ['VASTO.PEER', clusterId, target.keyspace];
    if (secret !== undefined) words.push('SECRET', Buffer.from(secret, 'utf8').toString('latin1'));
    if (this.options.self !== '') words.push('STORE', this.options.self);
    const greeting = [encodeCommand(words)];
    if (target.version === 3) greeting.push(encodeCommand(['HELLO', '3']));
    return { socket, readyEvent, greeting, address: `${store.host}:${port}` };
  }

  // ---------------------------------------------------------------- what has moved

  moved(target: LinkTarget, request: LinkRequest): void {
    const count = request.commands;
    if (
      this.isClosed ||
      request.deadlineMs <= performance.now() ||
      this.movedCommands + count > MOVED_COMMANDS_MAX
    ) {
      const error = `CLUSTERDOWN store ${target.store.slice(0, 8)} does not hold the shard, and no other one is known to`;
      settle(request, () => errorReply(error));
      return;
    }
    this.movedCommands += count;
    this.movedOnes.push({ target, request });
    this.movedTimer ??= setTimeout(() => this.sendMoved(), MOVED_DELAY_MS);
  }

  /** The topology has changed: what waits for that goes on. */
  topologyChanged(): void {
    for (const link of this.all()) {
      if (link.isReady || link.isDedicated || link.isClosed) continue;
      for (const request of link.withdraw()) this.sendAgain(link.target, request);
    }
    this.sendMoved();
  }

  private sendMoved(): void {
    clearTimeout(this.movedTimer);
    this.movedTimer = undefined;
    const moved = this.movedOnes;
    this.movedOnes = [];
    this.movedCommands = 0;
    for (const { target, request } of moved) this.sendAgain(target, request);
  }

  /** Sends what was not answered to where it belongs now. */
  private sendAgain(target: LinkTarget, request: LinkRequest): void {
    const entry = this.options.topology().keyspaces.get(target.keyspace);
    if (entry === undefined || entry.deleted) {
      settle(request, () => errorReply('ERR the keyspace has been deleted'));
      return;
    }
    const frames = request.remaining();
    if (request.isBlock) {
      const shard = frames.map((frame) => shardOf(frame, entry)).find((each) => each !== undefined);
      const again = new LinkRequest(request.receiver, true, request.deadlineMs);
      for (const { bytes } of frames) again.add(bytes);
      this.to(ownerOf(entry, shard, target), target.keyspace, target.version).add(again);
      return;
    }
    settle(request, (place, index) => {
      const frame = frames[index]!;
      // Who took the command apart has to do it again.
      if (isOutdated(frame, entry)) return errorReply(`${MOVED_CODE} the keyspace has other shards now`);
      const store = ownerOf(entry, shardOf(frame, entry), target);
      this.to(store, target.keyspace, target.version).send(place, frame.bytes, request.deadlineMs);
      return undefined;
    });
  }

  // ---------------------------------------------------------------- time

  private startTicking(): void {
    if (this.ticker !== undefined || this.isClosed) return;
    this.ticker = setInterval(() => this.tick(), TICK_MS);
    this.ticker.unref();
  }

  private tick(): void {
    const nowMs = performance.now();
    for (const link of this.all()) link.tick(nowMs);
    for (const [store, keyspaces] of this.shared) {
      for (const [keyspace, versions] of keyspaces) {
        if (!versions.some((link) => link !== undefined && !link.isClosed)) keyspaces.delete(keyspace);
      }
      if (keyspaces.size === 0) this.shared.delete(store);
    }
    this.watchPatientOnes(nowMs);
    this.spare = this.spare.filter((link) => !link.isClosed);
    // One that is closed but not given back yet answers its client with errors by itself.
    if (this.shared.size === 0 && this.dedicated.size === 0) {
      clearInterval(this.ticker);
      this.ticker = undefined;
    }
  }

  /** Links whose replies may take for ever break when their store does not answer to the shared one either. */
  private watchPatientOnes(nowMs: number): void {
    const patient = [...this.dedicated].filter((link) => link.isPatient);
    if (patient.length === 0) return;
    const asks = nowMs - this.askedAtMs >= this.timeoutMs / 2;
    if (asks) this.askedAtMs = nowMs;
    const asked = new Set<Link>();
    for (const link of patient) {
      const shared = this.to(link.target.store, link.target.keyspace, 2);
      if (shared.isAway) link.giveUp();
      else if (asks && !asked.has(shared)) shared.send({ deliver: () => undefined }, PING);
      asked.add(shared);
    }
  }

  /** Ends all links; what was not answered gets errors. */
  close(): void {
    this.isClosed = true;
    clearInterval(this.ticker);
    this.ticker = undefined;
    for (const link of [...this.all()]) link.close();
    this.sendMoved();
  }
}

function openPlain({ host, port }: StoreEntry): OpenSocket | string {
  if (port === 0) return 'it has no port for other nodes';
  const socket = connect({ host, port, noDelay: true, keepAlive: true });
  return { socket, readyEvent: 'connect', port };
}

function isForShard({ args }: Frame): boolean {
  return /^vasto\.on$/i.test(args[0]!.latin1Slice());
}

/** Whether a command for a shard was made for another number of shards than there are. */
function isOutdated(frame: Frame, { shards }: KeyspaceEntry): boolean {
  if (!isForShard(frame)) return false;
  const [, count] = frame.args[1]?.latin1Slice().split('/') ?? [];
  return count !== undefined && Number(count) !== shards.length;
}

/** The shard that a command is for; undefined if it does not tell. */
function shardOf(frame: Frame, entry: KeyspaceEntry): number | undefined {
  if (isForShard(frame)) return Number.parseInt(frame.args[1]?.latin1Slice() ?? '', 10);
  if (entry.shards.length === 1) return 0;
  const command = commandOfFrame(frame);
  const slot = command === undefined ? -1 : commandSlot(command, frame.args);
  return slot < 0 ? undefined : shardsOfSlots(entry.shards.length)[slot];
}

function ownerOf(entry: KeyspaceEntry, shard: number | undefined, { store }: LinkTarget): string {
  return (shard === undefined ? undefined : entry.shards[shard]?.stores[0]) ?? store;
}

/**
 * Has each command of a request that has no reply yet answered.
 * @param answer gives the reply, or nothing when it will put it into the place by itself. `index` counts the commands
 *   that the receiver has no replies of
 */
function settle(
  request: LinkRequest,
  answer: (place: ReplyReceiver, index: number) => Buffer | undefined,
): void {
  if (request.isBlock) {
    const reply = answer(request.receiver, 0);
    if (reply !== undefined) request.receiver.deliver(reply, 0);
    return;
  }
  const outcomes =
    request.outcomes ?? new Array<Buffer | undefined>(request.commands - request.answered).fill(undefined);
  const gather = new Gather(request.receiver, outcomes.length);
  for (const [index, outcome] of outcomes.entries()) {
    const reply = outcome ?? answer(gather.place(index), index);
    if (reply !== undefined) gather.fill(index, reply);
  }
}
