import { Client, type ClientDuplexStream, logVerbosity, Metadata, setLogVerbosity } from '@grpc/grpc-js';
import {
  FEED_MESSAGE_BYTES_MAX,
  FEED_MESSAGES_WAITING_MAX,
  FEED_SLICE_BYTES,
  FEED_WINDOW_BYTES,
} from '../base/limits.js';
import type { FollowerMessage, SourceMessage, SourceStream } from '../cluster/feed-messages.js';
import type { StoreEntry } from '../cluster/topology.js';
import { CHANNEL_OPTIONS } from '../master/channel.js';
import { clientEnd, type GrpcStream } from '../master/grpc-stream.js';
import type { ChannelSecurity } from '../master/reach.js';
import { peerMethods } from './proto.js';
import {
  fromWireSourceMessage,
  toWireFollowerMessage,
  type WireFollowerMessage,
  type WireSourceMessage,
} from './wire.js';

/** How long a source that is told that a feed ends has to take note, milliseconds. */
const FAREWELL_MS = 1000;

/** How soon a connection that has failed may be tried again, milliseconds. */
const RECONNECT_MS = 100;

/** A connection to another store, which all feeds from there share. */
interface PeerChannel {
  readonly client: Client;
  streams: number;
}

/** The way to other stores. A connection lasts as long as there are feeds that use it. */
export class PeerClients {
  private readonly channels = new Map<string, PeerChannel>();

  constructor(private readonly security: ChannelSecurity) {
    setLogVerbosity(logVerbosity.NONE);
  }

  /**
   * Begins a conversation with a store. That it cannot be reached is how the conversation ends.
   * @throws Error where it has no port for that
   */
  connect({ id, host, peerPort }: StoreEntry): SourceStream {
    if (peerPort === 0)
      throw new Error(`store ${id} at ${host} has no port for other stores: set its peer-port`);
    const address = `${host.includes(':') ? `[${host}]` : host}:${peerPort}`;
    const channel = this.channels.get(address) ?? this.open(address);
    const { path, requestSerialize, responseDeserialize } = peerMethods().Feed;
    const call = channel.client.makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
    );
    const stream = sourceStream(call);
    channel.streams++;
    void stream.ended.then(() => this.release(address, channel));
    return stream;
  }

  private open(address: string): PeerChannel {
    const { security } = this;
    const options = {
      ...security.clientOptions(),
      ...CHANNEL_OPTIONS,
      'grpc.max_receive_message_length': FEED_MESSAGE_BYTES_MAX,
      // How much may be on its way is for feeds to say. With the 64 KB of HTTP/2 each chunk of a log takes several round trips.
      'grpc-node.flow_control_window': FEED_WINDOW_BYTES + FEED_SLICE_BYTES,
      // Whoever opens a feed has waited already.
      'grpc.initial_reconnect_backoff_ms': RECONNECT_MS,
      'grpc.min_reconnect_backoff_ms': RECONNECT_MS,
      'grpc.max_reconnect_backoff_ms': RECONNECT_MS,
    };
    const client = new Client(`dns:${address}`, security.channelCredentials(), options);
    const channel = { client, streams: 0 };
    this.channels.set(address, channel);
    return channel;
  }

  /** A feed has ended. What is tried again has a connection made anew, which waits for nothing. */
  private release(address: string, channel: PeerChannel): void {
    if (--channel.streams > 0) return;
    if (this.channels.get(address) === channel) this.channels.delete(address);
    setTimeout(() => channel.client.close(), FAREWELL_MS).unref();
  }

  close(): void {
    for (const { client } of this.channels.values()) client.close();
    this.channels.clear();
  }
}

function sourceStream(
  call: ClientDuplexStream<WireFollowerMessage, WireSourceMessage>,
): GrpcStream<SourceMessage, FollowerMessage, WireSourceMessage, WireFollowerMessage> {
  return clientEnd(call, {
    decode: fromWireSourceMessage,
    encode: toWireFollowerMessage,
    waitingMax: FEED_MESSAGES_WAITING_MAX,
  });
}
