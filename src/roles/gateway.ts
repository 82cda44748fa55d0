import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import type { TopologyListener } from '../cluster/follower.js';
import type { Topology } from '../cluster/topology.js';
import { RemoteManager } from '../master/remote-manager.js';
import { Store } from '../node/store.js';
import { describeMasters, mastersOf } from './masters.js';
import { runNode, type Tie } from './node.js';
import { warmUp } from './warm-up.js';

/** How long the doors stay shut for want of a topology; then clients are told. */
const FIRST_TOPOLOGY_MS = 4000;

/** `vasto gateway`: serves the data of a cluster without holding any. */
export function serveGateway(config: Config): Promise<void> {
  return runNode(config, {
    role: 'gateway',
    openStore: async (_, logger, events) => Store.openEmpty(config, logger, events),
    join,
    describe: () => `no data here; ${describeMasters(config)}`,
  });
}

async function join(config: Config, logger: Logger, store: Store): Promise<Tie> {
  const masters = mastersOf(config, logger, 'gateway');
  store.manager = new RemoteManager(masters, store.membership, () => store.keyspaces.topology);
  let stop: () => void = () => undefined;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, FIRST_TOPOLOGY_MS);
    const isKnown = () => {
      clearTimeout(timer);
      resolve();
    };
    stop = masters.follow(new GatewayListener(store, logger, isKnown));
  });
  return {
    warmUp,
    close: async () => {
      stop();
      masters.close();
    },
  };
}

/** Puts into force what the master tells. Without a master the last topology stays in force. */
class GatewayListener implements TopologyListener {
  private isHearing = false;

  constructor(
    private readonly store: Store,
    private readonly logger: Logger,
    private readonly isKnown: () => void,
  ) {}

  topology(topology: Topology): void {
    const { membership } = this.store;
    this.store.applyTopology(topology).then(
      () => {
        membership.refusal = '';
        // Not before: nothing may be asked of a master that may turn out to be another cluster's.
        membership.connected = this.isHearing;
        this.isKnown();
      },
      (error: Error) => {
        const reason = `${error.message}; restart this gateway if it is to serve that cluster`;
        if (membership.refusal !== reason)
          this.logger.warning(`what the master tells is not followed: ${reason}`);
        membership.refusal = reason;
      },
    );
  }

  event({ text }: { readonly text: string }): void {
    this.logger.verbose(`the master tells: ${text}`);
  }

  connected(isConnected: boolean): void {
    this.isHearing = isConnected;
    if (!isConnected) this.store.membership.connected = false;
    this.logger.notice(isConnected ? 'following the master' : 'the master is gone; serving on without it');
  }
}
