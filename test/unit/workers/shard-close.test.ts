import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDir } from '../../support/environment.js';
import { openShard } from './shard-harness.js';

it('a shard that is closed while a flush waits for its commit lets go of the instance for it', async () => {
  const directory = temporaryDir();
  const { shard } = await openShard(directory);
  shard.setString('a', 'A', 0);
  shard.commit(false);
  await shard.prepareFlush();
  shard.flush();
  await shard.close();
  const again = await openShard(directory);
  // Opens g2, which is locked as long as the first instance of it is open.
  await again.shard.prepareFlush();
  await again.shard.close();
  expect(existsSync(join(directory, 'g2'))).toBe(false);
});
