import { slotsOfShard } from '../../src/cluster/slot-set.js';
import { type KeyspaceChange, keyspaceByName } from '../../src/cluster/topology.js';
import { KEYSPACE } from './client.js';
import { isLater, type SimulatedShard } from './shard.js';
import { shardsOf, type World } from './world.js';

/** What is still to come before a cluster is at rest; empty = nothing. */
export function unsettled(world: World): string[] {
  const {
    nodes,
    master: { master },
  } = world;
  const known = master && keyspaceByName(master.topology, KEYSPACE);
  if (known === undefined) return ['the master knows no keyspace'];
  const lacking: string[] = [];
  if (known.change !== undefined && !restsOnLost(known.change, nodes))
    lacking.push(`a change (${known.change.kind}, ${known.change.phase}) is under way`);
  // Shards go back when nothing is left of the last change.
  for (const [shard, { home }] of known.shards.entries())
    if (home !== undefined && known.change === undefined) lacking.push(`shard ${shard} is not at home`);
  for (const { name, store, isDestroyed, entry } of nodes) {
    if (isDestroyed) {
      if (known.shards.some(({ stores }) => stores.includes(entry.id)))
        lacking.push(`${name} is still named`);
      continue;
    }
    if (store === undefined && entry.id === nodes.at(-1)!.entry.id) continue;
    if (store === undefined || !store.membership.connected) {
      lacking.push(`${name} is not there`);
      continue;
    }
    const here = keyspaceByName(store.keyspaces.topology, KEYSPACE);
    if (here?.epoch !== known.epoch) lacking.push(`${name} has epoch ${here?.epoch}, not ${known.epoch}`);
    const [news] = store.keyspaceNews();
    for (const { shard, isComplete, isClean } of news?.copies ?? [])
      if (!isComplete || !isClean)
        lacking.push(`shard ${shard} of ${name} is ${isComplete ? 'not clean' : 'not complete'}`);
    for (const { duty, state, isLevel, problem } of store.feeds.followers.all())
      if ((state !== 'tailing' || !isLevel) && !world.node(duty.sourceStore).isDestroyed)
        lacking.push(
          `${name}'s feed ${duty.feed.slice(0, 8)}… is ${state}, ${isLevel ? 'level' : 'not level'} ${problem}`,
        );
    const wanted = known.shards.flatMap(({ stores }, shard) => (stores.includes(entry.id) ? [shard] : []));
    const held = store
      .localShards()
      .map(({ shard }) => shard)
      .sort();
    if (held.join() !== wanted.join()) lacking.push(`${name} has shards ${held}, not ${wanted}`);
    for (const place of store.keyspaces.named(KEYSPACE)?.places ?? [])
      if (place.local?.ready !== undefined) lacking.push(`shard ${place.shard} at ${name} does not answer`);
  }
  return lacking;
}

/** What must be true of a cluster at rest. */
export function checkEnd(world: World): void {
  const { master, nodes, ledger, violated } = world;
  const entry = keyspaceByName(master.master!.topology, KEYSPACE)!;
  const owned = new Map<string, SimulatedShard['stored']>();
  for (const [shard, { stores }] of entry.shards.entries()) {
    const slots = slotsOfShard(entry.shards.length, shard);
    const copies = stores.map((id) => {
      const node = world.node(id);
      const held = shardsOf(node).find((each) => each.held.shard === shard)!;
      return { node, stored: held.stored };
    });
    const [owner, ...others] = copies;
    owned.set(String(shard), owner!.stored);
    for (const { node, stored } of copies)
      for (const row of stored.rows.values())
        if (!slots.has(row.slot))
          violated(`${node.name} has a row of ${row.key}, which is not of shard ${shard}`);
    for (const { node, stored } of others)
      for (const key of new Set([...stored.rows.keys(), ...owner!.stored.rows.keys()])) {
        const [one, other] = [owner!.stored.rows.get(key), stored.rows.get(key)];
        // What has ended each copy removes by itself, sooner or later.
        const isGone = (row: typeof one) => row === undefined || row.isTombstone || row.expiresAtMs !== 0;
        if (isGone(one) && isGone(other)) continue;
        if (one === undefined || other === undefined || isLater(one, other) || isLater(other, one))
          violated(
            `${key} is ${JSON.stringify(one)} at ${owner!.node.name}, ${JSON.stringify(other)} at ${node.name}`,
          );
      }
  }
  for (const key of ledger.keys) {
    const rows = [...owned.values()].flatMap((stored) => stored.rows.get(key) ?? []);
    if (rows.length > 1) violated(`${key} is in ${rows.length} shards`);
    const fault = ledger.fault(key, rows[0]);
    if (fault !== undefined) violated(fault);
  }
  for (const node of nodes)
    if (node.store !== undefined)
      for (const { place, isOwner } of (node.store.keyspaces.named(KEYSPACE)?.places ?? []).map((each) => ({
        place: each,
        isOwner: entry.shards[each.shard]!.stores[0] === node.entry.id,
      })))
        if ((place.local !== undefined) !== isOwner)
          violated(`${node.name} is mistaken about shard ${place.shard}`);
}

/** Whether a change waits for nothing but stores that never come back. */
function restsOnLost(change: KeyspaceChange, nodes: World['nodes']): boolean {
  if (change.phase !== 'cleanup') return false;
  const former = change.former.flatMap(({ stores }) => stores);
  return former.length > 0 && former.every((id) => nodes.find(({ entry }) => entry.id === id)!.isDestroyed);
}
