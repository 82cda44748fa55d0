import { expect, test } from 'vitest';
import { encodeCommand } from '../support/client.js';
import { pause } from '../support/environment.js';
import { FeedNode } from '../support/feed-node.js';
import { envNumber, Random, testSeed } from '../support/random.js';
import { render } from '../support/reply.js';

const ROUNDS = envNumber('VASTO_TEST_FEED_ROUNDS', 6);
const KEYS = 400;
const BYTES_MAX = 1 << 16;

/** What was acknowledged: for each key the number of increments and of the last SET; more may have happened. */
interface Ledger {
  readonly counts: number[];
  readonly sentCounts: number[];
}

/** Increments random counters, deletes and sets other keys, until the connection fails. */
async function load(node: FeedNode, random: Random, ledger: Ledger): Promise<void> {
  const client = await node.connect();
  for (;;) {
    const keys = Array.from({ length: 50 }, () => random.int(0, KEYS - 1));
    client.send(
      Buffer.concat(
        keys.flatMap((key) => {
          ledger.sentCounts[key]!++;
          const other = random.chance(0.3) ? ['DEL', `s${key}`] : ['SET', `s${key}`, random.bytes(50)];
          return [encodeCommand(['INCR', `n${key}`]), encodeCommand(other)];
        }),
      ),
    );
    for (const key of keys) {
      for (const command of ['INCR', 'other']) {
        const reply = await client.next().catch(() => undefined);
        if (reply === undefined) return client.close();
        if (render(reply).startsWith('-')) throw new Error(render(reply));
        if (command === 'INCR') ledger.counts[key]!++;
      }
    }
  }
}

/** Works a feed until it is told to stop; what fails because a process is gone is tried again. */
async function pump(source: FeedNode, target: FeedNode, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const moved = await advance(source, target).catch((error: Error) => {
      if (/process has ended|channel|EPIPE|IPC|route/i.test(error.message)) return false;
      throw error;
    });
    if (!moved) await pause(2);
  }
}

/** Brings a feed one step on. Returns whether there was anything to do. */
async function advance(source: FeedNode, target: FeedNode): Promise<boolean> {
  const { f: progress } = (await target.ask('state')).feeds;
  if (progress === undefined) {
    await target.ask('beginCopy', 'f', (await source.ask('state')).log!);
    return true;
  }
  if (progress.phase === 'copying') {
    const slice = await source.ask('copySlice', progress.after, undefined, BYTES_MAX);
    const answer = await target.ask('applyCopy', 'f', slice);
    if ('refused' in answer) throw new Error(answer.message);
    return true;
  }
  const chunk = await source.ask('readLog', progress.position, BYTES_MAX);
  if ('gone' in chunk) throw new Error('the log lost records that were not acknowledged');
  if (chunk.last.sequence === progress.position.sequence) return false;
  const answer = await target.ask('applyRecords', 'f', chunk);
  if ('refused' in answer) throw new Error(answer.message);
  await source.ask('trimLog', chunk.last.sequence);
  return true;
}

async function contents(node: FeedNode): Promise<string> {
  const client = await node.connect();
  const [reply] = await client.pipeline([['VASTO.PREFIX', '', 'LIMIT', String(10 * KEYS), 'VALUES']]);
  client.close();
  return render(reply!);
}

test('a feed goes on exactly where it was, whoever dies, and loses and doubles nothing', async () => {
  const random = new Random(testSeed('feeds of nodes that die'));
  const [source, target] = [await FeedNode.start(), await FeedNode.start()];
  for (const node of [source, target]) {
    const client = await node.connect();
    await client.text('SET', 'first', '1');
    if (node === target) await client.rendered('DEL', 'first');
    client.close();
  }
  await source.ask('setLogging', true);
  const zeros = () => new Array<number>(KEYS).fill(0);
  const ledger: Ledger = { counts: zeros(), sentCounts: zeros() };
  let isOver = false;
  const pumping = pump(source, target, () => isOver);
  for (let round = 0; round < ROUNDS; round++) {
    const loading = load(source, random, ledger);
    await pause(random.int(100, 700));
    const victim = random.pick([source, target, target]);
    await victim.kill();
    if (victim === source) await loading;
    await victim.run();
    if (victim === source) continue;
    await pause(random.int(50, 300));
    await source.kill();
    await loading;
    await source.run();
  }
  isOver = true;
  await pumping;
  while (await advance(source, target));
  expect(await contents(target)).toBe(await contents(source));
  const client = await target.connect();
  for (let key = 0; key < KEYS; key++) {
    const [reply] = await client.pipeline([['GET', `n${key}`]]);
    const count = Number(reply!.type === 'bulk' ? reply!.data.toString() : 0);
    expect(count).toBeGreaterThanOrEqual(ledger.counts[key]!);
    expect(count).toBeLessThanOrEqual(ledger.sentCounts[key]!);
  }
  // The front hears of what is logged before the client does.
  const writer = await source.connect();
  await writer.text('SET', 'last', '1');
  expect(source.logged).toBe((await source.ask('state')).log!.sequence);
  writer.close();
  client.close();
  await Promise.all([source.kill('SIGTERM'), target.kill('SIGTERM')]);
}, 180_000);
