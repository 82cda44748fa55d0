/**
 * Where a command differs from Redis 7.0's of the same name, for those who come from there; by full name.
 * A test keeps the names to those of the table.
 */
export const DIFFERENCES: Readonly<Record<string, string>> = {
  set: 'EVENTTIME, of its own: the write loses against one of a later event time.',
  scan: 'A cursor that is over, or was not used for scan-cursor-timeout-seconds, is an error.',
  keys: 'The keys come in byte order.',
  flushdb: 'ASYNC and SYNC are the same: neither takes longer with more keys.',
  flushall: 'ASYNC and SYNC are the same: neither takes longer with more keys.',
  'object|encoding': 'Names what Redis would use; on disk there is only one form.',
  'object|freq': 'Frequencies are not kept: under an LFU policy, the one of a new key.',
  'object|refcount': 'Names what Redis would count.',
  multi: 'At most 1,048,576 commands are queued.',
  hello: 'Calls itself Redis 7.2.5, as do INFO and LOLWUT, so that clients know what they may use.',
  monitor:
    'No password is shown, even where Redis shows one in a command that fails. Who lets 64 MB pile up is closed.',
  'client|caching': 'There is no client-side caching.',
  'client|tracking': 'There is no client-side caching: ON is an error.',
  'client|no-evict': 'Has no effect: clients are not evicted.',
  'client|no-touch': 'From Redis 7.2.',
  'client|setinfo': 'From Redis 7.2.',
  'client|unblock': 'No command blocks yet: always 0.',
  'client|list': 'Has lib-name and lib-ver, as Redis 7.2.',
  'client|info': 'Has lib-name and lib-ver, as Redis 7.2.',
  'client|kill': 'Knows one user, default.',
  'client|pause': 'CLIENT commands run during a pause, so that another connection can end it.',
  'client|reply':
    'The connection ends after QUIT or a protocol error although replies are off. Inside MULTI, OFF and SKIP drop the ' +
    'whole reply of EXEC, not parts of it.',
  auth: 'There is one user, default.',
  'command|docs': 'Arguments are derived from the syntax shown here; there is no history.',
  'command|info': 'Key specifications carry no notes.',
  save: 'All writes are on disk as appendfsync says; this waits for the disk.',
  bgsave: 'All writes are on disk as appendfsync says; this has the disk catch up.',
  bgrewriteaof: 'There is no append-only file; as BGSAVE.',
  shutdown: 'Data is always saved, with NOSAVE too.',
  wait: 'There are no replicas yet: replies 0, after the timeout if any were asked for.',
  role: 'Always a master without replicas, as yet.',
  debug: 'Has subcommands of its own; see DEBUG HELP.',
  'memory|malloc-stats': 'Of the JavaScript heap.',
  'module|list': 'There are no modules.',
};
