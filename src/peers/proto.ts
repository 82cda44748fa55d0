import type { MethodDefinition } from '@grpc/grpc-js';
import { prepareMessagesOf, serializerIn, serviceIn } from '../master/proto.js';
import { sourceSerializer } from './bulk-messages.js';
import type { WireFollowerMessage, WireSourceMessage } from './wire.js';

/** The calls of the service Peer in peer.proto, with their messages as they are here. */
export interface PeerMethods {
  readonly Feed: MethodDefinition<WireFollowerMessage, WireSourceMessage>;
}

const FILE = new URL('./peer.proto', import.meta.url);
let loaded: PeerMethods | undefined;

/** Reads peer.proto, which lies beside this module, when it is first needed. */
export function peerMethods(): PeerMethods {
  loaded ??= load();
  return loaded;
}

function load(): PeerMethods {
  const { Feed } = serviceIn(FILE, 'Peer') as PeerMethods;
  const responseSerialize = sourceSerializer({
    message: Feed.responseSerialize,
    slice: serializerIn(FILE, 'Slice'),
    records: serializerIn(FILE, 'Records'),
  });
  return { Feed: { ...Feed, responseSerialize } };
}

/** See prepareMessagesOf. */
export function preparePeerMessages(): Iterable<string> {
  return prepareMessagesOf(FILE);
}
