import { Buffer } from 'node:buffer';
import { CommandError } from '../base/command-errors.js';
import type { Config } from '../base/config.js';
import { DOOR_REPLIES_MAX } from '../base/limits.js';
import { ReplyWriter, type RespVersion } from '../base/reply-writer.js';
import { type DoorMap, type DoorNode, doorMap } from '../cluster/door-map.js';
import type { RemoteLinks } from '../cluster/links.js';
import { SLOTS } from '../cluster/slots.js';
import { nodesUseTls } from '../cluster/tls-settings.js';
import type { Keyspace, ShardPlace } from '../node/keyspaces.js';
import type { Store } from '../node/store.js';
import type { Session } from './session.js';

/** What the cluster doors of a node show. It is made when first asked for, and kept until the topology changes. */
export class ClusterDoors {
  private readonly views = new Map<string, DoorView>();

  /** @param nodeId 40 hexadecimal digits by which clients know this node */
  constructor(
    private readonly config: Config,
    private readonly store: Store,
    private readonly links: RemoteLinks,
    private readonly nodeId: string,
  ) {}

  topologyChanged(): void {
    this.views.clear();
  }

  /** @param keyspace the name of one that has a door here */
  view(keyspace: string): DoorView {
    let view = this.views.get(keyspace);
    if (view === undefined) {
      view = new DoorView(doorMap(this.store.keyspaces.topology, keyspace, this.self(keyspace)));
      this.views.set(keyspace, view);
    }
    return view;
  }

  /**
   * The keyspace of a door. One that is a database's comes into being when it is first asked for, as at the plain door:
   * then there is a promise for its end. Others are made by an operator: until then there is an error.
   */
  keyspace(name: string): Keyspace | Promise<unknown> | CommandError {
    const { keyspaces } = this.store;
    const found = keyspaces.named(name);
    if (found !== undefined) return found;
    const db = Number(/^db(0|[1-9]\d{0,9})$/.exec(name)?.[1] ?? Number.NaN);
    if (db < this.config.values.databases && keyspaces.numbered(db) === undefined) {
      const coming = this.store.database(db);
      if (coming instanceof Promise) return coming;
    }
    return new CommandError(
      `CLUSTERDOWN keyspace '${name}' does not exist: VASTO KEYSPACE CREATE ${name} makes it`,
    );
  }

  /** Whether a node is known to be out of reach. */
  readonly isAway = ({ id }: DoorNode): boolean => this.links.isAway(id);

  /** Whether the ports of the doors speak TLS: as the nodes among themselves do. */
  get useTls(): boolean {
    return nodesUseTls(this.config.values);
  }

  /** As others hear of it. */
  private self(keyspace: string): DoorNode {
    const entry = this.store.keyspaces.topology.stores.get(this.nodeId);
    const door = this.config.values['cluster-port'].find((each) => each.keyspace === keyspace);
    return {
      id: this.nodeId,
      host: entry?.host ?? this.store.membership.host,
      port: door?.port ?? 0,
      peerPort: entry?.peerPort ?? 0,
    };
  }
}

/** What a door shows at present, with the replies that were made of it. */
export class DoorView {
  private readonly replies = new Map<string, Buffer>();
  /** For each slot 1 if it is shown as this node's, else 0: read for every command. */
  readonly slotsHere: Uint8Array;

  constructor(readonly map: DoorMap) {
    this.slotsHere = Uint8Array.from({ length: SLOTS }, (_, slot) =>
      map.ownerOf(slot) === map.self ? 1 : 0,
    );
  }

  /**
   * A reply, made once.
   * @param name tells it from others, together with all that it depends on besides the map
   */
  reply(name: string, version: RespVersion, write: (reply: ReplyWriter) => void): Buffer {
    const key = `${version} ${name}`;
    let reply = this.replies.get(key);
    if (reply === undefined) {
      const writer = new ReplyWriter();
      writer.version = version;
      write(writer);
      reply = Buffer.from(writer.written());
      if (this.replies.size >= DOOR_REPLIES_MAX) this.replies.clear();
      this.replies.set(key, reply);
    }
    return reply;
  }
}

/** The shards that commands without keys are about: at a cluster door, as in Redis Cluster, those of this node. */
export function placesAsked(
  doors: ClusterDoors,
  { door }: Session,
  { places }: Keyspace,
): readonly ShardPlace[] {
  if (door === '') return places;
  return doors
    .view(door)
    .map.shardsHere.map((shard) => places[shard])
    .filter((place) => place !== undefined);
}
