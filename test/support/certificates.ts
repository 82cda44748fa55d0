import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { haveTool, temporaryDir } from './environment.js';

/** Paths of a certificate and its key. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Whether certificates can be made; if not, says so, and the tests that need them are skipped. */
export function haveOpenssl(): boolean {
  return haveTool('openssl');
}

/** An authority that exists for one test, in a folder of its own, and signs what the test needs. */
export class TestAuthority {
  readonly dir = temporaryDir();
  readonly ca = join(this.dir, 'ca.crt');
  private readonly key = join(this.dir, 'ca.key');

  constructor(name = 'Test CA') {
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      ...CURVE,
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      this.key,
      '-out',
      this.ca,
    );
  }

  /**
   * @param name of the files and the subject
   * @param options.passphrase encrypts the key; options.hosts is for SubjectAltName; options.days may be 0 for one
   *   that has ended at once
   */
  issue(
    name: string,
    options: { readonly passphrase?: string; readonly hosts?: string; readonly days?: number } = {},
  ): CertificateFiles {
    const files = { cert: join(this.dir, `${name}.crt`), key: join(this.dir, `${name}.key`) };
    const request = join(this.dir, `${name}.csr`);
    const extensions = join(this.dir, `${name}.ext`);
    const protection =
      options.passphrase === undefined ? ['-nodes'] : ['-passout', `pass:${options.passphrase}`];
    openssl(
      'req',
      '-newkey',
      'ec',
      ...CURVE,
      ...protection,
      '-subj',
      `/CN=${name}`,
      '-keyout',
      files.key,
      '-out',
      request,
    );
    writeFileSync(extensions, `subjectAltName=${options.hosts ?? 'IP:127.0.0.1,IP:::1,DNS:localhost'}\n`);
    const signing = ['-CA', this.ca, '-CAkey', this.key, '-CAcreateserial', '-extfile', extensions];
    openssl(
      'x509',
      '-req',
      '-in',
      request,
      ...signing,
      '-days',
      String(options.days ?? 2),
      '-out',
      files.cert,
    );
    chmodSync(files.key, 0o600);
    return files;
  }
}

const CURVE = ['-pkeyopt', 'ec_paramgen_curve:prime256v1'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
