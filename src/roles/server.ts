import type { Config } from '../base/config.js';
import type { Logger } from '../base/logger.js';
import type { GrpcServer } from '../master/grpc-server.js';
import { Master, SETTLE_MS } from '../master/master.js';
import { StoreAgent } from '../node/agent.js';
import type { Store } from '../node/store.js';
import { describeData, openData } from './data.js';
import { storeEntry } from './identity.js';
import { runNode, type Tie } from './node.js';
import type { Peers } from './peers.js';

/** `vasto server`: store and master in one process, all that one machine needs. Others may join it by `master-port`. */
export async function serveServer(config: Config): Promise<void> {
  if (config.values.master.length > 0)
    throw new Error('vasto server has a master of its own: vasto store is what joins another one');
  return runNode(config, { role: 'server', openStore: openData, join, describe: describeData });
}

async function join(config: Config, logger: Logger, store: Store): Promise<Tie> {
  const { values } = config;
  const isAlone = values['master-port'] === 0;
  const master = new Master({
    clusterId: values['cluster-id'],
    settleMs: isAlone ? 0 : SETTLE_MS,
    failoverAfterMs: () => config.values['failover-after-ms'],
    logger,
  });
  // Where no other store can join, none will want what this one holds.
  const peers = isAlone ? undefined : await joinPeers(config, logger, store);
  const agent = new StoreAgent(store, storeEntry(config, store.id, peers?.port ?? 0), logger, {
    isLocal: true,
  });
  let door: GrpcServer | undefined;
  try {
    if (!isAlone) door = await openDoor(config, logger, master);
  } catch (error) {
    await peers?.close();
    throw error;
  }
  store.manager = master;
  agent.converse(master.connectStore());
  // Where others may join, what they remember is waited for; meanwhile this one serves what it has.
  if (isAlone) await agent.answered;
  return {
    master,
    ...(isAlone ? {} : { warmUp: async () => (await import('./warm-up.js')).warmUp() }),
    close: async () => {
      agent.stop();
      await door?.close();
      master.close();
      await peers?.close();
    },
  };
}

/** The way to other stores. gRPC is loaded where it is needed: most servers go without. */
async function joinPeers(config: Config, logger: Logger, store: Store): Promise<Peers> {
  const { openPeers } = await import('./peers.js');
  return openPeers(config, logger, store);
}

/** Lets other stores and gateways join. */
async function openDoor(config: Config, logger: Logger, master: Master): Promise<GrpcServer> {
  const { openMaster } = await import('./master-door.js');
  return openMaster(config, logger, master, config.values['master-port']);
}
