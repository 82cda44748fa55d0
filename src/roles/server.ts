import type { Config } from '../base/config.js';
import { LocalManager } from '../node/local-manager.js';
import { describeData, openData } from './data.js';
import { runNode } from './node.js';

/** `vasto server`: store and master in one process, all that one machine needs. */
export function serveServer(config: Config): Promise<void> {
  return runNode(config, {
    role: 'server',
    openStore: openData,
    join: async (_config, _logger, store) => {
      store.manager = new LocalManager(store);
      return { close: async () => undefined };
    },
    describe: describeData,
  });
}
