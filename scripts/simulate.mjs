// Runs simulated clusters, see test/simulation/main.ts for the arguments.
import { spawnSync } from 'node:child_process';
import { buildSync } from 'esbuild';

const outfile = 'dist/simulation.mjs';
buildSync({
  entryPoints: ['test/simulation/main.ts'],
  bundle: true,
  platform: 'node',
  format: 'esm',
  packages: 'external',
  outfile,
});
process.exitCode =
  spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
