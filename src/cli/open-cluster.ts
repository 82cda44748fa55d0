import { ManagerError } from '../cluster/manager.js';
import type { ClusterClient } from './cluster-client.js';
import { RespCluster } from './resp-cluster.js';
import type { Target } from './target.js';

/** Reaches a cluster; nothing is sent before something is asked. Rejects with ManagerError. */
export type OpenCluster = (target: Target) => Promise<ClusterClient>;

export const openCluster: OpenCluster = (target) =>
  target.kind === 'server'
    ? Promise.resolve(new RespCluster(() => target.server, target.name))
    : Promise.reject(
        new ManagerError('IMPOSSIBLE', 'masters of their own are not reached yet: use --server host:port'),
      );
