import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { commandSlot, commonSlot, NO_SLOT, SEVERAL_SLOTS } from '../../../src/cluster/command-slot.js';
import { type DoorNode, doorMap } from '../../../src/cluster/door-map.js';
import { type DoorRequest, redirection } from '../../../src/cluster/redirection.js';
import { keySlot } from '../../../src/cluster/slots.js';
import { EMPTY_TOPOLOGY, withKeyspace, withStore } from '../../../src/cluster/topology.js';
import { findCommand } from '../../../src/commands/table.js';

function item(line: string) {
  const words = line.split(' ');
  const container = findCommand(words[0]!.toLowerCase())!;
  const command = container.children.get(words[1]?.toLowerCase() ?? '') ?? container;
  return { command, args: words.map((word) => Buffer.from(word)) };
}

function slotOf(line: string): number {
  const { command, args } = item(line);
  return commandSlot(command, args);
}

const a = keySlot(Buffer.from('a'));

describe('the slot of a command', () => {
  it.each([
    ['GET a', a],
    ['SET a b EX 1', a],
    ['MGET {a}1 {a}2', a],
    ['MGET a b', SEVERAL_SLOTS],
    ['MSET {a}1 b {a}2 c', a],
    ['MSET a 1 b 1', SEVERAL_SLOTS],
    ['RENAME a {a}b', a],
    ['COPY a b', SEVERAL_SLOTS],
    ['OBJECT ENCODING a', a],
    ['BITOP AND {a}1 {a}2 b', SEVERAL_SLOTS],
    ['MEMORY USAGE a', a],
    ['ZUNIONSTORE {a}d 2 {a}1 {a}2', a],
    ['ZUNIONSTORE {a}d 2 {a}1 b', SEVERAL_SLOTS],
    ['GEORADIUS a 1 2 3 km STORE {a}1', a],
    ['GEORADIUS a 1 2 3 km STORE b', SEVERAL_SLOTS],
    ['SORT a', a],
    ['SORT a BY nosort GET # ALPHA STORE {a}d', a],
    ['SORT a STORE b', SEVERAL_SLOTS],
    ['SORT a BY w:*', SEVERAL_SLOTS],
    ['SORT a BY w:{a}:* GET {a}*->f GET #', a],
    ['SORT a BY *{a}', SEVERAL_SLOTS],
    ['SORT_RO a GET w:{b}:*', SEVERAL_SLOTS],
    ['PING', NO_SLOT],
    ['SCAN 0', NO_SLOT],
    ['DBSIZE', NO_SLOT],
  ])('%s', (line, slot) => {
    expect(slotOf(line)).toBe(slot);
  });

  it('is that of all commands of a transaction', () => {
    expect(commonSlot([])).toBe(NO_SLOT);
    expect(commonSlot(['PING', 'GET a', 'SET {a}b 1'].map(item))).toBe(a);
    expect(commonSlot(['GET a', 'PING', 'GET b'].map(item))).toBe(SEVERAL_SLOTS);
    expect(commonSlot(['PING', 'MGET a b'].map(item))).toBe(SEVERAL_SLOTS);
  });
});

const SELF: DoorNode = { id: 'self', host: '127.0.0.1', port: 7000, peerPort: 0 };
const OTHER: DoorNode = { id: 'other', host: '10.0.0.2', port: 7001, peerPort: 0 };

/** A map in which one of the two, or nobody, owns every slot. */
function mapOwnedBy(owner: string, ...copies: string[]) {
  const entry = (node: DoorNode) => ({
    id: node.id,
    epoch: 1,
    host: node.host,
    port: 6379,
    tlsPort: 0,
    peerPort: 0,
    zone: '',
    tags: [],
    doors: [{ port: node.port, keyspace: 'k' }],
  });
  const stores = withStore(withStore(EMPTY_TOPOLOGY, entry(SELF)), entry(OTHER));
  const shards = [{ stores: [owner, ...copies] }];
  const keyspace = {
    id: 'k',
    epoch: 1,
    name: 'k',
    db: undefined,
    replicas: 1,
    tags: [],
    shards,
    deleted: false,
  };
  return doorMap(withKeyspace(stores, keyspace), 'k', SELF);
}

describe('redirection', () => {
  const said = (owner: string, request: Partial<DoorRequest>) =>
    redirection(mapOwnedBy(owner), { slot: 5, keyCount: 1, asking: false, takesCopy: false, ...request })
      ?.text;

  it('follows the owner', () => {
    expect(said('self', {})).toBeUndefined();
    expect(said('other', {})).toBe('MOVED 5 10.0.0.2:7001');
    expect(said('other', { asking: true })).toBe('MOVED 5 10.0.0.2:7001');
    expect(said('gone', {})).toBe('CLUSTERDOWN Hash slot not served');
  });

  it('needs one slot, or none', () => {
    expect(said('self', { slot: SEVERAL_SLOTS, keyCount: 2 })).toMatch(/^CROSSSLOT/);
    expect(said('gone', { slot: NO_SLOT, keyCount: 0 })).toBeUndefined();
  });

  it('sends for keys that are gone to where the slot moves', () => {
    const move = { from: SELF, to: OTHER };
    expect(said('self', { move: { ...move, keysHere: 1 } })).toBeUndefined();
    expect(said('self', { move: { ...move, keysHere: 0 } })).toBe('ASK 5 10.0.0.2:7001');
    expect(said('self', { keyCount: 2, move: { ...move, keysHere: 1 } })).toMatch(/^TRYAGAIN/);
    expect(said('self', { keyCount: 2, move: { ...move, keysHere: 0 } })).toBe('ASK 5 10.0.0.2:7001');
  });

  it('serves a slot that moves here to those who are ASKING', () => {
    const move = { from: OTHER, to: SELF };
    expect(said('other', { move: { ...move, keysHere: 0 } })).toBe('MOVED 5 10.0.0.2:7001');
    expect(said('other', { asking: true, move: { ...move, keysHere: 0 } })).toBeUndefined();
    expect(said('other', { asking: true, keyCount: 2, move: { ...move, keysHere: 1 } })).toMatch(/^TRYAGAIN/);
    expect(said('other', { asking: true, keyCount: 2, move: { ...move, keysHere: 2 } })).toBeUndefined();
  });

  it('lets those read who take copies, where there is one', () => {
    const map = mapOwnedBy('other', 'self');
    const ask = (takesCopy: boolean) =>
      redirection(map, { slot: 5, keyCount: 1, asking: false, takesCopy })?.text;
    expect(ask(true)).toBeUndefined();
    expect(ask(false)).toBe('MOVED 5 10.0.0.2:7001');
    expect(said('other', { takesCopy: true })).toBe('MOVED 5 10.0.0.2:7001');
  });
});
