import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Values } from '../base/directives.js';
import { TLS_CA_FILES_MAX } from '../base/limits.js';

/** The part of the configuration that TLS is made of. */
export type TlsValues = Pick<Values, Extract<keyof Values, `tls-${string}`>>;

/** TLS cannot be as the configuration has it: the message says which directive, which file, and why. */
export class TlsError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TlsError';
  }
}

/** A certificate with its key, both PEM; the key without passphrase. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
  /** Unix milliseconds. */
  readonly validUntilMs: number;
}

type Name = Extract<keyof TlsValues, `tls-${string}-file` | `tls-${string}-file-pass`>;

/** What this node shows to those who connect. @throws TlsError */
export function readServerIdentity(values: TlsValues): Identity {
  for (const name of ['tls-cert-file', 'tls-key-file'] as const)
    if (values[name] === '')
      throw new TlsError(
        `TLS needs a certificate and its private key: set ${name} to the path of a PEM file`,
      );
  return readIdentity(values, 'tls-cert-file', 'tls-key-file', 'tls-key-file-pass');
}

/** What this node shows to those it connects to; undefined where it has nothing. @throws TlsError */
export function readClientIdentity(values: TlsValues): Identity | undefined {
  const own = values['tls-client-cert-file'] !== '' || values['tls-client-key-file'] !== '';
  if (own)
    return readIdentity(values, 'tls-client-cert-file', 'tls-client-key-file', 'tls-client-key-file-pass');
  return values['tls-cert-file'] === '' && values['tls-key-file'] === ''
    ? undefined
    : readServerIdentity(values);
}

function readIdentity(values: TlsValues, certName: Name, keyName: Name, passName: Name): Identity {
  for (const name of [certName, keyName])
    if (values[name] === '') throw new TlsError(`${certName} and ${keyName} need each other: set ${name}`);
  const certificate = readPem(certName, values[certName]);
  const leaf = parseCertificate(certificate, `${certName} ${values[certName]}`);
  const key = readKey(keyName, values[keyName], passName, values[passName]);
  if (!leaf.checkPrivateKey(key))
    throw new TlsError(
      `the private key in ${keyName} ${values[keyName]} does not belong to the certificate in ${certName} ${values[certName]}`,
    );
  return {
    certificate,
    key: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    validUntilMs: Date.parse(leaf.validTo),
  };
}

function parseCertificate(pem: string, where: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw new TlsError(`${where} does not begin with a certificate in PEM form`, { cause });
  }
}

function readKey(keyName: Name, path: string, passName: Name, passphrase: string): KeyObject {
  const key = readPem(keyName, path);
  try {
    return createPrivateKey(passphrase === '' ? { key } : { key, passphrase });
  } catch (cause) {
    // OpenSSL's own words for these differ from version to version, and would not name the directive.
    const isEncrypted = /ENCRYPTED/.test(key);
    let reason = 'is not a private key in PEM form';
    if (isEncrypted)
      reason = passphrase === '' ? `needs a passphrase: set ${passName}` : `: wrong ${passName}`;
    throw new TlsError(`${keyName} ${path} ${reason}`.replace(' :', ':'), { cause });
  }
}

/** The text of a file that a directive names. @throws TlsError */
export function readPem(name: string, path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (cause) {
    throw new TlsError(`cannot read ${name} ${path}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Certificates of the trusted authorities, PEM, each once; empty where none are named. A folder may hold other files,
 * too: those without a certificate do not count.
 * @throws TlsError
 */
export function readAuthorities(values: TlsValues): string[] {
  const file = values['tls-ca-cert-file'];
  const folder = values['tls-ca-cert-dir'];
  const found = new Set<string>();
  if (file !== '') {
    for (const pem of certificatesIn(readPem('tls-ca-cert-file', file))) {
      parseCertificate(pem, `tls-ca-cert-file ${file}`);
      found.add(pem);
    }
    if (found.size === 0) throw new TlsError(`tls-ca-cert-file ${file} holds no certificate in PEM form`);
  }
  if (folder === '') return [...found];
  const before = found.size;
  for (const path of filesIn(folder))
    for (const pem of certificatesIn(readPem('tls-ca-cert-dir', path))) {
      parseCertificate(pem, `tls-ca-cert-dir ${path}`);
      found.add(pem);
    }
  if (found.size === before && before === 0)
    throw new TlsError(`no file in tls-ca-cert-dir ${folder} holds a certificate in PEM form`);
  return [...found];
}

function filesIn(folder: string): string[] {
  try {
    const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
    if (files.length > TLS_CA_FILES_MAX)
      throw new TlsError(`tls-ca-cert-dir ${folder} holds more than ${TLS_CA_FILES_MAX} files`);
    return files.map(({ name }) => join(folder, name)).sort();
  } catch (cause) {
    if (cause instanceof TlsError) throw cause;
    throw new TlsError(`cannot list tls-ca-cert-dir ${folder}: ${(cause as Error).message}`, { cause });
  }
}

function certificatesIn(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
