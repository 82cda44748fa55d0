import type { Timers } from '../base/timers.js';
import type { TaskProgress } from '../cluster/manager.js';
import type { MasterMessage, StoreMessage, StoreStream } from '../cluster/messages.js';
import { epochOf, type StoreEntry, type Topology } from '../cluster/topology.js';
import type { Registration } from './state.js';

/** Waits for one answer of a store. */
interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

interface Task extends Waiter {
  readonly onProgress: (progress: TaskProgress) => void;
  /** Unix milliseconds. */
  heardAtMs: number;
}

/** A task of which nothing is heard for so long has failed. */
const TASK_SILENCE_MAX_MS = 60_000;

/** The master's side of its conversation with one store. */
export class StoreLink {
  /** What it registered with; undefined before that. */
  registration: Registration | undefined;
  /** Whether it is the one that speaks for its store. */
  isMember = false;
  /** Another process that says it is the same store; it waits for this one to speak or to go. */
  rival: StoreLink | undefined;
  /** Unix milliseconds. */
  heardAtMs: number;
  private readonly waiters = new Map<number, Waiter>();
  private readonly tasks = new Map<number, Task>();
  private lastTask = 0;

  constructor(
    private readonly stream: StoreStream,
    /** Whether it is in this process, where no silence means anything. */
    readonly isLocal: boolean,
    private readonly timers: Timers,
  ) {
    this.heardAtMs = timers.now();
  }

  get store(): StoreEntry | undefined {
    return this.registration?.store;
  }

  send(message: MasterMessage): void {
    this.stream.send(message);
  }

  /** Says no for good. */
  refuse(reason: string): void {
    this.stream.send({ kind: 'refused', reason });
    this.stream.end();
  }

  /**
   * Has the store put a topology into effect; its latest change is what is waited for.
   * @returns rejects with why not, in words that go after "store … "
   */
  apply(topology: Topology, timeoutMs: number): Promise<void> {
    const epoch = epochOf(topology);
    return new Promise((resolve, reject) => {
      const cancel = this.timers.after(timeoutMs, () => {
        this.waiters.delete(epoch);
        reject(new Error(`did not answer within ${Math.round(timeoutMs / 1000)} seconds`));
      });
      this.waiters.set(epoch, {
        resolve: () => {
          cancel();
          resolve();
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      });
      this.send({ kind: 'topology', topology });
    });
  }

  /** Has the store rewrite a shard; rejects as {@link apply} does. */
  compact(keyspace: string, shard: number, onProgress: (progress: TaskProgress) => void): Promise<void> {
    const task = ++this.lastTask;
    return new Promise((resolve, reject) => {
      this.tasks.set(task, { resolve, reject, onProgress, heardAtMs: this.timers.now() });
      this.send({ kind: 'compact', task, keyspace, shard });
    });
  }

  /**
   * Takes an answer to {@link apply} or {@link compact}.
   * @returns an error of a topology that nobody waits for
   */
  answer(message: Exclude<StoreMessage, { kind: 'register' | 'report' }>): string | undefined {
    if (message.kind === 'applied') {
      const waiter = this.waiters.get(message.epoch);
      this.waiters.delete(message.epoch);
      if (waiter === undefined) return message.error;
      if (message.error === undefined) waiter.resolve();
      else waiter.reject(new Error(`could not do it: ${message.error}`));
      return undefined;
    }
    const task = this.tasks.get(message.task);
    if (task === undefined) return undefined;
    task.heardAtMs = this.timers.now();
    if (message.kind === 'progress') {
      task.onProgress(message.progress);
      return undefined;
    }
    this.tasks.delete(message.task);
    if (message.error === undefined) task.resolve();
    else task.reject(new Error(`could not do it: ${message.error}`));
    return undefined;
  }

  /** Gives up tasks that make no progress. */
  expireTasks(nowMs: number): void {
    for (const [id, task] of this.tasks) {
      if (nowMs - task.heardAtMs <= TASK_SILENCE_MAX_MS) continue;
      this.tasks.delete(id);
      task.reject(new Error(`has said nothing of it for ${TASK_SILENCE_MAX_MS / 1000} seconds`));
    }
  }

  /** Nothing more is heard or said; whoever waits hears why. */
  close(reason: string): void {
    const error = new Error(reason);
    for (const waiter of [...this.waiters.values(), ...this.tasks.values()]) waiter.reject(error);
    this.waiters.clear();
    this.tasks.clear();
    this.stream.end();
  }
}
