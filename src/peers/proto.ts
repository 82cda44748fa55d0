import type { MethodDefinition } from '@grpc/grpc-js';
import { prepareMessagesOf, serviceIn } from '../master/proto.js';
import type { WireFollowerMessage, WireSourceMessage } from './wire.js';

/** The calls of the service Peer in peer.proto, with their messages as they are here. */
export interface PeerMethods {
  readonly Feed: MethodDefinition<WireFollowerMessage, WireSourceMessage>;
}

const FILE = new URL('./peer.proto', import.meta.url);
let loaded: PeerMethods | undefined;

/** Reads peer.proto, which lies beside this module, when it is first needed. */
export function peerMethods(): PeerMethods {
  loaded ??= serviceIn(FILE, 'Peer') as PeerMethods;
  return loaded;
}

/** See prepareMessagesOf. */
export function preparePeerMessages(): Iterable<string> {
  return prepareMessagesOf(FILE);
}
