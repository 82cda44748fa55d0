// A node that is told the topology by the test that started it: `node static-node.mjs DIST store|gateway flags…`.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, role, ...flags] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(dist, path)).href);
const { Config } = await load('base/config.js');
const { fromRecord } = await load('cluster/topology.js');
const { openData } = await load('roles/data.js');
const { runNode } = await load('roles/node.js');
const { Store } = await load('node/store.js');
const { openPeers } = await load('roles/peers.js');

await runNode(Config.load({ flags }), {
  role,
  openStore: (config, logger, events) =>
    role === 'store'
      ? openData(config, logger, events)
      : Promise.resolve(Store.openEmpty(config, logger, events)),
  join: async (config, logger, store) => {
    const peers = role === 'store' ? await openPeers(config, logger, store) : undefined;
    process.on('message', ({ topology, move }) => {
      if (move !== undefined) {
        const { route } = store
          .localShards()
          .find(({ keyspace, shard }) => keyspace === move.keyspace && shard === move.shard);
        const isMoved = (keyspace, slot) => keyspace === move.keyspace && slot === move.slot;
        store.moves = {
          moveOf: (keyspace, slot) => (isMoved(keyspace, slot) ? { ...move, here: route } : undefined),
        };
        process.send({ applied: true });
        return;
      }
      store.applyTopology(fromRecord(topology)).then(
        () => process.send({ applied: true }),
        (error) => process.send({ applied: false, error: error.message }),
      );
    });
    process.on('disconnect', () => process.exit(0));
    process.send({ storeId: store.id });
    return { close: async () => peers?.close() };
  },
  describe: () => 'topology from a test',
});
