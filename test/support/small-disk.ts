import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDir } from './environment.js';

/** A small file system of its own, which can be filled up. */
export class SmallDisk {
  private constructor(readonly dir: string) {}

  /**
   * Mounts one. Where that is not allowed, the tests that need it are skipped, loudly; under CI=true that is a failure.
   * @param megabytes its size
   */
  static mount(megabytes: number): SmallDisk | undefined {
    const dir = join(temporaryDir(), 'small');
    mkdirSync(dir);
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir]);
    if (status === 0) return new SmallDisk(dir);
    const message = 'SKIPPED: no tmpfs could be mounted (not root?), the tests of full disks did not run';
    if (process.env.CI === 'true') throw new Error(message);
    console.warn(message);
    return undefined;
  }

  /** A file of the test's own. */
  get filler(): string {
    return join(this.dir, 'filler');
  }

  /** Has the filler take all that is left. */
  fillUp(): void {
    try {
      for (;;) appendFileSync(this.filler, Buffer.alloc(1 << 16));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  /** Takes the filler away. */
  makeRoom(): void {
    rmSync(this.filler);
  }

  unmount(): void {
    spawnSync('umount', ['-l', this.dir]);
  }
}
