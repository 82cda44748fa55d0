import { type ClientDuplexStream, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { MASTER_MESSAGES_WAITING_MAX } from '../base/limits.js';
import type { MasterStream, MessageStream, StoreStream } from '../cluster/messages.js';
import { Outbox } from './outbox.js';
import { type CallStatus, isServiceError, statusOf } from './status.js';
import {
  fromWireMasterMessage,
  fromWireStoreMessage,
  toWireMasterMessage,
  toWireStoreMessage,
} from './wire.js';
import type { WireMasterMessage, WireStoreMessage } from './wire-types.js';

/** How long a store that has said that it leaves waits for the master to take note, milliseconds. */
const FAREWELL_MS = 1000;

/** What differs between the two ends of a gRPC stream. */
interface End<In, Out, WireIn, WireOut> {
  readonly call: ClientDuplexStream<WireOut, WireIn> | ServerDuplexStream<WireIn, WireOut>;
  readonly decode: (wire: WireIn) => In;
  readonly encode: (message: Out) => WireOut;
  /** Ends the call because of what came by it, or did not leave by it. */
  abort(how: CallStatus): void;
  /** Ends the call when all that was said has left. */
  finish(): void;
}

/** One end of the conversation between a store and its master, over gRPC. */
export class GrpcStream<In, Out, WireIn, WireOut> implements MessageStream<In, Out> {
  onMessage: (message: In) => void = () => undefined;
  onEnd: (error: Error | undefined) => void = () => undefined;
  /** Resolves when the conversation is over, whoever ended it: with the reason where there is one. */
  readonly ended: Promise<Error | undefined>;
  private resolveEnded: (error: Error | undefined) => void = () => undefined;
  private isOver = false;
  private readonly outbox: Outbox<Out>;

  constructor(private readonly side: End<In, Out, WireIn, WireOut>) {
    this.ended = new Promise((resolve) => {
      this.resolveEnded = resolve;
    });
    const { call } = side;
    this.outbox = new Outbox<Out>(
      (message, done) => call.write(side.encode(message), done),
      MASTER_MESSAGES_WAITING_MAX,
      () => this.fail({ code: status.RESOURCE_EXHAUSTED, details: 'the other side does not read' }),
    );
    call.on('data', (wire: WireIn) => this.hear(wire));
    call.on('error', (error: Error) => this.over(reasonOf(error)));
    const broken = () => this.over(new Error('the connection broke'));
    call.on('end', () =>
      // A connection that breaks ends what is read, too, and says so in the same turn.
      setImmediate(() => {
        if (this.over(undefined)) side.finish();
      }),
    );
    call.on('cancelled', broken);
    call.on('close', broken);
  }

  send(message: Out): void {
    if (!this.isOver) this.outbox.send(message);
  }

  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.resolveEnded(undefined);
    this.outbox.close(() => this.side.finish());
  }

  private hear(wire: WireIn): void {
    if (this.isOver) return;
    let message: In;
    try {
      message = this.side.decode(wire);
    } catch (error) {
      this.fail(statusOf(error));
      return;
    }
    this.onMessage(message);
  }

  private fail(how: CallStatus): void {
    if (this.over(new Error(how.details))) this.side.abort(how);
  }

  /** @returns whether it was not over before */
  private over(error: Error | undefined): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.outbox.drop();
    this.resolveEnded(error);
    this.onEnd(error);
    return true;
  }
}

function reasonOf(error: Error): Error {
  return isServiceError(error) ? new Error(error.details, { cause: error }) : error;
}

/** The master's end. */
export function storeStream(
  call: ServerDuplexStream<WireStoreMessage, WireMasterMessage>,
): StoreStream & { readonly ended: Promise<Error | undefined> } {
  return new GrpcStream({
    call,
    decode: fromWireStoreMessage,
    encode: toWireMasterMessage,
    abort: (how) => call.emit('error', Object.assign(new Error(how.details), how)),
    finish: () => call.end(),
  });
}

/** A store's end. */
export function masterStream(
  call: ClientDuplexStream<WireStoreMessage, WireMasterMessage>,
): MasterStream & { readonly ended: Promise<Error | undefined> } {
  return new GrpcStream({
    call,
    decode: fromWireMasterMessage,
    encode: toWireStoreMessage,
    abort: () => call.cancel(),
    finish: () => {
      call.end();
      setTimeout(() => call.cancel(), FAREWELL_MS).unref();
    },
  });
}
