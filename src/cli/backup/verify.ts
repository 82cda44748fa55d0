import { join } from 'node:path';
import { Refusal } from '../admin-actions.js';
import { fileProblem, type Manifest, type ManifestFile, refused, sizeOf } from './directory.js';
import type { FileHead } from './format.js';
import { DamagedFileError, type Frame, ShardFileReader } from './shard-file.js';

/**
 * Goes through the frames of a file, and checks that it is the one that the manifest names, whole and undamaged.
 * @throws Refusal that says which file is damaged, and where
 */
export async function eachFrame(
  directory: string,
  manifest: Manifest,
  file: ManifestFile,
  take: (frame: Frame) => Promise<void>,
): Promise<void> {
  const path = join(directory, file.name);
  const size = await sizeOf(path);
  if (size !== file.bytes)
    throw new Refusal(`${path} is damaged: it has ${size} bytes, and should have ${file.bytes}`);
  const reader = await refused(`${path} cannot be read`, () => ShardFileReader.open(path));
  try {
    const head = await reader.head();
    if (!isOf(head, manifest, file))
      throw new Refusal(
        `${path} belongs to another backup, or to another shard: it is not what the manifest names`,
      );
    let keys = 0;
    for await (const frame of reader.frames(file.frameBytesMax)) {
      keys += frame.keys;
      await take(frame);
    }
    if (keys !== file.keys)
      throw new Refusal(`${path} is damaged: it has ${keys} keys, and should have ${file.keys}`);
    if (reader.digest() !== file.sha256) throw new Refusal(`${path} is not the file that the manifest names`);
  } catch (error) {
    if (error instanceof DamagedFileError) throw new Refusal(error.message);
    if (typeof (error as NodeJS.ErrnoException).syscall === 'string')
      throw new Refusal(`${path} cannot be read: ${fileProblem(error as NodeJS.ErrnoException)}`);
    throw error;
  } finally {
    await reader.close();
  }
}

function isOf(head: FileHead, { id }: Manifest, { shard }: ManifestFile): boolean {
  return head.backup === id && head.shard === shard;
}

/** Reads all that a backup has. @throws Refusal as {@link eachFrame} */
export async function verifyFiles(
  directory: string,
  manifest: Manifest,
  onFrame: (keys: number, bytes: number) => void,
): Promise<void> {
  // What is missing, or cut short, is told before anything is read.
  for (const { name, bytes } of manifest.files) {
    const path = join(directory, name);
    const size = await sizeOf(path);
    if (size !== bytes)
      throw new Refusal(`${path} is damaged: it has ${size} bytes, and should have ${bytes}`);
  }
  for (const file of manifest.files)
    await eachFrame(directory, manifest, file, async ({ keys, rows }) => onFrame(keys, rows.length));
}
