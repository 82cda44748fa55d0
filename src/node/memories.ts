import type { Timers } from '../base/timers.js';
import type { Copy } from './copy.js';
import type { CopyMemory } from './copy-memory.js';

/** Something that a copy comes to know. */
interface Note {
  readonly copy: Copy;
  /** What changes of its memory, as that is when it is written down; undefined = nothing any more. */
  readonly news: () => Partial<CopyMemory> | undefined;
  readonly resolve: (isRemembered: boolean) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Writes down what copies come to know. That is one write to the disk for which the thread waits, however many copies
 * have something: a change that moves hundreds of shards would have clients wait for a write each. What comes in one turn
 * of the event loop goes together, and nothing of it counts before it is written.
 */
export class Memories {
  private notes: Note[] = [];

  /** @param persist writes down the memories of all copies; throws where that fails */
  constructor(
    private readonly timers: Timers,
    private readonly persist: () => void,
  ) {}

  /**
   * Has a copy remember something, durably. Where that fails nothing has changed: what the disk does not know the master
   * must not hear, for others let go of their rows because of it.
   * @param news is asked right before it is written: another topology may have come into force by then
   * @returns whether there was something; rejects where it could not be written
   */
  remember(copy: Copy, news: Note['news']): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.notes.push({ copy, news, resolve, reject });
      if (this.notes.length === 1) this.timers.after(0, () => this.write());
    });
  }

  private write(): void {
    const { notes } = this;
    this.notes = [];
    const before = new Map<Copy, CopyMemory>();
    const taken = new Set<Note>();
    try {
      for (const note of notes) {
        const { copy, news } = note;
        const changed = news();
        if (changed === undefined) continue;
        if (!before.has(copy)) before.set(copy, copy.memory);
        copy.memory = { ...copy.memory, ...changed };
        taken.add(note);
      }
      if (taken.size > 0) this.persist();
    } catch (error) {
      for (const [copy, memory] of before) copy.memory = memory;
      for (const { reject } of notes) reject(error as Error);
      return;
    }
    for (const note of notes) note.resolve(taken.has(note));
  }
}
