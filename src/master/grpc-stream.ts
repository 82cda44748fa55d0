import { type ClientDuplexStream, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { MASTER_MESSAGES_WAITING_MAX } from '../base/limits.js';
import type { MasterMessage, MessageStream, StoreMessage } from '../cluster/messages.js';
import { Outbox } from './outbox.js';
import { type CallStatus, isServiceError, statusOf } from './status.js';
import {
  fromWireMasterMessage,
  fromWireStoreMessage,
  toWireMasterMessage,
  toWireStoreMessage,
} from './wire.js';
import type { WireMasterMessage, WireStoreMessage } from './wire-types.js';

/** How long a client that has said that it ends a call waits for the server to take note, milliseconds. */
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
  /** Messages that may wait for the other side to read. */
  readonly waitingMax: number;
}

/** One end of a conversation over gRPC, as messages of the cluster. */
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
      side.waitingMax,
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

/** What messages are on the wire, and how many may wait. */
export type Wording<In, Out, WireIn, WireOut> = Pick<
  End<In, Out, WireIn, WireOut>,
  'decode' | 'encode' | 'waitingMax'
>;

/** The end of the process that was called. */
export function serverEnd<In, Out, WireIn, WireOut>(
  call: ServerDuplexStream<WireIn, WireOut>,
  wording: Wording<In, Out, WireIn, WireOut>,
): GrpcStream<In, Out, WireIn, WireOut> {
  return new GrpcStream({
    ...wording,
    call,
    abort: (how) => call.emit('error', Object.assign(new Error(how.details), how)),
    finish: () => call.end(),
  });
}

/** The end of the process that has called. */
export function clientEnd<In, Out, WireIn, WireOut>(
  call: ClientDuplexStream<WireOut, WireIn>,
  wording: Wording<In, Out, WireIn, WireOut>,
): GrpcStream<In, Out, WireIn, WireOut> {
  return new GrpcStream({
    ...wording,
    call,
    abort: () => call.cancel(),
    finish: () => {
      call.end();
      setTimeout(() => call.cancel(), FAREWELL_MS).unref();
    },
  });
}

/** The master's end of its conversation with a store. */
export function storeStream(
  call: ServerDuplexStream<WireStoreMessage, WireMasterMessage>,
): GrpcStream<StoreMessage, MasterMessage, WireStoreMessage, WireMasterMessage> {
  return serverEnd(call, {
    decode: fromWireStoreMessage,
    encode: toWireMasterMessage,
    waitingMax: MASTER_MESSAGES_WAITING_MAX,
  });
}

/** A store's end of its conversation with a master. */
export function masterStream(
  call: ClientDuplexStream<WireStoreMessage, WireMasterMessage>,
): GrpcStream<MasterMessage, StoreMessage, WireMasterMessage, WireStoreMessage> {
  return clientEnd(call, {
    decode: fromWireMasterMessage,
    encode: toWireStoreMessage,
    waitingMax: MASTER_MESSAGES_WAITING_MAX,
  });
}
