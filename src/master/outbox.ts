/**
 * What is to be sent on one stream: one message after the other, each when the one before has left, so that what
 * waits is counted here and nowhere else.
 */
export class Outbox<Message> {
  private readonly waiting: Message[] = [];
  private isWriting = false;
  private onEmpty: (() => void) | undefined;
  private isClosed = false;

  /**
   * @param write begins to send a message, and calls `done` when it has left
   * @param overflow is called instead when so many wait already
   */
  constructor(
    private readonly write: (message: Message, done: () => void) => void,
    private readonly waitingMax: number,
    private readonly overflow: () => void,
  ) {}

  /** @param supersedes says of a message that waits whether it need not be sent any more */
  send(message: Message, supersedes?: (waiting: Message) => boolean): void {
    if (this.isClosed) return;
    const old = supersedes === undefined ? -1 : this.waiting.findIndex(supersedes);
    if (old >= 0) this.waiting.splice(old, 1);
    if (this.waiting.length >= this.waitingMax) {
      this.drop();
      this.overflow();
      return;
    }
    this.waiting.push(message);
    this.next();
  }

  /** Takes no more messages; `finished` is called when all have left. */
  close(finished: () => void): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.onEmpty = finished;
    this.next();
  }

  /** Forgets what waits, and takes no more. */
  drop(): void {
    this.isClosed = true;
    this.onEmpty = undefined;
    this.waiting.length = 0;
  }

  private next(): void {
    if (this.isWriting) return;
    const message = this.waiting.shift();
    if (message === undefined) {
      const { onEmpty } = this;
      this.onEmpty = undefined;
      onEmpty?.();
      return;
    }
    this.isWriting = true;
    this.write(message, () => {
      this.isWriting = false;
      this.next();
    });
  }
}
