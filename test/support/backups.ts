import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { readManifest } from '../../src/cli/backup/directory.js';
import { eachFrame } from '../../src/cli/backup/verify.js';
import { ElementsKind, eachFeedEntry } from '../../src/types/feed-codec.js';
import { elementVersion, rowHeader, withVersion } from '../../src/types/row-codec.js';
import type { TestCluster } from './cluster.js';
import { VASTO_MAIN } from './server.js';
import { runTool, type ToolRun } from './tools.js';

/** What is killed meanwhile may take its time to come back. */
const ADMIN_TIMEOUT_MS = 110_000;

function admin(...words: string[]): Promise<ToolRun> {
  return runTool(process.execPath, [VASTO_MAIN, 'admin', ...words], '', ADMIN_TIMEOUT_MS);
}

/** Runs `vasto admin` against a server. */
export function adminAt(port: number, ...words: string[]): Promise<ToolRun> {
  return admin(...words, '--server', `127.0.0.1:${port}`);
}

/** Runs `vasto admin` against the master of a cluster. */
export function adminOf({ master }: TestCluster, ...words: string[]): Promise<ToolRun> {
  return admin(...words, '--master', master.address);
}

/** What a backup has of each key, timestamps and expiries included, whichever file it is in. */
export async function readBackup(directory: string): Promise<Map<string, string>> {
  const manifest = await readManifest(directory);
  const rows = new Map<string, string>();
  for (const file of manifest.files) {
    let hash = createHash('sha256');
    await eachFrame(directory, manifest, file, async (frame) =>
      eachFeedEntry(frame.rows, 0, ({ key, bytes, elements }) => {
        const kind = elements?.kind ?? ElementsKind.All;
        if (kind === ElementsKind.All || kind === ElementsKind.First) {
          hash = createHash('sha256');
          // Each shard has versions of its own.
          hash.update(elementVersion(bytes) === 0 ? bytes : withVersion(bytes, 0));
        }
        hash.update(elements?.rows ?? Buffer.alloc(0));
        if (kind === ElementsKind.First || kind === ElementsKind.Middle) return;
        const { type, timestamp, expiresAtMs } = rowHeader(bytes);
        const name = key.latin1Slice();
        if (rows.has(name)) throw new Error(`key ${name} is in ${join(directory, file.name)} and elsewhere`);
        rows.set(name, `type ${type} @${timestamp} until ${expiresAtMs}: ${hash.digest('hex')}`);
      }),
    );
  }
  return rows;
}
