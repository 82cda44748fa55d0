import { appendFileSync, chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { HISTORY_LINES_MAX } from '../base/limits.js';

/** Lines with passwords, which must not lie about: what redis-cli leaves out, and Vasto's secrets. */
export function isSensitive(line: string): boolean {
  const words = line.trim().toLowerCase().split(/\s+/);
  const [first = '', second = ''] = words;
  if (first === 'auth') return true;
  if (first === 'hello' || first === 'migrate') return words.some((word) => /^"?auth2?"?$/.test(word));
  if (first === 'acl') return second === 'setuser';
  return first === 'config' && second === 'set' && /pass|auth|secret|pwd/.test(line.toLowerCase());
}

/** The lines typed in earlier sessions, in a file that only its owner reads. Several shells may add to it. */
export class ShellHistory {
  private linesInFile = 0;
  private isBroken = false;

  /** @param path '' = nothing is kept @param warn is told once why nothing is kept */
  constructor(
    private readonly path: string,
    private readonly warn: (text: string) => void,
  ) {}

  /** The latest lines, newest first. */
  load(): string[] {
    if (this.path === '' || !existsSync(this.path)) return [];
    return this.attempt(() => this.read().slice(-HISTORY_LINES_MAX).reverse()) ?? [];
  }

  add(line: string): void {
    if (this.path === '' || this.isBroken || line.trim() === '' || isSensitive(line)) return;
    this.attempt(() => {
      appendFileSync(this.path, `${line.replaceAll(/[\r\n]/g, ' ')}\n`, { mode: 0o600 });
      if (++this.linesInFile > 2 * HISTORY_LINES_MAX) this.shorten();
    });
  }

  private read(): string[] {
    const lines = readFileSync(this.path, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
    this.linesInFile = lines.length;
    return lines;
  }

  private shorten(): void {
    const kept = this.read().slice(-HISTORY_LINES_MAX);
    const beside = `${this.path}.${process.pid}`;
    writeFileSync(beside, `${kept.join('\n')}\n`, { mode: 0o600 });
    chmodSync(beside, 0o600);
    renameSync(beside, this.path);
    this.linesInFile = kept.length;
  }

  private attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.isBroken = true;
      this.warn(`the history is not kept: ${(error as Error).message}`);
      return undefined;
    }
  }
}
