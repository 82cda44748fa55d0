import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { Config } from '../base/config.js';
import {
  FEED_MESSAGE_BYTES_MAX,
  FEED_MESSAGES_WAITING_MAX,
  FEEDS_PER_STORE_MAX,
  PEER_CONNECTIONS_MAX,
} from '../base/limits.js';
import type { Logger } from '../base/logger.js';
import type { FollowerStream } from '../cluster/feed-messages.js';
import type { GrpcSecurity } from '../master/credentials.js';
import { GrpcListener } from '../master/grpc-listener.js';
import { serverEnd } from '../master/grpc-stream.js';
import { peerMethods } from './proto.js';
import {
  fromWireFollowerMessage,
  toWireSourceMessage,
  type WireFollowerMessage,
  type WireSourceMessage,
} from './wire.js';

/** Who takes up the conversations: FeedSources does. */
export interface FeedServer {
  accept(stream: FollowerStream): void;
}

/** The port by which other stores reach this one. */
export class PeerServer {
  private constructor(private readonly listener: GrpcListener) {}

  /**
   * Opens the port on the addresses of `bind`.
   * @throws Error with a message for people
   */
  static async listen(
    config: Config,
    logger: Pick<Logger, 'warning'>,
    security: GrpcSecurity,
    feeds: FeedServer,
    port: number,
  ): Promise<PeerServer> {
    const listener = await GrpcListener.open(config, logger, security, {
      methods: peerMethods(),
      implementation: {
        Feed: (call: ServerDuplexStream<WireFollowerMessage, WireSourceMessage>) =>
          feeds.accept(followerStream(call)),
      },
      port,
      directive: 'peer-port',
      name: 'peers',
      messageBytesMax: FEED_MESSAGE_BYTES_MAX,
      connectionsMax: PEER_CONNECTIONS_MAX,
      callsMax: FEEDS_PER_STORE_MAX,
    });
    return new PeerServer(listener);
  }

  /** Where it listens. */
  get port(): number {
    return this.listener.port;
  }

  /** @param endFeeds has the feeds under way end, with words */
  close(endFeeds: () => void): Promise<void> {
    return this.listener.close(endFeeds);
  }
}

function followerStream(call: ServerDuplexStream<WireFollowerMessage, WireSourceMessage>): FollowerStream {
  return serverEnd(call, {
    decode: fromWireFollowerMessage,
    encode: toWireSourceMessage,
    waitingMax: FEED_MESSAGES_WAITING_MAX,
  });
}
