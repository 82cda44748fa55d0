import { fileURLToPath } from 'node:url';
import type { MethodDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { WireFollowerMessage, WireSourceMessage } from './wire.js';

/** The calls of the service Peer in peer.proto, with their messages as they are here. */
export interface PeerMethods {
  readonly Feed: MethodDefinition<WireFollowerMessage, WireSourceMessage>;
}

let loaded: PeerMethods | undefined;

/** Reads peer.proto, which lies beside this module, when it is first needed. */
export function peerMethods(): PeerMethods {
  loaded ??= load();
  return loaded;
}

function load(): PeerMethods {
  const file = fileURLToPath(new URL('./peer.proto', import.meta.url));
  const service = loadSync(file, { longs: Number, defaults: true, arrays: true, oneofs: true })[
    'vasto.v1.Peer'
  ];
  return service as unknown as PeerMethods;
}
