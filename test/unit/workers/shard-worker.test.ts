import { MessageChannel } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { CommandStatistics } from '../../../src/base/command-statistics.js';
import { commandTable } from '../../../src/commands/table.js';
import type { CopyBegin, Refusal } from '../../../src/workers/feed-protocol.js';
import { Database, StorageError } from '../../../src/workers/rocksdb.js';
import run from '../../../src/workers/shard-worker.js';
import { temporaryDir } from '../../support/environment.js';
import { WORKER_SETTINGS } from '../../support/worker-settings.js';
import { START_MS, STORAGE } from './shard-harness.js';

const SHARD = { owner: 0, shard: 1 };
const HOUR_MS = 3_600_000;

const SETTINGS = { ...WORKER_SETTINGS, appendfsync: 'everysec' } as const;

let nowMs = START_MS;
const channel = new MessageChannel();
let ticking: NodeJS.Timeout;

beforeAll(async () => {
  const intervals = vi.spyOn(globalThis, 'setInterval');
  const { shared } = new CommandStatistics(commandTable.length);
  await run({ kind: 'attach', owner: 0, port: channel.port1, settings: SETTINGS, statistics: shared });
  ticking = intervals.mock.results[0]!.value;
});

afterAll(() => {
  clearInterval(ticking);
  channel.port1.close();
});

beforeEach(async () => {
  nowMs = START_MS;
  vi.spyOn(Date, 'now').mockImplementation(() => nowMs);
  const directory = temporaryDir();
  const shownAndOwn = { shown: undefined, own: undefined };
  await run({ kind: 'open', ...SHARD, directory, storage: STORAGE, watches: [], ...shownAndOwn });
});

afterEach(async () => {
  await run({ kind: 'close', ...SHARD });
  vi.restoreAllMocks();
});

/** Has the shard write something. */
function write(): Promise<Refusal | undefined> {
  const begin: CopyBegin = { log: 'l', sequence: 0, rememberedSince: 0 };
  return run({ kind: 'beginCopy', ...SHARD, feed: 'f', begin, slots: undefined }) as Promise<
    Refusal | undefined
  >;
}

/** The clock stands still meanwhile, so that what takes it for time never happens. */
const WITHIN = { timeout: 10_000 };

it('what is written is brought to the disk every second though the clock was set back', async () => {
  const synced = vi.spyOn(Database.prototype, 'syncLog');
  await write();
  await expect.poll(() => synced.mock.calls.length, WITHIN).toBe(1);
  nowMs -= HOUR_MS;
  await write();
  await expect.poll(() => synced.mock.calls.length, WITHIN).toBe(2);
});

it('a disk that failed is tried every second though the clock was set back', async () => {
  vi.spyOn(Database.prototype, 'commit').mockImplementationOnce(() => {
    throw new StorageError('NO_SPACE', 'no space left on the test');
  });
  expect(await write()).toMatchObject({ refused: 'disk' });
  nowMs -= HOUR_MS;
  await expect.poll(write, WITHIN).toBeUndefined();
});
