import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CrashingServer } from '../support/crashing-server.js';
import { waitUntil } from '../support/environment.js';
import { envNumber, Random, testSeed } from '../support/random.js';

/*
 * What kombu, and so Celery, does on Redis: a list for each priority of a queue, taken from with BRPOP; what is taken is
 * noted in a hash, and in a sorted set by time, until it is acknowledged; what is there for too long goes back to its list.
 */

const PRIORITIES = [0, 3, 6, 9] as const;
const BINDINGS = '_kombu.binding.tasks';
const UNACKED = 'unacked';
const UNACKED_INDEX = 'unacked_index';
const MUTEX = 'unacked_mutex';
const RESTORED_AT_ONCE = 10;

const listOf = (queue: string, priority: number) => (priority === 0 ? queue : `${queue}\x06\x16${priority}`);

interface Message {
  readonly tag: string;
  readonly body: string;
  readonly priority: number;
}

/** Every reply of a transaction; it is an error here if one of them is. */
async function exec(transaction: ReturnType<Redis['multi']>): Promise<unknown[] | undefined> {
  const replies = await transaction.exec();
  return replies?.map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}

/** One connection's use of a queue. */
class Channel {
  constructor(
    readonly client: Redis,
    readonly queue: string,
  ) {}

  async publish(body: string, priority: number): Promise<void> {
    const message: Message = { tag: randomUUID(), body, priority };
    await this.client.sadd(BINDINGS, `tasks\x06\x16\x06\x16${this.queue}`);
    await this.client.lpush(listOf(this.queue, priority), JSON.stringify(message));
  }

  /** The next message, by priority, which is then unacknowledged; undefined if there is none in a second. */
  async take(onTaken: (body: string) => void = () => undefined): Promise<Message | undefined> {
    const lists = PRIORITIES.map((priority) => listOf(this.queue, priority));
    const found = await this.client.brpop(...lists, 1);
    if (found === null) return undefined;
    const message = JSON.parse(found[1]) as Message;
    onTaken(message.body);
    await exec(
      this.client.multi().zadd(UNACKED_INDEX, Date.now(), message.tag).hset(UNACKED, message.tag, found[1]),
    );
    return message;
  }

  async acknowledge(tag: string): Promise<void> {
    const replies = await exec(this.client.multi().zrem(UNACKED_INDEX, tag).hdel(UNACKED, tag));
    expect(replies).toEqual([1, 1]);
  }

  /** Puts back what was taken by then and never acknowledged. @returns how much; undefined if another one is about it */
  async restore(takenByMs: number): Promise<number | undefined> {
    const token = randomUUID();
    if ((await this.client.set(MUTEX, token, 'EX', 300, 'NX')) === null) return undefined;
    const range = [UNACKED_INDEX, takenByMs, 0, 'WITHSCORES', 'LIMIT', 0, RESTORED_AT_ONCE] as const;
    const visible = await this.client.zrevrangebyscore(...range);
    const tags = visible.filter((_tag, index) => index % 2 === 0);
    for (const tag of tags) while (!(await this.restoreOne(tag)));
    await this.client.watch(MUTEX);
    expect(await this.client.get(MUTEX)).toBe(token);
    expect(await exec(this.client.multi().del(MUTEX))).toEqual([1]);
    return tags.length;
  }

  /** @returns whether nobody was in between */
  private async restoreOne(tag: string): Promise<boolean> {
    await this.client.watch(UNACKED);
    const text = await this.client.hget(UNACKED, tag);
    const transaction = this.client.multi().zrem(UNACKED_INDEX, tag).hdel(UNACKED, tag);
    if (text !== null) {
      const { priority } = JSON.parse(text) as Message;
      transaction.rpush(listOf(this.queue, priority), text);
    }
    return (await exec(transaction)) !== undefined;
  }
}

/** What happened to the messages. */
class Outcome {
  readonly timesDone = new Map<string, number>();
  /** Those of which a consumer does not know whether they are unacknowledged, or acknowledged. */
  readonly unsure = new Set<string>();
  /** BRPOPs that were under way when their connection broke: each may have taken a message with it. */
  brokenTakes = 0;

  did(body: string): void {
    this.timesDone.set(body, (this.timesDone.get(body) ?? 0) + 1);
  }
}

/** Messages before, and after, the server is killed. */
const HALF = envNumber('VASTO_TEST_QUEUE_JOBS', 150);

describe('a program like kombu', () => {
  let server: CrashingServer;

  beforeAll(async () => {
    server = await CrashingServer.start();
  });

  afterAll(() => server.stop());

  const channelOf = async (queue: string) => new Channel(await server.connect(), queue);

  test('takes what is more urgent first, and what is of one priority in order', async () => {
    const channel = await channelOf('urgent');
    for (let at = 0; at < 12; at++) await channel.publish(`${at}`, PRIORITIES[(at * 7) % 4]!);
    const taken: Message[] = [];
    for (let at = 0; at < 12; at++) taken.push((await channel.take())!);
    const inOrder = taken.toSorted((a, b) => a.priority - b.priority || Number(a.body) - Number(b.body));
    expect(taken).toEqual(inOrder);
    for (const { tag } of taken) await channel.acknowledge(tag);
    expect(await channel.client.exists(UNACKED, UNACKED_INDEX, 'urgent')).toBe(0);
  });

  test('two that restore at a time put each message back once', async () => {
    const [channel, other] = [await channelOf('restored'), await channelOf('restored')];
    for (let at = 0; at < 45; at++) await channel.publish(String(at), 3);
    for (let at = 0; at < 45; at++) await channel.take();
    let restored = 0;
    const restoreAll = async (by: Channel) => {
      while ((await by.client.hlen(UNACKED)) > 0) {
        const more = await by.restore(Date.now());
        restored += more ?? 0;
      }
    };
    await Promise.all([restoreAll(channel), restoreAll(other)]);
    expect(restored).toBe(45);
    expect(await channel.client.llen(listOf('restored', 3))).toBe(45);
    expect(await channel.client.del(listOf('restored', 3))).toBe(1);
  });

  /** Does messages until it is told to end; a connection that breaks is replaced. */
  async function consume(outcome: Outcome, isOver: () => boolean): Promise<void> {
    let channel = await channelOf('tasks');
    while (!isOver()) {
      let body: string | undefined;
      try {
        const message = await channel.take((taken) => {
          body = taken;
        });
        if (message === undefined) continue;
        outcome.did(message.body);
        await channel.acknowledge(message.tag);
      } catch (error) {
        if (channel.client.status !== 'end') throw error;
        if (body === undefined) outcome.brokenTakes++;
        else outcome.unsure.add(body);
        channel = await channelOf('tasks');
      }
    }
    channel.client.disconnect();
  }

  /** Takes some, and dies without having done them. */
  async function takeAndDie(count: number): Promise<void> {
    const channel = await channelOf('tasks');
    for (let taken = 0; taken < count; ) if ((await channel.take()) !== undefined) taken++;
    channel.client.disconnect();
  }

  async function publish(from: number, to: number, random: Random): Promise<void> {
    const channel = await channelOf('tasks');
    for (let at = from; at < to; at++) await channel.publish(String(at), random.pick(PRIORITIES));
    channel.client.disconnect();
  }

  test('loses no message, though consumers die, and the server', { timeout: 120_000 }, async () => {
    const random = new Random(testSeed('kombu-like'));
    const outcome = new Outcome();
    const { timesDone, unsure } = outcome;
    let isOver = false;
    const dying = Promise.all([takeAndDie(5), takeAndDie(9)]);
    const consumers = Array.from({ length: 4 }, () => consume(outcome, () => isOver));
    await publish(0, HALF, random);
    await dying;
    // The consumers wait when it dies, or are busy.
    if (random.chance(0.3)) await waitUntil('all are done', () => timesDone.size === HALF - 14);
    await server.crash();
    await publish(HALF, 2 * HALF, random);

    const last = await channelOf('tasks');
    const lists = PRIORITIES.map((priority) => listOf('tasks', priority));
    const isEmpty = async () => (await last.client.exists(...lists)) === 0;
    await waitUntil('the lists are empty', isEmpty);
    isOver = true;
    await Promise.all(consumers);
    expect(await last.client.hlen(UNACKED)).toBeLessThanOrEqual(14 + unsure.size);
    while ((await last.restore(Date.now())) !== 0);
    while (!(await isEmpty())) {
      const { tag, body } = (await last.take())!;
      outcome.did(body);
      await last.acknowledge(tag);
    }
    expect(await last.client.keys('*')).toEqual([BINDINGS]);

    const all = Array.from({ length: 2 * HALF }, (_, at) => String(at));
    const lost = all.filter((body) => !timesDone.has(body) && !unsure.has(body));
    expect(lost.length).toBeLessThanOrEqual(outcome.brokenTakes);
    const twice = all.filter((body) => timesDone.get(body)! > (unsure.has(body) ? 2 : 1));
    expect(twice).toEqual([]);
  });
});
