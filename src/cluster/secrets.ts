import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../base/config.js';
import type { Values } from '../base/directives.js';

type SecretValues = Pick<Values, 'cluster-secret' | 'cluster-secret-file' | 'requirepass'>;

/**
 * What nodes show each other, and know each other by. Held as hashes apart from the one that is shown, compared in
 * constant time, and never part of a message.
 */
export class NodeSecrets {
  private current: readonly string[] = [];
  private hashes: readonly Buffer[] = [];

  /** @param secrets the first is shown; all are accepted. None: nodes need no secret */
  constructor(secrets: readonly string[]) {
    this.replace(secrets);
  }

  /** Those of a configuration; they follow its changes. @throws Error when the file cannot be read */
  static of(config: Config): NodeSecrets {
    const secrets = new NodeSecrets(readSecrets(config.values));
    const reread = (): string | undefined => {
      try {
        secrets.replace(readSecrets(config.values));
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    };
    for (const name of ['cluster-secret', 'cluster-secret-file', 'requirepass'] as const)
      config.onChange(name, reread);
    return secrets;
  }

  /** Whether nodes must show a secret. */
  get areNeeded(): boolean {
    return this.hashes.length > 0;
  }

  /** What to show to others; undefined where there is nothing. */
  get shown(): string | undefined {
    return this.current[0];
  }

  /** Whether another node may be what it says it is, as far as secrets tell. */
  accepts(given: string | undefined): boolean {
    if (!this.areNeeded) return true;
    const hash = hashOf(given ?? '');
    // Every one is compared, so that the time tells nothing.
    let isAccepted = false;
    for (const each of this.hashes) if (timingSafeEqual(each, hash)) isAccepted = true;
    return isAccepted && given !== undefined;
  }

  private replace(secrets: readonly string[]): void {
    this.current = secrets.slice(0, 1);
    this.hashes = secrets.map(hashOf);
  }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest();
}

/**
 * The secrets that a configuration names, the one to show first. Without any of their own, nodes know each other by
 * the password that clients give: who has it may do everything anyway.
 * @throws Error when the file cannot be read, or holds none
 */
export function readSecrets(values: SecretValues): string[] {
  const path = values['cluster-secret-file'];
  const fromFile = path === '' ? [] : linesOf(path);
  const named = values['cluster-secret'] === '' ? [] : [values['cluster-secret']];
  const secrets = [...new Set([...named, ...fromFile])];
  if (secrets.length > 0) return secrets;
  return values.requirepass === '' ? [] : [values.requirepass];
}

function linesOf(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Error(`cannot read cluster-secret-file ${path}: ${(cause as Error).message}`, { cause });
  }
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (lines.length === 0)
    throw new Error(`cluster-secret-file ${path} is empty: its first line is the secret`);
  return lines;
}
