import type { Topology } from './topology.js';

/** Something that happened in the cluster, for people who watch. */
export interface ClusterEvent {
  readonly atMs: number;
  readonly text: string;
}

/** What those hear who follow the topology without holding data: gateways and shells. */
export interface TopologyListener {
  topology(topology: Topology): void;
  event(event: ClusterEvent): void;
  /** Whether the master can be heard at present; topologies in force go on without it. */
  connected(isConnected: boolean): void;
}
