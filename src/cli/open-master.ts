import { Config } from '../base/config.js';
import { quoteWord } from '../base/config-text.js';
import type { DirectiveName } from '../base/directives.js';
import { ManagerError } from '../cluster/manager.js';
import { MasterClient } from '../master/client.js';
import { GrpcSecurity } from '../master/credentials.js';
import type { MasterChoice } from './target.js';

/** A master as the command line reaches it: each address is tried once. @throws ManagerError */
export function openMaster(choice: MasterChoice): MasterClient {
  const { addresses, timeoutMs } = choice;
  return new MasterClient({ addresses, security: securityOf(choice), answerMs: timeoutMs, patienceMs: 0 });
}

/** What a node with the same secret and certificates would have. @throws ManagerError */
function securityOf({ tls, secret, secretFile }: MasterChoice): GrpcSecurity {
  if (tls !== undefined && tls.cacert === undefined)
    throw new ManagerError(
      'IMPOSSIBLE',
      'with --tls a master is only spoken to if its certificate is vouched for: say by whom with --cacert',
    );
  const words: [DirectiveName, string | undefined][] = [
    ['cluster-secret', secret],
    ['cluster-secret-file', secretFile],
    ['tls-cluster', tls === undefined ? undefined : 'yes'],
    ['tls-ca-cert-file', tls?.cacert],
    ['tls-cert-file', tls?.cert],
    ['tls-key-file', tls?.key],
  ];
  const lines = words.map(([name, word]) => (word === undefined ? '' : `${name} ${quoteWord(word)}`));
  try {
    return GrpcSecurity.of(Config.load({ text: lines.join('\n') }));
  } catch (error) {
    throw new ManagerError('IMPOSSIBLE', (error as Error).message, { cause: error });
  }
}
