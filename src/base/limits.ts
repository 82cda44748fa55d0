/** Bounds that are not configuration: every queue, loop and buffer that has none of its own names one of these. */

/** Batches that may be on their way to one worker. More would only make them smaller. */
export const BATCHES_IN_FLIGHT_MAX = 2;

/** Commands from which on a batch is sent though another one is on its way. */
export const EARLY_BATCH_COMMANDS_MIN = 300;

/** The largest batch, and so the largest command or MULTI block: offsets in a batch are 32-bit. */
export const BATCH_BYTES_LIMIT = 1 << 30;

/** Reply bytes that a worker gathers before it commits and sends what it has of a batch. */
export const REPLY_PART_BYTES = 1 << 20;

/**
 * Memory of replies from this size on goes back to the worker, which writes further ones in it, up to the other: new
 * memory all the time has both threads collect garbage all the time, since V8 takes it for a heap that grows.
 */
export const REPLY_MEMORY_REUSED_MIN = 32 << 10;
export const REPLY_MEMORY_REUSED_MAX = 2 * REPLY_PART_BYTES;

/** Commands of one connection that may be under way while their replies are small; see the connection's window. */
export const PIPELINE_WINDOW_MAX = 8192;

/** The window a connection begins with, before the size of its replies is known. */
export const PIPELINE_WINDOW_MIN = 64;

/** Reply bytes that one connection may have under way, by the average of its replies so far. */
export const PIPELINE_REPLY_BYTES = 8 << 20;

/** Bytes queued for a socket beyond which its requests are not read until it has taken them. */
export const OUTPUT_PAUSE_BYTES = 1 << 20;

/** Arguments and bytes of one argument that SLOWLOG keeps (Redis: slowlog.h). */
export const SLOWLOG_ARGUMENTS_MAX = 32;
export const SLOWLOG_ARGUMENT_BYTES_MAX = 128;

/** Commands that MULTI may queue. */
export const TRANSACTION_COMMANDS_MAX = 1 << 20;

/** Bytes that the commands of a MULTI may have, with what was read together with them. */
export const TRANSACTION_BYTES_MAX = 1 << 29;

/** Memory that a value may take when RESTORE reads it, roughly: payloads are compressed, and elements cost more than their bytes. */
export const RESTORED_BYTES_MAX = 1 << 30;

/** Rows that one sweep of expired keys ends before it lets commands run. */
export const SWEEP_ROWS_MAX = 1000;

/** Element rows of collections that have gone, which one sweep removes before it lets commands run. */
export const SWEEP_ELEMENTS_MAX = 2000;

/**
 * Element rows of a collection that has gone, which are removed one by one before the rest goes as a range. Reads pay for
 * the number of ranges that were deleted lately: so there are few of them for the rows that they delete.
 */
export const DEAD_ROWS_SINGLE_MAX = 10_000;

/** How often, at most, something is written for the space of deleted ranges to come back, milliseconds. */
export const SPACE_RETURN_EVERY_MS = 10_000;

/** Bytes of a row that is written for that, and how many are written before commands run. */
export const SPACE_RETURN_ROW_BYTES = 64 << 10;
export const SPACE_RETURN_SLICE_ROWS = 4;

/** Random elements that one command may ask for, where it may get elements more than once. */
export const RANDOM_PICKS_MAX = 10_000_000;

/** Rows that the rewriting of a shard copies before it lets commands run. */
export const REWRITE_SLICE_ROWS = 1000;

/** Bytes that it copies before it lets commands run; a row is copied whole. */
export const REWRITE_SLICE_BYTES = 256 << 10;

/** Bytes that must stay free on the disk beside the second copy of a shard that is rewritten. */
export const REWRITE_ROOM_BYTES = 64 << 20;

/** Free bytes, beside those of its write-ahead log, that a shard is opened again with after its disk was full. */
export const REOPEN_ROOM_BYTES = 8 << 20;

/** How often the rewriting of a shard begins anew, because the shard was emptied or went to another worker. */
export const REWRITE_RESTARTS_MAX = 10;

/** Bytes that may wait for a connection that watches MONITOR, where client-output-buffer-limit sets no limit. */
export const MONITOR_OUTPUT_BYTES_MAX = 64 << 20;

/** Shards that a store opens at the same time. */
export const SHARDS_OPENING_MAX = 8;

/** How long a command waits for a database that comes into being by being used, milliseconds. */
export const DATABASE_WAIT_MS = 10_000;

/** Files of tls-ca-cert-dir. */
export const TLS_CA_FILES_MAX = 1000;

/** Time that a client may take for its TLS handshake, milliseconds. */
export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;

/** TLS handshakes that may be under way at once on a port; further connections are dropped. */
export const TLS_HANDSHAKES_MAX = 1024;

/** TLS sessions that are remembered for clients without tickets, whatever tls-session-cache-size says; about 2 KB each. */
export const TLS_SESSIONS_MAX = 1 << 17;

/** How long the reply to a change of the cluster waits for this node to hear of it, milliseconds. */
export const TOPOLOGY_WAIT_MS = 2000;

/** How deep the aggregates of a reply from another node may be nested. */
export const REPLY_NESTING_MAX = 128;

/** The longest line of a reply from another node: a status, an error, a number. */
export const REPLY_LINE_BYTES_MAX = 1 << 20;

/** Request bytes that may wait on one link to another node, for their turn or for their replies. */
export const LINK_BYTES_MAX = 16 << 20;

/** Commands that may wait on one link to another node. */
export const LINK_COMMANDS_MAX = 1 << 16;

/** Links to other nodes that belong to one connection each, for WATCH and what else a connection must have to itself. */
export const DEDICATED_LINKS_MAX = 1000;

/** Such links that are kept for the next connection that needs one. */
export const SPARE_LINKS_MAX = 32;

/** Connections that are waited for to say that they are other nodes, where clients are turned away. */
export const PEERS_ASKED_MAX = 64;

/** Commands that other nodes refused with the news that their shard has moved, and that wait to be sent again. */
export const MOVED_COMMANDS_MAX = 1 << 16;

/** Encoded replies that a cluster door keeps: those of CLUSTER, in either protocol, by which nodes are away. */
export const DOOR_REPLIES_MAX = 32;

/** Keys that a shard looks at in one go for those of a slot: a millisecond or two, in which it does nothing else. */
export const SLOT_SCAN_KEYS = 500;

/** The longest string that the command line takes in a reply. */
export const REPLY_STRING_BYTES_MAX = 1 << 30;

/** Lines that the shell remembers between sessions. */
export const HISTORY_LINES_MAX = 1000;

/** Keys that the shell asks for at once when it lists many. */
export const LISTING_PAGE_KEYS = 500;

/** The largest message between a node and its master: a topology of tens of thousands of keyspaces. */
export const MASTER_MESSAGE_BYTES_MAX = 64 << 20;

/** Messages that may wait for one who does not read, between a node and its master; then the conversation ends. */
export const MASTER_MESSAGES_WAITING_MAX = 1000;

/** Connections that a master takes. */
export const MASTER_CONNECTIONS_MAX = 10_000;

/** Gateways and shells that may follow a master. */
export const FOLLOWERS_MAX = 10_000;

/**
 * Key and value of a row that the journal takes, bytes; a collection by what its payload may have at most. Of longer rows, copying
 * costs more than finding their place, and the journal is short beside them.
 */
export const JOURNALED_ROW_BYTES_MAX = 1024;

/** Bytes at which a record of the journal is closed, so that writing its rows back never takes long. */
export const JOURNAL_RECORD_BYTES = 1 << 16;

/** Length of a shard's journal of rows, and of that of nodes, in memtables of the shard. */
export const JOURNAL_MEMTABLES_MAX = 4;

/** How long a row may be in the journal only, milliseconds. */
export const JOURNAL_AGE_MAX_MS = 5000;

/** How long what has changed of a node may be in the journal only, milliseconds. */
export const NODE_JOURNAL_AGE_MAX_MS = 60_000;

/** Changes of a node that the journal has before it is written whole: who reads it applies them all. */
export const NODE_PATCHES_MAX = 64;

/** Nodes that one commit writes whole because records must go, or twice as many as it adds changes if that is more. */
export const WRITE_BACK_NODES_MAX = 500;

/** Rows that one commit writes back from the journal, or twice as many as it adds to it if that is more. */
export const WRITE_BACK_ROWS_MAX = 1000;

/** Bytes of rows and records that may be on their way in one feed between stores; a row or a commit goes whole. */
export const FEED_WINDOW_BYTES = 1 << 20;

/** Bytes that a read of a feed log has; a commit goes whole. */
export const FEED_SLICE_BYTES = 512 << 10;

/** Bytes that a slice of a copy has; a row goes whole. Clients wait while one is read, and while it is written. */
export const COPY_SLICE_BYTES = 64 << 10;

/** The largest message of a feed: what one commit has changed. */
export const FEED_MESSAGE_BYTES_MAX = (1 << 30) + (64 << 20);

/** Messages that may wait to be sent in one feed; signs of life, for rows and records wait for their window. */
export const FEED_MESSAGES_WAITING_MAX = 1000;

/** Feeds that one store takes from another, and so gives to it. */
export const FEEDS_PER_STORE_MAX = 10_000;

/** Connections that the peer port of a store takes. */
export const PEER_CONNECTIONS_MAX = 1000;

/** Moments that a feed remembers to tell how far it is behind. */
export const FEED_MARKS_MAX = 1000;

/** Bytes from which on a record of a feed log is closed and the next one begun; a row is in one record. */
export const FEED_RECORD_BYTES = 256 << 10;

/** Records of a feed log that are read in one go. */
export const FEED_READ_RECORDS_MAX = 10_000;

/** Records of a feed log that are deleted with one commit, beyond twice as many as it adds. */
export const FEED_DELETIONS_MAX = 500;

/** Rows that copying for a feed, or removing what is not to be here, looks at before it lets commands run. */
export const FEED_SCAN_ROWS = 250;

/** Bytes of rows that it reads, beyond what was asked for of those that are wanted. */
export const FEED_SCAN_BYTES = 4 << 20;

/** Bytes of values, about, that are read at once of rows that are wanted among others. */
export const ROWS_READ_BYTES = 1 << 20;

/** Rows that have arrived by a feed, and that are applied before commands run. */
export const FEED_APPLY_ROWS = 125;

/** Of rows that come by a log, as many times that as fit into this, milliseconds: each commit costs as much as some fifty rows. */
export const FEED_APPLY_MS = 1;

/** Keys of one shard that clients wait for in blocking commands, each counted for every client. */
export const WAITED_KEYS_MAX = 1 << 20;

/** Bytes that a client may send behind commands that wait; then its socket is not read any more until they are done. */
export const BLOCKED_INPUT_BYTES_MAX = 1 << 20;

/** Feeds that one shard can be the target of. */
export const FEEDS_PER_SHARD_MAX = 1024;

/** Flushes of different slots that a shard remembers, 2 KB each: where many shards have become one, each had its own. */
export const FLUSHES_PER_SHARD_MAX = 64;

/** Bytes of changed element rows that a record of a feed log has of one collection; of more, followers copy the key. */
export const FEED_ELEMENTS_BYTES_MAX = 1 << 20;

/** Large collections of one shard that are read at the same time for copies. */
export const COLLECTION_COPIES_MAX = 16;

/** How long such a reading waits for whoever wants its next piece, milliseconds. */
export const COLLECTION_COPY_IDLE_MAX_MS = 60_000;

/** Snapshots of one shard that are read at the same time for backups. */
export const SNAPSHOTS_PER_SHARD_MAX = 4;

/** How long a snapshot, or a large collection of which a restore has brought a part, waits for what comes next, milliseconds. */
export const SNAPSHOT_IDLE_MAX_MS = 60_000;

/** Rows of a snapshot that are looked at before commands run. */
export const SNAPSHOT_SCAN_ROWS = 2000;

/** Bytes that a part of a snapshot has; a row goes whole. */
export const SNAPSHOT_PART_BYTES = 256 << 10;

/** Restores that bring large collections into one shard piece by piece at the same time. */
export const RESTORES_PER_SHARD_MAX = 64;

/** Feeds that INFO shows one by one: those that are furthest behind. */
export const INFO_FEEDS_MAX = 64;

/** Connections that the port for metrics takes on each address. */
export const METRICS_CONNECTIONS_MAX = 32;

/** Rows that one family of metrics may have; more of something (keyspaces, feeds) are left out, and counted. */
export const METRICS_ROWS_MAX = 2000;
