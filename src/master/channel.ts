import type { ChannelOptions } from '@grpc/grpc-js';
import { MASTER_MESSAGE_BYTES_MAX } from '../base/limits.js';

/** Each side asks the other for a sign of life so often, and takes it for dead when none has come for so long. */
export const KEEPALIVE_OPTIONS = {
  'grpc.keepalive_time_ms': 1000,
  'grpc.keepalive_timeout_ms': 2000,
} as const satisfies ChannelOptions;

/** Of a connection to a master. Trying again is for reach.ts: a channel tries once. */
export const CHANNEL_OPTIONS = {
  ...KEEPALIVE_OPTIONS,
  'grpc.max_receive_message_length': MASTER_MESSAGE_BYTES_MAX,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
  // Nodes reach each other, whatever proxy the environment has for the web.
  'grpc.enable_http_proxy': 0,
} as const satisfies ChannelOptions;
