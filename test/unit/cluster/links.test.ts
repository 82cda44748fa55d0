import { afterEach, describe, expect, it, vi } from 'vitest';
import { LINK_BYTES_MAX } from '../../../src/base/limits.js';
import { RemoteLinks } from '../../../src/cluster/links.js';
import type { Topology } from '../../../src/cluster/topology.js';
import { waitUntil } from '../../support/environment.js';
import { Random, testSeed } from '../../support/random.js';
import { type Behaviour, command, echo, FakeStore, Replies, topologyOf } from './fake-store.js';

const SEED = testSeed('links');
const A = 'a'.repeat(40);
const B = 'b'.repeat(40);
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function storeWith(behaviour: Behaviour = echo, id = A): Promise<FakeStore> {
  const store = new FakeStore(id, behaviour);
  await store.listen();
  cleanups.push(() => store.stop());
  return store;
}

function linksTo(topology: () => Topology, timeoutMs = 500): RemoteLinks {
  const links = new RemoteLinks({ self: '', topology, timeoutMs: () => timeoutMs });
  cleanups.push(() => links.close());
  return links;
}

/** Answers greetings as usual, and anything else by `rest`. */
const greeting =
  (rest: Behaviour): Behaviour =>
  (words, connection) =>
    words[0] === 'VASTO.PEER' || words[0] === 'HELLO' ? echo(words, connection) : rest(words, connection);

describe('links to other nodes', () => {
  it('greet, gather what is sent in one turn, and hand out the replies in order', async () => {
    const store = await storeWith();
    const links = linksTo(() => topologyOf([store], [store]));
    const link = links.to(A, 'k', 3);
    const [one, two] = [new Replies(), new Replies()];
    link.send(one, command('GET', '1'));
    link.send(one, command('GET', '2'));
    link.send(two, command('GET', '3'));
    link.send(one, command('GET', '4'));
    expect(await two.all()).toEqual(['3']);
    expect(store.connections[0]!.greeting).toEqual([
      ['VASTO.PEER', 'c', 'k'],
      ['HELLO', '3'],
    ]);
    expect(store.connections[0]!.reads).toBe(2);
    // The same receiver, but not in a row: it has its replies in two requests.
    await waitUntil('all replies', () => one.texts.length === 3);
    expect(one.texts).toEqual(['1', '2', '4']);
    expect(links.to(A, 'k', 3)).toBe(link);
    expect(links.to(A, 'k', 2)).not.toBe(link);
  });

  it('ask reads again when the connection breaks, and say of writes that nobody knows', async () => {
    let isBroken = true;
    const store = await storeWith(
      greeting((words, connection) => {
        if (isBroken && words[1] === 'last') {
          isBroken = false;
          connection.socket.destroy();
          return undefined;
        }
        return isBroken && words[1] !== 'first' ? undefined : echo(words, connection);
      }),
    );
    const links = linksTo(() => topologyOf([store], [store]));
    const replies = new Replies();
    for (const words of [
      ['GET', 'first'],
      ['GET', 'r1'],
      ['SET', 'w', 'v'],
      ['GET', 'r2'],
      ['GET', 'last'],
    ])
      links.to(A, 'k', 2).send(replies, command(...words));
    const texts = await replies.all();
    expect(texts.filter((_, index) => index !== 2)).toEqual(['first', 'r1', 'r2', 'last']);
    expect(texts[2]).toMatch(
      /^-ERR store aaaaaaaa at 127\.0\.0\.1:\d+ was lost before it answered .*may or may not/,
    );
    expect(store.commands.filter(([name]) => name === 'SET')).toHaveLength(1);
  });

  it('wait for a store that is away, give up at the deadline, and go on when it is back', async () => {
    const store = await storeWith();
    const links = linksTo(() => topologyOf([store], [store]));
    await store.stop();
    const patient = new Replies();
    links.to(A, 'k', 2).send(patient, command('SET', 'k', 'v'));
    setTimeout(() => void store.listen(), 150);
    expect(await patient.all()).toEqual(['v']);

    // How long is waited counts from when the loss is noticed.
    const started = Date.now();
    await store.stop();
    await waitUntil('the loss is noticed', () => !links.to(A, 'k', 2).isReady);
    const [late, early] = [new Replies(), new Replies()];
    links.to(A, 'k', 2).send(late, command('SET', 'k', 'v'));
    expect((await late.all())[0]).toMatch(
      /^-CLUSTERDOWN store aaaaaaaa at 127\.0\.0\.1:\d+ cannot be reached: connection refused/,
    );
    expect(Date.now() - started).toBeGreaterThanOrEqual(500);
    expect(Date.now() - started).toBeLessThan(2000);
    // Nobody waits for what is known to be away.
    const startedAgain = Date.now();
    links.to(A, 'k', 2).send(early, command('GET', 'k'));
    await early.all();
    expect(Date.now() - startedAgain).toBeLessThan(250);
    await store.listen();
    await waitUntil('it is found again', async () => {
      const again = new Replies();
      links.to(A, 'k', 2).send(again, command('GET', 'k'));
      return (await again.all())[0] === 'k';
    });
  });

  it('give up a store that is away, and find it again, though the clock was set back meanwhile', async () => {
    const store = await storeWith();
    const links = linksTo(() => topologyOf([store], [store]));
    await store.stop();
    const [late, again] = [new Replies(), new Replies()];
    links.to(A, 'k', 2).send(late, command('SET', 'k', 'v'));
    await waitUntil('it was tried', () => links.to(A, 'k', 2).isAway);
    const { now } = Date;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() - 3_600_000);
    cleanups.push(() => clock.mockRestore());
    expect((await late.all())[0]).toMatch(/^-CLUSTERDOWN store aaaaaaaa/);
    await store.listen();
    await waitUntil('it is reached', () => links.to(A, 'k', 2).isReady);
    links.to(A, 'k', 2).send(again, command('GET', 'k'));
    expect(await again.all()).toEqual(['k']);
  });

  it('give up a store that is silent, and whatever it may have done', async () => {
    const store = await storeWith(
      greeting((words, connection) => (words[1] === 'x' ? echo(words, connection) : undefined)),
    );
    const links = linksTo(() => topologyOf([store], [store]), 400);
    const [read, written] = [new Replies(), new Replies()];
    links.to(A, 'k', 2).send(written, command('SET', 'k', 'v'));
    links.to(A, 'k', 2).send(read, command('GET', 'k'));
    expect((await written.all())[0]).toMatch(/may or may not/);
    expect((await read.all())[0]).toMatch(/^-CLUSTERDOWN .*no reply for 400 ms/);
  });

  it('give up a store that takes connections and does not greet', async () => {
    const store = await storeWith(() => undefined);
    const links = linksTo(() => topologyOf([store], [store]), 300);
    const replies = new Replies();
    links.to(A, 'k', 2).send(replies, command('SET', 'k', 'v'));
    expect((await replies.all())[0]).toMatch(/^-CLUSTERDOWN .*does not answer/);
  });

  it('say what a store says that does not let them in', async () => {
    const store = await storeWith(() => '-DENIED wrong secret\r\n');
    const links = linksTo(() => topologyOf([store], [store]), 300);
    const replies = new Replies();
    links.to(A, 'k', 2).send(replies, command('GET', 'k'));
    expect((await replies.all())[0]).toMatch(/^-CLUSTERDOWN .*it says: DENIED wrong secret/);
    expect(store.commands).toEqual([]);
  });

  it('send on what has moved, and keep the replies in order', async () => {
    const there = await storeWith(echo, B);
    const store = await storeWith(
      greeting((words, connection) =>
        words[1]!.startsWith('m') ? '-VASTOMOVED not here\r\n' : echo(words, connection),
      ),
    );
    let owner = store;
    const links = linksTo(() => topologyOf([store, there], [owner]));
    const replies = new Replies();
    for (const key of ['1', 'm2', '3', 'm4', '5'])
      links.to(A, 'k', 2).send(replies, command('SET', key, key));
    setTimeout(() => {
      owner = there;
      links.topologyChanged();
    }, 120);
    expect(await replies.all()).toEqual(['1', 'm2', '3', 'm4', '5']);
    expect(there.commands.map(([, key]) => key)).toEqual(['m2', 'm4']);
    const lost = new Replies();
    owner = store;
    links.to(A, 'k', 2).send(lost, command('GET', 'm6'));
    expect((await lost.all())[0]).toMatch(/^-CLUSTERDOWN store aaaaaaaa does not hold the shard/);
  });

  it('follow the topology with what waits for a store that is away', async () => {
    const there = await storeWith(echo, B);
    const store = await storeWith();
    await store.stop();
    let owner = store;
    const links = linksTo(() => topologyOf([store, there], [owner]));
    const replies = new Replies();
    links.to(A, 'k', 2).send(replies, command('SET', 'k', 'v'));
    setTimeout(() => {
      owner = there;
      links.topologyChanged();
    }, 100);
    expect(await replies.all()).toEqual(['v']);
  });

  it('deliver the replies of a block together, or one error', async () => {
    const store = await storeWith(
      greeting((words, connection) => {
        if (words[0] === 'EXEC') return '*1\r\n+OK\r\n';
        if (words[1] === 'break') connection.socket.destroy();
        return '+QUEUED\r\n';
      }),
    );
    const links = linksTo(() => topologyOf([store], [store]));
    const [whole, broken] = [new Replies(), new Replies()];
    links.to(A, 'k', 2).sendBlock(whole, [command('MULTI'), command('SET', 'a', 'b'), command('EXEC')]);
    expect(await whole.all()).toEqual(['+QUEUED', '+QUEUED', '*1', '+OK']);
    links.to(A, 'k', 2).sendBlock(broken, [command('MULTI'), command('SET', 'break', 'b'), command('EXEC')]);
    expect(await broken.all()).toHaveLength(1);
    expect(broken.texts[0]).toMatch(/may or may not/);
  });

  it('do not take more than they may hold, and tell when there is room', async () => {
    let waiting: (() => void) | undefined;
    const store = await storeWith((words, connection) => {
      if (words[0] !== 'SET') return echo(words, connection);
      waiting = () => connection.socket.write('+OK\r\n'.repeat(17));
      return undefined;
    });
    const links = linksTo(() => topologyOf([store], [store]), 5000);
    const link = links.to(A, 'k', 2);
    const replies = new Replies();
    const value = 'v'.repeat(LINK_BYTES_MAX / 16);
    for (let index = 0; index < 17; index++) {
      expect(link.isCongested).toBe(index > 15);
      link.send(replies, command('SET', 'k', value));
    }
    expect(link.isCongested).toBe(true);
    await waitUntil('all are there', () => store.commands.length === 17);
    const relieved = link.relieved();
    waiting!();
    await relieved;
    expect(link.isCongested).toBe(false);
    await replies.all();
  });

  it('ignore pushes, and break with what is no reply', async () => {
    const store = await storeWith(
      greeting((words, connection) => {
        const pushed = '>1\r\n+news\r\n';
        return words[1] === 'bad' ? 'nonsense\r\n' : `${pushed}${echo(words, connection)}${pushed}`;
      }),
    );
    const links = linksTo(() => topologyOf([store], [store]));
    const replies = new Replies();
    for (const key of ['1', '2', '3']) links.to(A, 'k', 3).send(replies, command('GET', key));
    expect(await replies.all()).toEqual(['1', '2', '3']);
    const bad = new Replies();
    links.to(A, 'k', 3).send(bad, command('SET', 'bad', 'x'));
    expect((await bad.all())[0]).toMatch(/no type begins with byte 110.*may or may not/);
  });

  it('that belong to one client end with their connection, and are passed on when clean', async () => {
    const store = await storeWith();
    const links = linksTo(() => topologyOf([store], [store]));
    let losses = 0;
    const open = () => links.openDedicated(A, 'k', 2, () => losses++)!;
    const first = open();
    const replies = new Replies();
    first.send(replies, command('WATCH', 'k'));
    await replies.all();
    links.release(first, true);
    const second = open();
    expect(second).toBe(first);
    const third = open();
    expect(third).not.toBe(first);
    store.breakAll();
    await waitUntil('the loss is known', () => losses === 1);
    const late = new Replies();
    second.send(late, command('EXEC'));
    expect((await late.all())[0]).toMatch(/^-CLUSTERDOWN/);
    links.release(second, false);
    links.release(third, false);
  });

  it('answer everything once and in order, whatever breaks', async () => {
    const random = new Random(SEED);
    const store = await storeWith(
      greeting((words, connection) => {
        if (random.chance(0.01)) {
          connection.socket.destroy();
          return undefined;
        }
        return random.chance(0.02) ? '-VASTOMOVED not now\r\n' : echo(words, connection);
      }),
    );
    const links = linksTo(() => topologyOf([store], [store]), 3000);
    const receivers: { replies: Replies; sent: string[] }[] = [];
    let next = 0;
    for (let round = 0; round < 40; round++) {
      for (let run = random.int(1, 10); run > 0; run--) {
        const replies = new Replies();
        const sent: string[] = [];
        for (let count = random.int(1, 20); count > 0; count--) {
          const word = String(next++);
          sent.push(word);
          links
            .to(A, 'k', 2)
            .send(replies, random.chance(0.5) ? command('GET', word) : command('SET', 'k', word));
        }
        receivers.push({ replies, sent });
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const { replies, sent } of receivers) {
      const texts = await replies.all();
      expect(texts.length).toBe(sent.length);
      for (const [index, text] of texts.entries())
        if (text !== sent[index]) expect(text).toMatch(/^-(ERR|CLUSTERDOWN) store aaaaaaaa/);
    }
  });
});
