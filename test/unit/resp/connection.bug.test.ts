import type { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { ErrorTally } from '../../../src/base/error-tally.js';
import { Connection } from '../../../src/resp/connection.js';

it('a segment whose replies come in parts does not make the window as small as if each reply were a part', async () => {
  const connection = new Connection(
    1,
    new PassThrough() as unknown as Socket,
    'peer',
    'local',
    { bulkBytesMax: 1 << 29, queryBytesMax: 1 << 30, authenticated: true },
    {
      errors: new ErrorTally(),
      execute: () => undefined,
      closed: () => undefined,
      outputExceeded: () => false,
      countInput: () => undefined,
      countOutput: () => undefined,
      logClosed: () => undefined,
    },
  );
  // 64 replies of 20 kB, of which a worker sends the first megabyte early.
  const slot = connection.replies.reserve(1, 0, true);
  for (let command = 0; command < 64; command++) connection.countUnderWay(slot);
  slot.deliver(Buffer.alloc(1 << 20), false);
  slot.deliver(Buffer.alloc(64 * 20_000 - (1 << 20)), true);
  await Promise.resolve();
  // 8 MB of such replies are 400.
  expect(Reflect.get(connection, 'window')).toBeGreaterThanOrEqual(64);
});
