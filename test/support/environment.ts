import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** gRPC listens on the port + 10000, which must be a port too. */
const PORT_MAX = 55_535;

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await new Promise<number>((resolve, reject) => {
      const probe = createServer();
      probe.once('error', reject);
      probe.listen(0, '127.0.0.1', () => {
        const address = probe.address();
        probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
      });
    });
    if (port <= PORT_MAX) return port;
  }
}

const temporaryDirs: string[] = [];

process.on('exit', () => {
  for (const dir of temporaryDirs) rmSync(dir, { recursive: true, force: true });
});

/** An empty directory that goes when the test process does. */
export function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'vasto-test-'));
  temporaryDirs.push(dir);
  return dir;
}

/**
 * Whether a program is installed. Where it is not, the tests that need it are skipped, loudly; under CI=true
 * that is a failure.
 */
export function haveTool(name: string): boolean {
  if (spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined) return true;
  const message = `SKIPPED: ${name} is not installed, the tests that compare with it or drive it did not run`;
  if (process.env.CI === 'true') throw new Error(message);
  console.warn(message);
  return false;
}

/** Polls what no event tells. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await pause(10);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
