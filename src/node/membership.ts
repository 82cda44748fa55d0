/** How this node is part of its cluster, for those who ask: INFO, VASTO STORES, logs. */
export class Membership {
  /** What the program was started as. */
  role: 'server' | 'store' | 'gateway' = 'server';
  /** Address by which other nodes and clients are told to reach this one. */
  host = '127.0.0.1';
  /** Whether the master can be heard at present. */
  connected = false;
  /** Why the master would not have this store; '' when it has said nothing of the kind. */
  refusal = '';

  /** For INFO. */
  get masterLink(): 'up' | 'down' | 'refused' {
    if (this.refusal !== '') return 'refused';
    return this.connected ? 'up' : 'down';
  }
}
