import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Nodes listen for each other on the port + 10000 (Redis too, in cluster mode): that has to be free as well. */
const PEER_OFFSET = 10_000;
/**
 * Nobody's port is the one for other nodes of somebody else: there are no more than the offset. All are below the range
 * from which Linux takes those of outgoing connections, so that none of these is in the way.
 */
const PORT_FIRST = 10_000;
/** Test files that run at the same time have a part each, and so have programs without a number, as the chaos test. */
const PARTS = 4;
const PART_PORTS = PEER_OFFSET / PARTS;

/** What has been drawn: a server that is down for a while keeps its port. */
const drawn = new Set<number>();

/**
 * A port that was free a moment ago, as was the one for other nodes. The same process never gets it twice, and another
 * test file does not while this one runs.
 */
export async function freePort(): Promise<number> {
  const part = Number(process.env.VITEST_POOL_ID ?? 0) % PARTS;
  while (drawn.size < PART_PORTS) {
    const port = PORT_FIRST + part * PART_PORTS + Math.floor(Math.random() * PART_PORTS);
    if (drawn.has(port)) continue;
    drawn.add(port);
    if ((await isFree(port)) && (await isFree(port + PEER_OFFSET))) return port;
  }
  throw new Error(`all ${PART_PORTS} ports of part ${part} have been drawn, or are in use`);
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
 * A copy of the directory of an open database. Files may go while it is made, since RocksDB removes what it needs no more
 * in the background: then it is made anew, so that it is of one moment.
 */
export function copyOfDatabase(directory: string): string {
  for (let attempt = 1; ; attempt++) {
    const copy = temporaryDir();
    try {
      cpSync(directory, copy, { recursive: true });
      return copy;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === COPIES_MAX) throw error;
    }
  }
}

const COPIES_MAX = 10;

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
