// Makes one executable file of the program, Node.js included: dist/vasto, or what --out names.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { inject } from 'postject';
import { addonPath, bundle, contentHash } from './binary/bundle.mjs';

/** Where Node.js, 20 and 24 alike, looks whether a blob was injected. */
const SENTINEL = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

const { values: options } = parseArgs({
  options: {
    out: { type: 'string', default: 'dist/vasto' },
    entry: { type: 'string', default: 'src/main.ts' },
  },
});

const work = mkdtempSync(join(tmpdir(), 'vasto-binary-'));
try {
  const blob = await makeBlob(work, options.entry);
  await makeExecutable(blob, resolve(options.out));
  const megabytes = Math.round(statSync(options.out).size / 1024 / 1024);
  process.stdout.write(`${options.out}: ${megabytes} MB, Node.js ${process.version} included\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/**
 * Bundles the program and packs it with the addon into a blob for injection.
 * @param {string} directory scratch
 * @param {string} entry
 */
async function makeBlob(directory, entry) {
  const names = await bundle(directory, entry);
  /** @type {[string, string][]} */
  const files = names.map((name) => [name, join(directory, name)]);
  files.push(['rocksdb.node', resolve(addonPath())]);
  const manifest = { id: contentHash(files), files: files.map(([name]) => name) };
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(manifest));
  const blob = join(directory, 'vasto.blob');
  const config = {
    main: resolve('scripts/binary/bootstrap.cjs'),
    output: blob,
    disableExperimentalSEAWarning: true,
    assets: { ...Object.fromEntries(files), 'manifest.json': join(directory, 'manifest.json') },
  };
  const configFile = join(directory, 'sea-config.json');
  writeFileSync(configFile, JSON.stringify(config));
  execFileSync(process.execPath, ['--experimental-sea-config', configFile], {
    stdio: 'pipe',
  });
  return blob;
}

/**
 * Injects a blob into a copy of the Node.js that runs this script.
 * @param {string} blob @param {string} out
 */
async function makeExecutable(blob, out) {
  if (!readFileSync(process.execPath).includes(SENTINEL)) {
    throw new Error(
      `${process.execPath} cannot carry a program: use an official build of Node.js 20.12 or later`,
    );
  }
  mkdirSync(dirname(out), { recursive: true });
  // A running executable cannot be overwritten, but replaced.
  rmSync(out, { force: true });
  copyFileSync(process.execPath, out);
  chmodSync(out, 0o755);
  const onMac = process.platform === 'darwin';
  if (onMac) execFileSync('codesign', ['--remove-signature', out]);
  await withoutNoteWarnings(() =>
    inject(out, 'NODE_SEA_BLOB', readFileSync(blob), {
      sentinelFuse: SENTINEL,
      ...(onMac ? { machoSegmentName: 'NODE_SEA' } : {}),
    }),
  );
  if (onMac) execFileSync('codesign', ['--sign', '-', out]);
}

/**
 * Keeps to itself what postject says of nameless note sections, of which distributions' builds have many.
 * @param {() => Promise<void>} work
 */
async function withoutNoteWarnings(work) {
  const { warn } = console;
  console.warn = (...words) => {
    if (!String(words[0]).includes("Can't find string offset for section name '.note")) warn(...words);
  };
  try {
    await work();
  } finally {
    console.warn = warn;
  }
}
