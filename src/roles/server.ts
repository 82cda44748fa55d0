import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import { Master, SETTLE_MS } from '../master/master.js';
import { StoreAgent } from '../node/agent.js';
import type { Store } from '../node/store.js';
import { describeData, openData } from './data.js';
import { storeEntry } from './identity.js';
import { runNode, type Tie } from './node.js';

/** `vasto server`: store and master in one process, all that one machine needs. */
export function serveServer(config: Config): Promise<void> {
  return runNode(config, { role: 'server', openStore: openData, join, describe: describeData });
}

async function join(config: Config, logger: Logger, store: Store): Promise<Tie> {
  const { values } = config;
  const isAlone = values['master-port'] === 0;
  const master = new Master({
    clusterId: values['cluster-id'],
    settleMs: isAlone ? 0 : SETTLE_MS,
    logger,
  });
  const agent = new StoreAgent(store, storeEntry(config, store.id), logger, { isLocal: true });
  store.manager = master;
  agent.converse(master.connectStore());
  // Where others may join, what they remember is waited for; meanwhile this one serves what it has.
  if (isAlone) await agent.answered;
  return {
    close: async () => {
      agent.stop();
      master.close();
    },
  };
}
