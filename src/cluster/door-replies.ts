import type { ReplyWriter } from '../base/reply-writer.js';
import { type DoorMap, type DoorNode, isComplete } from './door-map.js';
import type { SlotRange } from './slot-ranges.js';

/*
 * What CLUSTER tells of a keyspace, in the forms of Redis Cluster. Everything here is pure; the replies are as large as
 * the map has ranges, so who asks for them keeps them.
 */

/** Whether a node is known to be out of reach. */
export type IsAway = (node: DoorNode) => boolean;

/** CLUSTER SLOTS: for each range who holds it, the owner first. */
export function writeSlots(reply: ReplyWriter, { groups, ranges }: DoorMap): void {
  reply.array(ranges.length);
  for (const { first, last, group } of ranges) {
    const { nodes } = groups[group]!;
    reply.array(2 + nodes.length);
    reply.integer(first);
    reply.integer(last);
    for (const { host, port, id } of nodes) {
      reply.array(4);
      reply.bulk(host);
      reply.integer(port);
      reply.bulk(id);
      // Redis tells further names of the node here, where it has any.
      reply.map(0);
    }
  }
}

/**
 * CLUSTER SHARDS: those that hold the same slots, with the slots; then those that hold none.
 * @param tls whether the ports of the doors speak TLS
 */
export function writeShards(reply: ReplyWriter, map: DoorMap, tls: boolean, isAway: IsAway): void {
  const busy = new Set(map.groups.flatMap(({ nodes }) => nodes));
  const idle = map.nodes.filter((node) => !busy.has(node)).map((node) => ({ nodes: [node], ranges: [] }));
  const shards = [...map.groups, ...idle];
  reply.array(shards.length);
  for (const { nodes, ranges } of shards) {
    reply.map(2);
    reply.bulk('slots');
    reply.array(ranges.length * 2);
    for (const { first, last } of ranges) {
      reply.integer(first);
      reply.integer(last);
    }
    reply.bulk('nodes');
    reply.array(nodes.length);
    for (const [place, node] of nodes.entries())
      writeShardNode(reply, node, {
        portName: tls ? 'tls-port' : 'port',
        role: place === 0 ? 'master' : 'replica',
        health: isAway(node) ? 'fail' : 'online',
      });
  }
}

function writeShardNode(
  reply: ReplyWriter,
  { id, host, port }: DoorNode,
  { portName, role, health }: { readonly portName: string; readonly role: string; readonly health: string },
): void {
  const texts = { ip: host, endpoint: host, role };
  reply.map(7);
  reply.bulk('id');
  reply.bulk(id);
  reply.bulk(portName);
  reply.integer(port);
  for (const [name, text] of Object.entries(texts)) {
    reply.bulk(name);
    reply.bulk(text);
  }
  reply.bulk('replication-offset');
  reply.integer(0);
  reply.bulk('health');
  reply.bulk(health);
}

/**
 * CLUSTER NODES: a line for each node with the slots that it owns. Copies are not told here, for a node can own some
 * shards and have copies of others, which Redis's nodes cannot.
 */
export function nodesText(map: DoorMap, isAway: IsAway): string {
  return `${map.nodes.map((node) => `${nodeLine(map, node, isAway)}\n`).join('')}`;
}

function nodeLine(map: DoorMap, node: DoorNode, isAway: IsAway): string {
  const { id, host, port, peerPort } = node;
  const flags = node === map.self ? 'myself,master' : 'master';
  const state = isAway(node) ? 'disconnected' : 'connected';
  // No pings are counted: who is alive is the master's to know.
  const words = [id, `${host}:${port}@${peerPort}`, flags, '-', 0, 0, map.keyspaceEpoch, state];
  return [...words, ...rangesOf(map, node).map(rangeText)].join(' ');
}

/** The ranges that a node owns, in order. */
function rangesOf({ groups, ranges }: DoorMap, node: DoorNode): SlotRange[] {
  return ranges.filter(({ group }) => groups[group]!.nodes[0] === node);
}

function rangeText({ first, last }: SlotRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}

/** CLUSTER INFO. The state is `ok` when every slot is somebody's; what slots there are is served in any case. */
export function clusterInfoText(map: DoorMap, isAway: IsAway): string {
  const owners = new Set(map.groups.map(({ nodes }) => nodes[0]!));
  const away = map.ranges
    .filter(({ group }) => isAway(map.groups[group]!.nodes[0]!))
    .reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const fields = {
    cluster_state: isComplete(map) ? 'ok' : 'fail',
    cluster_slots_assigned: map.slotsServed,
    cluster_slots_ok: map.slotsServed - away,
    cluster_slots_pfail: 0,
    cluster_slots_fail: away,
    cluster_known_nodes: map.nodes.length,
    cluster_size: owners.size,
    cluster_current_epoch: map.epoch,
    cluster_my_epoch: map.keyspaceEpoch,
    cluster_stats_messages_sent: 0,
    cluster_stats_messages_received: 0,
    total_cluster_links_buffer_limit_exceeded: 0,
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('');
}
