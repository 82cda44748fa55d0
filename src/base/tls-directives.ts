import { flag, integer, oneOf, text, wordsOf } from './config-values.js';
import { type Directive, directive, FIXED, INT_MAX, REREAD } from './directive.js';

/** The part of the table of directives that is about TLS, see directives.ts. */
export const TLS_DIRECTIVES = {
  'tls-port': directive(integer(0, 65535), 0, 'TCP port for clients over TLS; 0 is none', FIXED),
  'tls-cert-file': directive(text(), '', 'certificate of this node, PEM, with its chain', REREAD),
  'tls-key-file': directive(text(), '', 'private key of the certificate, PEM', REREAD),
  'tls-key-file-pass': directive(text(), '', 'passphrase of the key; empty is none', { secret: true }),
  'tls-client-cert-file': directive(
    text(),
    '',
    'certificate to show to other nodes; empty is that of tls-cert-file',
    REREAD,
  ),
  'tls-client-key-file': directive(text(), '', 'private key of tls-client-cert-file', REREAD),
  'tls-client-key-file-pass': directive(text(), '', 'passphrase of that key; empty is none', {
    secret: true,
  }),
  'tls-dh-params-file': directive(
    text(),
    '',
    'parameters for DHE ciphers, PEM; empty is without these ciphers',
    REREAD,
  ),
  'tls-ca-cert-file': directive(text(), '', 'certificates of the authorities that are trusted', REREAD),
  'tls-ca-cert-dir': directive(text(), '', 'folder of files with such certificates', REREAD),
  'tls-auth-clients': directive(
    oneOf('no', 'yes', 'optional'),
    'yes',
    'whether clients must show a certificate of a trusted authority; optional is only if they have one',
  ),
  'tls-replication': directive(
    flag(),
    false,
    'TLS between nodes, as tls-cluster; cluster doors stay as they are',
    FIXED,
  ),
  'tls-cluster': directive(
    flag(),
    false,
    'TLS between nodes, for forwarded commands and for gRPC, and on cluster doors',
    FIXED,
  ),
  'tls-protocols': directive(
    wordsOf('TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'),
    [],
    'versions of TLS that are spoken; empty is TLSv1.2 and TLSv1.3',
  ),
  'tls-ciphers': directive(
    text(),
    '',
    'ciphers up to TLSv1.2, in the notation of OpenSSL; empty is its default',
  ),
  'tls-ciphersuites': directive(text(), '', 'cipher suites of TLSv1.3; empty is the default of OpenSSL'),
  'tls-prefer-server-ciphers': directive(
    flag(),
    false,
    "choose ciphers by this node's order, not the client's",
  ),
  'tls-session-caching': directive(flag(), true, 'let clients that come back resume their TLS session'),
  'tls-session-cache-size': directive(
    integer(0, INT_MAX),
    20480,
    'TLS sessions that are remembered for clients without tickets',
  ),
  'tls-session-cache-timeout': directive(
    integer(0, INT_MAX),
    300,
    'seconds for which a TLS session can be resumed',
  ),
  'tls-check-host-names': directive(
    flag(),
    false,
    "Vasto's own: other nodes' certificates must be for the name or address they are reached by",
  ),
} satisfies Record<string, Directive<unknown>>;
