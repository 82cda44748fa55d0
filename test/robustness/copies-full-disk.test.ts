import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TestCluster } from '../support/cluster.js';
import { waitUntil } from '../support/environment.js';
import { SUBJECT } from '../support/server.js';
import { SmallDisk } from '../support/small-disk.js';

const DISK_MB = 96;
const VALUE_BYTES = 50_000;
/** More than the disk has room for, and less, while that is not full. */
const LARGE_VALUES = 2000;
const SMALL_VALUES = 200;

async function fill(cluster: TestCluster, name: string, values: number): Promise<void> {
  const [store] = cluster.stores;
  const client = await store!.connect();
  expect(await client.rendered('SELECT', name)).toBe('+OK');
  for (let from = 0; from < values; from += 100)
    await client.pipeline(
      Array.from({ length: 100 }, (_, index) => ['SET', `key:${from + index}`, randomBytes(VALUE_BYTES)]),
    );
  expect(await client.rendered('DBSIZE')).toBe(`:${values}`);
  client.close();
}

async function copyOntoFullDisk(cluster: TestCluster, disk: SmallDisk): Promise<void> {
  const [first] = cluster.stores;
  for (const name of ['large', 'small']) await cluster.createKeyspace(name, { shards: 1 });
  await fill(cluster, 'large', LARGE_VALUES);
  await fill(cluster, 'small', SMALL_VALUES);
  const flags = ['--dir', join(disk.dir, 'data'), '--migration-rate', '2mb'];
  const second = await cluster.addStore(flags);

  const refused = /^-ERR store \S+ would get \d+ MB, which takes \d+ MB, and has only \d+ MB free$/;
  // Stores say every two seconds what they hold.
  await waitUntil('what there is has been reported', async () => {
    const described = await first!.ask('VASTO', 'KEYSPACE', 'DESCRIBE', 'large');
    return Number(/"bytes" :(\d+)/.exec(described)?.[1]) >= 0.9 * LARGE_VALUES * VALUE_BYTES;
  });
  await waitUntil('so has the disk', async () =>
    (await cluster.control.stores()).every(({ totalBytes }) => totalBytes > 0),
  );
  expect(await first!.ask('VASTO', 'KEYSPACE', 'REPLICAS', 'large', 2)).toMatch(refused);
  expect(await first!.ask('VASTO', 'TASKS')).toBe('*[]');

  expect(await first!.ask('VASTO', 'KEYSPACE', 'REPLICAS', 'small', 2)).not.toMatch(/^-/);
  const status = async () => (await cluster.control.changeStatuses())[0];
  await waitUntil('the copy is under way', async () => ((await status())?.rows ?? 0) > 0);
  await waitUntil(
    'the task says why it does not go on',
    async () => {
      disk.fillUp();
      return (await status())?.waitsFor.some((reason) => /No space left on device/.test(reason)) === true;
    },
    30_000,
  );
  await waitUntil('so does the log', () => /is not under way: .*No space left on device/.test(second.output));
  // Whoever has the rows is not concerned.
  const client = await first!.connect();
  await client.command('SELECT', 'small');
  expect(await client.rendered('SET', 'written meanwhile', '1')).toBe('+OK');
  disk.makeRoom();
  await waitUntil('the copy is made', async () => (await status()) === undefined, 60_000);
  expect(await client.rendered('WAIT', 1, 10_000)).toBe(':1');
  client.close();
  await first!.kill9();
  const other = await second.connect();
  expect(await other.rendered('SELECT', 'small')).toBe('+OK');
  await waitUntil(
    'the copy has taken over, with all rows',
    async () => (await other.rendered('DBSIZE')) === `:${SMALL_VALUES + 1}`,
    30_000,
  );
  other.close();
}

test.skipIf(SUBJECT === 'redis')(
  'what does not fit on a disk is not begun, and a copy whose disk becomes full says so and goes on when there is room',
  async (context) => {
    const disk = SmallDisk.mount(DISK_MB);
    if (disk === undefined) return context.skip();
    const cluster = await TestCluster.start({ stores: 1 });
    try {
      await copyOntoFullDisk(cluster, disk);
    } finally {
      await cluster.stop();
      disk.unmount();
    }
  },
  180_000,
);
