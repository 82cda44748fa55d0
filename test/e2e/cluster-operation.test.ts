import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { haveOpenssl, TestAuthority } from '../support/certificates.js';
import { RawClient } from '../support/client.js';
import { ClusterNode, TestCluster } from '../support/cluster.js';
import { freePort, haveTool, temporaryDir, waitUntil } from '../support/environment.js';
import { SUBJECT, TestServer, VASTO_MAIN } from '../support/server.js';
import { TestTerminal } from '../support/terminal.js';
import { runTool } from '../support/tools.js';

const vasto = (...words: string[]) => runTool(process.execPath, [VASTO_MAIN, ...words]);

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

describe.skipIf(SUBJECT === 'redis')('a master as a process', () => {
  test('says where it is, writes its pidfile, rereads its files, and ends cleanly', async () => {
    const pidfile = join(temporaryDir(), 'pid');
    const master = new ClusterNode('master', await freePort(), temporaryDir(), ['--pidfile', pidfile]);
    await master.start();
    expect(master.output).toContain(`master on port ${master.port} of 127.0.0.1`);
    expect(readFileSync(pidfile, 'utf8')).toBe(`${master.pid}\n`);
    master.signal('SIGHUP');
    await waitUntil('it has read again', () => master.output.includes('SIGHUP: certificates and secrets'));
    expect(await master.stop()).toEqual({ code: 0, signal: null });
    expect(master.output).toContain('SIGTERM: stores and gateways go on without this master');
    expect(existsSync(pidfile)).toBe(false);
  });

  test('does not start where another one listens, or where strangers could come in', async () => {
    const master = new ClusterNode('master', await freePort(), temporaryDir(), []);
    await master.start();
    const port = String(master.port);
    for (const words of [
      ['master', '--master-port', port],
      ['server', '--port', String(await freePort()), '--dir', temporaryDir(), '--master-port', port],
    ]) {
      const { code, stderr } = await vasto(...words);
      expect([code, stderr]).toEqual([
        1,
        `vasto: cannot listen on 127.0.0.1:${port}: another program listens there. Choose another with --master-port or --bind.\n`,
      ]);
    }
    await master.stop();
    const exposed = await vasto('master', '--master-port', port, '--bind', '0.0.0.0');
    expect([exposed.code, exposed.stderr]).toEqual([1, expect.stringContaining('Set cluster-secret')]);
  });

  test('roles say what they need', async () => {
    for (const role of ['store', 'gateway']) {
      const { code, stderr } = await vasto(role, '--dir', temporaryDir(), '--port', String(await freePort()));
      expect([code, stderr]).toEqual([
        1,
        `vasto: vasto ${role} joins a master: say where it is with --master host:port\n`,
      ]);
    }
    const server = await vasto('server', '--master', '127.0.0.1:1', '--dir', temporaryDir());
    expect([server.code, server.stderr]).toEqual([1, expect.stringContaining('has a master of its own')]);
    for (const role of ['master', 'store', 'gateway']) {
      const { code, stdout } = await vasto(role, '--help');
      expect([code, stdout]).toEqual([0, expect.stringContaining(`vasto ${role}`)]);
    }
  });
});

describe.skipIf(SUBJECT === 'redis')('vasto admin and vasto shell at a master', () => {
  test('operate the cluster', async () => {
    cluster = await TestCluster.start({
      stores: 2,
      storeFlags: (store) => (store === 0 ? ['--tags', 'ssd', '--zone', 'a'] : ['--zone', 'b']),
    });
    expect((await cluster.admin('wait-ready', '--stores', '2')).stdout).toBe('ready\n');
    expect((await cluster.admin('keyspace', 'create', 'fast', '--shards', '2', '--tags', 'ssd')).code).toBe(
      0,
    );
    const { keyspace } = JSON.parse((await cluster.admin('keyspace', 'describe', 'fast', '--json')).stdout);
    for (const { copies } of keyspace.placement) expect(copies[0].address).toBe(cluster.stores[0]!.address);
    const { stores } = JSON.parse((await cluster.admin('stores', '--json')).stdout);
    expect(stores).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          address: cluster.stores[0]!.address,
          zone: 'a',
          tags: ['ssd'],
          state: 'up',
        }),
        expect.objectContaining({ address: cluster.stores[1]!.address, zone: 'b', tags: [], state: 'up' }),
      ]),
    );
    const client = await cluster.stores[1]!.connect();
    expect(await client.rendered('SELECT', 'fast')).toBe('+OK');
    for (let key = 0; key < 100; key++) await client.rendered('SET', key % 10, 'x'.repeat(1000));
    client.close();
    expect(await cluster.admin('keyspace', 'compact', 'fast')).toMatchObject({
      code: 0,
      stdout: 'compacted keyspace fast\n',
    });
    expect((await cluster.admin('keyspace', 'create', 'slow', '--tags', 'tape')).code).toBe(1);
    expect((await cluster.admin('keyspace', 'delete', 'fast', '--yes')).code).toBe(0);
    await cluster.stores[1]!.stop();
    await cluster.storesUp(1);
    const lacking = await cluster.admin('wait-ready', '--stores', '2', '--for', '0');
    expect([lacking.code, lacking.stderr]).toEqual([1, expect.stringContaining('1 store of 2 up')]);
    await cluster.master.stop();
    const gone = await cluster.admin('stores', '--json');
    expect([gone.code, JSON.parse(gone.stderr).error.code]).toEqual([3, 'UNAVAILABLE']);
  });

  test.skipIf(!haveTool('python3'))('show a person what happens', async () => {
    cluster = await TestCluster.start({ stores: 1 });
    const words = [process.execPath, VASTO_MAIN, 'shell', '--master', cluster.master.address];
    const terminal = TestTerminal.start(words, { VASTO_HISTORY: '' });
    await terminal.see(/> /);
    await cluster.control.createKeyspace({ name: 'orders', shards: 2, replicas: 1, tags: [] });
    await terminal.see(/keyspace orders created: 2 shards on 1 store/);
    await cluster.addStore();
    await terminal.see(/store [0-9a-f]{8} \(127\.0\.0\.1:\d+\) joined/);
    await cluster.stores[1]!.stop();
    await terminal.see(/store .* is gone: it left/);
    terminal.type('quit\r');
    expect(await terminal.exited).toBe(0);
  });
});

describe.skipIf(SUBJECT === 'redis')('a server that others join', () => {
  test('is master and store; it ends and comes back as both', async () => {
    const masterPort = await freePort();
    const server = await TestServer.start({ flags: ['--master-port', String(masterPort)] });
    const words = ['--master', `127.0.0.1:${masterPort}`];
    const store = new ClusterNode('store', await freePort(), temporaryDir(), words);
    const gateway = new ClusterNode('gateway', await freePort(), temporaryDir(), words);
    await Promise.all([store.start(), gateway.start()]);
    const admin = (...rest: string[]) => vasto('admin', ...words, ...rest);
    expect((await admin('wait-ready', '--stores', '2')).code).toBe(0);
    expect((await admin('keyspace', 'create', 'orders', '--shards', '4')).code).toBe(0);
    await waitUntil('it is known', async () => (await gateway.ask('SELECT', 'orders')) === '+OK');
    const client = await gateway.connect();
    expect(await client.rendered('SELECT', 'orders')).toBe('+OK');
    for (let key = 0; key < 20; key++) expect(await client.rendered('SET', key, key)).toBe('+OK');
    const again = await server.restart({ port: server.port });
    for (let key = 0; key < 20; key++) expect(await client.text('GET', key)).toBe(String(key));
    client.close();
    expect((await admin('wait-ready', '--stores', '2', '--keyspace', 'orders')).code).toBe(0);
    await Promise.all([again.stop(), store.stop(), gateway.stop()]);
  });
});

describe.skipIf(SUBJECT === 'redis')('a cluster with a secret', () => {
  test('lets nobody in who has none', async () => {
    const file = join(temporaryDir(), 'secret');
    writeFileSync(file, 'between nodes\n');
    cluster = await TestCluster.start({ stores: 2, gateways: 1, flags: ['--cluster-secret-file', file] });
    await cluster.createKeyspace('orders', { shards: 4 });
    const client = await cluster.gateways[0]!.connect();
    expect(await client.rendered('SELECT', 'orders')).toBe('+OK');
    for (let key = 0; key < 20; key++) expect(await client.rendered('SET', key, key)).toBe('+OK');
    client.close();
    const refused = await cluster.admin('stores');
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('set cluster-secret')]);
    expect((await cluster.admin('stores', '--secret-file', file)).code).toBe(0);
  });
});

describe.skipIf(SUBJECT === 'redis' || !haveOpenssl())('a cluster with TLS between its nodes', () => {
  let flags: string[];
  let authority: TestAuthority;
  let files: { readonly cert: string; readonly key: string };

  beforeAll(() => {
    authority = new TestAuthority();
    files = authority.issue('node');
    flags = ['--tls-cluster', 'yes', '--tls-ca-cert-file', authority.ca];
    flags.push('--tls-cert-file', files.cert, '--tls-key-file', files.key);
  });

  test('is operated and used as any other', async () => {
    const ports = [await freePort(), await freePort()];
    cluster = await TestCluster.start({
      stores: 2,
      gateways: 1,
      flags,
      storeFlags: (store) => ['--tls-port', String(ports[store])],
    });
    await cluster.createKeyspace('orders', { shards: 4 });
    const client = await cluster.gateways[0]!.connect();
    expect(await client.rendered('SELECT', 'orders')).toBe('+OK');
    for (let key = 0; key < 20; key++) expect(await client.rendered('SET', key, key)).toBe('+OK');
    client.close();
    const tls = ['--tls', '--cacert', authority.ca];
    const shown = [...tls, '--cert', files.cert, '--key', files.key];
    expect((await cluster.admin('stores', ...shown)).code).toBe(0);
    expect(await cluster.admin('stores', ...tls)).toMatchObject({ code: 3 });
    expect(await cluster.admin('stores')).toMatchObject({ code: 3 });
    expect(await cluster.admin('stores', '--tls')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--cacert'),
    });
    const direct = await RawClient.connect({
      port: ports[0]!,
      tls: { ca: readFileSync(authority.ca), cert: readFileSync(files.cert), key: readFileSync(files.key) },
    });
    expect(await direct.rendered('PING')).toBe('+PONG');
    direct.close();
  });
});
