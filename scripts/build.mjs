// Compiles src/ to dist/, puts beside the modules what they read at run time, and makes the entry point executable,
// so that `npx vasto` runs it.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, rmSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'], {
  stdio: 'inherit',
});
for (const proto of ['master/master.proto', 'peers/peer.proto'])
  copyFileSync(`src/${proto}`, `dist/${proto}`);
chmodSync('dist/main.js', 0o755);
