import type { Timers } from '../base/timers.js';
import type { Copy } from './copy.js';
import type { CopyMemory } from './copy-memory.js';

/** Where memories are written down. */
export interface Notebook {
  /** Runs what changes memories, while nobody else does. */
  alone(run: () => Promise<void>): Promise<void>;
  /** Writes down the memories of all copies, and of some what they are to be; rejects where they do not come to be on the disk. */
  persist(memories: ReadonlyMap<Copy, CopyMemory>): Promise<void>;
}

/** Something that a copy comes to know. */
interface Note {
  readonly copy: Copy;
  /** What changes of its memory, as that is when it is written down; undefined = nothing any more. */
  readonly news: (memory: CopyMemory) => Partial<CopyMemory> | undefined;
  readonly resolve: (isRemembered: boolean) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Writes down what copies come to know. That is one write to the disk, however many copies have something: a change may
 * concern hundreds of shards. What comes in one turn of the event loop, and while another write is under way, goes
 * together, and nothing of it counts before it is on the disk.
 */
export class Memories {
  private notes: Note[] = [];

  /** @param notebook where the memories of all copies are written down */
  constructor(
    private readonly timers: Timers,
    private readonly notebook: Notebook,
  ) {}

  /**
   * Has a copy remember something, durably. Where that fails nothing has changed: what the disk does not know the master
   * must not hear, for others let go of their rows because of it.
   * @param news is asked right before it is written: another topology may have come into force by then, and none does until
   *   it is on the disk
   * @returns whether there was something; rejects where it could not be written
   */
  remember(copy: Copy, news: Note['news']): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.notes.push({ copy, news, resolve, reject });
      if (this.notes.length === 1) this.timers.after(0, () => void this.notebook.alone(() => this.write()));
    });
  }

  private async write(): Promise<void> {
    const { notes } = this;
    this.notes = [];
    const memories = new Map<Copy, CopyMemory>();
    const taken = new Set<Note>();
    try {
      for (const note of notes) {
        const { copy, news } = note;
        const memory = memories.get(copy) ?? copy.memory;
        const changed = news(memory);
        if (changed === undefined) continue;
        memories.set(copy, { ...memory, ...changed });
        taken.add(note);
      }
      if (taken.size > 0) await this.notebook.persist(memories);
    } catch (error) {
      for (const { reject } of notes) reject(error as Error);
      return;
    }
    for (const [copy, memory] of memories) copy.memory = memory;
    for (const note of notes) note.resolve(taken.has(note));
  }
}
