import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Has everything temporary of a run in one directory, which goes when the run ends: vitest ends the processes of tests
 * without their having a say. Servers that tests start inherit it.
 */
export default function setup(): () => void {
  const root = mkdtempSync(join(tmpdir(), 'vasto-test-'));
  process.env.TMPDIR = root;
  return () => rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
