import { networkInterfaces } from 'node:os';
import type { Config } from '../base/config.js';
import type { StoreEntry } from '../cluster/topology.js';

/** Names in `bind` that mean every address of the machine. */
const EVERY_ADDRESS: ReadonlySet<string> = new Set(['*', '0.0.0.0', '::', '::*']);
const LOOPBACK = '127.0.0.1';

/**
 * How others reach a store, as its configuration has it. The epoch is for the master to set.
 * @param peerPort 0 = other stores do not
 */
export function storeEntry({ values }: Config, id: string, peerPort: number): StoreEntry {
  return {
    id,
    epoch: 0,
    host: announcedHost(values['cluster-announce-host'], values.bind, networkInterfaces),
    port: values.port,
    tlsPort: values['tls-port'],
    peerPort,
    zone: values.zone,
    tags: values.tags,
    doors: values['cluster-port'],
  };
}

/**
 * The address that other nodes and cluster clients are told: the one named by the operator, or else the first that is
 * listened on. Where that is every address, it is one by which other machines can reach this one.
 */
export function announcedHost(
  named: string,
  bind: readonly string[],
  interfaces: typeof networkInterfaces,
): string {
  if (named !== '') return named;
  const first = bind[0]?.replace(/^-/, '') ?? LOOPBACK;
  if (!EVERY_ADDRESS.has(first)) return first;
  const addresses = Object.values(interfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? LOOPBACK;
}
