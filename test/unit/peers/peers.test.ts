import { afterEach, describe, expect, test } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { SYSTEM_TIMERS } from '../../../src/base/timers.js';
import type { StoreEntry } from '../../../src/cluster/topology.js';
import { GrpcSecurity } from '../../../src/master/credentials.js';
import { PeerClients } from '../../../src/peers/client.js';
import { PeerServer } from '../../../src/peers/server.js';
import { haveOpenssl, TestAuthority } from '../../support/certificates.js';
import { waitUntil } from '../../support/environment.js';
import { storeEntry } from '../../support/fake-cluster.js';
import { copies, FeedNode } from '../../support/fake-stores.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

const WARN = { warning: (message: string) => console.warn(message) };

/** A store whose feeds go over gRPC, through a proxy that stands before its port. */
class Peer extends FeedNode {
  private server!: PeerServer;
  private clients!: PeerClients;
  proxy!: TcpProxy;

  async listen(flags: readonly string[] = []): Promise<this> {
    const config = Config.load({ flags });
    const security = GrpcSecurity.of(config);
    this.clients = new PeerClients(security);
    this.feeds.start((store) => this.clients.connect(store));
    this.server = await PeerServer.listen(config, WARN, security, this.feeds, 0);
    this.proxy = await TcpProxy.open(this.server.port);
    return this;
  }

  get reachable(): StoreEntry {
    return { ...this.entry, peerPort: this.proxy.port };
  }

  async close(): Promise<void> {
    await this.feeds.close();
    this.clients.close();
    await this.proxy.close();
    await this.server.close(() => undefined);
  }
}

describe('feeds over gRPC', () => {
  let peers: Peer[] = [];

  afterEach(async () => {
    await Promise.all(peers.map((peer) => peer.close()));
    peers = [];
  });

  async function two(flags: readonly (readonly string[])[] = [[], []]): Promise<[Peer, Peer]> {
    peers = await Promise.all(
      flags.map((words, index) => new Peer(storeEntry(index + 1), SYSTEM_TIMERS).listen(words)),
    );
    return peers as [Peer, Peer];
  }

  function join(): void {
    const topology = copies(peers.map(({ reachable }) => reachable));
    for (const peer of peers) peer.apply(topology);
  }

  const level = () =>
    waitUntil('all copies are level', () => peers.every(({ status }) => status?.isLevel === true));

  const same = (one: Peer, other: Peer) =>
    waitUntil(
      'both have the same',
      () => JSON.stringify(one.shard.values) === JSON.stringify(other.shard.values),
    );

  test('bring a copy and what follows, bytes and all', async () => {
    const [owner, replica] = await two();
    for (let index = 0; index < 500; index++)
      owner.write(`k\u0000\u00ff${index}`, `\u{1f600}${index}`, index + 1);
    owner.engine.batch = 50;
    join();
    await level();
    expect(replica.shard.values).toEqual(owner.shard.values);
    for (let index = 0; index < 100; index++) owner.write(`late${index}`, 'v', 1000 + index);
    await same(owner, replica);
    expect(owner.feeds.sources.followers()).toMatchObject([{ open: 1, isCopying: false }]);
  });

  test('come together again after a cut during which both sides wrote', async () => {
    const [owner, replica] = await two();
    join();
    await level();
    for (const { proxy } of peers) proxy.cut();
    await waitUntil('the feed is lost', () => replica.status?.state === 'connecting');
    for (let index = 0; index < 20; index++) {
      owner.write(`k${index}`, 'owner', index % 2 === 0 ? 50 : 40);
      replica.write(`k${index}`, 'replica', 45);
    }
    for (const { proxy } of peers) proxy.mend();
    await same(owner, replica);
    await level();
    expect(owner.shard.values).toMatchObject({ k0: 'owner', k1: 'replica' });
    expect([owner.shard.copies, replica.shard.copies]).toEqual([1, 1]);
  });

  test('notice that nothing comes through, though connections stand', async () => {
    const [owner, replica] = await two();
    join();
    await level();
    for (const { proxy } of peers) proxy.silence();
    await waitUntil('silence is noticed', () => replica.status?.state === 'connecting', 15_000);
    await waitUntil('at the source, too', () => owner.feeds.sources.followers()[0]!.open === 0, 15_000);
    owner.write('a', '1', 1);
    for (const { proxy } of peers) proxy.mend();
    await same(owner, replica);
  }, 40_000);

  test('are refused to who does not show the secret of the cluster', async () => {
    const [, stranger] = await two([
      ['--cluster-secret', 'one'],
      ['--cluster-secret', 'other'],
    ]);
    join();
    await waitUntil('the refusal is told', () => /secret/.test(stranger.status?.problem ?? ''));
    expect(stranger.status!.state).toBe('connecting');
  });

  test.skipIf(!haveOpenssl())('go over TLS with certificates on both sides', async () => {
    const authority = new TestAuthority();
    const { cert, key } = authority.issue('node');
    const trust = ['--tls-cluster', 'yes', '--tls-ca-cert-file', authority.ca];
    const files = ['--tls-cert-file', cert, '--tls-key-file', key];
    const [owner, replica] = await two([
      [...trust, ...files],
      [...trust, ...files],
    ]);
    owner.write('a', '1', 1);
    join();
    await level();
    expect(replica.shard.values).toEqual({ a: '1' });
  });

  test('tell that a store has no port for others', async () => {
    const [owner, replica] = await two();
    const topology = copies([owner.entry, replica.entry].map((entry) => ({ ...entry, peerPort: 0 })));
    replica.apply(topology);
    await waitUntil('the problem is told', () => /set its peer-port/.test(replica.status?.problem ?? ''));
  });
});
