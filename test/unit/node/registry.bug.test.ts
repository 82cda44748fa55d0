import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Registry } from '../../../src/node/registry.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import { temporaryDir } from '../../support/environment.js';

it('a record that is damaged is CORRUPT, and the directory is let go of', async () => {
  const directory = temporaryDir();
  const database = await Database.open(join(directory, 'node'));
  database.put('default', Buffer.from('registry'), Buffer.from('{"format":1,"next'));
  database.commit(true);
  await database.close();
  for (let attempt = 0; attempt < 2; attempt++) {
    const error = await Registry.open(directory).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StorageError);
    expect((error as StorageError).code).toBe('CORRUPT');
  }
});
