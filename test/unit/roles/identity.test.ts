import type { networkInterfaces } from 'node:os';
import { expect, it } from 'vitest';
import { Config } from '../../../src/base/config.js';
import { announcedHost, storeEntry } from '../../../src/roles/identity.js';
import { peerPortOf } from '../../../src/roles/peers.js';

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
  expect(storeEntry(Config.load({ flags }), 'x', 11)).toEqual({
    id: 'x',
    epoch: 0,
    host: '127.0.0.1',
    port: 7,
    tlsPort: 0,
    peerPort: 11,
    zone: 'a',
    tags: ['ssd', 'big'],
    doors: [{ port: 9, keyspace: 'orders' }],
  });
});

it.each([
  [{ port: 6379, 'tls-port': 0, 'peer-port': -1 }, 16379],
  [{ port: 0, 'tls-port': 6380, 'peer-port': -1 }, 16380],
  [{ port: 0, 'tls-port': 0, 'peer-port': -1 }, 0],
  [{ port: 6379, 'tls-port': 0, 'peer-port': 0 }, 0],
  [{ port: 60000, 'tls-port': 0, 'peer-port': 7 }, 7],
])('is reached by other stores as %j says: %i', (values, port) => {
  expect(peerPortOf(values)).toBe(port);
});

it('says what to do where there is no such port', () => {
  expect(() => peerPortOf({ port: 60000, 'tls-port': 0, 'peer-port': -1 })).toThrow(/--peer-port/);
});
