import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CrashingServer } from '../support/crashing-server.js';
import { waitUntil } from '../support/environment.js';
import { envNumber, Random, testSeed } from '../support/random.js';

/*
 * What RQ does on Redis: jobs are hashes; queues are lists of their ids, from which a worker moves one into a list of what is on
 * its way; registries (sorted sets) say which are started, until when, which are finished, and which have failed; jobs that depend on
 * others are in sets until those are finished; workers say that they are there.
 */

const QUEUE = 'rq:queue:default';
const INTERMEDIATE = `${QUEUE}:intermediate`;
const STARTED = 'rq:wip:default';
const FINISHED = 'rq:finished:default';
const FAILED = 'rq:failed:default';
const DEFERRED = 'rq:deferred:default';
const jobKey = (id: string) => `rq:job:${id}`;
const dependentsKey = (id: string) => `rq:job:${id}:dependents`;

/** Beyond what this test takes: nobody's job is abandoned before its worker is. */
const JOB_TIMEOUT_MS = 600_000;

/** The replies of a transaction, of which none may be an error; undefined if what was watched has changed. */
async function exec(transaction: ReturnType<Redis['multi']>): Promise<unknown[] | undefined> {
  const replies = await transaction.exec();
  return replies?.map(([error, reply]) => {
    if (error !== null) throw error;
    return reply;
  });
}

async function enqueue(client: Redis, id: string): Promise<void> {
  const job = {
    status: 'queued',
    description: `work.do(${id})`,
    created_at: Date.now(),
    data: Buffer.alloc(60, id),
  };
  await exec(client.multi().sadd('rq:queues', QUEUE).hset(jobKey(id), job).rpush(QUEUE, id));
}

/** Enqueues a job as soon as another is finished, which it may be already. */
async function enqueueBehind(client: Redis, id: string, other: string): Promise<void> {
  for (;;) {
    await client.watch(dependentsKey(other), jobKey(other));
    if ((await client.hget(jobKey(other), 'status')) === 'finished') {
      await client.unwatch();
      return enqueue(client, id);
    }
    const transaction = client
      .multi()
      .hset(jobKey(id), { status: 'deferred', dependency: other })
      .sadd(dependentsKey(other), id)
      .zadd(DEFERRED, Date.now(), id);
    if ((await exec(transaction)) !== undefined) return;
  }
}

/** One worker on one connection. */
class Worker {
  private readonly key: string;

  constructor(
    private readonly client: Redis,
    readonly name: string,
  ) {
    this.key = `rq:worker:${name}`;
  }

  async register(): Promise<void> {
    await exec(
      this.client
        .multi()
        .del(this.key)
        .hset(this.key, { birth: Date.now(), queues: 'default' })
        .expire(this.key, 60)
        .sadd('rq:workers', this.key),
    );
  }

  /** The id of the next job, which is on its way then; undefined if there is none for a while. */
  async take(): Promise<string | undefined> {
    return (await this.client.blmove(QUEUE, INTERMEDIATE, 'LEFT', 'RIGHT', 0.2)) ?? undefined;
  }

  async begin(id: string): Promise<void> {
    const replies = await exec(
      this.client
        .multi()
        .hset(this.key, 'state', 'busy', 'current_job', id)
        .hset(jobKey(id), { status: 'started', worker_name: this.name })
        .zadd(STARTED, Date.now() + JOB_TIMEOUT_MS, id)
        .lrem(INTERMEDIATE, 1, id),
    );
    expect(replies![3]).toBe(1);
  }

  /** Says that it is done, and enqueues what has waited for it. */
  async finish(id: string, result: string): Promise<void> {
    for (;;) {
      await this.client.watch(dependentsKey(id));
      const dependents = await this.client.smembers(dependentsKey(id));
      const transaction = this.client
        .multi()
        .hset(jobKey(id), { status: 'finished', result })
        .hdel(jobKey(id), 'worker_name')
        .zrem(STARTED, id)
        .zadd(FINISHED, Date.now() + 500_000, id)
        .hincrby(this.key, 'successful_job_count', 1)
        .hincrbyfloat(this.key, 'total_working_time', 0.25)
        .hdel(this.key, 'current_job')
        .del(dependentsKey(id));
      for (const dependent of dependents)
        transaction
          .hset(jobKey(dependent), 'status', 'queued')
          .zrem(DEFERRED, dependent)
          .rpush(QUEUE, dependent);
      const replies = await exec(transaction);
      if (replies === undefined) continue;
      expect(replies.slice(2, 4)).toEqual([1, 1]);
      return;
    }
  }

  async fail(id: string, reason: string): Promise<void> {
    await exec(
      this.client
        .multi()
        .hset(jobKey(id), { status: 'failed', exc_info: reason })
        .zrem(STARTED, id)
        .zadd(FAILED, Date.now(), id)
        .hincrby(this.key, 'failed_job_count', 1)
        .expire(jobKey(id), 1000),
    );
  }
}

/** Puts back what is on its way, or started: to be called when no worker is at work. @returns how much */
async function rescue(client: Redis): Promise<number> {
  const moved = await client.lrange(INTERMEDIATE, 0, -1);
  for (const id of moved)
    expect(await exec(client.multi().lrem(INTERMEDIATE, 1, id).lpush(QUEUE, id))).toEqual([
      1,
      expect.any(Number),
    ]);
  const started = await client.zrangebyscore(STARTED, 0, Date.now() + JOB_TIMEOUT_MS);
  for (const id of started)
    await exec(client.multi().zrem(STARTED, id).hset(jobKey(id), 'status', 'queued').rpush(QUEUE, id));
  return moved.length + started.length;
}

/** Jobs; as many again depend on them. */
const JOBS = envNumber('VASTO_TEST_QUEUE_JOBS', 150);
const idsOf = (kind: string, chosen: (at: number) => boolean) =>
  Array.from({ length: JOBS }, (_, at) => at)
    .filter(chosen)
    .map((at) => `${kind}${at}`);
const fails = (at: number) => at % 10 === 3;

/** What happened to the jobs. */
class Outcome {
  readonly timesDone = new Map<string, number>();
  /** Those that were done by who did not hear whether that is known. */
  readonly unsure = new Set<string>();
  isOver = false;
  private workers = 0;

  did(id: string): void {
    this.timesDone.set(id, (this.timesDone.get(id) ?? 0) + 1);
  }

  nextName(): string {
    return `w${this.workers++}`;
  }
}

describe('a program like RQ', () => {
  let server: CrashingServer;

  beforeAll(async () => {
    server = await CrashingServer.start();
  });

  afterAll(() => server.stop());

  /** Works until it is told to end; with a connection that breaks the worker dies, and another one begins. */
  async function work(outcome: Outcome): Promise<void> {
    while (!outcome.isOver) {
      const client = await server.connect();
      const worker = new Worker(client, outcome.nextName());
      let doing: string | undefined;
      try {
        await worker.register();
        while (!outcome.isOver) {
          const id = await worker.take();
          if (id === undefined) continue;
          await worker.begin(id);
          doing = id;
          outcome.did(id);
          if (id.startsWith('j') && fails(Number(id.slice(1)))) await worker.fail(id, 'it was to fail');
          else await worker.finish(id, `done ${id}`);
          doing = undefined;
        }
      } catch (error) {
        if (client.status !== 'end') throw error;
        if (doing !== undefined) outcome.unsure.add(doing);
      }
      client.disconnect();
    }
  }

  /** Dies with a job that it has taken, and with one that it has begun. */
  async function die(outcome: Outcome): Promise<void> {
    const client = await server.connect();
    const worker = new Worker(client, outcome.nextName());
    for (let taken = 0; taken < 2; ) {
      const id = await worker.take();
      if (id !== undefined && taken++ === 0) await worker.begin(id);
    }
    client.disconnect();
  }

  /** Enqueues jobs and what depends on them; which of them got there, when the connection breaks, the jobs themselves tell. */
  async function enqueueAll(progress: (at: number) => void): Promise<void> {
    let client = await server.connect();
    for (let at = 0; at < JOBS; ) {
      try {
        if ((await client.exists(jobKey(`j${at}`))) === 0) await enqueue(client, `j${at}`);
        if ((await client.exists(jobKey(`d${at}`))) === 0) await enqueueBehind(client, `d${at}`, `j${at}`);
        progress(++at);
      } catch (error) {
        if (client.status !== 'end') throw error;
        client = await server.connect();
      }
    }
    client.disconnect();
  }

  test('does every job, though workers die, and the server', { timeout: 120_000 }, async () => {
    const random = new Random(testSeed('rq-like'));
    const outcome = new Outcome();
    const dying = die(outcome);
    const workers = Array.from({ length: 4 }, () => work(outcome));
    const crashAt = random.int(20, JOBS - 1);
    let crash = Promise.resolve();
    await enqueueAll((at) => {
      if (at === crashAt) crash = dying.then(() => server.crash());
    });
    await crash;
    const client = await server.connect();
    const isIdle = async () => (await client.llen(QUEUE)) === 0;
    await waitUntil('the queue is empty', isIdle, 30_000);
    outcome.isOver = true;
    await Promise.all(workers);

    expect(await rescue(client)).toBeGreaterThanOrEqual(2);
    outcome.isOver = false;
    const last = work(outcome);
    const isDone = async () => (await client.exists(QUEUE, INTERMEDIATE, STARTED)) === 0;
    await waitUntil('the rest is done', isDone, 30_000);
    outcome.isOver = true;
    await last;

    const finished = [...idsOf('j', (at) => !fails(at)), ...idsOf('d', (at) => !fails(at))];
    expect((await client.zrange(FINISHED, '0', '-1')).sort()).toEqual(finished.toSorted());
    expect((await client.zrange(FAILED, '0', '-1')).sort()).toEqual(idsOf('j', fails).sort());
    expect((await client.zrange(DEFERRED, '0', '-1')).sort()).toEqual(idsOf('d', fails).sort());
    for (const id of finished)
      expect(await client.hmget(jobKey(id), 'status', 'result', 'worker_name')).toEqual([
        'finished',
        `done ${id}`,
        null,
      ]);
    const twice = [...outcome.timesDone].filter(([id, times]) => times > (outcome.unsure.has(id) ? 2 : 1));
    expect(twice).toEqual([]);
    const known = await client.smembers('rq:workers');
    const counts = await Promise.all(
      known.map((key) => client.hmget(key, 'successful_job_count', 'total_working_time')),
    );
    const sum = (at: number) => counts.reduce((total, count) => total + Number(count[at] ?? 0), 0);
    expect([sum(0), sum(1)]).toEqual([finished.length, finished.length / 4]);
  });
});
