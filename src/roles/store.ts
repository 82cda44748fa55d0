import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { RemoteManager } from '../master/remote-manager.js';
import { StoreAgent } from '../node/agent.js';
import type { Store } from '../node/store.js';
import { describeData, openData } from './data.js';
import { storeEntry } from './identity.js';
import { describeMasters, mastersOf } from './masters.js';
import { runNode, type Tie } from './node.js';
import { openPeers } from './peers.js';
import { warmUp } from './warm-up.js';

/** `vasto store`: holds data for a cluster. What it held before it serves at once, whether or not a master is there. */
export function serveStore(config: Config): Promise<void> {
  return runNode(config, {
    role: 'store',
    openStore: openData,
    join,
    describe: () => `${describeData(config)}; ${describeMasters(config)}`,
  });
}

async function join(config: Config, logger: Logger, store: Store): Promise<Tie> {
  const masters = mastersOf(config, logger, 'store');
  const peers = await openPeers(config, logger, store);
  const agent = new StoreAgent(store, storeEntry(config, store.id, peers.port), logger);
  store.manager = new RemoteManager(masters, store.membership, () => store.keyspaces.topology);
  const stop = masters.keepRegistered(agent);
  return {
    warmUp,
    close: async () => {
      stop();
      agent.stop();
      masters.close();
      await peers.close();
    },
  };
}
