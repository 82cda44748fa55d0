import { type Command, InvalidArgumentError } from 'commander';
import type { AdminContext } from './admin-actions.js';

/** How commands are added to `vasto admin`. */
export interface BackupBranch {
  readonly admin: Command;
  leaf(parent: Command, name: string, description: string): Command;
  runs(command: Command, action: (context: AdminContext, ...words: never[]) => Promise<void>): void;
}

interface RestoreFlags {
  readonly shards?: string;
  readonly replicas?: string;
  readonly tags?: string;
  readonly db?: string;
  readonly merge?: boolean;
  readonly newTimestamps?: boolean;
  readonly rate?: number;
}

const RATE = 'no faster than so many MB a second';

/** Backups. What they do is loaded when it is needed. */
export function addBackups({ admin, leaf, runs }: BackupBranch): void {
  const made = leaf(
    admin,
    'backup <keyspace> <directory>',
    'write all that a keyspace has to a directory here',
  )
    .option('--force', 'replace the backup that the directory has, when the new one is complete')
    .option('--rate <number>', RATE, megabytes);
  runs(made, async (context, keyspace: string, directory: string) => {
    const { force, rate } = made.opts<{ force?: boolean; rate?: number }>();
    const { backup } = await import('./backup/backup.js');
    await backup(context, keyspace, directory, { replaces: force === true, bytesPerSecond: rate });
  });
  const restored = leaf(
    admin,
    'restore <directory> <keyspace>',
    'bring a backup into a keyspace, new or empty',
  )
    .option('--shards <number>', 'of a keyspace that is made for it (default: as in the backup)')
    .option('--replicas <number>', 'copies of each shard of one that is made (default: as in the backup)')
    .option('--tags <a,b>', 'only stores with all of these tags hold it (default: as in the backup)')
    .option('--db <number>', 'the number by which SELECT reaches one that is made, too')
    .option('--merge', 'into a keyspace that has keys: the later state of each counts')
    .option(
      '--new-timestamps',
      'as if all were written now, so that it beats what was written or deleted before',
    )
    .option('--rate <number>', RATE, megabytes);
  runs(restored, async (context, directory: string, keyspace: string) => {
    const { merge, newTimestamps, rate, ...request } = restored.opts<RestoreFlags>();
    const { restore } = await import('./backup/restore.js');
    const options = { merges: merge === true, renews: newTimestamps === true, bytesPerSecond: rate };
    await restore(context, directory, keyspace, { ...request, ...options });
  });
  runs(
    leaf(admin, 'backup-info <directory>', 'tell what a directory has a backup of'),
    async (context, directory: string) => (await import('./backup/info.js')).backupInfo(context, directory),
  );
  runs(
    leaf(admin, 'backup-verify <directory>', 'read a backup, and tell whether it is as it was written'),
    async (context, directory: string) => (await import('./backup/info.js')).backupVerify(context, directory),
  );
}

function megabytes(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0)
    throw new InvalidArgumentError('It must be a number above 0.');
  return value * 2 ** 20;
}
