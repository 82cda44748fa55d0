import { resolve } from 'node:path';
import { type AdminContext, print } from '../admin-actions.js';
import { printable } from '../tables.js';
import { bytesText, count } from '../words.js';
import { summary } from './backup.js';
import { type Manifest, readManifest } from './directory.js';
import { verify } from './restore.js';

/** Tells what a directory has a backup of. */
export async function backupInfo(context: AdminContext, directory: string): Promise<void> {
  const manifest = await readManifest(directory);
  print(
    context,
    { backup: { directory: resolve(directory), ...summary(manifest), files: manifest.files } },
    () => infoText(manifest),
  );
}

function infoText({ keyspace, startedAt, finishedAt, keys, bytes, version }: Manifest): string {
  const { name, shards, replicas, tags } = keyspace;
  const tagged = tags.length === 0 ? '' : `, tags ${tags.join(', ')}`;
  return [
    `keyspace   ${name}: ${count(shards, 'shard')}, ${count(replicas, 'copy', 'copies')} of each${tagged}`,
    `made       from ${startedAt} to ${finishedAt}, by Vasto ${version}`,
    `holds      ${count(keys, 'key')} in ${bytesText(bytes)}`,
    '',
  ]
    .map(printable)
    .join('\n');
}

/** Reads all of a backup, and tells whether it is as it was written. */
export async function backupVerify(context: AdminContext, directory: string): Promise<void> {
  const manifest = await readManifest(directory);
  const seconds = await verify(context, resolve(directory), manifest);
  print(
    context,
    { verified: { directory: resolve(directory), ...summary(manifest), seconds } },
    () =>
      `all of the ${count(manifest.keys, 'key')} and ${bytesText(manifest.bytes)} are as they were written\n`,
  );
}
