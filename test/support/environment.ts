import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Nodes listen for each other on the port + 10000 (Redis too, in cluster mode): that has to be free as well. */
const PEER_OFFSET = 10_000;
/** Both ports are below the range from which Linux takes those of outgoing connections, so that none of them is in the way. */
const PORT_FIRST = 10_000;
const PORT_COUNT = 12_000;

/** A port that was free a moment ago, as was the one for other nodes. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PORT_FIRST + Math.floor(Math.random() * PORT_COUNT);
    if ((await isFree(port)) && (await isFree(port + PEER_OFFSET))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** An empty directory that goes when the run of tests ends, see temporary-root.ts. */
export function temporaryDir(): string {
  return mkdtempSync(join(tmpdir(), 'vasto-'));
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
