import { setTimeout as pause } from 'node:timers/promises';
import {
  type ChangeBegun,
  type ChangeRequest,
  type ChangeStatus,
  type ClusterManager,
  type KeyspaceRequest,
  ManagerError,
  type StoreStatus,
  type TaskProgress,
} from '../cluster/manager.js';
import type { KeyspaceEntry, Topology } from '../cluster/topology.js';
import type { MasterClient } from './client.js';

/** How a node stands with its master. */
export interface Standing {
  /** Whether the master has taken it in, and can be heard. */
  readonly connected: boolean;
  /** Why it never will; '' where it has said nothing of the kind. */
  readonly refusal: string;
}

/** How long after a master was lost changes wait for it: one that is started again is there by then. */
export const PATIENCE_MS = 8000;
/** How long they wait for one that has been away for longer. */
const SHORT_PATIENCE_MS = 500;
const LOOK_EVERY_MS = 20;

/** The master of a node, in another process. Nothing is asked of a master that has not taken the node in. */
export class RemoteManager implements ClusterManager {
  constructor(
    private readonly client: MasterClient,
    private readonly standing: Standing,
    /** What the node has been told. */
    private readonly heard: () => Topology,
  ) {}

  get topology(): Topology {
    return this.heard();
  }

  async createKeyspace(request: KeyspaceRequest): Promise<KeyspaceEntry> {
    const untilMs = performance.now() + PATIENCE_MS;
    for (;;) {
      await this.admitted();
      try {
        return await this.client.createKeyspace(request);
      } catch (error) {
        // One that may be there already can be asked for again, whatever became of the first request.
        const isLost = error instanceof ManagerError && error.code === 'UNAVAILABLE';
        if (request.mayExist !== true || !isLost || performance.now() >= untilMs) throw error;
        await pause(LOOK_EVERY_MS);
      }
    }
  }

  async deleteKeyspace(name: string): Promise<void> {
    await this.admitted();
    await this.client.deleteKeyspace(name);
  }

  async compactKeyspace(name: string, onProgress: (progress: TaskProgress) => void): Promise<void> {
    await this.admitted();
    await this.client.compactKeyspace(name, onProgress);
  }

  async swapDatabases(first: number, second: number): Promise<void> {
    await this.admitted();
    await this.client.swapDatabases(first, second);
  }

  async stores(): Promise<StoreStatus[]> {
    await this.admitted();
    return this.client.stores();
  }

  async beginChange(request: ChangeRequest): Promise<ChangeBegun> {
    await this.admitted();
    return this.client.beginChange(request);
  }

  async changeStatuses(): Promise<ChangeStatus[]> {
    await this.admitted();
    return this.client.changeStatuses();
  }

  /** Waits until there is a master that knows this node. */
  private async admitted(): Promise<void> {
    const { standing, client } = this;
    const nowMs = performance.now();
    const untilMs = Math.max((client.awaySinceMs ?? nowMs) + PATIENCE_MS, nowMs + SHORT_PATIENCE_MS);
    for (;;) {
      if (standing.refusal !== '')
        throw new ManagerError('IMPOSSIBLE', `the master is not this node's: ${standing.refusal}`);
      if (standing.connected) return;
      if (performance.now() >= untilMs)
        throw new ManagerError('UNAVAILABLE', client.problem || 'the master has not taken this node in yet');
      await pause(LOOK_EVERY_MS);
    }
  }
}
