import type { WorkerReport } from '../workers/protocol.js';

const MEASURE_EVERY_MS = 1000;

/** What memory is used for, in bytes. */
export interface MemoryFigures {
  /** JavaScript heaps, and what they hold outside of them, of all threads, and RocksDB's caches and memtables. */
  readonly used: number;
  readonly peak: number;
  /** The first measure of `used`. */
  readonly startup: number;
  /** The part that holds data: cached rows and blocks, and memtables. */
  readonly dataset: number;
  readonly resident: number;
  readonly rowCache: number;
  readonly rowCacheLimit: number;
  readonly blockCache: number;
  readonly memtables: number;
  readonly tableReaders: number;
}

/** Measures memory once a second, to know the peak, and when asked. */
export class MemoryGauge {
  private peak = 0;
  private startup = 0;
  private measuring = false;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly report: () => Promise<WorkerReport[]>) {
    this.timer = setInterval(() => this.tick(), MEASURE_EVERY_MS);
    this.timer.unref();
    this.tick();
  }

  /** Figures from reports of all workers that were just made. */
  figures(reports: readonly WorkerReport[]): MemoryFigures {
    const sum = (of: (report: WorkerReport) => number) =>
      reports.reduce((total, report) => total + of(report), 0);
    const shards = reports.flatMap((report) => report.shards);
    const { heapUsed, external } = process.memoryUsage();
    const blockCache = shards.reduce((total, shard) => total + shard.blockCacheBytes, 0);
    const memtables = shards.reduce((total, shard) => total + shard.memtableBytes, 0);
    const tableReaders = shards.reduce((total, shard) => total + shard.tableReaderBytes, 0);
    const rowCache = sum((report) => report.cacheBytes);
    const heaps = heapUsed + external + sum((report) => report.heapUsedBytes + report.externalBytes);
    const used = heaps + blockCache + memtables + tableReaders;
    this.startup ||= used;
    this.peak = Math.max(this.peak, used);
    return {
      used,
      peak: this.peak,
      startup: this.startup,
      dataset: rowCache + blockCache + memtables,
      resident: process.memoryUsage.rss(),
      rowCache,
      rowCacheLimit: sum((report) => report.cacheLimitBytes),
      blockCache,
      memtables,
      tableReaders,
    };
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** A worker that is busy, or gone, is not asked again before it has answered. */
  private tick(): void {
    if (this.measuring) return;
    this.measuring = true;
    this.report()
      .then((reports) => this.figures(reports))
      .catch(() => undefined)
      .finally(() => {
        this.measuring = false;
      });
  }
}
