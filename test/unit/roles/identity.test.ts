import type { networkInterfaces } from 'node:os';
import { expect, it } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { announcedHost, storeEntry } from '../../../src/roles/identity.js';

const interfaces = () =>
  ({
    lo: [{ address: '127.0.0.1', family: 'IPv4', internal: true }],
    eth0: [
      { address: 'fe80::1', family: 'IPv6', internal: false },
      { address: '10.1.2.3', family: 'IPv4', internal: false },
    ],
  }) as unknown as ReturnType<typeof networkInterfaces>;

it.each([
  ['store.example', ['*'], 'store.example'],
  ['', ['10.0.0.1', '127.0.0.1'], '10.0.0.1'],
  ['', ['-::1', '127.0.0.1'], '::1'],
  ['', ['*'], '10.1.2.3'],
  ['', ['-0.0.0.0'], '10.1.2.3'],
])('announces %j of bind %j as %s', (named, bind, host) => {
  expect(announcedHost(named, bind, interfaces)).toBe(host);
});

it('announces this machine alone where there is no network', () => {
  expect(announcedHost('', ['*'], () => ({}))).toBe('127.0.0.1');
});

it('tells of a store what its configuration says', () => {
  const flags = ['--port', '7', '--zone', 'a', '--tags', 'ssd', 'big', '--cluster-port', '9', 'orders'];
  expect(storeEntry(Config.load({ flags }), 'x')).toEqual({
    id: 'x',
    epoch: 0,
    host: '127.0.0.1',
    port: 7,
    tlsPort: 0,
    peerPort: 0,
    zone: 'a',
    tags: ['ssd', 'big'],
    doors: [{ port: 9, keyspace: 'orders' }],
  });
});
