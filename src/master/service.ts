import type { EventEmitter } from 'node:events';
import type {
  handleUnaryCall,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
} from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import { FOLLOWERS_MAX, MASTER_MESSAGES_WAITING_MAX } from '../base/limits.js';
import { VERSION } from '../base/version.js';
import { storeStream } from './grpc-stream.js';
import type { Master } from './master.js';
import { Outbox } from './outbox.js';
import type { MasterMethods } from './proto.js';
import { type CallStatus, statusOf } from './status.js';
import {
  type FollowMessage,
  fromWireRequest,
  toWireFollowMessage,
  toWireKeyspace,
  toWireProgress,
  toWireStatus,
  toWireTopology,
} from './wire.js';
import { fromWireChangeRequest, toWireChangeStatus } from './wire-changes.js';
import type { WireFollowMessage, WireMasterMessage, WireProgress, WireStoreMessage } from './wire-types.js';

/** The calls of master.proto, carried out by a master. */
export function masterService(master: Master): Record<keyof MasterMethods, UntypedHandleCall> {
  const followers = new Set<object>();
  return {
    Hello: unary(async () => ({ version: VERSION, clusterId: master.topology.clusterId })),
    Register: (call: ServerDuplexStream<WireStoreMessage, WireMasterMessage>) =>
      master.accept(storeStream(call)),
    Follow: (call: ServerWritableStream<object, WireFollowMessage>) => follow(master, call, followers),
    GetTopology: unary(async () => toWireTopology(await master.fetchTopology())),
    ListStores: unary(async () => ({ stores: (await master.stores()).map(toWireStatus) })),
    CreateKeyspace: unary<MasterMethods['CreateKeyspace']>(async (request) =>
      toWireKeyspace(await master.createKeyspace(fromWireRequest(request))),
    ),
    DeleteKeyspace: unary<MasterMethods['DeleteKeyspace']>(async ({ name }) => {
      await master.deleteKeyspace(name);
      return {};
    }),
    SwapDatabases: unary<MasterMethods['SwapDatabases']>(async ({ first, second }) => {
      await master.swapDatabases(first, second);
      return {};
    }),
    BeginChange: unary<MasterMethods['BeginChange']>(async (request) => {
      const { id, explanation } = await master.beginChange(fromWireChangeRequest(request));
      return { id, explanation: [...explanation] };
    }),
    ListChanges: unary<MasterMethods['ListChanges']>(async () => ({
      changes: (await master.changeStatuses()).map(toWireChangeStatus),
    })),
    CompactKeyspace: (call: ServerWritableStream<{ name: string }, WireProgress>) =>
      void compact(master, call),
  };
}

type RequestOf<Method> = Method extends { requestDeserialize: (bytes: Buffer) => infer Request }
  ? Request
  : never;
type ReplyOf<Method> = Method extends { responseSerialize: (reply: infer Reply) => Buffer } ? Reply : never;

function unary<Method extends MasterMethods[keyof MasterMethods]>(
  run: (request: RequestOf<Method>) => Promise<ReplyOf<Method>>,
): handleUnaryCall<RequestOf<Method>, ReplyOf<Method>> {
  return (call: ServerUnaryCall<RequestOf<Method>, ReplyOf<Method>>, reply) => {
    run(call.request).then(
      (value) => reply(null, value),
      (error: unknown) => reply(statusOf(error)),
    );
  };
}

/** Ends a stream with an error; one who does not read hears of it when it does. */
function fail(call: EventEmitter, how: CallStatus): void {
  call.emit('error', Object.assign(new Error(how.details), how));
}

function follow(
  master: Master,
  call: ServerWritableStream<object, WireFollowMessage>,
  followers: Set<object>,
): void {
  if (followers.size >= FOLLOWERS_MAX) {
    fail(call, { code: status.RESOURCE_EXHAUSTED, details: `${FOLLOWERS_MAX} follow this master already` });
    return;
  }
  followers.add(call);
  // Said at once: that the master hears, though it may have nothing to tell yet.
  call.sendMetadata(new Metadata());
  const outbox = new Outbox<FollowMessage>(
    (message, done) => call.write(toWireFollowMessage(message), done),
    MASTER_MESSAGES_WAITING_MAX,
    () => fail(call, { code: status.RESOURCE_EXHAUSTED, details: 'this follower does not read' }),
  );
  const isTopology = ({ kind }: FollowMessage) => kind === 'topology';
  const stop = master.follow({
    // Only the latest one matters to somebody who is behind.
    topology: (topology) => outbox.send({ kind: 'topology', topology }, isTopology),
    event: (event) => outbox.send({ kind: 'event', event }),
    connected: (isConnected) => {
      if (!isConnected) outbox.close(() => call.end());
    },
  });
  const over = () => {
    followers.delete(call);
    stop();
    outbox.drop();
  };
  for (const ending of ['cancelled', 'error', 'close']) call.on(ending, over);
}

/** Of progress only the latest matters, so what does not leave at once is replaced. */
async function compact(
  master: Master,
  call: ServerWritableStream<{ name: string }, WireProgress>,
): Promise<void> {
  const outbox = new Outbox<WireProgress>(
    (progress, done) => call.write(progress, done),
    MASTER_MESSAGES_WAITING_MAX,
    () => undefined,
  );
  try {
    await master.compactKeyspace(call.request.name, (progress) =>
      outbox.send(toWireProgress(progress), () => true),
    );
    outbox.close(() => call.end());
  } catch (error) {
    outbox.drop();
    fail(call, statusOf(error));
  }
}
