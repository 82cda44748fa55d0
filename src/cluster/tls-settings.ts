import { constants, createHash } from 'node:crypto';
import { DEFAULT_CIPHERS, type SecureContextOptions, type SecureVersion } from 'node:tls';
import type { DirectiveName } from '../base/directives.js';
import {
  type Identity,
  readAuthorities,
  readClientIdentity,
  readPem,
  readServerIdentity,
  TlsError,
  type TlsValues,
} from './tls-files.js';

/** Whether nodes speak TLS to each other, which all of a cluster have to agree on. */
export function nodesUseTls(values: TlsValues): boolean {
  return values['tls-cluster'] || values['tls-replication'];
}

/** Whether nodes know each other by certificates. */
export function nodesShowCertificates(values: TlsValues): boolean {
  return nodesUseTls(values) && values['tls-auth-clients'] === 'yes';
}

/** How a side that is connected to speaks TLS, and whom it lets in. */
export interface ServerTls {
  readonly context: SecureContextOptions;
  /** Whether those who connect are asked for a certificate. */
  readonly asksForCertificate: boolean;
  /** Whether those who show none are refused; an invalid one always is. */
  readonly needsCertificate: boolean;
  readonly identity: Identity;
}

/** Reads the files anew. @throws TlsError */
export function serverTls(values: TlsValues): ServerTls {
  const identity = readServerIdentity(values);
  const ca = readAuthorities(values);
  const asksForCertificate = values['tls-auth-clients'] !== 'no';
  if (ca.length === 0 && (asksForCertificate || nodesUseTls(values)))
    throw new TlsError(
      'Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled',
    );
  const caching = values['tls-session-caching'];
  return {
    identity,
    asksForCertificate,
    needsCertificate: values['tls-auth-clients'] === 'yes',
    context: {
      ...common(values, ca, identity),
      honorCipherOrder: values['tls-prefer-server-ciphers'],
      sessionTimeout: values['tls-session-cache-timeout'],
      // A session belongs to those authorities under which it was begun.
      sessionIdContext: createHash('sha256').update(ca.join()).digest('hex').slice(0, 32),
      ...(caching ? {} : { secureOptions: optionsOf(values) | constants.SSL_OP_NO_TICKET }),
      ...dhParameters(values),
    },
  };
}

/** What {@link serverTls} is made of, and may change while the server runs: then all of it is read again. */
export const SERVER_TLS_DIRECTIVES = [
  'tls-cert-file',
  'tls-key-file',
  'tls-key-file-pass',
  'tls-dh-params-file',
  'tls-ca-cert-file',
  'tls-ca-cert-dir',
  'tls-auth-clients',
  'tls-protocols',
  'tls-ciphers',
  'tls-ciphersuites',
  'tls-prefer-server-ciphers',
  'tls-session-caching',
  'tls-session-cache-size',
  'tls-session-cache-timeout',
] as const satisfies readonly DirectiveName[];

/** How this side speaks TLS to other nodes. Reads the files anew. @throws TlsError */
export function clientTls(values: TlsValues): SecureContextOptions {
  const ca = readAuthorities(values);
  if (ca.length === 0)
    throw new TlsError(
      'TLS between nodes needs the authorities whose certificates are trusted: set tls-ca-cert-file or tls-ca-cert-dir',
    );
  return common(values, ca, readClientIdentity(values));
}

function common(
  values: TlsValues,
  ca: readonly string[],
  identity: Identity | undefined,
): SecureContextOptions {
  return {
    ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.key }),
    ...(ca.length === 0 ? {} : { ca: [...ca] }),
    ...versionsOf(values),
    ciphers: ciphersOf(values),
    secureOptions: optionsOf(values),
  };
}

const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const satisfies readonly SecureVersion[];
const NO_VERSION = {
  TLSv1: constants.SSL_OP_NO_TLSv1,
  'TLSv1.1': constants.SSL_OP_NO_TLSv1_1,
  'TLSv1.2': constants.SSL_OP_NO_TLSv1_2,
  'TLSv1.3': constants.SSL_OP_NO_TLSv1_3,
} as const;

function protocolsOf(values: TlsValues): readonly SecureVersion[] {
  return values['tls-protocols'].length === 0 ? ['TLSv1.2', 'TLSv1.3'] : values['tls-protocols'];
}

function versionsOf(values: TlsValues): Pick<SecureContextOptions, 'minVersion' | 'maxVersion'> {
  const wanted = VERSIONS.filter((version) => protocolsOf(values).includes(version));
  return { minVersion: wanted[0]!, maxVersion: wanted.at(-1)! };
}

/** Versions are a range to OpenSSL; those inside it that are not wanted are options. */
function optionsOf(values: TlsValues): number {
  const unwanted = VERSIONS.filter((version) => !protocolsOf(values).includes(version));
  return unwanted.reduce((options, version) => options | NO_VERSION[version], 0);
}

/** Node.js takes both kinds in one list; where one is missing there, that version of TLS would be off. */
function ciphersOf(values: TlsValues): string {
  const defaults = DEFAULT_CIPHERS.split(':');
  const isSuite = (name: string) => name.startsWith('TLS_');
  const suites = values['tls-ciphersuites'] || defaults.filter(isSuite).join(':');
  const ciphers = values['tls-ciphers'] || defaults.filter((name) => !isSuite(name)).join(':');
  return `${suites}:${ciphers}`;
}

function dhParameters(values: TlsValues): Pick<SecureContextOptions, 'dhparam'> {
  const path = values['tls-dh-params-file'];
  return path === '' ? {} : { dhparam: readPem('tls-dh-params-file', path) };
}

/** Why OpenSSL did not take the settings, in words of the configuration. */
export function explainContext(error: unknown): TlsError {
  if (error instanceof TlsError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const [directive] =
    [
      ['tls-ciphers or tls-ciphersuites', /CIPHER/i],
      ['tls-dh-params-file', /\bDH\b|DSAPARAMS|dhparam/i],
      ['tls-cert-file', /EE_KEY_TOO_SMALL|CA_MD_TOO_WEAK|CERT/i],
    ].find(([, pattern]) => (pattern as RegExp).test(code) || (pattern as RegExp).test(message)) ?? [];
  const reason = error instanceof Error && 'reason' in error ? String(error.reason) : message;
  return new TlsError(`TLS cannot be set up${directive === undefined ? '' : ` (${directive})`}: ${reason}`, {
    cause: error,
  });
}
