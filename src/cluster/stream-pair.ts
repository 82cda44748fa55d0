import type { MessageStream } from './messages.js';

/** Why a stream ended; undefined where it was meant to. */
type Ending = { readonly error: Error | undefined };

/**
 * One end of a conversation within a process. What is said is heard in a later turn of the event loop, in order, so
 * that neither side is ever called from inside a call of its own. Memory is bounded by what a side says in one turn.
 */
class StreamEnd<In, Out> implements MessageStream<In, Out> {
  onMessage: (message: In) => void = () => undefined;
  onEnd: (error: Error | undefined) => void = () => undefined;
  peer!: StreamEnd<Out, In>;
  private ended = false;
  private ending: Ending | undefined;
  private heard: In[] = [];
  private isScheduled = false;

  send(message: Out): void {
    if (!this.ended) this.peer.hear(message);
  }

  end(error?: Error): void {
    if (this.ended) return;
    this.ended = true;
    this.heard = [];
    this.peer.hearEnd(error);
  }

  hear(message: In): void {
    if (this.ended) return;
    this.heard.push(message);
    this.schedule();
  }

  private hearEnd(error: Error | undefined): void {
    if (this.ended || this.ending !== undefined) return;
    this.ending = { error };
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(() => this.deliver());
  }

  private deliver(): void {
    this.isScheduled = false;
    const messages = this.heard;
    this.heard = [];
    for (const message of messages) {
      if (this.ended) return;
      this.onMessage(message);
    }
    if (this.ended || this.ending === undefined || this.heard.length > 0) return;
    this.ended = true;
    this.onEnd(this.ending.error);
  }
}

/** Two ends of one conversation: what is said at one is heard at the other. The side that ends it is not told. */
export function streamPair<A, B>(): [MessageStream<A, B>, MessageStream<B, A>] {
  const one = new StreamEnd<A, B>();
  const other = new StreamEnd<B, A>();
  one.peer = other;
  other.peer = one;
  return [one, other];
}
