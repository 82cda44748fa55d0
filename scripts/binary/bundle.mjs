import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { build } from 'esbuild';

const require = createRequire(import.meta.url);

/** What `rocksdb/binding.js` looks for by name and platform is simply beside the bundle. */
const addonBesideBundle = {
  name: 'addon-beside-bundle',
  setup(build) {
    build.onResolve({ filter: /^rocksdb\/binding(\.js)?$/ }, () => ({ path: 'binding', namespace: 'addon' }));
    build.onLoad({ filter: /.*/, namespace: 'addon' }, () => ({
      contents: "module.exports = require('./rocksdb.node');",
    }));
    build.onResolve({ filter: /^\.\/rocksdb\.node$/ }, ({ path }) => ({ path, external: true }));
  },
};

/** What CommonJS modules in an ES module bundle, Piscina and the addon's loader among them, take for granted. */
const COMMONJS_IN_ESM = `
import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));`;

/**
 * Makes the files that the executable carries, in `directory`:
 *
 *     main.cjs         loads main.mjs: a single executable's own script can only `require`
 *     main.mjs         the program; an ES module, because its main module has a top-level `await`
 *     shard-worker.js  what the pool names as ./shard-worker.js, beside the module that names it
 *     bench-worker.js  a thread of `vasto bench`, likewise
 *     worker.js        Piscina's own worker script, which it expects beside its main module
 *     master.proto     what nodes say to their master, which src/master/proto.ts expects beside itself
 *     peer.proto       what stores say to each other, likewise
 *     package.json     makes the .js files CommonJS wherever they are unpacked
 *
 * @param {string} directory
 * @param {string} entry the program's main module
 * @returns {Promise<string[]>} their names
 */
export async function bundle(directory, entry) {
  const shared = {
    bundle: true,
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
    legalComments: 'none',
    // Piscina's way to `nice` its threads, in a try of its own.
    external: ['@napi-rs/nice'],
    plugins: [addonBesideBundle],
  };
  const commonjs = {
    ...shared,
    format: 'cjs',
    banner: { js: "const __importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
    define: { 'import.meta.url': '__importMetaUrl' },
  };
  const esm = { ...shared, format: 'esm', banner: { js: COMMONJS_IN_ESM } };
  const bundles = {
    'main.mjs': { ...esm, entryPoints: [entry] },
    'shard-worker.js': { ...commonjs, entryPoints: ['src/workers/shard-worker.ts'] },
    'bench-worker.js': { ...commonjs, entryPoints: ['src/cli/bench/bench-worker.ts'] },
    'worker.js': { ...commonjs, entryPoints: [join(packageDirectory('piscina'), 'dist/worker.js')] },
  };
  for (const [name, options] of Object.entries(bundles)) {
    await build({ ...options, outfile: join(directory, name) });
  }
  const written = { 'main.cjs': "import('./main.mjs');\n", 'package.json': '{"type":"commonjs"}\n' };
  for (const [name, text] of Object.entries(written)) writeFileSync(join(directory, name), text);
  const protos = ['src/master/master.proto', 'src/peers/peer.proto'];
  for (const proto of protos) copyFileSync(proto, join(directory, basename(proto)));
  return [...Object.keys(bundles), ...Object.keys(written), ...protos.map((proto) => basename(proto))];
}

/** The addon that node-gyp-build would load on this platform. */
export function addonPath() {
  return require('node-gyp-build').path(packageDirectory('rocksdb'));
}

/** @param {string} name of an installed package, whatever its `exports` show */
function packageDirectory(name) {
  return join('node_modules', name);
}

/**
 * The hash of names and contents.
 * @param {[string, string][]} files names and paths
 */
export function contentHash(files) {
  const hash = createHash('sha256');
  for (const [name, path] of files) {
    const content = readFileSync(path);
    hash.update(`${name}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}
