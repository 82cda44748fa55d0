import { epochOf, liveKeyspaces, type Topology } from '../cluster/topology.js';
import { type Family, gauge, gauges } from './family.js';

/** What every process of a cluster knows of it. */
export const CLUSTER_FAMILIES: readonly Family<Topology>[] = [
  gauge('vasto_topology_epoch', 'Epoch of the topology in force.', epochOf),
  gauge('vasto_cluster_stores', 'Stores that the cluster knows.', ({ stores }) => stores.size),
  gauge('vasto_cluster_keyspaces', 'Keyspaces that there are.', (topology) => liveKeyspaces(topology).length),
  gauges(
    'vasto_change_phase',
    'A keyspace whose shards, or whose holders, are being changed; always 1.',
    ['keyspace', 'kind', 'phase'],
    (topology) => changesIn(topology).map(({ name, change }) => [1, name, change.kind, change.phase]),
  ),
  gauges('vasto_change_start_time_seconds', 'When the change began, Unix time.', ['keyspace'], (topology) =>
    changesIn(topology).map(({ name, change }) => [change.startedAtMs / 1000, name]),
  ),
  gauges(
    'vasto_change_phase_start_time_seconds',
    'When its phase began, Unix time.',
    ['keyspace'],
    (topology) => changesIn(topology).map(({ name, change }) => [change.sinceMs / 1000, name]),
  ),
  gauges(
    'vasto_change_abandoned_handovers',
    'Hand-overs that the change has tried and given up.',
    ['keyspace'],
    (topology) => changesIn(topology).map(({ name, change }) => [change.attempts, name]),
  ),
];

function changesIn(topology: Topology) {
  return liveKeyspaces(topology).flatMap(({ name, change }) =>
    change === undefined ? [] : [{ name, change }],
  );
}
