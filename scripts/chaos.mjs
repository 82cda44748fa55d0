// Runs test/chaos/ by itself, for as long as one likes; `npm run chaos -- --help` tells the options.
import { spawnSync } from 'node:child_process';
import { resolve, sep } from 'node:path';
import { build } from 'esbuild';

const OUTPUT = 'dist/chaos.mjs';
const SOURCE = resolve('src') + sep;

/** What is of the program is taken from dist/, where it has its files beside it. */
const program = {
  name: 'program',
  setup(bundle) {
    bundle.onResolve({ filter: /\/src\// }, ({ path, resolveDir }) => {
      const absolute = resolve(resolveDir, path);
      if (!absolute.startsWith(SOURCE)) return undefined;
      return { path: resolve('dist', absolute.slice(SOURCE.length)), external: true };
    });
  },
};

await build({
  entryPoints: ['test/chaos/main.ts'],
  outfile: OUTPUT,
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  alias: { vitest: resolve('test/chaos/outside-vitest.ts') },
  plugins: [program],
  logLevel: 'warning',
});
const { status } = spawnSync(process.execPath, [OUTPUT, ...process.argv.slice(2)], { stdio: 'inherit' });
process.exit(status ?? 1);
