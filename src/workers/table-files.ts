import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * How large the table files of an instance are, of all families together: RocksDB's own figures, as the binding gives
 * them, are of one family. Table files never change, so each is looked at once.
 */
export class TableFiles {
  private sizes: ReadonlyMap<string, number> = new Map();

  /** @param path of the instance */
  constructor(private readonly path: string) {}

  /** As of the last {@link measure}. */
  get bytes(): number {
    let sum = 0;
    for (const size of this.sizes.values()) sum += size;
    return sum;
  }

  /** Looks again. Files may go meanwhile, and so may the whole instance. */
  async measure(): Promise<void> {
    const names = (await readdir(this.path).catch(orMissing)) ?? [];
    const sizes = new Map<string, number>();
    for (const name of names) {
      if (!name.endsWith('.sst')) continue;
      const size = this.sizes.get(name) ?? (await stat(join(this.path, name)).catch(orMissing))?.size;
      if (size !== undefined) sizes.set(name, size);
    }
    this.sizes = sizes;
  }
}

function orMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
