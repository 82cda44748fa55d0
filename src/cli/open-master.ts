import { Config } from '../base/config.js';
import { quoteWord } from '../base/config-text.js';
import type { DirectiveName } from '../base/directives.js';
import { MOVED_CODE } from '../cluster/link.js';
import { PeerCredentials } from '../cluster/links-credentials.js';
import { ManagerError } from '../cluster/manager.js';
import { storeText } from '../cluster/topology.js';
import { MasterClient } from '../master/client.js';
import { GrpcSecurity } from '../master/credentials.js';
import type { ReachStore } from './master-cluster.js';
import { ConnectionError, RespConnection } from './resp-connection.js';
import type { MasterChoice } from './target.js';

/** A master as the command line reaches it: each address is tried once. @throws ManagerError */
export function openMaster(choice: MasterChoice): MasterClient {
  const { addresses, timeoutMs } = choice;
  return new MasterClient({ addresses, security: securityOf(choice), answerMs: timeoutMs, patienceMs: 0 });
}

/**
 * A way to stores, as nodes with the same secret and certificates have it: by the door for clients, which lets nodes in by
 * VASTO.PEER.
 * @throws ManagerError
 */
export function storeReach(choice: MasterChoice): ReachStore {
  const credentials = orImpossible(() => PeerCredentials.of(configOf(choice)));
  const { user, password, timeoutMs } = choice;
  return async (entry, clusterId, keyspace) => {
    const opening = credentials.openSocket(entry);
    if (typeof opening === 'string')
      throw new ManagerError('IMPOSSIBLE', `${storeText(entry)} cannot be reached: ${opening}`);
    const name = `${entry.host}:${opening.port}`;
    try {
      const greeting = { user, password, timeoutMs, protocol: 2 } as const;
      const connection = await RespConnection.over({ ...opening, name }, greeting);
      const { shown } = credentials.secrets;
      const secret = shown === undefined ? [] : ['SECRET', shown];
      const reply = await connection.command(['VASTO.PEER', clusterId, keyspace, ...secret]);
      if (reply?.type !== 'error') return connection;
      connection.close();
      throw refusalOf(reply.text, storeText(entry));
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      throw new ManagerError('UNAVAILABLE', error.message, { cause: error });
    }
  };
}

function refusalOf(text: string, store: string): ManagerError {
  // It has not heard of the keyspace yet.
  if (text.startsWith(MOVED_CODE)) return new ManagerError('UNAVAILABLE', `${store}: ${text}`);
  const hint = text.startsWith('NOAUTH')
    ? '. Set VASTO_CLUSTER_SECRET or --secret-file; where stores have a password only, --password'
    : '';
  return new ManagerError('IMPOSSIBLE', `${store} refuses: ${text.replace(/^(ERR|NOAUTH) /, '')}${hint}`);
}

/** What a node with the same secret and certificates would have. @throws ManagerError */
function securityOf(choice: MasterChoice): GrpcSecurity {
  const { tls } = choice;
  if (tls !== undefined && tls.cacert === undefined)
    throw new ManagerError(
      'IMPOSSIBLE',
      'with --tls a master is only spoken to if its certificate is vouched for: say by whom with --cacert',
    );
  return orImpossible(() => GrpcSecurity.of(configOf(choice)));
}

/** The configuration of such a node: without a secret, nodes show each other the password that clients give. */
function configOf({ tls, secret, secretFile, user, password }: MasterChoice): Config {
  const words: [DirectiveName, string | undefined][] = [
    ['cluster-secret', secret],
    ['cluster-secret-file', secretFile],
    ['requirepass', user === undefined ? password : undefined],
    ['tls-cluster', tls === undefined ? undefined : 'yes'],
    ['tls-ca-cert-file', tls?.cacert],
    ['tls-cert-file', tls?.cert],
    ['tls-key-file', tls?.key],
  ];
  const lines = words.map(([name, word]) => (word === undefined ? '' : `${name} ${quoteWord(word)}`));
  return Config.load({ text: lines.join('\n') });
}

function orImpossible<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new ManagerError('IMPOSSIBLE', (error as Error).message, { cause: error });
  }
}
