import { type ClusterManager, ManagerError } from '../cluster/manager.js';
import { EMPTY_TOPOLOGY } from '../cluster/topology.js';

function unavailable(): Promise<never> {
  return Promise.reject(new ManagerError('UNAVAILABLE', 'no master has been reached yet'));
}

/** Stands in until there is a manager: nothing can be changed. */
export const UNMANAGED: ClusterManager = {
  topology: EMPTY_TOPOLOGY,
  createKeyspace: unavailable,
  deleteKeyspace: unavailable,
  compactKeyspace: unavailable,
  swapDatabases: unavailable,
  stores: unavailable,
  beginChange: unavailable,
  changeStatuses: unavailable,
};
