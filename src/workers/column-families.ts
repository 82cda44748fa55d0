/** Column families of a shard. Their names are on disk: never rename. */
export const FAMILIES = ['default', 'elem', 'ttl', 'log', 'meta'] as const;
export type Family = (typeof FAMILIES)[number];

/** See {@link familyOptions}. */
export interface FamilySizes {
  /** Size of the block caches of the `default` and `elem` families together, bytes; 0 = none. */
  readonly blockCacheBytes: number;
  /** Size of one memtable of the `default` family, and of one of `elem`, bytes. At most six of each exist at a time. */
  readonly memtableBytes: number;
  /**
   * Of the `log` family; as large as the others where it is not said. What journals and logs have is removed soon, and what
   * goes before its memtable is full costs neither a table file nor compactions.
   */
  readonly logMemtableBytes?: number;
}

/** Small memtables cost fewer cache misses per insertion than large ones: 8 MB beat 64 MB by a third. */
const MEMTABLE_BYTES_DEFAULT = 8 << 20;
const SIDE_MEMTABLE_BYTES = 1 << 20;
const SIDE_CACHE_BYTES = 1 << 20;
const BLOCK_CACHE_BYTES_DEFAULT = 8 << 20;
const BLOCK_CACHE_BYTES_MAX = 2 ** 32 - 1;
/** Of the block cache, what the elements of large collections have. */
const ELEMENT_CACHE_SHARE = 0.3;
/** The binding makes four memtables of one budget. */
const MEMTABLES_PER_BUDGET = 4;
/** Full memtables of a family that are written to one file together. */
export const MEMTABLES_MERGED = 2;
/**
 * For a family of which one asks most of all what is not there, as for new members of collections: a Bloom filter of each
 * memtable, where a miss walks the whole skip list otherwise, and a hash index in each block. In place of the filters of
 * tables that come with it, which are smaller and slower, those that all families have.
 */
const POINT_LOOK_UPS = { optimize: 'point-lookup', filterPolicy: 'bloomfilter:10:false' } as const;

/** How large one memtable of each family is, bytes. */
export type MemtableBytes = Readonly<Record<Family, number>>;

export function memtableBytesOf(sizes: Partial<FamilySizes>): MemtableBytes {
  const { memtableBytes = MEMTABLE_BYTES_DEFAULT, logMemtableBytes = memtableBytes } = sizes;
  return {
    default: memtableBytes,
    elem: memtableBytes,
    ttl: SIDE_MEMTABLE_BYTES,
    log: logMemtableBytes,
    meta: SIDE_MEMTABLE_BYTES,
  };
}

/** What the binding is told of each column family. */
export function familyOptions(sizes: Partial<FamilySizes>) {
  const memtables = memtableBytesOf(sizes);
  const cacheBytes = sizes.blockCacheBytes ?? BLOCK_CACHE_BYTES_DEFAULT;
  const elementCacheBytes = Math.floor(cacheBytes * ELEMENT_CACHE_SHARE);
  return {
    default: family(memtables.default, cacheBytes - elementCacheBytes),
    elem: { ...family(memtables.elem, elementCacheBytes), ...POINT_LOOK_UPS },
    ttl: family(memtables.ttl, SIDE_CACHE_BYTES),
    log: family(memtables.log, SIDE_CACHE_BYTES),
    meta: family(memtables.meta, SIDE_CACHE_BYTES),
  } satisfies Record<Family, object>;
}

function family(memtableBytes: number, cacheBytes: number) {
  return {
    memtableMemoryBudget: memtableBytes * MEMTABLES_PER_BUDGET,
    compaction: 'level' as const,
    // Levels are compressed from the third on, whatever this says. What it says is whether a dictionary is made for each of their files, which is
    // a third of what compactions take.
    compression: false,
    cacheSize: Math.min(cacheBytes, BLOCK_CACHE_BYTES_MAX),
  };
}
