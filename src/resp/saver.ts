/** What {@link Saver} saves. */
export interface Saved {
  save(): Promise<void>;
  readonly lastSaveMs: number;
}

/** SAVE and BGSAVE: has what was written reach the disk, one at a time, and remembers how it went. */
export class Saver {
  /** Flushes that succeeded. */
  saves = 0;
  lastFailed = false;
  /** Duration of the last one, whether or not it succeeded; undefined before the first. */
  lastSeconds: number | undefined;
  private startedAtMs: number | undefined;
  /** What `writesRun` said when the last flush began, less what CONFIG RESETSTAT made it forget. */
  private writesAtSave = 0;

  /** @param writesRun counts the write commands that ran, since some time */
  constructor(
    private readonly store: Saved,
    private readonly writesRun: () => number,
    private readonly onFailure: (error: Error) => void,
  ) {}

  get inProgress(): boolean {
    return this.startedAtMs !== undefined;
  }

  /** Unix seconds of the last flush that succeeded. */
  get lastSaveSeconds(): number {
    return Math.floor(this.store.lastSaveMs / 1000);
  }

  get currentSeconds(): number | undefined {
    return this.startedAtMs === undefined ? undefined : Math.floor((Date.now() - this.startedAtMs) / 1000);
  }

  /** Write commands that ran since the last flush that succeeded. */
  get writesSinceSave(): number {
    return Math.max(0, this.writesRun() - this.writesAtSave);
  }

  /** To be called before what `writesRun` counts is set to zero. */
  countersReset(): void {
    this.writesAtSave = -this.writesSinceSave;
  }

  /** Nothing may be in progress. Failures are told, and in the result; never thrown. @returns whether it succeeded */
  async save(): Promise<boolean> {
    const startedAtMs = Date.now();
    this.startedAtMs = startedAtMs;
    const writes = this.writesRun();
    try {
      await this.store.save();
      this.saves++;
      this.writesAtSave = writes;
      this.lastFailed = false;
    } catch (error) {
      this.lastFailed = true;
      this.onFailure(error as Error);
    } finally {
      this.startedAtMs = undefined;
      this.lastSeconds = Math.round((Date.now() - startedAtMs) / 1000);
    }
    return !this.lastFailed;
  }
}
