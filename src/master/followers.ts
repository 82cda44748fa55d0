import type { Logger } from '../base/logger.js';
import type { TopologyListener } from '../cluster/follower.js';
import type { Topology } from '../cluster/topology.js';

/** Those who follow a master, and its log: they hear of each topology and of what happens. */
export class Followers {
  private readonly listeners = new Set<TopologyListener>();

  /** @param now the time, Unix milliseconds */
  constructor(
    private readonly logger: Pick<Logger, 'verbose' | 'notice' | 'warning'>,
    private readonly now: () => number,
  ) {}

  /**
   * @param topology the present one, if it is known
   * @returns what ends it
   */
  add(listener: TopologyListener, topology: Topology | undefined): () => void {
    this.listeners.add(listener);
    listener.connected(true);
    if (topology !== undefined) listener.topology(topology);
    return () => this.listeners.delete(listener);
  }

  publish(topology: Topology): void {
    for (const listener of this.listeners) listener.topology(topology);
  }

  announce(text: string, level: 'verbose' | 'notice' | 'warning' = 'notice'): void {
    this.logger[level](text);
    const event = { atMs: this.now(), text };
    for (const listener of this.listeners) listener.event(event);
  }

  /** The master is ending. */
  close(): void {
    for (const listener of this.listeners) listener.connected(false);
    this.listeners.clear();
  }
}
