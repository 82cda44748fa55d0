// A server whose feeds the test that started it works: `node feed-node.mjs DIST flags…`. It is asked by messages
// { id, method, args } for what the shard of database 0 should do, and says { logged } when commands' writes were.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [dist, ...flags] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(dist, path)).href);
const { Config } = await load('base/config.js');
const { serveServer } = await load('roles/server.js');
const { Store } = await load('node/store.js');
const { FeedFollowers } = await load('node/feeds/followers.js');

// Of the feeds that the test works no topology says anything: the store would take them for ones that have ended.
FeedFollowers.prototype.forgetLeftOver = () => undefined;

let store;
const { open } = Store;
Store.open = async (...args) => {
  store = await open.apply(Store, args);
  store.pool.feeds.onLogged = (_route, sequence) => process.send({ logged: sequence });
  return store;
};
await serveServer(Config.load({ flags }));

process.on('message', async ({ id, method, args }) => {
  try {
    const [{ route }] = store.localShards();
    process.send({ id, result: await store.pool.feeds[method](route, ...args) });
  } catch (error) {
    process.send({ id, error: error.message });
  }
});
process.on('disconnect', () => process.exit(0));
